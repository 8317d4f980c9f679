/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU variables.  `PERCPU int hits;` defines one (a template; each CPU
 * gets its own copy at start), `extern PERCPU int hits;` declares it.  GS holds
 * the distance between the template and this CPU's copies.
 *
 * Rules: a thread that can be preempted may be on another CPU after any
 * instruction, so a pointer from this_cpu() is good only with preemption off
 * (or interrupts off).  this_cpu_read and this_cpu_write are single
 * instructions.  cpu_of(var, n) reaches another CPU's copy; its owner says which
 * lock or protocol allows that.
 */
#ifndef ARCH_PERCPU_H
#define ARCH_PERCPU_H

#include "base/types.h"

#define PERCPU __attribute__((section(".percpu")))

extern uintptr_t percpu_offsets[MAX_CPUS]; /* copy = template + offset; constant once a CPU runs */
extern unsigned cpu_count;                 /* CPUs found; constant after boot */

extern PERCPU uintptr_t percpu_offset; /* this CPU's entry of percpu_offsets */
extern PERCPU unsigned percpu_cpu;     /* this CPU's number, 0 to cpu_count - 1 */

/* clang-format off */ /* which takes this address-of for an and */
#define this_cpu_read(var) (*(volatile __seg_gs __typeof__(var) *)(uintptr_t)&(var))
#define this_cpu_write(var, v) (*(volatile __seg_gs __typeof__(var) *)(uintptr_t)&(var) = (v))
#define this_cpu(var) ((__typeof__(var) *)((uintptr_t)&(var) + this_cpu_read(percpu_offset)))
#define cpu_of(var, n) ((__typeof__(var) *)((uintptr_t)&(var) + percpu_offsets[n]))
/* clang-format on */

/* Whether CPU `n` has its copy of the variables yet. */
static inline bool percpu_is_there(unsigned n) {
    return n == 0 || percpu_offsets[n];
}

static inline unsigned cpu_id(void) {
    return this_cpu_read(percpu_cpu);
}

#endif
