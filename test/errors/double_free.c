/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text ended by SIGSEGV: (nothing is mapped there|hlt, by which a C library ends)
 * text ^  (at|from) +(get_meta|free|__libc_free)\+0x */
#include "test/errors/errors.h"
#include <stdlib.h>

/* musl's own allocator notices: it executes hlt, or reads where the block's group was. */
int main(void) {
    said("before\n");
    char *block = malloc(1000);
    free(block);
    free(hidden((unsigned long)block));
    return 0;
}
