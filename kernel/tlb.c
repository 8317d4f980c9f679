/* SPDX-License-Identifier: MIT */
/*
 * Shootdown of stale translations on other CPUs.
 *
 * Each CPU has one outgoing request (a range, and a bit for every CPU that has
 * not answered yet) and an inbox with a bit for every CPU that asks something
 * of it.  The initiator fills its request, sets its bit in the inboxes of its
 * targets, interrupts them and waits, serving its own inbox meanwhile, so that
 * two initiators never wait for each other in vain.
 *
 * Who is a target.  A CPU publishes in `active` which address space it runs on.
 *
 *     initiator: change the tables;  full barrier;  read active of CPU n
 *     CPU n:     active = as (full barrier);  load CR3, which flushes
 *
 * If the initiator finds n inactive, n's later exchange comes after the change
 * in the order of all full barriers, so all it loads after CR3 is new; and what
 * it had before is gone, for leaving loads the kernel's root.  We use no PCIDs,
 * and keep no generation: each entry flushes anyway.
 *
 * A CPU that idles stays active, so that going on costs it no flush, and is asked
 * like any other: with a program's root loaded it could walk tables speculatively
 * after they were freed.  It leaves then, and is asked only once.
 *
 * Waiting is bounded: after a second the silent CPUs get an NMI, which logs
 * where they are, and after ten the machine panics.
 */
#include "arch/x86_64/irq.h"
#include "kernel/aspace_impl.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/thread.h"
#include "kernel/timer.h"

#define FLUSH_PAGES 32 /* beyond, reloading CR3 is cheaper than flushing one by one */

struct tlb_cpu {
    /* Written by this CPU, read by initiators. */
    struct aspace *_Atomic active;
    /* This CPU's request: written before the bits in the inboxes (release there). */
    uintptr_t start, end;
    _Atomic(uint64_t) pending
        cache_aligned;                     /* CPUs that have not answered; they clear their bits */
    _Atomic(uint64_t) inbox cache_aligned; /* CPUs that ask; they set their bits */
} cache_aligned;

static PERCPU struct tlb_cpu tlb_cpu;

static void flush_local(uintptr_t start, uintptr_t end) {
    if (end - start > FLUSH_PAGES * PAGE_SIZE) {
        write_cr3(read_cr3());
    } else {
        for (; start < end; start += PAGE_SIZE)
            invlpg(start);
    }
}

void tlb_serve(void) {
    struct tlb_cpu *me = this_cpu(tlb_cpu);
    if (!atomic_load_explicit(&me->inbox, memory_order_relaxed))
        return;
    /* Acquire: pairs with the initiator's or; release below: with its reading of pending. */
    uint64_t askers = atomic_exchange_explicit(&me->inbox, 0, memory_order_acq_rel);
    uint64_t my_bit = 1ul << cpu_id();
    sched_leave_idle_aspace(); /* flushes all; before anybody is answered */
    while (askers) {
        unsigned n = (unsigned)__builtin_ctzl(askers);
        askers &= askers - 1;
        struct tlb_cpu *from = cpu_of(tlb_cpu, n);
        flush_local(from->start, from->end);
        atomic_fetch_and_explicit(&from->pending, ~my_bit, memory_order_acq_rel);
    }
}

/* The CPUs in `silent` have not answered since `since_ns`. */
static cold_fn void complain(uint64_t silent, uint64_t waited_ns) {
    if (waited_ns > 10 * NS_PER_SEC)
        panic("tlb: CPUs %#lx have not answered a shootdown for ten seconds",
              (unsigned long)silent);
    log_error("tlb: CPUs %#lx have not answered a shootdown for a second", (unsigned long)silent);
    for (unsigned n = 0; n < cpu_count; n++) {
        if (silent & 1ul << n)
            ipi_send_nmi(n);
    }
}

static void wait_answers(struct tlb_cpu *me) {
    uint64_t start = 0, limit = NS_PER_SEC, silent;
    for (unsigned spins = 0; (silent = atomic_load_explicit(&me->pending, memory_order_acquire));
         spins++) {
        tlb_serve();
        cpu_relax();
        if (spins % 1024 != 1023)
            continue;
        uint64_t now = clock_now_ns();
        if (!start)
            start = now;
        if (now - start > limit) {
            complain(silent, now - start);
            limit = 11 * NS_PER_SEC - limit; /* then once more, to panic */
        }
    }
}

/* Asks all others that run on `as`; how many.  Preemption is off, until wait_answers() too. */
static unsigned ask_others(struct aspace *as, uintptr_t start, uintptr_t end) {
    struct tlb_cpu *me = this_cpu(tlb_cpu);
    uint64_t targets = 0;
    unsigned asked = 0;
    /* Orders the changed entries before reading `active`; see above. */
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned n = 0; n < cpu_count; n++) {
        if (n != cpu_id() && percpu_offsets[n] &&
            atomic_load_explicit(&cpu_of(tlb_cpu, n)->active, memory_order_seq_cst) == as)
            targets |= 1ul << n;
    }
    if (!targets)
        return 0;
    me->start = start;
    me->end = end;
    atomic_store_explicit(&me->pending, targets, memory_order_relaxed);
    for (uint64_t left = targets; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctzl(left);
        atomic_fetch_or_explicit(&cpu_of(tlb_cpu, n)->inbox, 1ul << cpu_id(), memory_order_acq_rel);
        ipi_send(n, IPI_SHOOTDOWN);
        asked++;
    }
    return asked;
}

void tlb_shootdown(struct aspace *as, uintptr_t start, uintptr_t end) {
    preempt_disable();
    unsigned asked = ask_others(as, start, end);
    if (asked)
        atomic_fetch_add_explicit(&as->shootdown_ipis, asked, memory_order_relaxed);
    flush_local(start, end);
    wait_answers(this_cpu(tlb_cpu));
    atomic_fetch_add_explicit(&as->shootdowns, 1, memory_order_relaxed);
    preempt_enable();
}

/*
 * A shootdown of nothing: who answers has passed a full barrier (its exchange on
 * the inbox), and who is not asked passes one when it enters the address space.
 */
void aspace_barrier(struct aspace *as) {
    preempt_disable();
    (void)ask_others(as, 0, 0);
    wait_answers(this_cpu(tlb_cpu));
    atomic_thread_fence(memory_order_seq_cst);
    preempt_enable();
}

void aspace_enter(struct aspace *as) {
    atomic_exchange_explicit(&this_cpu(tlb_cpu)->active, as, memory_order_seq_cst);
    write_cr3(as->root_phys.value);
}

void aspace_leave(void) {
    write_cr3(kernel_root.value);
    /* After the flush: an initiator that still sees us active only asks in vain. */
    atomic_store_explicit(&this_cpu(tlb_cpu)->active, NULL, memory_order_release);
}
