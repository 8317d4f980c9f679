/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text stack overflow */
#include "test/errors/errors.h"

int deliberate(int depth)
{
    volatile char frame[4000];
    frame[0] = (char)depth;
    return deliberate(depth + 1) + frame[0];
}

int main(void)
{
    said("before\n");
    return deliberate(0);
}
