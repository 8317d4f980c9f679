/* SPDX-License-Identifier: MIT */
/* Mutexes: one hands itself to its first waiter at unlock, so nobody starves. */
#include "kernel/mutex.h"
#include "kernel/panic.h"
#include "kernel/thread.h"

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
