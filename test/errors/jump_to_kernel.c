/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * address 0xffffffff80100000
 * text ended by SIGSEGV: an address of the kernel$ */
#include "test/errors/errors.h"

int main(void) {
    said("before\n");
    ((void (*)(void))hidden(0xffffffff80100000))();
    return 0;
}
