/* Code that needs no library and no system: a switch with a jump table, function pointers, recursion, 64-bit numbers,
   floating point, structures by value, loops over data. Ends in a trap. Each function is kept apart. */
#define APART __attribute__((noinline))

#define POPS __attribute__((stdcall))

typedef unsigned long long wide;

struct pair { int first, second; double third; };

static int table[16] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};
static volatile int sink;

APART int chosen(int which, int value) {
    switch (which) {
    case 0: return value + 17;
    case 1: return value * table[1];
    case 2: sink = value; return 5;
    case 3: return value ^ table[3];
    case 4: sink = 7; return value - 1;
    case 5: return value / 3;
    case 6: return value << table[6];
    case 7: sink = which; return -value;
    }
    return 0;
}

APART wide scaled(wide number, int shift) { return (number << shift) * 0x9e3779b97f4a7c15ull - 7; }

APART double mean(const int *values, int count) {
    double sum = 0;
    for (int index = 0; index < count; index++)
        sum += values[index];
    return sum / count;
}

APART struct pair paired(int first, int second) {
    struct pair pair = {first, second, first * 0.5};
    return pair;
}

APART POPS int popping(int one, int two, int three) { return sink + one * two - three; }

APART int twice(int one) { return popping(one, 2, 3) + popping(3, one, 1); }

APART int depth(int left) { return left == 0 ? sink : depth(left - 1) + depth(left / 2); }

static int (*const functions[])(int, int) = {chosen, chosen};

APART int through(int which) { return functions[which & 1](which, sink); }

void entry(void) {
    struct pair pair = paired(sink, 2);
    sink = chosen(pair.first, 4) + through(sink) + depth(9);
    sink += (int)scaled((wide)sink, 3) + (int)mean(table, 16);
    sink += twice(sink);
    __builtin_trap();
}
