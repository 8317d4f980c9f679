/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * address 0xffff888000001000
 * text ended by SIGSEGV: an address of the kernel$
 * text ^  at +main\+0x */
#include "test/errors/errors.h"

int main(void) {
    said("before\n");
    return *(volatile char *)hidden(0xffff888000001000);
}
