/* Two threads without a C library: one waits, the other writes to an address that is not mapped. */
static char stack[4096] __attribute__((aligned(16), used));
__attribute__((naked, noreturn)) void _start(void)
{
    __asm__("movl $56, %eax\n"        /* clone, with shared memory, files, signals and process */
            "movl $0x10f00, %edi\n"
            "leaq stack+4096(%rip), %rsi\n"
            "xorl %edx, %edx\n"
            "xorl %r10d, %r10d\n"
            "syscall\n"
            "testl %eax, %eax\n"
            "jnz 1f\n"
            "2: movl $34, %eax\n"     /* pause */
            "syscall\n"
            "jmp 2b\n"
            "1: movl $24, %eax\n"     /* sched_yield, often enough that the other thread waits */
            "movl $100000, %ebx\n"
            "3: movl $24, %eax\n"
            "syscall\n"
            "decl %ebx\n"
            "jnz 3b\n"
            "movl $0x1234, %eax\n"
            "movl $1, (%rax)\n");
}
