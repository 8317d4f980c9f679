/* SPDX-License-Identifier: MIT */
/*
 * Spinlocks; for the lock that sleeps see mutex.h.
 *
 * Test-and-test-and-set with bounded backoff (virtual CPUs outnumber
 * cores where we run, and a ticket lock collapses there).  Holding one turns
 * preemption off.  A lock that an interrupt handler takes must be taken with
 * the _irqsave form everywhere.  Never sleep, never touch the program's
 * memory, never wait for another CPU's answer while holding one.
 *
 * Ranks: a thread may take a spinlock only when its rank is greater than that
 * of every spinlock it holds; debug builds check it.  Two of the same rank only
 * through spin_lock_pair (address order).
 *
 * Interrupt handlers take only ranks behind RANK_MUTEX, and those are taken
 * with interrupts off everywhere (debug builds check that as well).  So the
 * order holds across interrupts, too: whoever holds what a handler may want
 * never waits for a lock that an interrupted thread holds.
 */
#ifndef KERNEL_LOCK_H
#define KERNEL_LOCK_H

#include <stdatomic.h>
#include "arch/x86_64/cpu.h"
#include "base/list.h"
#include "base/types.h"
#include "kernel/count.h"
#include "kernel/thread.h"

enum lock_rank {
    RANK_NONE,    /* not checked: fs/epoll.c has locks among which no rank can tell the order */
    RANK_THREADS, /* the list of all threads */
    RANK_FILE,    /* descriptor table, file objects */
    RANK_PIPE,    /* pipes, terminals, wire buffers */
    RANK_ASPACE,  /* region bookkeeping */
    RANK_FUTEX,   /* futex buckets */
    RANK_DEVICE,  /* driver queues */
    RANK_MUTEX,   /* mutex internals */
    /* Interrupt handlers take these; see above. */
    RANK_PROCESS,  /* process state */
    RANK_SIGNAL,   /* pending signals */
    RANK_WAIT,     /* wait queues */
    RANK_EPOLL,    /* ready lists */
    RANK_TIMER,    /* per-CPU timer heaps */
    RANK_RUNQUEUE, /* per-CPU run queues */
    RANK_SLAB,     /* object caches */
    RANK_PAGING,   /* kernel page tables */
    RANK_PAGES,    /* the frame allocator */
    RANK_LOG,      /* log ring */
    RANK_PORT,     /* serial port */
};

struct spinlock {
    atomic_uint held;
    uint16_t rank; /* enum lock_rank */
    uint16_t cpu;  /* holder + 1; debug builds only */
};

#define SPINLOCK_INIT(r)                                                                           \
    { .held = 0, .rank = (r), .cpu = 0 }

static inline void spin_init(struct spinlock *l, enum lock_rank rank) {
    atomic_init(&l->held, 0);
    l->rank = (uint16_t)rank;
    l->cpu = 0;
}

/* Debug builds: the rules above, and who holds what.  `pair`: one of the same rank may be held. */
#ifdef DEBUG
void spin_rank_check(const struct spinlock *l, bool pair);
void spin_rank_push(struct spinlock *l);
void spin_rank_pop(struct spinlock *l);
#else
#define spin_rank_check(l, pair) ((void)(l), (void)(pair))
#define spin_rank_push(l)        ((void)(l))
#define spin_rank_pop(l)         ((void)(l))
#endif

/* The rest of spin_acquire, where somebody holds the lock. */
cold_fn void spin_wait(struct spinlock *l);

/* The bare lock word, interrupts off: for the scheduler, whose lock changes hands in a switch. */
static inline void spin_acquire(struct spinlock *l) {
    count_shared_write(l);
    if (unlikely(atomic_exchange_explicit(&l->held, 1, memory_order_acquire)))
        spin_wait(l);
}

static inline void spin_release(struct spinlock *l) {
    atomic_store_explicit(&l->held, 0, memory_order_release); /* pairs with spin_acquire */
}

/* Context: thread or interrupt; see the rules above. */
static inline void spin_lock(struct spinlock *l) {
    preempt_disable();
    spin_rank_check(l, false);
    spin_acquire(l);
    spin_rank_push(l);
}

static inline void spin_unlock(struct spinlock *l) {
    spin_rank_pop(l);
    spin_release(l);
    preempt_enable();
}

/* Also turns interrupts off; the result goes to spin_unlock_irqrestore. */
must_check static inline uint64_t spin_lock_irqsave(struct spinlock *l) {
    uint64_t flags = irq_save();
    spin_lock(l);
    return flags;
}

static inline void spin_unlock_irqrestore(struct spinlock *l, uint64_t flags) {
    spin_unlock(l);
    irq_restore(flags);
}

bool spin_trylock(struct spinlock *l);
/* Both of one rank, lower address first; `a` and `b` may be the same lock. */
void spin_lock_pair(struct spinlock *a, struct spinlock *b);
void spin_unlock_pair(struct spinlock *a, struct spinlock *b);
/* For assertions: whether this CPU holds it (debug builds; otherwise whether anyone does). */
bool spin_is_held(const struct spinlock *l);

#endif
