/* SPDX-License-Identifier: MIT */
/*
 * Mutexes.
 *
 * Data.  `word` is the owner, and two bits that change only under m->lock:
 *   WAITERS  somebody is in the list of waiters
 *   WOKEN    one of them has been woken to take the mutex, and has not looked yet
 * Free, with nobody waiting, it is 0.  All that decides something is an atomic
 * operation on this one word, so nothing has to be ordered against another place.
 *
 * Lock.  A free word becomes the caller's by compare-exchange (acquire), with the
 * bits as they are, so also past those who sleep: handing over to a sleeping
 * thread leaves the mutex locked, and everybody else waiting, until that one
 * runs (a convoy).  Else spin, as long as the owner runs on a CPU, at most
 * SPIN_MAX looks, since a virtual CPU may itself be off its core.  Else enter the
 * list under m->lock, announce the sleep, and set WAITERS unless the word is
 * free by now.
 *
 * Unlock.  Owner to 0 by compare-exchange (release).  It fails where there are bits:
 * with WOKEN the owner goes and the bits stay, for the one who was woken looks
 * after it and takes the mutex or clears WOKEN.  Otherwise, under m->lock, the
 * first waiter is woken and WOKEN set.
 *
 * No wake-up is lost: a waiter goes to sleep only after it has exchanged a word
 * with an owner in it for one with WAITERS and, if it was the woken one, without
 * WOKEN; the unlock of that owner therefore comes to m->lock, finds the waiter in
 * the list, and its sleep announced.
 *
 * Nobody starves: the first waiter stays the first, and when it has been woken
 * VAIN_MAX times for nothing, the next unlock makes it the owner itself.
 *
 * Lifetime.  A waiter leaves the list as the owner, under m->lock; an unlock
 * touches the mutex after the word has changed only under m->lock, and with a
 * waiter in the list.  So whoever knows that nobody else uses the mutex any more
 * may free it as soon as it has locked and unlocked it.
 *
 * The owner's thread may end, and its memory be used for something else, between
 * the look at the word and that at its on_cpu: kernel memory is always there
 * to be read, and a wrong answer is one look more or one sleep too early.
 *
 * Rejected: a queue of spinning threads (MCS), which loses all when the first in
 * it is off its core, and handing over at each unlock (measured: 4 ms for a pair of
 * mmap and munmap of four threads on four CPUs, where this takes 0.2 ms).
 */
#include "kernel/mutex.h"

#define WAITERS 1ul
#define WOKEN   2ul

#define SPIN_MAX 12800u /* looks: at most about what a sleep and a wake-up cost */
/* Looks for each PAUSE: QEMU leaves its inner loop there, and takes its lock, which costs more than
 * most holders keep the mutex. */
#define PAUSE_EVERY 64u
#define VAIN_MAX    4u

struct mutex_waiter {
    struct list link;
    struct thread *thread;
    /* m->lock */
    bool woken;    /* WOKEN is about this one */
    unsigned vain; /* how often it was woken and found the mutex taken */
};

_Static_assert(_Alignof(struct thread) > MUTEX_BITS && MUTEX_BITS == (WAITERS | WOKEN), "bits");

static struct thread *owner_of(uintptr_t word) {
    return (struct thread *)(word & ~MUTEX_BITS);
}

void mutex_init(struct mutex *m) {
    atomic_init(&m->word, 0);
    spin_init(&m->lock, RANK_MUTEX);
    list_init(&m->waiters);
}

bool mutex_take(struct mutex *m) {
    uintptr_t word = atomic_load_explicit(&m->word, memory_order_relaxed);
    while (!owner_of(word)) {
        if (atomic_compare_exchange_weak_explicit(&m->word, &word, word | (uintptr_t)current,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    }
    return false;
}

/* Watches an owner that runs.  Whether the mutex is the caller's now. */
static bool spin(struct mutex *m) {
    struct thread *me = current;
    for (unsigned n = 0; n < SPIN_MAX; n++) {
        struct thread *owner = owner_of(atomic_load_explicit(&m->word, memory_order_relaxed));
        if (owner == me || (!owner && mutex_take(m)))
            return true;
        if (owner && !atomic_load_explicit(&owner->on_cpu, memory_order_relaxed))
            return false;
        if (atomic_load_explicit(&me->work, memory_order_relaxed) & WORK_RESCHEDULE)
            return false;
        if (n % PAUSE_EVERY == PAUSE_EVERY - 1)
            cpu_relax();
    }
    return false;
}

/* Under m->lock, the sleep announced: whether the mutex is `w`'s.  Else its owner will wake one. */
static bool settle_locked(struct mutex *m, struct mutex_waiter *w) {
    uintptr_t word = atomic_load_explicit(&m->word, memory_order_relaxed), next;
    do {
        if (owner_of(word) == w->thread || mutex_take(m))
            return true;
        word = atomic_load_explicit(&m->word, memory_order_relaxed);
        next = (word | WAITERS) & ~(w->woken ? WOKEN : 0);
    } while (!owner_of(word) ||
             !atomic_compare_exchange_weak_explicit(&m->word, &word, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    w->vain += w->woken;
    w->woken = false;
    return false;
}

/* Under m->lock: the owner is no waiter any more. */
static void leave_locked(struct mutex *m, struct mutex_waiter *w) {
    list_remove(&w->link);
    uintptr_t bits = (w->woken ? WOKEN : 0) | (list_is_empty(&m->waiters) ? WAITERS : 0);
    if (bits)
        atomic_fetch_and_explicit(&m->word, ~bits, memory_order_relaxed);
}

void mutex_wait(struct mutex *m) {
    if (spin(m))
        return;
    struct mutex_waiter me = { .thread = current };
    spin_lock(&m->lock);
    list_add_tail(&m->waiters, &me.link);
    for (;;) {
        thread_block_prepare(false);
        if (settle_locked(m, &me))
            break;
        spin_unlock(&m->lock);
        (void)!thread_block(TIME_NEVER);
        spin(m);
        spin_lock(&m->lock);
    }
    thread_block_cancel();
    leave_locked(m, &me);
    spin_unlock(&m->lock);
}

void mutex_pass(struct mutex *m) {
    uintptr_t word = atomic_load_explicit(&m->word, memory_order_relaxed);
    assert(owner_of(word) == current);
    while (word & WOKEN) {
        if (atomic_compare_exchange_weak_explicit(&m->word, &word, word & MUTEX_BITS,
                                                  memory_order_release, memory_order_relaxed))
            return;
    }
    spin_lock(&m->lock);
    struct mutex_waiter *first = list_first(&m->waiters, struct mutex_waiter, link);
    uintptr_t next = WAITERS | (uintptr_t)first->thread;
    if (first->vain < VAIN_MAX) {
        first->woken = true;
        next = WAITERS | WOKEN;
    }
    /* Nobody else changes a word that has an owner but under the lock.  Release: as in unlock. */
    atomic_store_explicit(&m->word, next, memory_order_release);
    thread_wake(first->thread);
    spin_unlock(&m->lock);
}
