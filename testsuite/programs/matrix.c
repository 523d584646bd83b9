// C for any architecture, without headers and libraries: symbols of every kind, addresses in data, thread-local
// variables, constructors, a jump table. It is also its own start file.

struct node {
    struct node *next;
    int (*operation)(int, int);
    const char *name;
};

__thread int per_thread = 4711;
static __thread long per_thread_zero[3];
extern int elsewhere(int) __attribute__((weak));
extern int elsewhere_data __attribute__((weak));
volatile int zero;

static int add(int a, int b) { return a + b; }
static int subtract(int a, int b) { return a - b; }

static struct node nodes[2] = {{&nodes[1], add, "add"}, {0, subtract, "subtract"}};
struct node *head = nodes;
const char *const names[] = {"one", "two", "three"};
int (*const operations[])(int, int) = {add, subtract};

__attribute__((weak)) int weak_one(int x) { return x + zero; }
__attribute__((visibility("hidden"))) int hidden_one(int x) { return x ^ zero; }
__attribute__((visibility("protected"))) int protected_one(int x) { return x * 3; }

__attribute__((noinline)) int choose(int selector, int x) {
    switch (selector) {
    case 0: return x + 11;
    case 1: return weak_one(x);
    case 2: return hidden_one(x) - 7;
    case 3: return protected_one(x) - 7;
    case 4: zero = x; return 0;
    case 5: return per_thread + x;
    case 6: return (int)per_thread_zero[x & 1];
    case 7: return names[x & 1][0];
    default: return -1;
    }
}

__attribute__((constructor)) static void at_start(void) { per_thread_zero[1] = zero; }
__attribute__((destructor)) static void at_end(void) { zero = 1; }

int run(int argument) {
    int result = choose(argument, 5) + operations[argument & 1](2, 3);
    for (struct node *node = head; node; node = node->next) result = node->operation(result, node->name[0]);
    if (elsewhere) result += elsewhere(result);
    return &elsewhere_data ? result + elsewhere_data : result;
}

// MIPS calls the entry point `__start`.
void _start(void) { zero = run(3); for (;;) {} }
void __start(void) __attribute__((alias("_start")));
