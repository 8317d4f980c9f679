/* SPDX-License-Identifier: MIT */
/*
 * The vDSO: what the C libraries call instead of the kernel to read the clock and
 * to learn on which CPU they run.
 *
 * An ELF shared object that the kernel maps into the program, the page before
 * it being struct clock_page (kernel/timer.h), which the kernel updates under a
 * sequence number: odd while it writes, changed when it has written.
 */
#include <stdatomic.h>

#include "base/types.h"
#include "kernel/timer.h"
#include "linux/vdso/vdso.h"

#define EXPORT __attribute__((visibility("default"), used))

#define CLOCK_REALTIME         0
#define CLOCK_MONOTONIC        1
#define CLOCK_MONOTONIC_RAW    4
#define CLOCK_REALTIME_COARSE  5
#define CLOCK_MONOTONIC_COARSE 6
#define CLOCK_BOOTTIME         7
/* Bit per clock id. */
#define CLOCKS_SINCE_BOOT                                                                          \
    (1u << CLOCK_MONOTONIC_RAW | 1u << CLOCK_MONOTONIC_COARSE | 1u << CLOCK_BOOTTIME)

#define SYS_GETCPU        309
#define SYS_CLOCK_GETTIME 228
#define SYS_CLOCK_GETRES  229

struct timespec64 {
    int64_t seconds, ns;
};

struct timeval64 {
    int64_t seconds, us;
};

/* Not const: the kernel changes it. */
extern struct clock_page vdso_clock __attribute__((visibility("hidden")));

int __vdso_clock_gettime(int clock, struct timespec64 *to);
int __vdso_clock_getres(int clock, struct timespec64 *to);
int __vdso_gettimeofday(struct timeval64 *to, int32_t *zone);
int64_t __vdso_time(int64_t *to);
int __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused);

static inline long call(long number, long a, long b, long c) {
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

static inline uint64_t tsc(void) {
    uint32_t lo, hi;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return (uint64_t)hi << 32 | lo;
}

/* Nanoseconds since boot, or of the real time. */
static inline uint64_t now(bool real) {
    const struct clock_page *p = &vdso_clock;
    uint64_t ns;
    uint32_t seq;

    do {
        seq = atomic_load_explicit(&p->seq, memory_order_acquire);
        ns = p->base_ns +
             (uint64_t)((unsigned __int128)(tsc() - p->base_tsc) * p->mult >> VDSO_SHIFT);
        if (real)
            ns += p->realtime_offset_ns;
        atomic_signal_fence(memory_order_acquire); /* x86 keeps loads in order */
    } while (unlikely(seq & 1) ||
             unlikely(seq != atomic_load_explicit(&p->seq, memory_order_relaxed)));
    return ns;
}

EXPORT int __vdso_clock_gettime(int clock, struct timespec64 *to) {
    uint64_t ns;

    /* Counted in instructions: the two that everybody asks for come first. */
    if (likely(clock == CLOCK_MONOTONIC))
        ns = now(false);
    else if (likely(clock == CLOCK_REALTIME))
        ns = now(true);
    else if ((unsigned)clock < 32 && (1u << clock & CLOCKS_SINCE_BOOT))
        ns = now(false);
    else if (clock == CLOCK_REALTIME_COARSE)
        ns = now(true);
    else
        return (int)call(SYS_CLOCK_GETTIME, clock, (long)to, 0);
    to->seconds = (int64_t)(ns / NS_PER_SEC);
    to->ns = (int64_t)(ns - (uint64_t)to->seconds * NS_PER_SEC);
    return 0;
}

EXPORT int __vdso_clock_getres(int clock, struct timespec64 *to) {
    return (int)call(SYS_CLOCK_GETRES, clock, (long)to, 0);
}

EXPORT int __vdso_gettimeofday(struct timeval64 *to, int32_t *zone) {
    if (to) {
        uint64_t ns = now(true);

        to->seconds = (int64_t)(ns / NS_PER_SEC);
        to->us = (int64_t)(ns % NS_PER_SEC / NS_PER_US);
    }
    if (zone)
        zone[0] = zone[1] = 0;
    return 0;
}

EXPORT int64_t __vdso_time(int64_t *to) {
    int64_t seconds = (int64_t)(now(true) / NS_PER_SEC);

    if (to)
        *to = seconds;
    return seconds;
}

EXPORT int __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused) {
    uint32_t number, low, high;

    switch (vdso_clock.cpu_number) { /* both read TSC_AUX, which holds the CPU's number */
    case CPU_NUMBER_RDPID: {
        uint64_t wide;

        __asm__ volatile("rdpid %0" : "=r"(wide));
        number = (uint32_t)wide;
        break;
    }
    case CPU_NUMBER_RDTSCP:
        __asm__ volatile("rdtscp" : "=c"(number), "=a"(low), "=d"(high));
        break;
    default:
        return (int)call(SYS_GETCPU, (long)cpu, (long)node, (long)unused);
    }
    if (cpu)
        *cpu = number;
    if (node)
        *node = 0;
    return 0;
}
