/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text ended by SIGSEGV: an address of the kernel$
 * text ^  at +main\+0x */
#include "test/errors/errors.h"
#include <signal.h>

static void handler(int signal) {
    _exit(signal);
}

/* The handler has nowhere to run, and the stack pointer is the kernel's. */
int main(void) {
    said("before\n");
    signal(SIGSEGV, handler);
    __asm__ volatile("mov $0xffffffff80200000, %%rsp\n push %%rax" : : : "memory");
    return 0;
}
