/* SPDX-License-Identifier: MIT */
/*
 * Starting the other CPUs, all at once: each takes the next number with an
 * atomic add (boot.S) and with it a stack and a copy of the per-CPU variables
 * prepared here.  Numbers go by arrival, so a CPU that never arrives leaves no gap.
 */
#include <stdatomic.h>
#include "arch/x86_64/arch_impl.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/smp_impl.h"
#include "base/string.h"
#include "kernel/log.h"
#include "kernel/pages.h"
#include "kernel/panic.h"
#include "kernel/thread.h"
#include "kernel/timer.h"

#define TRAMPOLINE_PAGE  8 /* physical 0x8000, inside what boot.c reserves */
#define ARRIVAL_LIMIT_NS (10 * NS_PER_SEC)

uintptr_t smp_stacks[MAX_CPUS];
unsigned smp_limit; /* CPUs that there are stacks for; boot.S stops those that come later */
atomic_uint smp_next = 1;
static uintptr_t offsets[MAX_CPUS];
static atomic_uint arrived = 1;

static unsigned order_for(size_t size) {
    unsigned order = 0;
    while ((PAGE_SIZE << order) < size)
        order++;
    return order;
}

static void prepare(unsigned cpu) {
    size_t size = (size_t)(percpu_end - percpu_start);
    struct page *p = pages_alloc(order_for(size));
    if (!p)
        give_up("too little memory for the variables of CPU %u", cpu);
    memcpy(page_address(p), percpu_start, size);
    offsets[cpu] = (uintptr_t)page_address(p) - (uintptr_t)percpu_start;
    smp_stacks[cpu] = thread_prepare_idle(cpu, offsets[cpu]);
}

/* On the new CPU, from boot.S. */
void smp_main(unsigned cpu) {
    percpu_set(cpu, offsets[cpu]);
    cpu_init_cpu();
    write_cr3(kernel_root.value);
    apic_init_cpu();
    /* Before anybody counts CPUs: a thread queued here now is found by the idle loop. */
    atomic_fetch_or(&cpus_online, 1ul << cpu);
    atomic_fetch_add_explicit(&arrived, 1, memory_order_release); /* pairs with smp_start */
    cpu_main();
}

void smp_start(void) {
    unsigned found = topology.cpus.count;
    if (found > 1) {
        for (unsigned cpu = 1; cpu < found; cpu++)
            prepare(cpu);
        smp_limit = found;
        memcpy(phys_to_virt(PADDR(TRAMPOLINE_PAGE << PAGE_SHIFT)), trampoline_start,
               (size_t)(trampoline_end - trampoline_start));
        apic_start_others(TRAMPOLINE_PAGE);
        uint64_t limit = clock_now_ns() + ARRIVAL_LIMIT_NS;
        while (atomic_load_explicit(&arrived, memory_order_acquire) < found) {
            if (clock_now_ns() > limit)
                panic("only %u of %u CPUs started", atomic_load(&arrived), found);
            cpu_relax();
        }
    }
    cpu_count = found;
    log_info("interrupts by %s", cpu_features.x2apic ? "x2APIC" : "xAPIC");
    paging_drop_identity();
}
