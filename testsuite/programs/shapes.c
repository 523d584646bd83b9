/* Every kind of type and variable that C has, calls that are inlined, code in several ranges. */
#include <stdio.h>
#include <stdlib.h>

typedef struct point { int x; int near : 5; unsigned far : 3; const char *name; } point_t;
enum color { RED, GREEN = 5, BLUE = -1 };
union word { int number; float real; struct { short low, high; }; };

static int counter = 3;
int grid[3][4];
__thread int per_thread = 4;
volatile const long fixed = 7;
int (*callback)(int, const char *);

static inline __attribute__((always_inline)) int square(int number) { int result = number * number; return result; }

int add(point_t *point, enum color color) {
    static int calls;
    calls++;
    int sum = square(point->x) + square(point->near);
    {
        volatile int inner = sum;
        sum += inner;
    }
    if (sum > 1000) {
        fprintf(stderr, "%s is far\n", point->name);
        abort();
    }
    return sum + color;
}

int main(int count, char **arguments) {
    point_t point = { count, 2, 1, arguments[0] };
    union word word;
    counter += count;
    word.number = add(&point, count > 3 ? GREEN : BLUE);
    printf("%d %d %d %ld\n", word.number, counter, grid[1][2] + per_thread, fixed);
    return 0;
}
