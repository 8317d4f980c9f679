/* SPDX-License-Identifier: MIT */
/*
 * Wait queues: sleep until a condition holds.
 *
 *     err = wait_until(&queue, ready, deadline_ns, interruptible);
 *
 * evaluates `ready` (any expression; it must be safe without locks, or take its
 * own) and sleeps while it is false.  Whoever makes it true calls wait_wake_all
 * afterwards.  Context: waiting is for threads without spinlocks; waking is for
 * any context.
 *
 * Waking when nobody waits takes no lock.  A waiter enters itself, then looks at
 * the condition, with a full barrier in between (wait_add ends with one); a waker
 * makes the condition true, then looks whether anybody waits, with a full barrier
 * in between (wait_wake_events begins with one).  So one of the two sees the other,
 * and the condition itself may be made true, and be looked at, in any memory order.
 *
 * A waiter with `notify` (poll, epoll) is called instead of woken, and told what
 * happened as POLL* bits, where the waker says so with wait_wake_events.  Of the
 * exclusive ones, only as many are called as it takes for one to make use of it;
 * wait_wake_all calls them all, since an end or an error is everybody's.
 */
#ifndef KERNEL_WAIT_H
#define KERNEL_WAIT_H

#include "kernel/lock.h"
#include "kernel/thread.h"

struct wait_queue {
    struct spinlock lock; /* RANK_WAIT, irqsave; guards `waiters` */
    struct list waiters;  /* struct waiter.link */
};

struct waiter {
    struct list link;
    struct thread *thread;
    /* Called instead of waking `thread` if not NULL; under the queue's lock, any context.
     * `events`: POLL* bits, 0: whatever.  Whether it woke anybody. */
    bool (*notify)(struct waiter *w, uint32_t events);
    bool exclusive; /* once one of these has woken somebody, the others need not know of `events` */
};

#define WAIT_QUEUE_INIT(name)                                                                      \
    { SPINLOCK_INIT(RANK_WAIT), LIST_INIT((name).waiters) }

void wait_init(struct wait_queue *q);
void wait_add(struct wait_queue *q, struct waiter *w); /* a full barrier: see the top */
void wait_remove(struct wait_queue *q, struct waiter *w);
/* Whether anybody waits; without the lock, so the caller must know why that is enough. */
static inline bool wait_has_waiters(const struct wait_queue *q) {
    return __atomic_load_n(&q->waiters.next, __ATOMIC_RELAXED) != &q->waiters;
}

/* The rest of wait_wake_events, where somebody waits. */
void wait_wake_waiters(struct wait_queue *q, uint32_t events);

static inline void wait_wake_events(struct wait_queue *q, uint32_t events) {
    atomic_thread_fence(memory_order_seq_cst); /* pairs with the one in wait_add: see the top */
    if (wait_has_waiters(q))
        wait_wake_waiters(q, events);
}

static inline void wait_wake_all(struct wait_queue *q) {
    wait_wake_events(q, 0);
}

/*
 * Devices that a thread looks at by himself before he sleeps for want of
 * something, so that a busy one needs neither interrupts nor another thread to
 * bring what it waits for.
 */
struct wait_source {
    /* Takes in what is there, and interrupts need not tell of more: the thread will be back. */
    void (*take_in)(void);
    /* Takes in what is there and returns true; or there is nothing, or it is time to go (the
     * deadline, a signal): others will see to what comes, and the thread sleeps and calls
     * woke() afterwards.  May yield. */
    bool (*rest)(uint64_t deadline_ns);
    void (*woke)(void);
};
extern const struct wait_source *wait_source; /* NULL: none; constant once programs run */

/* Before a look at whether something is ready.  Context: thread, nothing held. */
static inline void wait_take_in(void) {
    if (wait_source)
        wait_source->take_in();
}
/* Before sleeping: whether the caller should look again first; if not, it calls wait_woke() after
 * its sleep.  Context: thread, nothing held. */
static inline bool wait_rest(uint64_t deadline_ns) {
    return wait_source && wait_source->rest(deadline_ns);
}
static inline void wait_woke(void) {
    if (wait_source)
        wait_source->woke();
}

#define wait_until(q, ready, deadline_ns, may_interrupt)                                           \
    ({                                                                                             \
        int wait_err_ = 0;                                                                         \
        if (!(ready)) {                                                                            \
            struct waiter wait_me_ = { .thread = current };                                        \
            wait_add((q), &wait_me_);                                                              \
            for (;;) {                                                                             \
                thread_block_prepare(may_interrupt);                                               \
                if (ready) {                                                                       \
                    thread_block_cancel();                                                         \
                    wait_err_ = 0;                                                                 \
                    break;                                                                         \
                }                                                                                  \
                if (wait_err_) {                                                                   \
                    thread_block_cancel();                                                         \
                    break;                                                                         \
                }                                                                                  \
                wait_err_ = thread_block(deadline_ns);                                             \
            }                                                                                      \
            wait_remove((q), &wait_me_);                                                           \
        }                                                                                          \
        wait_err_;                                                                                 \
    })

#endif
