/* SPDX-License-Identifier: MIT */
/*
 * The counting build (`make kernel COUNT=1`): how many atomic writes the paths that
 * must scale make to cache lines that other CPUs write too.
 *
 * count_shared_write(p) stands beside every atomic read-modify-write on a path
 * of a fault, a futex call or a wake-up, and beside stores to what other CPUs
 * read without the lock.  A line in this CPU's own per-CPU variables does not
 * count: only its owner writes it, but for rare visitors.  A lock counts once:
 * its release writes the line that it owns already.
 * /proc/mimosa/sharing shows the sum; in other builds nothing is left of it.
 */
#ifndef KERNEL_COUNT_H
#define KERNEL_COUNT_H

#include "arch/x86_64/percpu.h"
#include "base/types.h"

#ifdef COUNT_SHARED_WRITES
extern PERCPU uint64_t shared_writes;
extern char percpu_start[], percpu_end[];

static inline void count_shared_write(const volatile void *p) {
    uintptr_t at = (uintptr_t)p - this_cpu_read(percpu_offset);
    if (at < (uintptr_t)percpu_start || at >= (uintptr_t)percpu_end)
        this_cpu_write(shared_writes, this_cpu_read(shared_writes) + 1);
}
#else
static inline void count_shared_write(const volatile void *p) {
    (void)p;
}
#endif

/* The sum over all CPUs; 0 in other builds. */
uint64_t count_shared_writes(void);
bool count_is_built(void);

#endif
