/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * address 0xffff888000001000 */
#include "test/errors/errors.h"

int main(void)
{
    said("before\n");
    return *(volatile char *)hidden(0xffff888000001000);
}
