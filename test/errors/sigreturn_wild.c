/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text cannot be written or returned from */
#include "test/errors/errors.h"

/* Returns from a signal that never was, with a frame in the kernel's memory. */
int main(void) {
    said("before\n");
    __asm__ volatile("mov $0xffffffff80200000, %%rsp\n mov $15, %%eax\n syscall" : : : "memory");
    return 0;
}
