// A library that needs nothing: data with addresses in it, functions that come and go with it, weak and undefined names, and
// cleaning up on the way of an exception.

extern int absent(int) __attribute__((weak));
extern int elsewhere(int);

static int twice(int number) { return 2 * number; }

int (*operations[])(int) = { twice, absent, elsewhere };
const char *name = "a library";
__thread int per_thread = 3;

__attribute__((constructor)) static void begin(void) { per_thread = 4; }
__attribute__((destructor)) static void end(void) { name = 0; }

__attribute__((weak)) int apply(int which, int number) { return operations[which % 3](number); }

// A frame that is cleaned up when an exception passes through it.
static void take_back(int *number) { per_thread -= *number; }

int with_cleanup(int number) {
    __attribute__((cleanup(take_back))) int held = number;
    return elsewhere(held) + elsewhere(number);
}

int number_of(const char *text) { return text == name ? apply(0, per_thread) : elsewhere(1); }
