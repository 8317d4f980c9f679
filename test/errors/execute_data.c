/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV */
#include "test/errors/errors.h"

static unsigned char code[] = {0xc3};

int main(void)
{
    said("before\n");
    ((void (*)(void))hidden((unsigned long)code))();
    return 0;
}
