/* SPDX-License-Identifier: MIT */
/* expect: 136 SIGFPE
 * text ended by SIGFPE: integer division by zero$ */
#include "test/errors/errors.h"

int deliberate(int divisor) {
    int quotient = 1, rest = 0;
    __asm__ volatile("idivl %2" : "+a"(quotient), "+d"(rest) : "r"(divisor));
    return quotient;
}

int main(void) {
    said("before\n");
    return deliberate(0);
}
