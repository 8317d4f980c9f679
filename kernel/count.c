/* SPDX-License-Identifier: MIT */
/* The counting build's sum. */
#include "kernel/count.h"

#ifdef COUNT_SHARED_WRITES
PERCPU uint64_t shared_writes;

uint64_t count_shared_writes(void) {
    uint64_t sum = 0;
    for (unsigned n = 0; n < cpu_count; n++)
        sum += *(volatile uint64_t *)cpu_of(shared_writes, n);
    return sum;
}

bool count_is_built(void) {
    return true;
}
#else
uint64_t count_shared_writes(void) {
    return 0;
}

bool count_is_built(void) {
    return false;
}
#endif
