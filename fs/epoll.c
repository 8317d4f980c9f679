/* SPDX-License-Identifier: MIT */
/*
 * epoll.
 *
 * Data.  An epoll has a set of items, one for each (open file, descriptor)
 * registered with it, in a hash table by descriptor.  From epoll_add to its
 * removal an item has a waiter on each of its file's queues: a change calls
 * item_notify(), which puts the item on the epoll's `ready` list and wakes one
 * sleeper.  epoll_wait() takes from that list only, polls what it takes, and
 * drops what is not ready after all; so `ready` holds at least every item that
 * has an event to be told.  What was told goes to the tail if level-triggered
 * (it stays ready until a look finds otherwise), so that every item gets its
 * turn however few are asked for.
 *
 * Locks, outermost first:
 *   epoll_nest_mutex  which epoll watches which (epoll_nest.c)
 *   epoll->mutex      the items, and the looks at their files.  An outer epoll's
 *                     before an inner's: the look at an epoll looks at its items
 *   file->watch_lock  RANK_FILE; the items of a file
 *   a queue's lock    RANK_WAIT; held when item_notify runs, in any context
 *   epoll->lock       RANK_EPOLL; the ready list and the sleepers
 * The lock of `changed`, on which outer epolls wait, is taken below other queues'
 * locks, from the inner epoll to the outer, which is an order since there are no
 * cycles.  No rank can say so; hence RANK_NONE.
 *
 * No change is lost:
 * - An item that is being polled is off `ready`: a change since before the look
 *   puts it back.  That is why it is taken off first.
 * - Who looks holds a token in `ready_count`, so that nobody takes what is off
 *   `ready` for a moment for an epoll without events.
 * - epoll_modify stores the new events, then looks; a waker changes the file, takes
 *   the queue's lock, then reads the events: one of them sees the other.
 * - A sleeper enters itself, announces its sleep (kernel/thread.h), and then looks
 *   at `ready_count` and at whether it has been woken; a waker adds the item and
 *   takes the first sleeper off in one critical section.  A sleeper that was
 *   chosen always looks at `ready` before it gives up for a signal or the time.
 * - Who leaves something on `ready` wakes the next sleeper.
 * - A waker looks at the list of `changed` without its lock.  A poller enters
 *   itself there before it takes epoll->lock for its look, and the waker looks
 *   after it has held that lock: one of them sees the other.
 *
 * Lifetime.  Items hold no references on files, nor files on epolls:
 * - An item is removed under the mutex: off the file's queues, after which no
 *   notify comes, off the file's `watches`, off `ready`.
 * - A file that dies calls epoll_forget() before its release op: it finds an
 *   epoll by its first watch, holds the epoll's inode, and takes the items out
 *   under that epoll's mutex.  A look under the mutex therefore always finds the
 *   file whole, even when its last reference is gone.  file->watched is never
 *   cleared: whoever finds it set takes watch_lock, and so waits for another
 *   thread that is about to leave it.
 * - An epoll that is closed removes its items under its mutex, meeting dying files
 *   there.  Its memory goes with the inode's last reference.
 *
 * Rejected: a second list for what becomes ready during a look, as Linux has it
 * (its notify must not touch the list being walked; here each item is taken off
 * under the lock, which is two uncontended atomic operations an event).
 */
#include "fs/epoll.h"

#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include <linux/eventpoll.h>
#include "arch/x86_64/uaccess.h"
#include "fs/epoll_impl.h"
#include "kernel/panic.h"
#include "kernel/slab.h"
#include "kernel/thread.h"
#include "kernel/timer.h"

#define BUCKETS_START 16u

/* Bits of `events` that ask for nothing. */
#define HOW (EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET)
/* What EPOLLEXCLUSIVE goes with. */
#define EXCLUSIVE_OK                                                                               \
    (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

struct sleeper {
    struct list link; /* epoll->sleepers, or empty; epoll->lock */
    struct thread *thread;
    atomic_bool chosen; /* woken, and off the list; written under epoll->lock */
};

static struct slab_cache *item_cache;

void epoll_init(void) {
    mutex_init(&epoll_nest_mutex);
    item_cache = slab_cache_create("epoll_item", sizeof(struct epoll_item), 0);
    assert(item_cache);
}

/* ---- the ready list ---- */

static void ready_add_locked(struct epoll *e, struct epoll_item *i, struct list *before) {
    if (!list_is_empty(&i->ready_link))
        return;
    list_add_tail(before, &i->ready_link);
    atomic_store_explicit(&e->ready_count, e->ready_count + 1, memory_order_relaxed);
}

static void ready_remove_locked(struct epoll *e, struct epoll_item *i) {
    if (list_is_empty(&i->ready_link))
        return;
    list_remove(&i->ready_link);
    atomic_store_explicit(&e->ready_count, e->ready_count - 1, memory_order_relaxed);
}

static bool wake_sleeper_locked(struct epoll *e) {
    if (list_is_empty(&e->sleepers))
        return false;
    struct sleeper *s = list_first(&e->sleepers, struct sleeper, link);
    list_remove(&s->link);
    atomic_store(&s->chosen, true);
    thread_wake(s->thread);
    return true;
}

/* `i` may be ready.  Whether that woke anybody who sleeps in epoll_wait. */
static bool item_make_ready(struct epoll_item *i) {
    struct epoll *e = i->epoll;
    uint64_t flags = spin_lock_irqsave(&e->lock);
    ready_add_locked(e, i, &e->ready);
    bool woke = wake_sleeper_locked(e);
    spin_unlock_irqrestore(&e->lock, flags);
    if (unlikely(wait_has_waiters(&e->changed)))
        wait_wake_events(&e->changed, POLLIN | POLLRDNORM);
    return woke;
}

static bool item_notify(struct waiter *w, uint32_t events) {
    struct epoll_item *i = container_of(w, struct epoll_hook, waiter)->item;
    /* Acquire only; the queue's lock was the barrier between the change and this: see the top. */
    uint32_t want = atomic_load_explicit(&i->events, memory_order_acquire);
    if (!(want & ~HOW) || (events && !(events & want)))
        return false;
    return item_make_ready(i);
}

static uint32_t item_poll(struct epoll_item *i) {
    return file_poll(i->file, NULL) & atomic_load_explicit(&i->events, memory_order_relaxed);
}

/* ---- the set ---- */

static struct epoll_item **bucket_of(struct epoll *e, int fd) {
    return &e->buckets[(unsigned)fd & (e->bucket_count - 1)];
}

static struct epoll_item *find(struct epoll *e, const struct file *f, int fd) {
    struct epoll_item *i = *bucket_of(e, fd);
    while (i && (i->file != f || i->fd != fd))
        i = i->next;
    return i;
}

static void enter(struct epoll *e, struct epoll_item *i) {
    struct epoll_item **bucket = bucket_of(e, i->fd);
    i->next = *bucket;
    *bucket = i;
}

/* Twice the buckets, if there is memory for them. */
static void grow(struct epoll *e) {
    unsigned old_count = e->bucket_count;
    struct epoll_item **old = e->buckets, **new = kmalloc(old_count * 2 * sizeof *new);
    if (!new)
        return;
    e->buckets = new;
    e->bucket_count = old_count * 2;
    for (unsigned n = 0; n < old_count; n++) {
        for (struct epoll_item *i = old[n], *next; i; i = next) {
            next = i->next;
            enter(e, i);
        }
    }
    kfree(old);
}

/* The mutex is held; epoll_nest_mutex too, where the file is an epoll. */
static void item_remove(struct epoll_item *i) {
    struct epoll *e = i->epoll;
    struct epoll_item **at = bucket_of(e, i->fd);
    for (unsigned n = 0; n < i->hook_count; n++)
        wait_remove(i->hooks[n].queue, &i->hooks[n].waiter);
    spin_lock(&i->file->watch_lock);
    list_remove(&i->watch_link);
    spin_unlock(&i->file->watch_lock); /* the file may be gone from here on */
    list_remove(&i->child_link);
    uint64_t flags = spin_lock_irqsave(&e->lock);
    ready_remove_locked(e, i);
    spin_unlock_irqrestore(&e->lock, flags);
    while (*at != i)
        at = &(*at)->next;
    *at = i->next;
    e->count--;
    slab_free(item_cache, i);
}

struct hooking {
    struct poll_table table;
    struct epoll_item *item;
};

static void hook(struct poll_table *pt, struct file *f, struct wait_queue *q) {
    struct epoll_item *i = container_of(pt, struct hooking, table)->item;
    struct epoll_hook *h = &i->hooks[i->hook_count++];
    (void)f;
    assert(i->hook_count <= POLL_QUEUES_MAX);
    *h = (struct epoll_hook){ .waiter = { .notify = item_notify,
                                          .exclusive = i->events & EPOLLEXCLUSIVE },
                              .queue = q,
                              .item = i };
    wait_add(q, &h->waiter);
}

/* Makes a new item known to its file; the mutex is held. */
static void item_connect(struct epoll_item *i) {
    struct file *f = i->file;
    struct hooking h = { .table.add = hook, .item = i };
    spin_lock(&f->watch_lock);
    f->watched = true;
    list_add_tail(&f->watches, &i->watch_link);
    spin_unlock(&f->watch_lock);
    if (file_poll(f, &h.table) & i->events)
        item_make_ready(i);
}

static int add_locked(struct epoll *e, struct file *f, int fd, uint32_t events, uint64_t data) {
    bool nests = epoll_is_file(f);
    if (find(e, f, fd))
        return -EEXIST;
    int err = nests ? epoll_nest_check_paths(e, epoll_of(f)) : 0;
    if (err)
        return err;
    struct epoll_item *i = slab_alloc(item_cache);
    if (!i)
        return -ENOMEM;
    i->epoll = e;
    i->file = f;
    i->fd = fd;
    i->events = events | EPOLLERR | EPOLLHUP;
    i->data = data;
    list_init(&i->child_link);
    list_init(&i->ready_link);
    if (e->count++ >= e->bucket_count)
        grow(e);
    enter(e, i);
    if (nests)
        list_add_tail(&e->children, &i->child_link);
    item_connect(i);
    return 0;
}

int epoll_check(const struct file *epoll, const struct file *f) {
    if (!f->ops->poll)
        return -EPERM;
    return f == epoll || !epoll_is_file(epoll) ? -EINVAL : 0;
}

int epoll_add(struct file *epoll, struct file *f, int fd, uint32_t events, uint64_t data) {
    struct epoll *e = epoll_of(epoll);
    bool nests = epoll_is_file(f);
    int err = 0;
    if (events & EPOLLEXCLUSIVE && (nests || events & ~EXCLUSIVE_OK))
        return -EINVAL;
    if (nests) {
        mutex_lock(&epoll_nest_mutex);
        err = epoll_nest_check_loop(e, epoll_of(f));
    }
    if (!err) {
        mutex_lock(&e->mutex);
        err = add_locked(e, f, fd, events, data);
        mutex_unlock(&e->mutex);
    }
    if (nests)
        mutex_unlock(&epoll_nest_mutex);
    return err;
}

int epoll_modify(struct file *epoll, struct file *f, int fd, uint32_t events, uint64_t data) {
    struct epoll *e = epoll_of(epoll);
    if (events & EPOLLEXCLUSIVE)
        return -EINVAL;
    mutex_lock(&e->mutex);
    struct epoll_item *i = find(e, f, fd);
    int err = !i ? -ENOENT : i->events & EPOLLEXCLUSIVE ? -EINVAL : 0;
    if (!err) {
        i->data = data;
        atomic_store(&i->events, events | EPOLLERR | EPOLLHUP); /* seq_cst, before the look */
        if (item_poll(i))
            item_make_ready(i);
    }
    mutex_unlock(&e->mutex);
    return err;
}

int epoll_delete(struct file *epoll, struct file *f, int fd) {
    struct epoll *e = epoll_of(epoll);
    bool nests = epoll_is_file(f);
    if (nests)
        mutex_lock(&epoll_nest_mutex);
    mutex_lock(&e->mutex);
    struct epoll_item *i = find(e, f, fd);
    if (i)
        item_remove(i);
    mutex_unlock(&e->mutex);
    if (nests)
        mutex_unlock(&epoll_nest_mutex);
    return i ? 0 : -ENOENT;
}

/* The first of the items that a file has, and its epoll with a reference on the inode. */
static struct epoll_item *first_watch(struct file *f, struct epoll **e) {
    spin_lock(&f->watch_lock);
    struct epoll_item *i =
        list_is_empty(&f->watches) ? NULL : list_first(&f->watches, struct epoll_item, watch_link);
    *e = i ? i->epoll : NULL;
    if (i)
        inode_get(&i->epoll->inode);
    spin_unlock(&f->watch_lock);
    return i;
}

void epoll_forget(struct file *f) {
    bool nests = epoll_is_file(f);
    struct epoll *e, *same;
    if (nests)
        mutex_lock(&epoll_nest_mutex);
    while (first_watch(f, &e)) {
        mutex_lock(&e->mutex);
        /* Only now does the item stay where it is; its epoll may have removed it, being closed. */
        struct epoll_item *i = first_watch(f, &same);
        if (same == e)
            item_remove(i);
        mutex_unlock(&e->mutex);
        inode_put(&e->inode);
        if (same)
            inode_put(&same->inode);
    }
    if (nests)
        mutex_unlock(&epoll_nest_mutex);
}

/* ---- waiting ---- */

/* Begins a look at what is ready now: how many items that are.  Takes the mutex and the lock. */
static unsigned look_begin(struct epoll *e, uint64_t *flags) {
    mutex_lock(&e->mutex);
    *flags = spin_lock_irqsave(&e->lock);
    unsigned n = e->ready_count;
    atomic_store_explicit(&e->ready_count, n + 1, memory_order_relaxed); /* the token */
    return n;
}

static void look_end(struct epoll *e, uint64_t flags) {
    atomic_store_explicit(&e->ready_count, e->ready_count - 1, memory_order_relaxed);
    if (e->ready_count)
        wake_sleeper_locked(e);
    spin_unlock_irqrestore(&e->lock, flags);
    mutex_unlock(&e->mutex);
}

/* Looks at each item that was ready at the start, until `max` events are written. */
static long tell(struct epoll *e, char *user, int max) {
    uint64_t flags;
    long told = 0;
    int err = 0;
    for (unsigned n = look_begin(e, &flags); n && told < max && !err; n--) {
        struct epoll_item *i = list_first(&e->ready, struct epoll_item, ready_link);
        ready_remove_locked(e, i);
        spin_unlock_irqrestore(&e->lock, flags);
        struct epoll_event event = { .events = item_poll(i), .data = i->data };
        if (event.events)
            err = copy_to_user(user + told * (long)sizeof event, &event, sizeof event);
        flags = spin_lock_irqsave(&e->lock);
        if (err) {
            ready_add_locked(e, i, e->ready.next);
        } else if (event.events) {
            told++;
            if (i->events & EPOLLONESHOT)
                i->events &= HOW;
            else if (!(i->events & EPOLLET))
                ready_add_locked(e, i, &e->ready);
        }
    }
    look_end(e, flags);
    return told ? told : err;
}

/* Sleeps until chosen, or while nothing is ready.  0, -ETIMEDOUT, -EINTR. */
static int sleep(struct epoll *e, uint64_t deadline_ns) {
    struct sleeper me = { .thread = current };
    int err = 0;
    uint64_t flags = spin_lock_irqsave(&e->lock);
    list_add_tail(&e->sleepers, &me.link);
    spin_unlock_irqrestore(&e->lock, flags);
    thread_block_prepare(true);
    if (atomic_load(&me.chosen) || atomic_load(&e->ready_count))
        thread_block_cancel();
    else
        err = thread_block(deadline_ns);
    /* Always under the lock: who chose this sleeper may still be at it. */
    flags = spin_lock_irqsave(&e->lock);
    list_remove(&me.link);
    spin_unlock_irqrestore(&e->lock, flags);
    return err;
}

long epoll_wait(struct file *epoll, char *user, int max, uint64_t deadline_ns) {
    struct epoll *e = epoll_of(epoll);
    wait_take_in();
    for (int err = deadline_ns ? 0 : -ETIMEDOUT;;) {
        long told = atomic_load(&e->ready_count) ? tell(e, user, max) : 0;
        if (told)
            return told;
        if (err)
            return err == -ETIMEDOUT ? 0 : err;
        if (wait_rest(deadline_ns))
            continue;
        err = sleep(e, deadline_ns);
        wait_woke();
    }
}

/* ---- the file ---- */

/* Whether epoll_wait would find an event; what is not ready is dropped on the way. */
static uint32_t epoll_poll(struct file *f, struct poll_table *pt) {
    struct epoll *e = epoll_of(f);
    bool is_ready = false;
    uint64_t flags;
    poll_wait(pt, f, &e->changed);
    for (unsigned n = look_begin(e, &flags); n && !is_ready; n--) {
        struct epoll_item *i = list_first(&e->ready, struct epoll_item, ready_link);
        ready_remove_locked(e, i);
        spin_unlock_irqrestore(&e->lock, flags);
        is_ready = item_poll(i);
        flags = spin_lock_irqsave(&e->lock);
        if (is_ready)
            ready_add_locked(e, i, e->ready.next);
    }
    look_end(e, flags);
    return is_ready ? POLLIN | POLLRDNORM : 0;
}

static void epoll_release(struct file *f) {
    struct epoll *e = epoll_of(f);
    mutex_lock(&epoll_nest_mutex);
    mutex_lock(&e->mutex);
    for (unsigned n = 0; n < e->bucket_count; n++) {
        while (e->buckets[n])
            item_remove(e->buckets[n]);
    }
    mutex_unlock(&e->mutex);
    mutex_unlock(&epoll_nest_mutex);
}

static void epoll_destroy(struct inode *i) {
    struct epoll *e = container_of(i, struct epoll, inode);
    kfree(e->buckets);
    kfree(e);
}

static int epoll_open(struct file *f) {
    (void)f;
    return -ENXIO; /* not again through /proc/self/fd, as on Linux */
}

static const struct file_ops epoll_ops = { .seek = file_seek_nowhere,
                                           .poll = epoll_poll,
                                           .release = epoll_release };
static const struct inode_ops epoll_inode_ops = { .open = epoll_open, .destroy = epoll_destroy };

bool epoll_is_file(const struct file *f) {
    return f->ops == &epoll_ops;
}

int epoll_create(struct file **out) {
    struct epoll *e = kmalloc(sizeof *e);
    struct epoll_item **buckets = kmalloc(BUCKETS_START * sizeof *buckets);
    if (!e || !buckets) {
        kfree(e);
        kfree(buckets);
        return -ENOMEM;
    }
    inode_init(&e->inode, &epoll_inode_ops, VFS_DEV_ANONYMOUS, 0600);
    mutex_init(&e->mutex);
    e->buckets = buckets;
    e->bucket_count = BUCKETS_START;
    list_init(&e->children);
    spin_init(&e->lock, RANK_EPOLL);
    list_init(&e->ready);
    list_init(&e->sleepers);
    wait_init(&e->changed);
    spin_init(&e->changed.lock, RANK_NONE); /* see the top */
    struct entry *entry = entry_create_anonymous("anon_inode:[eventpoll]", &e->inode);
    if (!entry)
        return -ENOMEM;
    *out = e->file = file_create(&epoll_ops, entry, 2);
    entry_put(entry);
    return *out ? 0 : -ENOMEM;
}
