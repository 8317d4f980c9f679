/* SPDX-License-Identifier: MIT */
/*
 * eventfd: a counter that can be waited for.  Reads and writes move it by
 * compare-exchange, so there is no lock; sleepers look at the value itself.
 */
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include "fs/pipe.h"
#include "fs/vfs.h"
#include "kernel/slab.h"

#define EVENT_MAX (UINT64_MAX - 1)

struct event {
    struct inode inode;
    _Atomic(uint64_t) value;
    bool semaphore;
    struct wait_queue changed;
};

static struct event *event_of(struct file *f) {
    return container_of(f->inode, struct event, inode);
}

/* Takes the value, or 1 of it; 0 where there is none. */
static uint64_t event_take(struct event *e) {
    uint64_t now = atomic_load(&e->value), take;
    do {
        take = e->semaphore && now ? 1 : now;
    } while (now && !atomic_compare_exchange_weak(&e->value, &now, now - take));
    return now ? take : 0;
}

static bool event_add(struct event *e, uint64_t add) {
    uint64_t now = atomic_load(&e->value);
    do {
        if (add > EVENT_MAX - now)
            return false;
    } while (!atomic_compare_exchange_weak(&e->value, &now, now + add));
    return true;
}

static long event_read(struct file *f, struct iter *to, uint64_t *pos) {
    struct event *e = event_of(f);
    uint64_t value;
    (void)pos;
    if (to->left < sizeof value)
        return -EINVAL;
    while (!(value = event_take(e))) {
        if (file_is_nonblocking(f))
            return -EAGAIN;
        int err = wait_until(&e->changed, atomic_load(&e->value), TIME_NEVER, true);
        if (err)
            return err;
    }
    wait_wake_events(&e->changed, POLLOUT);
    return iter_to(to, &value, sizeof value) == sizeof value ? (long)sizeof value : -EFAULT;
}

static long event_write(struct file *f, struct iter *from, uint64_t *pos) {
    struct event *e = event_of(f);
    uint64_t add;
    (void)pos;
    if (from->left < sizeof add)
        return -EINVAL;
    if (iter_from(from, &add, sizeof add) < sizeof add)
        return -EFAULT;
    if (add == UINT64_MAX)
        return -EINVAL;
    while (!event_add(e, add)) {
        if (file_is_nonblocking(f))
            return -EAGAIN;
        int err =
            wait_until(&e->changed, add <= EVENT_MAX - atomic_load(&e->value), TIME_NEVER, true);
        if (err)
            return err;
    }
    wait_wake_events(&e->changed, POLLIN);
    return sizeof add;
}

static uint32_t event_poll(struct file *f, struct poll_table *pt) {
    struct event *e = event_of(f);
    poll_wait(pt, f, &e->changed);
    uint64_t now = atomic_load(&e->value);
    return (now ? POLLIN : 0) | (now < EVENT_MAX ? POLLOUT : 0);
}

static void event_destroy(struct inode *i) {
    kfree(container_of(i, struct event, inode));
}

static int event_open(struct file *f) {
    (void)f;
    return -ENXIO; /* not again through /proc/self/fd, as on Linux */
}

static const struct file_ops event_ops = {
    .read = event_read, .write = event_write, .seek = file_seek_nowhere, .poll = event_poll
};
static const struct inode_ops event_inode_ops = { .open = event_open, .destroy = event_destroy };

int eventfd_create(uint64_t value, bool semaphore, uint32_t flags, struct file **out) {
    struct event *e = kmalloc(sizeof *e);
    if (!e)
        return -ENOMEM;
    inode_init(&e->inode, &event_inode_ops, VFS_DEV_ANONYMOUS, 0600);
    e->value = value;
    e->semaphore = semaphore;
    wait_init(&e->changed);
    struct entry *entry = entry_create_anonymous("anon_inode:[eventfd]", &e->inode);
    if (!entry)
        return -ENOMEM;
    *out = file_create(&event_ops, entry, flags | 2);
    entry_put(entry);
    return *out ? 0 : -ENOMEM;
}
