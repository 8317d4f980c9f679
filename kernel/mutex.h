/* SPDX-License-Identifier: MIT */
/*
 * Mutexes: the lock that sleeps.
 *
 * Nobody holds a place in front of a free mutex: a running thread takes it, even
 * where others sleep for it, but none of those waits for ever.  The protocol is
 * in mutex.c.
 *
 * Context: thread, no spinlock held (debug builds check it).  Who locks unlocks;
 * not recursive.
 */
#ifndef KERNEL_MUTEX_H
#define KERNEL_MUTEX_H

#include <stdatomic.h>
#include "base/list.h"
#include "base/types.h"
#include "kernel/count.h"
#include "kernel/lock.h"
#include "kernel/panic.h"
#include "kernel/thread.h"

struct mutex {
    _Atomic(uintptr_t) word; /* the owner (struct thread *; 0: free) and bits of mutex.c */
    struct spinlock lock;    /* RANK_MUTEX; guards `waiters` and the changes of the bits */
    struct list waiters;     /* struct mutex_waiter of mutex.c, the next to be woken first */
};

#define MUTEX_BITS 3ul /* of `word`, that are not the owner's address */

void mutex_init(struct mutex *m);

/* What is left to do where one compare-exchange did not do it: see mutex.c. */
cold_fn void mutex_wait(struct mutex *m);
cold_fn bool mutex_take(struct mutex *m);
cold_fn void mutex_pass(struct mutex *m);

static inline bool mutex_is_mine(const struct mutex *m) {
    uintptr_t word = atomic_load_explicit(&m->word, memory_order_relaxed);
    return (word & ~MUTEX_BITS) == (uintptr_t)current;
}

/* Acquire: pairs with the release in mutex_unlock and mutex_pass. */
static inline bool mutex_take_free(struct mutex *m) {
    uintptr_t word = 0;
    count_shared_write(&m->word);
    return atomic_compare_exchange_strong_explicit(&m->word, &word, (uintptr_t)current,
                                                   memory_order_acquire, memory_order_relaxed);
}

static inline void mutex_lock(struct mutex *m) {
    assert_slow(!mutex_is_mine(m) && current->preempt_count == 0);
    if (unlikely(!mutex_take_free(m)))
        mutex_wait(m);
}

/* Whether it was free, and now is the caller's. */
static inline bool mutex_trylock(struct mutex *m) {
    return likely(mutex_take_free(m)) || mutex_take(m);
}

static inline void mutex_unlock(struct mutex *m) {
    uintptr_t word = (uintptr_t)current;
    if (unlikely(!atomic_compare_exchange_strong_explicit(&m->word, &word, 0, memory_order_release,
                                                          memory_order_relaxed)))
        mutex_pass(m);
}

#endif
