/* SPDX-License-Identifier: MIT */
/* expect: 0
 * mem 128M */
#include "test/errors/errors.h"
#include <errno.h>
#include <stdlib.h>

int main(void)
{
    said("before\n");
    void *block = malloc(1UL << 45);
    return block == NULL && errno == ENOMEM ? 0 : 1;
}
