/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text ended by SIGSEGV: hlt, by which a C library ends
 * text ^  at +main\+0x */
#include "test/errors/errors.h"

/* Stops the CPU, which only the kernel may. */
int main(void) {
    said("before\n");
    __asm__ volatile("hlt" : : : "rax", "rcx", "rdx", "memory");
    return 0;
}
