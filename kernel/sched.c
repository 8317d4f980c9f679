/* SPDX-License-Identifier: MIT */
/*
 * The scheduler.
 *
 * Data.  One run queue per CPU: a FIFO of runnable threads that do not run,
 * under the queue's lock (interrupts off).  cpus_idle has a bit for every CPU
 * with nothing to do; a waker claims it by clearing it.
 *
 * States of a thread (thread.state):
 *   RUNNABLE -> BLOCKING   itself, thread_block_prepare()
 *   BLOCKING -> BLOCKED    itself, in sched_reschedule() under its queue's lock
 *   BLOCKING -> RUNNABLE   a waker (the sleep does not happen), or itself
 *   BLOCKED  -> RUNNABLE   a waker, who thereby owns the thread and queues it
 * Both of a waker's steps are compare-exchanges, so exactly one waker wins.
 *
 * on_cpu.  A switch keeps the queue's lock until the new thread runs; only then
 * (release) does the old one's on_cpu fall.  A thread with on_cpu set may be
 * queued only on the CPU it is leaving, and is never stolen: so nobody ever
 * waits for another CPU's switch, and no cycle of such waits can form.
 *
 * Idle.  An idle CPU polls its queue for a moment, then announces IDLE_HALTED
 * (seq_cst) and looks once more before hlt; a waker queues first and looks at
 * the announcement afterwards.  One of the two sees the other.  Its bit is set
 * again at the same point: a waker may have claimed the CPU while it polled, and
 * a third CPU have stolen what was queued before the poll saw it.  A claim that
 * comes after that finds IDLE_HALTED and interrupts.
 *
 * Where a woken thread goes: to the CPU of its waker if that has nothing more to
 * do (it is idle, and an interrupt woke the thread, or the waker said that it is
 * about to sleep: thread.wakes_here), else to its last CPU or another that is
 * idle, else to its last CPU's queue.
 *
 * An idle CPU stays in the address space that it was in, since most often it goes
 * on there; the first shootdown makes it leave (tlb.c).
 *
 * Time slices are armed only while somebody waits; a wake-up on a busy CPU
 * counts the running thread's slice from when that thread came on.
 *
 * Kernel code is not preempted: a thread leaves the CPU on its way to ring 3, in
 * a sleep, or at thread_preempt_point().
 */
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/irq.h"
#include "arch/x86_64/trap.h"
#include "kernel/aspace.h"
#include "kernel/count.h"
#include "kernel/lock.h"
#include "kernel/panic.h"
#include "kernel/thread_impl.h"

#define SLICE_NS     (4 * NS_PER_MS)
#define IDLE_POLL_NS (20 * NS_PER_US)

enum idle_state { IDLE_BUSY, IDLE_POLLING, IDLE_HALTED };

struct run_queue {
    struct spinlock lock; /* guards `threads`; writes of `length` */
    struct list threads;
    atomic_uint length;
    atomic_uint idle; /* enum idle_state; written by the owner */

    /* The owner's own, interrupts off. */
    struct thread *idle_thread;
    struct thread *switched_from;
    struct thread *fpu_owner; /* whose extended state the registers hold */
    struct aspace *aspace;    /* the address space entered */
    struct list dead;         /* thread.run_link */
    struct list moving;       /* thread.run_link: runnable, to be queued elsewhere */

    /* `lock`: what threads but the idle one had of this CPU, up to the last switch. */
    uint64_t busy_ns, switches;
} cache_aligned;

static PERCPU struct run_queue run_queue;
_Atomic(uint64_t) cpus_online;
static _Atomic(uint64_t) cpus_idle;
PERCPU struct thread *current_thread;

static bool allowed_here(struct thread *t, unsigned cpu) {
    return atomic_load_explicit(&t->affinity, memory_order_relaxed) >> cpu & 1;
}

void sched_init_idle(struct thread *idle, unsigned cpu) {
    struct run_queue *rq = cpu_of(run_queue, cpu);
    spin_init(&rq->lock, RANK_RUNQUEUE);
    list_init(&rq->threads);
    list_init(&rq->dead);
    list_init(&rq->moving);
    rq->idle_thread = idle;
    *cpu_of(current_thread, cpu) = idle;
}

/* Returns whether the queue was empty; its lock is held. */
static bool queue_add(struct run_queue *rq, struct thread *t, unsigned cpu) {
    list_add_tail(&rq->threads, &t->run_link);
    atomic_store_explicit(&t->queued, cpu + 1, memory_order_relaxed);
    return atomic_fetch_add(&rq->length, 1) == 0; /* seq_cst: before reading `idle` */
}

static void queue_remove(struct run_queue *rq, struct thread *t) {
    list_remove(&t->run_link);
    atomic_store_explicit(&t->queued, 0, memory_order_relaxed);
    atomic_fetch_sub_explicit(&rq->length, 1, memory_order_relaxed);
}

/* Queues a runnable thread that runs nowhere (or is just leaving `cpu`) and makes that CPU notice.
 */
static void enqueue(struct thread *t, unsigned cpu) {
    struct run_queue *rq = cpu_of(run_queue, cpu);
    uint64_t flags = spin_lock_irqsave(&rq->lock);
    count_shared_write(&rq->length);
    bool first = queue_add(rq, t, cpu);
    atomic_store_explicit(&t->cpu, cpu, memory_order_relaxed);
    spin_unlock_irqrestore(&rq->lock, flags);
    if (!first)
        return;
    if (cpu == cpu_id()) {
        flags = irq_save();
        if (!current->is_idle)
            timer_program();
        irq_restore(flags);
    } else if (atomic_load(&rq->idle) != IDLE_POLLING) {
        ipi_send(cpu, IPI_RESCHEDULE);
    }
}

static bool claim_idle(unsigned cpu) {
    uint64_t bit = 1ul << cpu;
    count_shared_write(&cpus_idle);
    return (atomic_load_explicit(&cpus_idle, memory_order_relaxed) & bit) &&
           (atomic_fetch_and(&cpus_idle, ~bit) & bit);
}

/* Whether this CPU would be done, or nearly so, but for what it wakes. */
static bool is_free_here(unsigned here) {
    struct thread *me = current;
    return (me->is_idle || me->wakes_here) &&
           !atomic_load_explicit(&cpu_of(run_queue, here)->length, memory_order_relaxed);
}

static unsigned choose_cpu(struct thread *t) {
    unsigned last = atomic_load_explicit(&t->cpu, memory_order_relaxed);
    if (atomic_load_explicit(&t->on_cpu, memory_order_acquire)) /* pairs with sched_finish_switch */
        return last;
    uint64_t allowed = atomic_load_explicit(&t->affinity, memory_order_relaxed) &
                       atomic_load_explicit(&cpus_online, memory_order_relaxed);
    assert(allowed);
    unsigned here = cpu_id();
    if ((allowed >> here & 1) && is_free_here(here))
        return here;
    if ((allowed >> last & 1) && claim_idle(last))
        return last;
    uint64_t idle = atomic_load_explicit(&cpus_idle, memory_order_relaxed) & allowed;
    for (; idle; idle &= idle - 1) {
        unsigned cpu = (unsigned)__builtin_ctzl(idle);
        if (claim_idle(cpu))
            return cpu;
    }
    return allowed >> last & 1 ? last : (unsigned)__builtin_ctzl(allowed);
}

bool thread_wake(struct thread *t) {
    uint32_t state = THREAD_BLOCKING;
    count_shared_write(&t->state);
    if (atomic_compare_exchange_strong(&t->state, &state, THREAD_RUNNABLE))
        return true;
    if (state != THREAD_BLOCKED ||
        !atomic_compare_exchange_strong(&t->state, &state, THREAD_RUNNABLE))
        return false;
    current->wakes++;
    enqueue(t, choose_cpu(t));
    return true;
}

void thread_start(struct thread *t) {
    assert(atomic_load(&t->state) == THREAD_NEW);
    atomic_store(&t->state, THREAD_RUNNABLE);
    enqueue(t, choose_cpu(t));
}

/* A busy CPU's reason to look: set under no lock, read on the way to ring 3. */
static void reschedule_soon(struct thread *t) {
    atomic_fetch_or_explicit(&t->work, WORK_RESCHEDULE, memory_order_relaxed);
}

/* Somebody has waited here for a whole slice: an idle CPU, if there is one, comes and steals. */
static void call_idle_cpu(void) {
    uint64_t idle = atomic_load_explicit(&cpus_idle, memory_order_relaxed);
    if (unlikely(idle))
        ipi_send((unsigned)__builtin_ctzl(idle), IPI_RESCHEDULE);
}

uint64_t sched_tick(uint64_t now) {
    struct run_queue *rq = this_cpu(run_queue);
    struct thread *me = current;
    if (me->is_idle || !atomic_load_explicit(&rq->length, memory_order_relaxed))
        return TIME_NEVER;
    uint64_t end = me->started_ns + SLICE_NS;
    if (now < end)
        return end;
    reschedule_soon(me);
    call_idle_cpu();
    return now + SLICE_NS;
}

void thread_reschedule_interrupt(void) {
    if (!current->is_idle)
        timer_program();
}

/* The first thread that may run here; those before it that may not go elsewhere after the switch.
 * A thread in `moving` is in no queue, so nobody else may touch its run_link. */
static struct thread *pick(struct run_queue *rq, unsigned cpu) {
    while (!list_is_empty(&rq->threads)) {
        struct thread *t = list_first(&rq->threads, struct thread, run_link);
        queue_remove(rq, t);
        if (likely(allowed_here(t, cpu)))
            return t;
        list_add_tail(&rq->moving, &t->run_link);
    }
    return rq->idle_thread;
}

/*
 * A thread that gives way goes to an idle CPU, if one may run it.  Without this
 * two threads could share a CPU beside an idle one for ever: a CPU that becomes
 * idle looks for waiting threads once, perhaps just before the second came.
 */
static void pass_on(struct run_queue *rq, struct thread *prev, unsigned cpu) {
    uint64_t idle = atomic_load_explicit(&cpus_idle, memory_order_relaxed) & ~(1ul << cpu);
    if (likely(!(idle & atomic_load_explicit(&prev->affinity, memory_order_relaxed))) ||
        !atomic_load_explicit(&prev->queued, memory_order_relaxed))
        return;
    queue_remove(rq, prev);
    list_add_tail(&rq->moving, &prev->run_link);
}

/* The hardware's part of a thread besides its stack: extended state, FS and GS, address space. */
static void switch_hardware(struct run_queue *rq, struct thread *prev, struct thread *next) {
    unsigned cpu = cpu_id();
    if (prev->fpu_area) {
        fpu_save(prev->fpu_area);
        prev->fpu_cpu = cpu;
        rq->fpu_owner = prev;
        prev->fs_base = cpu_get_fs_base();
        prev->gs_base = cpu_get_user_gs_base();
    }
    if (next->fpu_area) {
        if (rq->fpu_owner != next || next->fpu_cpu != cpu)
            fpu_restore(next->fpu_area);
        rq->fpu_owner = next;
        cpu_set_fs_base(next->fs_base);
        cpu_set_user_gs_base(next->gs_base);
    }
    if (next->aspace && rq->aspace != next->aspace) {
        aspace_enter(next->aspace);
        rq->aspace = next->aspace;
    }
    this_cpu_write(kernel_stack_top, next->stack_top);
    this_cpu(cpu_tss)->rsp[0] = next->stack_top;
}

/* Lets go of the queue; whoever may not stay is queued elsewhere, now that it runs nowhere. */
static void release_queue(struct run_queue *rq) {
    spin_release(&rq->lock);
    timer_program();
    while (unlikely(!list_is_empty(&rq->moving))) {
        struct thread *t = list_first(&rq->moving, struct thread, run_link);
        list_remove(&t->run_link);
        enqueue(t, choose_cpu(t));
    }
}

void sched_finish_switch(void) {
    struct run_queue *rq = this_cpu(run_queue);
    struct thread *prev = rq->switched_from;
    if (atomic_load_explicit(&prev->state, memory_order_relaxed) == THREAD_DEAD)
        list_add_tail(&rq->dead, &prev->run_link);
    atomic_store_explicit(&prev->on_cpu, false, memory_order_release); /* pairs with choose_cpu */
    release_queue(rq);
}

/*
 * The CPU's time goes to `next` from here on.  The clock is read while `time_seq`
 * is odd: no reader counts time to `prev` that it does not get (thread_runtime_ns).
 */
static void account(struct run_queue *rq, struct thread *prev, struct thread *next) {
    unsigned seq = atomic_load_explicit(&prev->time_seq, memory_order_relaxed);
    /* A full barrier: odd before the clock is read. */
    atomic_exchange_explicit(&prev->time_seq, seq + 1, memory_order_seq_cst);
    uint64_t now = clock_now_ns();
    if (!prev->is_idle) {
        rq->busy_ns += now - prev->started_ns;
        rq->switches += next != prev;
    }
    __atomic_store_n(&prev->runtime_ns, prev->runtime_ns + now - prev->started_ns,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&prev->started_ns, 0, __ATOMIC_RELAXED);
    atomic_store_explicit(&prev->time_seq, seq + 2, memory_order_release);
    __atomic_store_n(&next->started_ns, now, __ATOMIC_RELAXED);
}

void sched_reschedule(void) {
    struct run_queue *rq = this_cpu(run_queue);
    struct thread *prev = current;
    unsigned cpu = cpu_id();
    uint32_t state = THREAD_BLOCKING;

    assert_slow(!irq_enabled());
    spin_acquire(&rq->lock);
    atomic_fetch_and_explicit(&prev->work, ~WORK_RESCHEDULE, memory_order_relaxed);
    if (!prev->is_idle && atomic_load(&prev->state) != THREAD_DEAD &&
        !atomic_compare_exchange_strong(&prev->state, &state, THREAD_BLOCKED)) {
        prev->switches_preempted++;
        queue_add(rq, prev, cpu);
    } else {
        prev->switches_voluntary++;
    }
    struct thread *next = pick(rq, cpu);
    if (next != prev)
        pass_on(rq, prev, cpu);
    account(rq, prev, next);
    if (next == prev) {
        release_queue(rq);
        return;
    }
    atomic_store_explicit(&next->on_cpu, true, memory_order_relaxed);
    atomic_store_explicit(&next->cpu, cpu, memory_order_relaxed);
    rq->switched_from = prev;
    switch_hardware(rq, prev, next);
    this_cpu_write(current_thread, next);
    switch_context(&prev->saved_rsp, next->saved_rsp);
    sched_finish_switch();
}

void sched_reap(void) {
    for (;;) {
        uint64_t flags = irq_save();
        struct run_queue *rq = this_cpu(run_queue);
        struct thread *t = NULL;
        if (!list_is_empty(&rq->dead)) {
            t = list_first(&rq->dead, struct thread, run_link);
            list_remove(&t->run_link);
        }
        irq_restore(flags);
        if (!t)
            return;
        t->reap(t);
    }
}

/* Takes a thread that waits on another CPU's queue and may run here; interrupts off. */
static bool steal(unsigned me) {
    for (unsigned i = 1; i < cpu_count; i++) {
        unsigned cpu = (me + i) % cpu_count;
        struct run_queue *rq = cpu_of(run_queue, cpu);
        if (!atomic_load_explicit(&rq->length, memory_order_relaxed) || !spin_trylock(&rq->lock))
            continue;
        struct thread *t, *found = NULL;
        list_for_each(t, &rq->threads, run_link) {
            if (!atomic_load_explicit(&t->on_cpu, memory_order_acquire) && allowed_here(t, me)) {
                found = t;
                break;
            }
        }
        if (found)
            queue_remove(rq, found);
        spin_unlock(&rq->lock);
        if (found) {
            enqueue(found, me);
            return true;
        }
    }
    return false;
}

static bool work_waits(struct run_queue *rq) {
    return atomic_load(&rq->length) > 0;
}

/* Watches the queue for a moment: a wake-up that comes now needs no interrupt. */
static bool idle_poll(struct run_queue *rq) {
    if (cpu_count == 1)
        return false;
    uint64_t end = clock_now_ns() + IDLE_POLL_NS;
    do {
        if (work_waits(rq))
            return true;
        cpu_relax();
    } while (clock_now_ns() < end);
    return false;
}

/* Sets this CPU's bit in cpus_idle, where it is not set. */
static void announce_idle(unsigned cpu) {
    if (!(atomic_load(&cpus_idle) >> cpu & 1)) {
        count_shared_write(&cpus_idle);
        atomic_fetch_or(&cpus_idle, 1ul << cpu);
    }
}

void sched_leave_idle_aspace(void) {
    struct run_queue *rq = this_cpu(run_queue);
    if (!current->is_idle || !rq->aspace)
        return;
    aspace_leave();
    rq->aspace = NULL;
}

static void idle_halt(struct run_queue *rq, unsigned cpu) {
    irq_disable();
    atomic_store(&rq->idle, IDLE_HALTED); /* pairs with enqueue: see the top */
    announce_idle(cpu);
    timer_program();
    if (!work_waits(rq))
        cpu_wait_interrupt();
    atomic_store(&rq->idle, IDLE_POLLING);
    irq_enable();
}

void thread_idle_loop(void) {
    struct run_queue *rq = this_cpu(run_queue);
    unsigned cpu = cpu_id();
    for (;;) {
        sched_reap();
        atomic_store(&rq->idle, IDLE_POLLING);
        announce_idle(cpu);
        irq_disable();
        bool found = work_waits(rq) || steal(cpu);
        irq_enable();
        if (!found && !idle_poll(rq)) {
            idle_halt(rq, cpu);
            continue;
        }
        count_shared_write(&cpus_idle);
        atomic_fetch_and(&cpus_idle, ~(1ul << cpu));
        atomic_store(&rq->idle, IDLE_BUSY);
        irq_disable();
        sched_reschedule();
        irq_enable();
    }
}

void thread_borrow_aspace(struct aspace *as) {
    uint64_t flags = irq_save();
    struct run_queue *rq = this_cpu(run_queue);
    current->aspace = as;
    if (as && rq->aspace != as) {
        aspace_enter(as);
        rq->aspace = as;
    }
    irq_restore(flags);
}

void thread_yield(void) {
    uint64_t flags = irq_save();
    sched_reschedule();
    irq_restore(flags);
}

void thread_preempt_point(void) {
    assert_slow(current->preempt_count == 0 && irq_enabled());
    if (atomic_load_explicit(&current->work, memory_order_relaxed) & WORK_RESCHEDULE)
        thread_yield();
}

void thread_user_work(struct trap_frame *f) {
    struct thread *me = current;
    if (atomic_load_explicit(&me->work, memory_order_relaxed) & WORK_RESCHEDULE)
        thread_yield();
    atomic_fetch_and_explicit(&me->work, ~WORK_FRAME, memory_order_relaxed);
    if (atomic_load_explicit(&me->work, memory_order_acquire) & WORK_LINUX)
        linux_user_work(f);
}

void thread_notify(struct thread *t, uint32_t bits) {
    atomic_fetch_or(&t->work, bits); /* seq_cst: pairs with thread_block's look after `state` */
    if (t == current)
        return;
    if (t->interruptible && thread_wake(t))
        return;
    if (atomic_load_explicit(&t->on_cpu, memory_order_acquire))
        ipi_send(atomic_load_explicit(&t->cpu, memory_order_relaxed), IPI_RESCHEDULE);
}

void thread_set_affinity(struct thread *t, uint64_t mask) {
    assert(mask & atomic_load(&cpus_online));
    atomic_store(&t->affinity, mask);
    if (t == current) {
        if (!allowed_here(t, cpu_id()))
            thread_yield();
        return;
    }
    /* Where it waits in a queue it may not stay in, take it out and queue it anew. */
    bool taken = false;
    unsigned queued = atomic_load(&t->queued);
    if (queued) {
        struct run_queue *rq = cpu_of(run_queue, queued - 1);
        uint64_t flags = spin_lock_irqsave(&rq->lock);
        taken = atomic_load(&t->queued) == queued && !atomic_load(&t->on_cpu);
        if (taken)
            queue_remove(rq, t);
        spin_unlock_irqrestore(&rq->lock, flags);
    }
    if (taken) {
        enqueue(t, choose_cpu(t));
    } else {
        reschedule_soon(t);
        if (atomic_load_explicit(&t->on_cpu, memory_order_acquire))
            ipi_send(atomic_load_explicit(&t->cpu, memory_order_relaxed), IPI_RESCHEDULE);
    }
}

uint64_t thread_runtime_ns(struct thread *t) {
    for (;;) { /* it may come and go on another CPU meanwhile */
        unsigned seq = atomic_load_explicit(&t->time_seq, memory_order_acquire);
        uint64_t ns = __atomic_load_n(&t->runtime_ns, __ATOMIC_RELAXED);
        uint64_t started = __atomic_load_n(&t->started_ns, __ATOMIC_RELAXED);
        uint64_t now = clock_now_ns();
        atomic_thread_fence(memory_order_acquire); /* pairs with the exchange in account() */
        if (!(seq & 1) && seq == atomic_load_explicit(&t->time_seq, memory_order_relaxed))
            return started && now > started ? ns + (now - started) : ns;
        cpu_relax();
    }
}

void sched_usage(unsigned cpu, struct sched_usage *out) {
    struct run_queue *rq = cpu_of(run_queue, cpu);
    uint64_t flags = spin_lock_irqsave(&rq->lock);
    /* Read behind the lock, as account() does: what is told never goes back. */
    const struct thread *running = *cpu_of(current_thread, cpu);
    uint64_t now = clock_now_ns();
    bool counts = !running->is_idle && now > running->started_ns;
    out->busy_ns = rq->busy_ns + (counts ? now - running->started_ns : 0);
    out->idle_ns = now - MIN(out->busy_ns, now);
    out->switches = rq->switches;
    spin_unlock_irqrestore(&rq->lock, flags);
}
