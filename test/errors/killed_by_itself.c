/* SPDX-License-Identifier: MIT */
/* expect: 143 */
#include "test/errors/errors.h"
#include <signal.h>

int main(void) {
    said("before\n");
    kill(getpid(), SIGTERM);
    return 0;
}
