/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV */
#include "test/errors/errors.h"
#include <stdlib.h>

/* musl's own allocator notices: it executes hlt, or reads where the block's group was. */
int main(void)
{
    said("before\n");
    char *block = malloc(1000);
    free(block);
    free(hidden((unsigned long)block));
    return 0;
}
