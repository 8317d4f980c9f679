/* SPDX-License-Identifier: MIT */
/* For host tests: no interrupts, and pages cleared by the C library. */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#include <sched.h>
#include <string.h>
#include "base/types.h"

static inline void cpu_relax(void) {
    sched_yield();
}

static inline uint64_t irq_save(void) {
    return 0;
}

static inline void irq_restore(uint64_t flags) {
    (void)flags;
}

/* Not that random. */
static inline uint64_t cpu_random(void) {
    return 0x243f6a8885a308d3;
}

static inline void cpu_clear_page(void *page) {
    memset(page, 0, PAGE_SIZE);
}

#endif
