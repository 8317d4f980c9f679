/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text ended by SIGSEGV: stack overflow$
 * text ^  writing [0-9a-f]{16}$
 * text ^  there: nothing is mapped; the stack has reached its limit$ */
#include "test/errors/errors.h"

int deliberate(int depth) {
    volatile char frame[4000];
    frame[0] = (char)depth;
    return deliberate(depth + 1) + frame[0];
}

int main(void) {
    said("before\n");
    return deliberate(0);
}
