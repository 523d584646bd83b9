// What Apple's formats have a place for: weak, hidden, common and thread-local names, initialisers, and pointers to all of them.

extern int printf(const char *, ...);
extern int elsewhere;
extern int perhaps(int) __attribute__((weak_import));

int common;
int data = 5;
int *pointer = &data;
__thread int per_thread = 3;
static int zero;

__attribute__((constructor)) static void begin(void) { zero = 7; }
__attribute__((destructor)) static void end(void) { zero = 8; }

__attribute__((weak)) int overridable(int number) { return number * 3; }
__attribute__((visibility("hidden"), noinline)) int hidden(int number) { return number + zero; }

int choose(int which) {
    switch (which) {
    case 0: return hidden(4);
    case 1: return hidden(99) * 3;
    case 2: return overridable(7);
    case 3: return overridable(1) - 1;
    case 4: return printf("four");
    case 5: return common;
    }
    return 0;
}

int repeat(int count) {
    int sum = 0;
    for (int i = 0; i < count; i++) sum += hidden(i) * overridable(sum);
    return sum;
}

int main(int count, char **arguments) {
    char buffer[64];
    buffer[count & 63] = 1;
    printf("%d %s\n", repeat(count) + per_thread + elsewhere + common, buffer);
    if (perhaps) perhaps(1);
    return choose(count) + *pointer;
}
