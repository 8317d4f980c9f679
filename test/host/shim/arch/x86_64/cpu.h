/* SPDX-License-Identifier: MIT */
/* For host tests: no interrupts, pages cleared by the C library, and ports of the test's. */
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

static inline void irq_disable(void) {}

static inline noreturn_fn void cpu_reset(void) {
    __builtin_trap();
}

/* A test that lists sources with port accesses has these functions. */
void outb(uint16_t port, uint8_t v);
void outw(uint16_t port, uint16_t v);
void outl(uint16_t port, uint32_t v);
uint32_t inl(uint16_t port);

/* Not that random. */
static inline uint64_t cpu_random(void) {
    return 0x243f6a8885a308d3;
}

static inline void cpu_clear_page(void *page) {
    memset(page, 0, PAGE_SIZE);
}

#endif
