/* A program without a library that waits in a call of depth 4; `linux.dmp` is a minidump of it. */
static long system_call(long number, long argument) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(argument) : "rcx", "r11", "memory");
    return result;
}
__attribute__((noinline)) long waits(int depth, volatile char *text) {
    volatile char buffer[64];
    buffer[0] = text[0] + 1;
    if (depth > 0) return waits(depth - 1, buffer) + buffer[0];
    for (;;) system_call(34, 0);
}
__attribute__((noinline)) long run(void) {
    volatile char text[8] = "text";
    return waits(3, text) + 1;
}
void _start(void) { system_call(60, run()); }
