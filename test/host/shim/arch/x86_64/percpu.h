/* SPDX-License-Identifier: MIT */
/* For host tests: a CPU is a POSIX thread that called host_cpu_start(); its variables are its TLS.
 */
#ifndef ARCH_PERCPU_H
#define ARCH_PERCPU_H

#include "base/types.h"

#define PERCPU _Thread_local

extern uintptr_t percpu_offsets[MAX_CPUS]; /* thread pointers */
extern unsigned cpu_count;
extern PERCPU unsigned percpu_cpu;

#define this_cpu_read(var)     (var)
#define this_cpu_write(var, v) ((var) = (v))
#define this_cpu(var)          (&(var))
/* The executable's variables lie at the same distance from every thread pointer. */
#define cpu_of(var, n)                                                                             \
    ((__typeof__(var) *)((uintptr_t) &                                                             \
                         (var) - (uintptr_t)__builtin_thread_pointer() + percpu_offsets[n]))

/* Whether CPU `n` has its copy of the variables yet. */
static inline bool percpu_is_there(unsigned n) {
    return n == 0 || percpu_offsets[n];
}

static inline unsigned cpu_id(void) {
    return percpu_cpu;
}

#endif
