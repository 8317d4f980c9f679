/* SPDX-License-Identifier: MIT */
/* expect: 137
 * mem 128M
 * text out of memory
 * on mimosa */
#include "test/errors/errors.h"
#include <stdlib.h>

/* Takes in parts what would not be given at once, and touches it all. */
int main(void)
{
    said("before\n");
    for (;;) {
        char *block = malloc(1 << 20);
        if (!block)
            return 3;
        memset(block, 1, 1 << 20);
    }
}
