/* Switches on integers and characters, computed gotos, callbacks, recursion, variable arguments, non-local jumps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum shape { POINT, LINE, CIRCLE, SQUARE, TRIANGLE, POLYGON, TEXT };

static jmp_buf failure;

__attribute__((noinline, noreturn)) static void fail(const char *reason) {
    fprintf(stderr, "failed: %s\n", reason);
    longjmp(failure, 1);
}

__attribute__((noinline)) int corners(enum shape shape, int sides) {
    switch (shape) {
    case POINT: return 1;
    case LINE: return 2;
    case CIRCLE: printf("round\n"); return 0;
    case SQUARE: return sides * 4;
    case TRIANGLE: return sides * sides + 3;
    case POLYGON: puts("many"); return sides;
    case TEXT: fail("text has no corners");
    }
    return -1;
}

__attribute__((noinline)) int token(const char *text) {
    int total = 0;
    for (; *text; text++) {
        switch (*text) {
        case '0': case '1': case '2': case '3': case '4': case '5': total = total * 10 + *text - '0'; break;
        case '+': total += 7; break;
        case '-': total -= 9; break;
        case '*': total *= 3; break;
        case '/': total /= 2; break;
        case '%': total %= 100; break;
        case '(': total ^= 0x55; break;
        case ')': total |= 3; break;
        case ' ': case '\t': case '\n': break;
        case 'q': return total;
        default: fail("unexpected character");
        }
    }
    return total;
}

__attribute__((noinline)) long run(const unsigned char *code, long accumulator) {
    static const void *const labels[] = {&&halt, &&add, &&twice, &&negate, &&skip, &&repeat};
    long loops = 3;
    const unsigned char *start = code;
    goto *labels[*code++];
add: accumulator += *code++; goto *labels[*code++];
twice: accumulator *= 2; goto *labels[*code++];
negate: accumulator = -accumulator; goto *labels[*code++];
skip: code++; goto *labels[*code++];
repeat: code = loops-- > 0 ? start : code; goto *labels[*code++];
halt: return accumulator;
}

__attribute__((noinline)) int sum(int count, ...) {
    va_list list;
    va_start(list, count);
    int total = 0;
    while (count-- > 0) total += va_arg(list, int);
    va_end(list);
    return total;
}

static int ascending(const void *left, const void *right) { return *(const int *)left - *(const int *)right; }
static int descending(const void *left, const void *right) { return *(const int *)right - *(const int *)left; }

typedef double (*operation)(double, double);
static double plus(double left, double right) { return left + right; }
static double times(double left, double right) { return left * right; }
static double less(double left, double right) { return left < right; }
static const operation OPERATIONS[] = {plus, times, less};

__attribute__((noinline)) unsigned long factorial(unsigned long number) {
    return number < 2 ? 1 : number * factorial(number - 1);
}

__attribute__((noinline)) const char *month(unsigned number) {
    switch (number) {
    case 1: return "January";
    case 2: return "February";
    case 3: return "March";
    case 4: return "April";
    case 5: return "May";
    case 6: return "June";
    case 7: return "July";
    case 8: return "August";
    default: return "later";
    }
}

__attribute__((noinline)) int sparse(unsigned key) {
    switch (key) {
    case 3: return 10;
    case 700: return sum(2, 1, 2);
    case 90000: return 4;
    case 0x80000000: return 77;
    }
    return 0;
}

int main(int count, char **arguments) {
    int numbers[] = {4, 2, 9, 7, 1};
    if (setjmp(failure)) return 1;
    qsort(numbers, 5, sizeof *numbers, count > 1 ? ascending : descending);
    for (int index = 0; index < 5; index++) printf("%d ", numbers[index]);
    printf("%d %d\n", corners((enum shape)(count % 7), count), token(count > 1 ? arguments[1] : "12+3*4"));
    static const unsigned char program[] = {1, 5, 2, 4, 9, 3, 5, 0};
    printf("%ld %d %lu\n", run(program, count), sum(3, count, 2, 3), factorial((unsigned long)count + 5));
    printf("%f %s %d\n", OPERATIONS[count % 3](count, 2.5), month((unsigned)count), sparse((unsigned)count));
    char *copy = malloc(strlen(arguments[0]) + 1);
    if (copy) strcpy(copy, arguments[0]);
    free(copy);
    return 0;
}
