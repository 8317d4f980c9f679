/* SPDX-License-Identifier: MIT */
/* Wait queues; the protocol is in wait.h. */
#include "kernel/wait.h"

const struct wait_source *wait_source;

void wait_init(struct wait_queue *q) {
    spin_init(&q->lock, RANK_WAIT);
    list_init(&q->waiters);
}

void wait_add(struct wait_queue *q, struct waiter *w) {
    uint64_t flags = spin_lock_irqsave(&q->lock);
    list_add_tail(&q->waiters, &w->link);
    spin_unlock_irqrestore(&q->lock, flags);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with the one in wait_wake_events */
}

void wait_remove(struct wait_queue *q, struct waiter *w) {
    uint64_t flags = spin_lock_irqsave(&q->lock);
    list_remove(&w->link);
    spin_unlock_irqrestore(&q->lock, flags);
}

static bool wake(struct waiter *w, uint32_t events) {
    return w->notify ? w->notify(w, events) : thread_wake(w->thread);
}

void wait_wake_waiters(struct wait_queue *q, uint32_t events) {
    struct waiter *w;
    bool served = false;
    uint64_t flags = spin_lock_irqsave(&q->lock);
    list_for_each(w, &q->waiters, link) {
        if (w->exclusive && served && events)
            continue;
        bool woke = wake(w, events);
        served |= woke && w->exclusive;
    }
    spin_unlock_irqrestore(&q->lock, flags);
}
