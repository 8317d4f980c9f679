/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text ended by SIGSEGV: hlt, by which a C library ends .*a buffer overrun
 * text ^  at +(__stack_chk_fail|a_crash)\+0x */
#include "test/errors/errors.h"

/* musl's __stack_chk_fail executes hlt, and that is a SIGSEGV. */
__attribute__((noinline)) void overrun(int length) {
    char buffer[16];
    memset(hidden((unsigned long)buffer), 'A', length);
    __asm__ volatile("" : : "r"(buffer) : "memory");
}

int main(void) {
    said("before\n");
    overrun(40);
    return 0;
}
