/* SPDX-License-Identifier: MIT */
/*
 * The clock: the TSC, its rate from CPUID where the hypervisor tells it, else
 * measured against the local APIC's timer, which counts at 1 GHz under QEMU and
 * KVM.  There is no fixed delay: boot measures over the time that passes until
 * the clock is first needed (at least MEASURE_NS), and the boot CPU measures
 * again when it re-arms a timer that has run four times as long as the last
 * measurement, until one has taken REFINE_NS.
 *
 * clock_page is a seqlock: its writers (the refinement, clock_set_realtime_ns)
 * hold clock_lock; readers are clock_now_ns() on any CPU and the vDSO.  A
 * refinement keeps the time continuous: it starts a new line at the present.
 */
#include <stdatomic.h>
#include "arch/x86_64/arch_impl.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/clock_impl.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "kernel/timer.h"

#define LAPIC_MAX  0xffffffffu
#define MEASURE_NS (200 * NS_PER_US)
#define REFINE_NS  (50 * NS_PER_MS)
#define SHIFT      32

static union {
    struct clock_page page;
    char bytes[PAGE_SIZE];
} clock_storage __attribute__((aligned(PAGE_SIZE)));
struct clock_page *clock_page = &clock_storage.page;

static struct spinlock clock_lock = SPINLOCK_INIT(RANK_LOG);
static bool rate_is_exact; /* told by the hypervisor */
struct sample {
    uint64_t tsc;
    uint32_t lapic;
};

/* The boot CPU's alone, interrupts off. */
static uint64_t measured_ns; /* how long the measurement took that the rate is from */
static struct sample armed;  /* when the timer was last armed */

static uint64_t hypervisor_tsc_khz(void) {
    uint32_t r[4];
    if (!cpu_features.hypervisor)
        return 0;
    cpuid(0x40000000, 0, r);
    if (r[0] < 0x40000010)
        return 0;
    cpuid(0x40000010, 0, r);
    return r[0];
}

static uint64_t cpuid_tsc_hz(void) {
    uint32_t r[4];
    uint64_t khz = hypervisor_tsc_khz();
    if (khz)
        return khz * 1000;
    cpuid(0, 0, r);
    if (r[0] < 0x15)
        return 0;
    uint32_t max = r[0];
    cpuid(0x15, 0, r);
    if (r[0] && r[1] && r[2])
        return (uint64_t)r[2] * r[1] / r[0];
    if (max < 0x16)
        return 0;
    cpuid(0x16, 0, r);
    return (uint64_t)(r[0] & 0xffff) * 1000000;
}

/* A 64-by-64-bit fraction without 128-bit division: (a << 32) / b for a < 2^64 / something sane. */
static uint64_t ratio_shifted(uint64_t a, uint64_t b) {
    while (a >= 1ul << 31) {
        a >>= 1;
        b >>= 1;
    }
    return b ? (a << SHIFT) / b : 0;
}

static uint64_t page_ns(uint64_t tsc) {
    const struct clock_page *p = clock_page;
    uint64_t passed = tsc > p->base_tsc ? tsc - p->base_tsc : 0;
    return p->base_ns + (uint64_t)((unsigned __int128)passed * p->mult >> p->shift);
}

uint64_t clock_now_ns(void) {
    for (;;) {
        uint32_t seq = atomic_load_explicit(&clock_page->seq, memory_order_acquire);
        uint64_t ns = page_ns(rdtsc());
        atomic_thread_fence(memory_order_acquire);
        if (likely(!(seq & 1) &&
                   seq == atomic_load_explicit(&clock_page->seq, memory_order_relaxed)))
            return ns;
        cpu_relax();
    }
}

uint64_t clock_realtime_ns(void) {
    return clock_now_ns() + clock_page->realtime_offset_ns;
}

uint64_t clock_tsc_khz(void) {
    return (NS_PER_SEC << 22) / (clock_page->mult >> 10) / 1000;
}

static uint64_t page_write_begin(void) {
    uint64_t flags = spin_lock_irqsave(&clock_lock);
    atomic_fetch_add_explicit(&clock_page->seq, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    return flags;
}

static void page_write_end(uint64_t flags) {
    atomic_fetch_add_explicit(&clock_page->seq, 1, memory_order_release);
    spin_unlock_irqrestore(&clock_lock, flags);
}

void clock_set_realtime_ns(uint64_t now) {
    uint64_t flags = page_write_begin();
    clock_page->realtime_offset_ns = now - page_ns(rdtsc());
    page_write_end(flags);
}

/* Both counters at one moment: the tightest of a few tries, since an emulator may pause between. */
static struct sample sample_take(void) {
    struct sample best = { 0, 0 };
    uint64_t best_width = UINT64_MAX;
    for (int i = 0; i < 8; i++) {
        uint64_t before = rdtsc();
        uint32_t lapic = lapic_timer_read();
        uint64_t width = rdtsc() - before;
        if (width < best_width) {
            best_width = width;
            best = (struct sample){ before + width / 2, lapic };
        }
    }
    return best;
}

void clock_init(void) {
    struct clock_page *p = clock_page;
    p->shift = SHIFT;
    p->cpu_number = cpu_features.rdpid    ? CPU_NUMBER_RDPID
                    : cpu_features.rdtscp ? CPU_NUMBER_RDTSCP
                                          : CPU_NUMBER_CALL;
    uint64_t start = rdtsc(), hz = cpuid_tsc_hz();
    if (hz) {
        rate_is_exact = true;
        p->mult = ratio_shifted(NS_PER_SEC, hz);
    } else {
        struct sample a, b;
        lapic_timer_write(LAPIC_MAX);
        a = sample_take();
        do
            b = sample_take();
        while (a.lapic - b.lapic < MEASURE_NS);
        measured_ns = a.lapic - b.lapic;
        p->mult = ratio_shifted(measured_ns, b.tsc - a.tsc);
        lapic_timer_write(0);
    }
    p->base_tsc = start;
    log_info("clock: TSC at %lu kHz%s", clock_tsc_khz(), rate_is_exact ? "" : " (measured)");
}

/* With the timer still running after a time long enough: a better measurement than the last. */
static void refine(void) {
    struct sample now = sample_take();
    uint64_t ticks = armed.lapic - now.lapic, passed = now.tsc - armed.tsc;
    if (!now.lapic || now.lapic > armed.lapic || ticks < 4 * measured_ns || !passed)
        return;
    measured_ns = ticks;
    uint64_t flags = page_write_begin();
    uint64_t tsc = rdtsc(), ns = page_ns(tsc);
    clock_page->base_tsc = tsc;
    clock_page->base_ns = ns;
    clock_page->mult = ratio_shifted(ticks, passed);
    page_write_end(flags);
}

void clock_arm(uint64_t deadline_ns) {
    bool measuring = cpu_id() == 0 && !rate_is_exact && measured_ns < REFINE_NS;
    if (measuring && armed.lapic)
        refine();
    uint64_t now = clock_now_ns(), wait = deadline_ns > now ? deadline_ns - now : 1;
    lapic_timer_write(wait < LAPIC_MAX ? (uint32_t)wait : LAPIC_MAX);
    if (measuring)
        armed = sample_take();
}
