/* SPDX-License-Identifier: MIT */
/* What epoll.c and epoll_nest.c share; the theory is in epoll.c. */
#ifndef FS_EPOLL_IMPL_H
#define FS_EPOLL_IMPL_H

#include "fs/epoll.h"
#include "fs/vfs.h"

/* A registered file's waiter on one of its queues. */
struct epoll_hook {
    struct waiter waiter;
    struct wait_queue *queue;
    struct epoll_item *item;
};

struct epoll_item {
    struct epoll *epoll; /* constant, as the next two */
    struct file *file;   /* not held; in its `watches` as long as the item is there */
    int fd;
    unsigned hook_count;      /* constant once it is added */
    struct epoll_item *next;  /* in its bucket; epoll->mutex */
    struct list watch_link;   /* file->watches; file->watch_lock */
    struct list child_link;   /* epoll->children, if `file` is an epoll; epoll_nest_mutex */
    struct list ready_link;   /* epoll->ready, or empty; epoll->lock */
    _Atomic(uint32_t) events; /* EPOLL*; written under epoll->mutex */
    uint64_t data;            /* epoll->mutex */
    struct epoll_hook hooks[POLL_QUEUES_MAX];
};

struct epoll {
    struct inode inode;          /* its references keep the memory */
    struct file *file;           /* constant; not held: it holds the inode */
    struct mutex mutex;          /* guards the set of items; held while their files are polled */
    struct epoll_item **buckets; /* `bucket_count`, a power of two; by descriptor */
    unsigned bucket_count, count;
    struct list children; /* items of epolls; epoll_nest_mutex */

    struct spinlock lock;          /* RANK_EPOLL, irqsave; guards the next three */
    struct list ready;             /* items that may be ready, the longest-waiting first */
    struct list sleepers;          /* struct sleeper of epoll.c, the next to be woken first */
    _Atomic(unsigned) ready_count; /* of `ready`, and one for who looks at it; read anywhere */

    struct wait_queue changed; /* for whoever polls this epoll */
};

static inline struct epoll *epoll_of(const struct file *f) {
    return container_of(f->inode, struct epoll, inode);
}

/* Guards which epoll watches which; before any epoll's mutex. */
extern struct mutex epoll_nest_mutex;

/* Whether `outer` may watch `inner`; mutex held.  0, -ELOOP; -EINVAL: too many would be woken. */
int epoll_nest_check_loop(struct epoll *outer, struct epoll *inner);
int epoll_nest_check_paths(struct epoll *outer, struct epoll *inner);

#endif
