/* SPDX-License-Identifier: MIT */
/* expect: 137
 * mem 128M
 * text ended: the machine is out of memory \(try --mem\)$
 * text ^  writing [0-9a-f]{16}$
 * text ^  there: [0-9a-f]+-[0-9a-f]+ rw-p .*\[heap\]$
 * text out of memory: the program holds 1[12][0-9]{4} KiB of 1[23][0-9]{4} KiB, [0-9]{1,5} KiB are
 * text touched: [0-9a-f-]+ rw- \[heap\]: 1[12][0-9]{4} KiB of 1[23][0-9]{4} KiB in memory$
 * text ^mimosa:   [0-9a-f-]+ rw- \[heap\]: 1[12][0-9]{4} KiB of 1[23][0-9]{4} KiB in memory$
 * text ^mimosa:   [0-9a-f]+-[0-9a-f]+ r-x : [0-9]+ KiB of [0-9]+ KiB in memory$
 * text ^  thread 1 \(exhaust_memory\) on CPU [0-9]+$
 * text ^  at +[_a-z]+\+0x
 * on mimosa */
#include "test/errors/errors.h"
#include <stdlib.h>

/* Takes in parts what would not be given at once, and touches it all. */
int main(void) {
    said("before\n");
    for (;;) {
        char *block = malloc(1 << 20);
        if (!block)
            return 3;
        memset(block, 1, 1 << 20);
    }
}
