/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV */
#include "test/errors/errors.h"

/* Turns interrupts off, which only the kernel may. */
int main(void)
{
    said("before\n");
    __asm__ volatile("cli" : : : "rax", "rcx", "rdx", "memory");
    return 0;
}
