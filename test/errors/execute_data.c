/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text ended by SIGSEGV: not allowed by the mapping's protection$
 * text ^  executing [0-9a-f]{16}$
 * text ^  there: [0-9a-f]+-[0-9a-f]+ rw-p */
#include "test/errors/errors.h"

static unsigned char code[] = { 0xc3 };

int main(void) {
    said("before\n");
    ((void (*)(void))hidden((unsigned long)code))();
    return 0;
}
