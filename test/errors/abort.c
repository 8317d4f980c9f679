/* SPDX-License-Identifier: MIT */
/* expect: 134 SIGABRT
 * text ended by SIGABRT: the program called abort\(\)$
 * text ^  from +[_a-z0-9]+ */
#include "test/errors/errors.h"
#include <stdlib.h>

int main(void) {
    said("before\n");
    abort();
}
