/* SPDX-License-Identifier: MIT */
/* Under `mimosa run --icount` the time stamp counter counts instructions: how many until main. */
#include <stdio.h>
#include <x86intrin.h>

int main(void) {
    unsigned long long now = __rdtsc();
    printf("%llu instructions from power-on to main\n", now);
    return 0;
}
