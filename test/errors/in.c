/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV */
#include "test/errors/errors.h"

/* Reads the keyboard's port, which only the kernel may. */
int main(void)
{
    said("before\n");
    __asm__ volatile("in $0x60, %%al" : : : "rax", "rcx", "rdx", "memory");
    return 0;
}
