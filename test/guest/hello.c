/* SPDX-License-Identifier: MIT */
/* The first program: it needs write and exit_group, and nothing else. */
#include <unistd.h>

int main(void) {
    static const char text[] = "ok hello\n1 passed, 0 failed\n";
    return write(1, text, sizeof text - 1) != sizeof text - 1;
}
