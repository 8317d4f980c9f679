/* SPDX-License-Identifier: MIT */
/*
 * The heaps' lock: spins briefly, then sleeps in the kernel.
 *
 * One word with three states after Drepper, "Futexes Are Tricky" (2011), mutex
 * 3: 0 free, 1 held, 2 held and perhaps somebody sleeps.  A spinner only reads
 * (test and test-and-set) and gives up after HEAP_LOCK_SPINS looks, since the
 * holder may be a virtual CPU that does not run.  Unfair on purpose: a queued
 * lock hands over to a waiter that may not be running.
 *
 * Not a pthread mutex: this one needs no constructor, no thread pointer and no
 * memory, so it works from the first instruction of a process to the last TLS
 * destructor, and is reset by assignment in a fork's child.
 *
 * Not recursive.  Keeps errno.  Hold it for a bounded time.
 */
#ifndef HEAPS_LOCK_H
#define HEAPS_LOCK_H

#include <stdatomic.h>

#define HEAP_LOCK_SPINS 100

struct heap_lock {
    _Atomic int state;
};

#define HEAP_LOCK_INITIALIZER                                                                      \
    { 0 }

/* The slow halves, in heaps/lock.c. */
void heap_lock_contended(struct heap_lock *lock);
void heap_lock_wake(struct heap_lock *lock);

static inline void heap_lock(struct heap_lock *lock) {
    int expected = 0;

    /* acquire; pairs with the release in heap_unlock */
    if (!atomic_compare_exchange_strong_explicit(&lock->state, &expected, 1, memory_order_acquire,
                                                 memory_order_relaxed)) {
        heap_lock_contended(lock);
    }
}

static inline void heap_unlock(struct heap_lock *lock) {
    /* release; pairs with the acquires in heap_lock and heap_lock_contended */
    if (atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2) {
        heap_lock_wake(lock);
    }
}

/* In the only thread of a fork's child: whatever the parent's threads held. */
static inline void heap_lock_reset(struct heap_lock *lock) {
    /* relaxed: no other thread is there yet */
    atomic_store_explicit(&lock->state, 0, memory_order_relaxed);
}

#endif
