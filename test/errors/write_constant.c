/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV */
#include "test/errors/errors.h"

int main(void)
{
    said("before\n");
    *(volatile char *)hidden((unsigned long)"constant") = 0;
    return 0;
}
