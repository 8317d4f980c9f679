/* SPDX-License-Identifier: MIT */
/* The slow halves of heaps/lock.h: spinning and sleeping. */
#include "heaps/lock.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of the Linux ABI; musl ships no <linux/futex.h>. */
#define FUTEX_WAIT_PRIVATE (0 | 128)
#define FUTEX_WAKE_PRIVATE (1 | 128)

void heap_lock_contended(struct heap_lock *lock) {
    /* The look is relaxed: it decides nothing.  acquire; pairs with heap_unlock */
    for (int spins = 0; spins < HEAP_LOCK_SPINS; spins++) {
        int state = atomic_load_explicit(&lock->state, memory_order_relaxed);
        if (state == 2) {
            break; /* others sleep already: the queue is long */
        }
        if (state == 0 &&
            atomic_compare_exchange_weak_explicit(&lock->state, &state, 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return;
        }
        __builtin_ia32_pause();
    }

    int saved = errno;
    /*
     * Taken as "2" from here on: we cannot know whether others still sleep.
     * acquire; pairs with the release in heap_unlock
     */
    while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0) {
        syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, 2, NULL);
    }
    errno = saved;
}

void heap_lock_wake(struct heap_lock *lock) {
    int saved = errno;

    syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1);
    errno = saved;
}
