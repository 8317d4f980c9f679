/* SPDX-License-Identifier: MIT */
/* expect: 133 SIGTRAP
 * text ended by SIGTRAP: a breakpoint$
 * text ^  at +main\+0x */
#include "test/errors/errors.h"

int main(void) {
    said("before\n");
    __asm__ volatile("int3");
    return 0;
}
