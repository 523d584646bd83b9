// A library for any Windows: an import, exports, pointers to relocate, a jump table, a large frame.

extern int elsewhere(int);
int zero;

static int add(int a, int b) { return a + b; }
static int subtract(int a, int b) { return a - b; }

int (*const operations[])(int, int) = {add, subtract};
const char *const names[] = {"one", "two"};

__declspec(dllexport) int choose(int selector, int x) {
    char buffer[300];
    buffer[x & 255] = selector;
    switch (selector) {
    case 0: return x + 11;
    case 1: return elsewhere(x);
    case 2: return operations[x & 1](x, 3);
    case 3: return names[x & 1][0];
    case 4: zero = x; return buffer[zero & 255];
    case 5: return x * 9;
    default: return -1;
    }
}

__declspec(dllexport) int run(int argument) { return choose(argument, 5) + operations[argument & 1](2, 3) + zero; }
