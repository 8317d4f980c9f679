/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text ended by SIGSEGV: not allowed by the mapping's protection$
 * text ^  writing [0-9a-f]{16}$
 * text ^  there: [0-9a-f]+-[0-9a-f]+ r--p
 * text ^  at +main\+0x */
#include "test/errors/errors.h"

int main(void) {
    said("before\n");
    *(volatile char *)hidden((unsigned long)"constant") = 0;
    return 0;
}
