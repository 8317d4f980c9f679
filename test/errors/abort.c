/* SPDX-License-Identifier: MIT */
/* expect: 134 SIGABRT */
#include "test/errors/errors.h"
#include <stdlib.h>

int main(void)
{
    said("before\n");
    abort();
}
