/* SPDX-License-Identifier: MIT */
/*
 * poll, ppoll, select, pselect6.
 *
 * All four become a list of files with the events that are wanted.  The first
 * look at each file also puts a waiter on its queues; the waiter's `notify`
 * marks the poller as triggered and wakes its thread.  The poller clears the
 * mark before it looks again, so a change during the look is not lost; and it
 * goes to sleep by the protocol of kernel/thread.h, so one before the sleep is
 * not either.  Each file is held until the waiters are off its queues.
 *
 * Order: a queue's lock (RANK_WAIT) is held when notify runs; it takes none but
 * the scheduler's.
 */
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include <linux/time_types.h>
#include "arch/x86_64/uaccess.h"
#include "base/string.h"
#include "kernel/slab.h"
#include "kernel/timer.h"
#include "linux/sys_file.h"
#include "linux/syscalls.h"

#define SMALL       6 /* files that need no memory from the heap */
#define SELECT_BITS 64u

#define SELECT_IN     (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SELECT_OUT    (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define SELECT_EXCEPT POLLPRI

struct poll_item {
    struct file *file; /* held; NULL: none to look at */
    int fd;
    uint32_t want, got; /* POLL* */
};

struct poll_waiter {
    struct waiter waiter;
    struct wait_queue *queue;
    struct poller *poller;
};

struct poller {
    struct poll_table table;
    struct thread *thread;
    atomic_bool triggered;
    struct poll_waiter *waiters;
    unsigned count, capacity;
    struct poll_waiter small[SMALL * POLL_QUEUES_MAX];
};

static bool poller_notify(struct waiter *w, uint32_t events) {
    struct poller *p = container_of(w, struct poll_waiter, waiter)->poller;
    (void)events; /* it looks itself */
    atomic_store(&p->triggered, true);
    return thread_wake(p->thread);
}

static void poller_add(struct poll_table *pt, struct file *f, struct wait_queue *q) {
    struct poller *p = container_of(pt, struct poller, table);
    (void)f; /* the item holds it */
    if (p->count == p->capacity)
        return;
    struct poll_waiter *w = &p->waiters[p->count++];
    *w = (struct poll_waiter){ .waiter = { .thread = p->thread, .notify = poller_notify },
                               .queue = q,
                               .poller = p };
    wait_add(q, &w->waiter);
}

static long look(struct poll_item *items, size_t n, struct poll_table *pt) {
    long ready = 0;
    for (size_t i = 0; i < n; i++) {
        if (items[i].file)
            items[i].got = file_poll(items[i].file, ready ? NULL : pt) & items[i].want;
        ready += items[i].got != 0;
    }
    return ready;
}

/* Sleeps until triggered: 0, -ETIMEDOUT or -EINTR. */
static int poller_sleep(struct poller *p, uint64_t deadline) {
    thread_block_prepare(true);
    if (atomic_load(&p->triggered)) {
        thread_block_cancel();
        return 0;
    }
    return thread_block(deadline);
}

/* How many items are ready, 0 after the deadline (0: no waiting), -EINTR or -ENOMEM. */
static long poll_items(struct poll_item *items, size_t n, uint64_t deadline) {
    struct poller p = { .table.add = poller_add,
                        .thread = current,
                        .waiters = p.small,
                        .capacity = SMALL * POLL_QUEUES_MAX };
    if (n > SMALL && deadline) {
        p.capacity = (unsigned)n * POLL_QUEUES_MAX;
        p.waiters = kmalloc(p.capacity * sizeof *p.waiters);
        if (!p.waiters)
            return -ENOMEM;
    }
    wait_take_in();
    long ready = look(items, n, deadline ? &p.table : NULL);
    int err = deadline ? 0 : -ETIMEDOUT;
    while (!ready && !err) {
        if (!wait_rest(deadline)) {
            err = poller_sleep(&p, deadline);
            wait_woke();
        }
        atomic_store(&p.triggered, false);
        ready = look(items, n, NULL);
    }
    for (unsigned i = 0; i < p.count; i++)
        wait_remove(p.waiters[i].queue, &p.waiters[i].waiter);
    if (p.waiters != p.small)
        kfree(p.waiters);
    return ready ? ready : err == -ETIMEDOUT ? 0 : err;
}

static void items_put(struct poll_item *items, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (items[i].file)
            file_put(items[i].file);
    kfree(items);
}

/* Seconds and nanoseconds from now: the deadline; 0: at once, TIME_NEVER where it is far away. */
static uint64_t deadline_in(uint64_t seconds, uint64_t ns) {
    if (!seconds && !ns)
        return 0;
    return seconds > INT64_MAX / NS_PER_SEC / 2 ? TIME_NEVER
                                                : clock_now_ns() + seconds * NS_PER_SEC + ns;
}

/* Fetches a struct timespec (`per_unit` 1) or timeval (1000); NULL: for ever. */
static int deadline_get(long user, uint64_t per_unit, uint64_t *deadline) {
    struct __kernel_timespec t;
    *deadline = TIME_NEVER;
    if (!user)
        return 0;
    if (copy_from_user(&t, (const void *)user, sizeof t))
        return -EFAULT;
    if (per_unit == 1000) { /* select: a timeval may carry more than a second of microseconds */
        t.tv_sec = (long)((uint64_t)t.tv_sec + (uint64_t)(t.tv_nsec / 1000000)); /* may wrap */
        t.tv_nsec = t.tv_nsec % 1000000 * 1000;
    }
    if (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec >= (long)NS_PER_SEC)
        return -EINVAL;
    *deadline = deadline_in((uint64_t)t.tv_sec, (uint64_t)t.tv_nsec);
    return 0;
}

/* Linux tells the program how much time was left; a failure to write is no error there. */
static void remaining_put(long user, uint64_t per_unit, uint64_t deadline) {
    if (!user || deadline == TIME_NEVER)
        return;
    uint64_t now = clock_now_ns(), left = deadline > now ? deadline - now : 0;
    struct __kernel_timespec t = { .tv_sec = (int64_t)(left / NS_PER_SEC),
                                   .tv_nsec = (int64_t)(left % NS_PER_SEC / per_unit) };
    int ignored = copy_to_user((void *)user, &t, sizeof t);
    (void)ignored;
}

static long poll_fds(long user, size_t n, uint64_t deadline) {
    if (n > fd_table_limit(our_files()))
        return -EINVAL;
    struct pollfd *fds = kmalloc(MAX(n, 1ul) * sizeof *fds);
    struct poll_item *items = kmalloc(MAX(n, 1ul) * sizeof *items);
    long r = -ENOMEM;
    if (!fds || !items)
        goto out;
    r = copy_from_user(fds, (const void *)user, n * sizeof *fds);
    if (r)
        goto out;
    for (size_t i = 0; i < n; i++) {
        items[i].want = (uint16_t)fds[i].events | POLLERR | POLLHUP;
        items[i].file = fds[i].fd < 0 ? NULL : our_real_file(fds[i].fd);
        items[i].got = fds[i].fd >= 0 && !items[i].file ? POLLNVAL : 0;
    }
    r = poll_items(items, n, deadline);
    for (size_t i = 0; i < n && r >= 0; i++) {
        fds[i].revents = (short)items[i].got;
        if (copy_to_user((char *)user + i * sizeof *fds + offsetof(struct pollfd, revents),
                         &fds[i].revents, sizeof fds[i].revents))
            r = -EFAULT;
    }
out:
    if (items)
        items_put(items, n);
    kfree(fds);
    return r;
}

static long poll_again(struct restart *r) {
    long n = poll_fds((long)r->addr, r->values[0], r->deadline_ns);
    return n == -EINTR ? -ERESTART_RESTARTBLOCK : n;
}

long sys_poll(long fds, long n, long timeout_ms) {
    int ms = (int)timeout_ms;
    uint64_t deadline = ms < 0 ? TIME_NEVER : deadline_in(0, (uint64_t)ms * NS_PER_MS);
    long r = poll_fds(fds, (uint32_t)n, deadline);
    if (r != -EINTR)
        return r;
    current_task()->restart = (struct restart){ .call = poll_again,
                                                .deadline_ns = deadline,
                                                .addr = (uintptr_t)fds,
                                                .values = { (uint32_t)n } };
    return -ERESTART_RESTARTBLOCK;
}

/* The end of a call that set a signal mask for its duration. */
static long finish(long r) {
    if (r == -EINTR)
        return -ERESTARTNOHAND;
    signal_restore_blocked();
    return r;
}

long sys_ppoll(long fds, long n, long timeout, long mask, long mask_size) {
    uint64_t deadline;
    long r = deadline_get(timeout, 1, &deadline);
    if (!r)
        r = signal_read_mask_for_call((const void *)mask, (size_t)mask_size);
    if (r)
        return r;
    r = poll_fds(fds, (uint32_t)n, deadline);
    remaining_put(timeout, 1, deadline);
    return finish(r);
}

/* The three bitmaps of select: in, out, except. */
struct select_sets {
    uint64_t *bits[3]; /* kernel copies; NULL: not given */
    long user[3];
    size_t words;
};

static const uint32_t select_events[3] = { SELECT_IN, SELECT_OUT, SELECT_EXCEPT };

static int sets_get(struct select_sets *s) {
    for (unsigned k = 0; k < 3; k++) {
        if (!s->user[k])
            continue;
        s->bits[k] = kmalloc(MAX(s->words, 1ul) * sizeof(uint64_t));
        if (!s->bits[k])
            return -ENOMEM;
        if (copy_from_user(s->bits[k], (const void *)s->user[k], s->words * sizeof(uint64_t)))
            return -EFAULT;
    }
    return 0;
}

static uint32_t sets_want(const struct select_sets *s, size_t fd) {
    uint32_t want = 0;
    for (unsigned k = 0; k < 3; k++)
        if (s->bits[k] && s->bits[k][fd / SELECT_BITS] >> fd % SELECT_BITS & 1)
            want |= select_events[k];
    return want;
}

/* Turns the answers into bits; returns how many are set. */
static long sets_put(const struct select_sets *s, const struct poll_item *items, size_t count) {
    long set = 0;
    for (unsigned k = 0; k < 3; k++) {
        if (!s->bits[k])
            continue;
        uint64_t *answer = kmalloc(MAX(s->words, 1ul) * sizeof *answer);
        if (!answer)
            return -ENOMEM;
        for (size_t i = 0; i < count; i++) {
            size_t fd = (size_t)items[i].fd;
            uint64_t bit = 1ul << fd % SELECT_BITS;
            if (items[i].got & select_events[k] && s->bits[k][fd / SELECT_BITS] & bit) {
                answer[fd / SELECT_BITS] |= bit;
                set++;
            }
        }
        int err = copy_to_user((void *)s->user[k], answer, s->words * sizeof *answer);
        kfree(answer);
        if (err)
            return err;
    }
    return set;
}

static long select_items(const struct select_sets *s, size_t n, uint64_t deadline) {
    size_t count = 0, most = 0;
    for (size_t fd = 0; fd < n; fd++)
        most += sets_want(s, fd) != 0;
    struct poll_item *items = kmalloc(MAX(most, 1ul) * sizeof *items);
    if (!items)
        return -ENOMEM;
    long r = 0;
    for (size_t fd = 0; fd < n && !r; fd++) {
        uint32_t want = sets_want(s, fd);
        if (!want)
            continue;
        items[count] =
            (struct poll_item){ .file = our_real_file((long)fd), .fd = (int)fd, .want = want };
        r = items[count].file ? 0 : -EBADF;
        count++;
    }
    if (!r)
        r = poll_items(items, count, deadline);
    if (r >= 0)
        r = sets_put(s, items, count);
    items_put(items, count);
    return r;
}

static long select_fds(long n, long in, long out, long except, uint64_t deadline) {
    if ((int)n < 0)
        return -EINVAL;
    size_t fds = MIN((size_t)(int)n, (size_t)MAX(fd_table_limit(our_files()), 1024u));
    struct select_sets s = { .user = { in, out, except },
                             .words = (fds + SELECT_BITS - 1) / SELECT_BITS };
    long r = sets_get(&s);
    if (!r)
        r = select_items(&s, fds, deadline);
    for (unsigned k = 0; k < 3; k++)
        kfree(s.bits[k]);
    return r;
}

long sys_select(long n, long in, long out, long except, long timeout) {
    uint64_t deadline;
    long r = deadline_get(timeout, 1000, &deadline);
    if (r)
        return r;
    r = select_fds(n, in, out, except, deadline);
    remaining_put(timeout, 1000, deadline);
    return r == -EINTR ? -ERESTARTNOHAND : r;
}

long sys_pselect6(long n, long in, long out, long except, long timeout, long mask) {
    uint64_t deadline, where[2] = { 0, 0 }; /* address and size of the mask */
    long r = deadline_get(timeout, 1, &deadline);
    if (!r && mask)
        r = copy_from_user(where, (const void *)mask, sizeof where);
    if (!r)
        r = signal_read_mask_for_call((const void *)where[0], where[1]);
    if (r)
        return r;
    r = select_fds(n, in, out, except, deadline);
    remaining_put(timeout, 1, deadline);
    return finish(r);
}
