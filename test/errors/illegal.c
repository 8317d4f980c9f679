/* SPDX-License-Identifier: MIT */
/* expect: 132 SIGILL */
#include "test/errors/errors.h"

int main(void)
{
    said("before\n");
    __asm__ volatile("ud2");
    return 0;
}
