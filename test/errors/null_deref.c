/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * address 0x0000000000000010
 * text ended by SIGSEGV: NULL pointer$
 * text ^  there: nothing is mapped$ */
#include "test/errors/errors.h"
#include <stdint.h>

int deliberate(int depth) {
    return depth ? deliberate(depth - 1) + 1 : *(volatile int *)hidden(16);
}

int main(void) {
    said("before\n");
    return deliberate(3);
}
