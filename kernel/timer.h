/* SPDX-License-Identifier: MIT */
/*
 * One-shot timers, kept in a heap per CPU, and the clock.
 *
 * Nanoseconds since boot, the same on all CPUs, never going back.  Under
 * --icount one nanosecond is one instruction.
 */
#ifndef KERNEL_TIMER_H
#define KERNEL_TIMER_H

#include "base/types.h"

struct timer {
    struct timer *child, *next, *prev; /* pairing heap; RANK_TIMER of `cpu` */
    uint64_t deadline_ns;
    void (*fire)(struct timer *); /* interrupts off, interrupt context; may re-arm */
    unsigned cpu;
    bool armed;
};

void timer_init(struct timer *t, void (*fire)(struct timer *));
/* Arms `t` on this CPU (re-arming moves it).  Context: any. */
void timer_arm(struct timer *t, uint64_t deadline_ns);
/* Disarms; on return `fire` neither runs nor will.  Returns whether it was armed.
 * Not from inside its own `fire`, nor holding a lock that `fire` takes. */
bool timer_cancel(struct timer *t);

uint64_t clock_now_ns(void);      /* CLOCK_MONOTONIC */
uint64_t clock_realtime_ns(void); /* CLOCK_REALTIME */
uint64_t clock_tsc_khz(void);     /* as far as it is known by now */
/* Moves CLOCK_REALTIME by setting it (clock_settime). */
void clock_set_realtime_ns(uint64_t now);

/*
 * What the vDSO needs: ns = base_ns + ((tsc - base_tsc) * mult >> shift), read
 * under an even `seq` (seqlock).  Lives alone on a page that the program may read.
 */
enum cpu_number { CPU_NUMBER_CALL, CPU_NUMBER_RDTSCP, CPU_NUMBER_RDPID }; /* how to ask for it */
struct clock_page {
    _Atomic(uint32_t) seq;
    uint32_t shift;
    uint64_t mult;
    uint64_t base_tsc, base_ns;
    uint64_t realtime_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC */
    uint32_t cpu_number;         /* enum cpu_number: not the clock's, but the vDSO's other need */
};
extern struct clock_page *clock_page; /* page aligned, one page, kernel mapping */

#endif
