/* SPDX-License-Identifier: MIT */
/*
 * timerfd.
 *
 * A periodic timer does not go on by itself: it expires once, and whoever next
 * reads, gets or sets it counts the intervals that have passed meanwhile.  So no
 * interval, however short, keeps a CPU busy for a file that nobody reads; Linux
 * does the same.
 *
 * The mutex guards all but what the interrupt writes: it sets `fired`, then
 * counts, and never arms.  Whoever holds the mutex and sees `fired` therefore
 * knows that the timer is not armed; else it is taken out of the interrupt's
 * hands with timer_cancel, before it is set.  Sleepers look at `count`.
 *
 * A change of CLOCK_REALTIME moves no timer that has been set: its moment was
 * turned into one of the clock that never jumps.
 */
#include "fs/timerfd.h"

#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include "fs/vfs.h"
#include "kernel/slab.h"
#include "kernel/timer.h"

struct timerfd {
    struct inode inode;
    bool realtime; /* constant */
    struct mutex lock;
    int64_t due_ns; /* on the scale of clock_now_ns(), where it may lie before the boot; lock */
    uint64_t interval_ns;    /* 0: expires once; lock */
    bool is_set;             /* due_ns means something; lock */
    atomic_bool fired;       /* not counted on since; see above */
    _Atomic(uint64_t) count; /* expirations that have not been read */
    struct timer timer;
    struct wait_queue expired;
};

static struct timerfd *timerfd_of(const struct file *f) {
    return container_of(f->inode, struct timerfd, inode);
}

static int64_t now_ns(void) {
    return (int64_t)clock_now_ns();
}

static int64_t capped(uint64_t ns) {
    return (int64_t)MIN(ns, (uint64_t)INT64_MAX);
}

static int64_t later(int64_t time, int64_t ns) {
    int64_t sum;
    return __builtin_add_overflow(time, ns, &sum) ? INT64_MAX : sum;
}

static void fire(struct timer *timer) {
    struct timerfd *t = container_of(timer, struct timerfd, timer);
    atomic_store(&t->fired, true); /* before the count, which a reader sees first */
    atomic_fetch_add(&t->count, 1);
    wait_wake_events(&t->expired, POLLIN);
}

static void arm(struct timerfd *t) {
    timer_arm(&t->timer, (uint64_t)MAX(t->due_ns, (int64_t)0));
}

/* Lets a periodic timer that has fired go on; how many intervals passed since.  Lock held.  Arms
 * last: from then on it may fire, and what is counted by that is the next reader's. */
static uint64_t catch_up(struct timerfd *t) {
    if (!t->interval_ns || !atomic_load(&t->fired))
        return 0;
    int64_t late = MAX(now_ns() - t->due_ns, (int64_t)0);
    uint64_t missed = (uint64_t)late / t->interval_ns;
    t->due_ns = later(t->due_ns + (int64_t)(missed * t->interval_ns), capped(t->interval_ns));
    atomic_store(&t->fired, false);
    arm(t);
    return missed;
}

static uint64_t take_count(struct timerfd *t) {
    mutex_lock(&t->lock);
    uint64_t n = atomic_exchange(&t->count, 0);
    if (n)
        n += catch_up(t);
    mutex_unlock(&t->lock);
    return n;
}

static long timerfd_read(struct file *f, struct iter *to, uint64_t *pos) {
    struct timerfd *t = timerfd_of(f);
    uint64_t n;
    (void)pos;
    if (to->left < sizeof n)
        return -EINVAL;
    while (!(n = take_count(t))) {
        if (file_is_nonblocking(f))
            return -EAGAIN;
        int err = wait_until(&t->expired, atomic_load(&t->count), TIME_NEVER, true);
        if (err)
            return err;
    }
    return iter_to(to, &n, sizeof n) == sizeof n ? (long)sizeof n : -EFAULT;
}

static uint32_t timerfd_poll(struct file *f, struct poll_table *pt) {
    struct timerfd *t = timerfd_of(f);
    poll_wait(pt, f, &t->expired);
    return atomic_load(&t->count) ? POLLIN : 0;
}

static void read_locked(struct timerfd *t, struct timerfd_setting *out) {
    atomic_fetch_add(&t->count, catch_up(t));
    bool waits = t->is_set && !atomic_load(&t->fired);
    /* One that is due, but has not fired so far, is still on. */
    out->value_ns = waits ? (uint64_t)MAX(t->due_ns - now_ns(), (int64_t)1) : 0;
    out->interval_ns = t->interval_ns;
}

void timerfd_get(struct file *f, struct timerfd_setting *out) {
    struct timerfd *t = timerfd_of(f);
    mutex_lock(&t->lock);
    read_locked(t, out);
    mutex_unlock(&t->lock);
}

void timerfd_set(struct file *f, const struct timerfd_setting *new, bool absolute,
                 struct timerfd_setting *old) {
    struct timerfd *t = timerfd_of(f);
    mutex_lock(&t->lock);
    if (old)
        read_locked(t, old);
    (void)timer_cancel(&t->timer);
    atomic_store(&t->fired, false);
    atomic_store(&t->count, 0);
    t->is_set = new->value_ns != 0;
    t->interval_ns = new->interval_ns;
    t->due_ns = capped(new->value_ns);
    if (!absolute)
        t->due_ns = later(t->due_ns, now_ns());
    else if (t->realtime)
        t->due_ns -= (int64_t)(clock_realtime_ns() - clock_now_ns());
    if (t->is_set)
        arm(t);
    mutex_unlock(&t->lock);
}

static void timerfd_release(struct file *f) {
    (void)timer_cancel(&timerfd_of(f)->timer);
}

static void timerfd_destroy(struct inode *i) {
    kfree(container_of(i, struct timerfd, inode));
}

static int timerfd_open(struct file *f) {
    (void)f;
    return -ENXIO; /* not again through /proc/self/fd, as on Linux */
}

static const struct file_ops timerfd_ops = { .read = timerfd_read,
                                             .seek = file_seek_nowhere,
                                             .poll = timerfd_poll,
                                             .release = timerfd_release };
static const struct inode_ops timerfd_inode_ops = { .open = timerfd_open,
                                                    .destroy = timerfd_destroy };

bool timerfd_is_file(const struct file *f) {
    return f->ops == &timerfd_ops;
}

int timerfd_create(bool realtime, uint32_t flags, struct file **out) {
    struct timerfd *t = kmalloc(sizeof *t);
    if (!t)
        return -ENOMEM;
    inode_init(&t->inode, &timerfd_inode_ops, VFS_DEV_ANONYMOUS, 0600);
    t->realtime = realtime;
    mutex_init(&t->lock);
    timer_init(&t->timer, fire);
    wait_init(&t->expired);
    struct entry *entry = entry_create_anonymous("anon_inode:[timerfd]", &t->inode);
    if (!entry)
        return -ENOMEM;
    *out = file_create(&timerfd_ops, entry, flags | 2);
    entry_put(entry);
    return *out ? 0 : -ENOMEM;
}
