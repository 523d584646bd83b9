// A library that needs nothing: data with addresses in it, functions that come and go with it, a weak and an undefined name.

extern int absent(int) __attribute__((weak));
extern int elsewhere(int);

static int twice(int number) { return 2 * number; }

int (*operations[])(int) = { twice, absent, elsewhere };
const char *name = "a library";
__thread int per_thread = 3;

__attribute__((constructor)) static void begin(void) { per_thread = 4; }
__attribute__((destructor)) static void end(void) { name = 0; }

__attribute__((weak)) int apply(int which, int number) { return operations[which % 3](number); }

int number_of(const char *text) { return text == name ? apply(0, per_thread) : elsewhere(1); }
