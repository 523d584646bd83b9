/* Runs a script. */
#include "lauxlib.h"
#include "lualib.h"

int main(int count, char **names) {
    lua_State *state = luaL_newstate();
    luaL_openlibs(state);
    int failed = count > 1 ? luaL_dofile(state, names[1]) : luaL_dostring(state, "print(#'abc')");
    lua_close(state);
    return failed;
}
