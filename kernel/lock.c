/* SPDX-License-Identifier: MIT */
/*
 * Spinlocks; the rules are in lock.h.
 *
 * Test-and-test-and-set: the first exchange is made without a look, since most
 * locks are free and the line is needed for writing anyway.  Then wait on a plain
 * load, which stays in the waiter's cache, and try the exchange only when the
 * lock looks free; after a lost race wait a little longer, up to BACKOFF_MAX pauses.
 */
#include "kernel/lock.h"
#include "arch/x86_64/cpu.h"
#include "kernel/panic.h"

#define BACKOFF_MAX 64u

#ifdef DEBUG
#define DEPTH 8
static PERCPU const struct spinlock *held[DEPTH]; /* this CPU's, in order; interrupts off */
static PERCPU unsigned held_count;

/* Before `l` is waited for: waiting for a lock that one holds would be silent. */
void spin_rank_check(const struct spinlock *l, bool pair) {
    if (l->rank > RANK_MUTEX && irq_enabled())
        panic("lock rank: %u taken with interrupts on", l->rank);
    uint64_t flags = irq_save();
    unsigned n = this_cpu_read(held_count);
    const struct spinlock **h = *this_cpu(held);
    for (unsigned i = 0; i < n; i++)
        if (h[i] == l || (l->rank && h[i]->rank >= l->rank + pair))
            panic("lock rank: %u taken while holding %u", l->rank, h[i]->rank);
    if (n == DEPTH)
        panic("too many spinlocks held");
    irq_restore(flags);
}

void spin_rank_push(struct spinlock *l) {
    uint64_t flags = irq_save();
    unsigned n = this_cpu_read(held_count);
    (*this_cpu(held))[n] = l;
    this_cpu_write(held_count, n + 1);
    l->cpu = (uint16_t)(cpu_id() + 1);
    irq_restore(flags);
}

void spin_rank_pop(struct spinlock *l) {
    uint64_t flags = irq_save();
    unsigned n = this_cpu_read(held_count);
    const struct spinlock **h = *this_cpu(held);
    unsigned i = n;
    while (i > 0 && h[i - 1] != l)
        i--;
    if (i == 0)
        panic("unlock of a spinlock that this CPU does not hold (rank %u)", l->rank);
    for (; i < n; i++)
        h[i - 1] = h[i];
    this_cpu_write(held_count, n - 1);
    l->cpu = 0;
    irq_restore(flags);
}
#endif

static bool try_acquire(struct spinlock *l) {
    return !atomic_load_explicit(&l->held, memory_order_relaxed) &&
           !atomic_exchange_explicit(&l->held, 1, memory_order_acquire); /* as in spin_acquire */
}

void spin_wait(struct spinlock *l) {
    unsigned backoff = 1;
    do {
        for (unsigned i = 0; i < backoff; i++)
            cpu_relax();
        backoff = MIN(backoff * 2, BACKOFF_MAX);
    } while (!try_acquire(l));
}

bool spin_trylock(struct spinlock *l) {
    preempt_disable();
    if (try_acquire(l)) {
        spin_rank_check(l, true);
        spin_rank_push(l);
        return true;
    }
    preempt_enable();
    return false;
}

void spin_lock_pair(struct spinlock *a, struct spinlock *b) {
    struct spinlock *first = a < b ? a : b, *second = a < b ? b : a;
    spin_lock(first);
    if (second == first)
        return;
    preempt_disable();
    spin_rank_check(second, true);
    spin_acquire(second);
    spin_rank_push(second);
}

void spin_unlock_pair(struct spinlock *a, struct spinlock *b) {
    if (a != b)
        spin_unlock(a < b ? b : a);
    spin_unlock(a < b ? a : b);
}

bool spin_is_held(const struct spinlock *l) {
#ifdef DEBUG
    return l->cpu == cpu_id() + 1;
#else
    return atomic_load_explicit(&l->held, memory_order_relaxed);
#endif
}
