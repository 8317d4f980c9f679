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
    /* Called instead of waking `thread` if not NULL (poll); under the queue's lock, any context. */
    void (*notify)(struct waiter *);
};

#define WAIT_QUEUE_INIT(name)                                                                      \
    { SPINLOCK_INIT(RANK_WAIT), LIST_INIT((name).waiters) }

void wait_init(struct wait_queue *q);
void wait_add(struct wait_queue *q, struct waiter *w);
void wait_remove(struct wait_queue *q, struct waiter *w);
void wait_wake_all(struct wait_queue *q);

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
