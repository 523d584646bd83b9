/* A small stack machine: a switch with a jump table, function pointers, recursion, variable
   arguments and alloca. Prints its results and returns 0. */
#include <alloca.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum opcode { PUSH, ADD, SUBTRACT, MULTIPLY, DUPLICATE, SWAP, NEGATE, CALL, PRINT, HALT };

struct instruction {
    enum opcode opcode;
    long operand;
};

typedef long (*unary)(long);

static long square(long x) { return x * x; }

static long factorial(long n) { return n <= 1 ? 1 : n * factorial(n - 1); }

static long ackermann(long m, long n) {
    if (m == 0)
        return n + 1;
    if (n == 0)
        return ackermann(m - 1, 1);
    return ackermann(m - 1, ackermann(m, n - 1));
}

static long ackermann_2(long n) { return ackermann(2, n); }

static const unary functions[] = {square, factorial, ackermann_2};

__attribute__((noreturn, noinline)) static void fail(const char *message) {
    fprintf(stderr, "switch: %s\n", message);
    exit(1);
}

__attribute__((noinline)) static long sum(int count, ...) {
    va_list arguments;
    long total = 0;
    va_start(arguments, count);
    for (int i = 0; i < count; i++)
        total += va_arg(arguments, long);
    va_end(arguments);
    return total;
}

__attribute__((noinline)) static size_t reversed_length(const char *text) {
    size_t length = strlen(text);
    char *copy = alloca(length + 1);
    for (size_t i = 0; i < length; i++)
        copy[i] = text[length - 1 - i];
    copy[length] = '\0';
    printf("reversed %s\n", copy);
    return length;
}

__attribute__((noinline)) static long run(const struct instruction *code) {
    long stack[32];
    int depth = 0;
    for (;; code++) {
        if (depth < 0 || depth >= 31)
            fail("stack out of bounds");
        switch (code->opcode) {
        case PUSH:
            stack[depth++] = code->operand;
            break;
        case ADD:
            depth--;
            stack[depth - 1] += stack[depth];
            break;
        case SUBTRACT:
            depth--;
            stack[depth - 1] -= stack[depth];
            break;
        case MULTIPLY:
            depth--;
            stack[depth - 1] *= stack[depth];
            break;
        case DUPLICATE:
            stack[depth] = stack[depth - 1];
            depth++;
            break;
        case SWAP: {
            long top = stack[depth - 1];
            stack[depth - 1] = stack[depth - 2];
            stack[depth - 2] = top;
            break;
        }
        case NEGATE:
            stack[depth - 1] = -stack[depth - 1];
            break;
        case CALL:
            stack[depth - 1] = functions[code->operand](stack[depth - 1]);
            break;
        case PRINT:
            printf("top %ld\n", stack[depth - 1]);
            break;
        case HALT:
            return stack[depth - 1];
        default:
            fail("unknown opcode");
        }
    }
}

static const struct instruction program[] = {
    {PUSH, 5}, {CALL, 1},      {PRINT, 0}, {DUPLICATE, 0}, {ADD, 0},    {PUSH, 3}, {CALL, 2},
    {PRINT, 0}, {SWAP, 0},     {SUBTRACT, 0}, {NEGATE, 0}, {PUSH, 12}, {CALL, 0}, {MULTIPLY, 0},
    {HALT, 0},
};

int main(int argc, char **argv) {
    (void)argv;
    printf("result %ld\n", run(program));
    printf("sum %ld\n", sum(argc + 2, 10L, 20L, 12L));
    printf("length %zu\n", reversed_length("executable"));
    return 0;
}
