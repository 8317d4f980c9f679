/* SPDX-License-Identifier: MIT */
/* expect: 132 SIGILL
 * text ended by SIGILL: an instruction that this CPU does not have$
 * text ^  at +main\+0x */
#include "test/errors/errors.h"

int main(void) {
    said("before\n");
    __asm__ volatile("ud2");
    return 0;
}
