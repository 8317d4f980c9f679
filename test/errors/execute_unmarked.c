/* SPDX-License-Identifier: MIT */
/* Without PT_GNU_STACK (test.mk takes it out), too, the stack holds no code.
 * expect: 139 SIGSEGV
 * text ended by SIGSEGV: not allowed by the mapping's protection$
 * text ^  executing [0-9a-f]{16}$
 * text ^  there: [0-9a-f]+-[0-9a-f]+ rw-p .*\[stack\] */
#include "test/errors/errors.h"

int main(void) {
    volatile unsigned char code[] = { 0xc3 };
    said("before\n");
    ((void (*)(void))hidden((unsigned long)code))();
    return 0;
}
