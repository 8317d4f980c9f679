/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text ended by SIGSEGV: a privileged instruction or an address that cannot be$
 * text ^  at +main\+0x */
#include "test/errors/errors.h"

/* Loads a page table, which only the kernel may. */
int main(void) {
    said("before\n");
    __asm__ volatile("mov %%rax, %%cr3" : : : "rax", "rcx", "rdx", "memory");
    return 0;
}
