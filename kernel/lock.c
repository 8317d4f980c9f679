/* SPDX-License-Identifier: MIT */
/*
 * Spinlocks and mutexes; the rules are in lock.h.
 *
 * Test-and-test-and-set: wait on a plain load, which stays in the waiter's
 * cache, and try the exchange only when the lock looks free; after a lost race
 * wait a little longer, up to BACKOFF_MAX pauses.
 *
 * A mutex hands itself to its first waiter at unlock, so nobody starves.
 */
#include "kernel/lock.h"
#include "arch/x86_64/cpu.h"
#include "kernel/count.h"
#include "kernel/panic.h"
#include "kernel/thread.h"

#define BACKOFF_MAX 64

#ifdef DEBUG
#define DEPTH 8
static PERCPU const struct spinlock *held[DEPTH]; /* this CPU's, in order; interrupts off */
static PERCPU unsigned held_count;

/* Before `l` is waited for: waiting for a lock that one holds would be silent. */
static void rank_check(const struct spinlock *l, bool pair) {
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

static void rank_push(struct spinlock *l) {
    uint64_t flags = irq_save();
    unsigned n = this_cpu_read(held_count);
    (*this_cpu(held))[n] = l;
    this_cpu_write(held_count, n + 1);
    l->cpu = (uint16_t)(cpu_id() + 1);
    irq_restore(flags);
}

static void rank_pop(struct spinlock *l) {
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
#else
#define rank_check(l, pair) ((void)(l), (void)(pair))
#define rank_push(l)        ((void)(l))
#define rank_pop(l)         ((void)(l))
#endif

static bool try_acquire(struct spinlock *l) {
    return !atomic_load_explicit(&l->held, memory_order_relaxed) &&
           !atomic_exchange_explicit(&l->held, 1, memory_order_acquire);
}

void spin_acquire(struct spinlock *l) {
    unsigned backoff = 1;
    count_shared_write(l);
    while (unlikely(!try_acquire(l))) {
        for (unsigned i = 0; i < backoff; i++)
            cpu_relax();
        backoff = MIN(backoff * 2, BACKOFF_MAX);
    }
}

void spin_release(struct spinlock *l) {
    atomic_store_explicit(&l->held, 0, memory_order_release); /* pairs with try_acquire */
}

void spin_lock(struct spinlock *l) {
    preempt_disable();
    rank_check(l, false);
    spin_acquire(l);
    rank_push(l);
}

bool spin_trylock(struct spinlock *l) {
    preempt_disable();
    if (try_acquire(l)) {
        rank_check(l, true);
        rank_push(l);
        return true;
    }
    preempt_enable();
    return false;
}

void spin_unlock(struct spinlock *l) {
    rank_pop(l);
    spin_release(l);
    preempt_enable();
}

uint64_t spin_lock_irqsave(struct spinlock *l) {
    uint64_t flags = irq_save();
    spin_lock(l);
    return flags;
}

void spin_unlock_irqrestore(struct spinlock *l, uint64_t flags) {
    spin_unlock(l);
    irq_restore(flags);
}

void spin_lock_pair(struct spinlock *a, struct spinlock *b) {
    struct spinlock *first = a < b ? a : b, *second = a < b ? b : a;
    spin_lock(first);
    if (second == first)
        return;
    preempt_disable();
    rank_check(second, true);
    spin_acquire(second);
    rank_push(second);
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

struct mutex_waiter {
    struct list link;
    struct thread *thread;
    bool owns; /* the mutex has been handed over; m->lock */
};

void mutex_init(struct mutex *m) {
    spin_init(&m->lock, RANK_MUTEX);
    m->owner = NULL;
    list_init(&m->waiters);
}

bool mutex_trylock(struct mutex *m) {
    spin_lock(&m->lock);
    bool free = !m->owner;
    if (free)
        m->owner = current;
    spin_unlock(&m->lock);
    return free;
}

void mutex_lock(struct mutex *m) {
    assert_slow(m->owner != current);
    struct mutex_waiter me = { .thread = current, .owns = false };
    spin_lock(&m->lock);
    if (!m->owner) {
        m->owner = me.thread;
        spin_unlock(&m->lock);
        return;
    }
    list_add_tail(&m->waiters, &me.link);
    for (;;) {
        thread_block_prepare(false);
        bool owns = me.owns;
        spin_unlock(&m->lock);
        if (owns)
            break;
        (void)!thread_block(TIME_NEVER);
        spin_lock(&m->lock);
    }
    thread_block_cancel();
}

void mutex_unlock(struct mutex *m) {
    spin_lock(&m->lock);
    assert(m->owner == current);
    m->owner = NULL;
    if (!list_is_empty(&m->waiters)) {
        struct mutex_waiter *w = list_first(&m->waiters, struct mutex_waiter, link);
        list_remove(&w->link);
        m->owner = w->thread;
        w->owns = true;
        /* Under the lock, which it takes before it goes on: a stray wake-up could otherwise let it
         * run, and end, before this one. */
        thread_wake(w->thread);
    }
    spin_unlock(&m->lock);
}

bool mutex_is_mine(const struct mutex *m) {
    return m->owner == current;
}
