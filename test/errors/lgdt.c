/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV */
#include "test/errors/errors.h"

/* Loads a descriptor table, which only the kernel may. */
int main(void)
{
    said("before\n");
    __asm__ volatile("lgdt (%%rsp)" : : : "rax", "rcx", "rdx", "memory");
    return 0;
}
