// Assembly for x86-64, in C: runs of memory are filled over an address that lies on the stack. What is loaded from there afterwards is
// what the run was filled with.

long first[4], second[4];

#define FILL(NAME, PLACE, COUNT, BEFORE, AFTER)                                                                \
    asm(".text\n.globl " #NAME "\n.type " #NAME ", @function\n" #NAME ":\n"                                    \
        "sub $72, %rsp\n"                                                                                      \
        "lea first(%rip), %rax\n"                                                                              \
        "mov %rax, 32(%rsp)\n"                                                                                 \
        "lea " PLACE "(%rsp), %rdi\n" COUNT "\n"                                                               \
        "lea second(%rip), %rax\n" BEFORE "\nrep stosq\n" AFTER "\n"                                           \
        "mov 32(%rsp), %rax\n"                                                                                 \
        "mov (%rax), %rax\n"                                                                                   \
        "add $72, %rsp\n"                                                                                      \
        "ret\n.size " #NAME ", .-" #NAME "\n")

FILL(fill_some, "8", "mov $5, %ecx", "", "");
FILL(fill_few, "8", "mov %esi, %ecx\nand $3, %ecx\nadd $2, %ecx", "", "");
FILL(fill_any, "8", "mov %rsi, %rcx", "", "");
FILL(fill_downwards, "56", "mov $5, %ecx", "std", "cld");
long fill_some(long, long), fill_few(long, long), fill_any(long, long), fill_downwards(long, long);

int main(void) {
    second[0] = 7;
    long sum = fill_some(0, 0) + fill_few(0, 3) + fill_any(0, 5) + fill_downwards(0, 0);
    return sum == 28 ? 0 : 1;
}
