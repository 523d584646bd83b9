/* Runs a statement of SQL. */
#include "sqlite3.h"

static int row(void *context, int columns, char **values, char **names) {
    (void)context, (void)columns, (void)values, (void)names;
    return 0;
}

int main(int count, char **words) {
    sqlite3 *database, *copy;
    char *error = 0;
    if (sqlite3_open(":memory:", &database) || sqlite3_open(":memory:", &copy))
        return 1;
    int code = sqlite3_exec(database, words[count - 1], row, 0, &error);
    sqlite3_free(error);
    sqlite3_backup *backup = sqlite3_backup_init(copy, "main", database, "main");
    sqlite3_backup_step(backup, -1);
    sqlite3_backup_finish(backup);
    sqlite3_close(copy);
    sqlite3_close(database);
    return code;
}
