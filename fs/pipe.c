/* SPDX-License-Identifier: MIT */
/*
 * Pipes.
 *
 * A ring of pages that are allocated when the ring first reaches them.  The
 * mutex guards all of it, also while bytes move to or from the program, so that
 * a write of up to PIPE_BUF bytes is never torn.  Sleepers hold no lock: they
 * look at atomics that are written under the mutex (pipe_has_bytes(),
 * pipe_has_room(), `readers`), and after waking they take the mutex and look again.
 *
 * splice(2) must lose nothing that it has read and cannot write, and cannot keep
 * the mutex while it waits for a socket: pipe_splice.c.  So there may be room that
 * comes back unused, and bytes that come back unread; `missed_room` and
 * `missed_bytes` say whether that is news to somebody.
 *
 * Order: mutex, then the wait queues.
 */
#include "fs/pipe_impl.h"

#include <asm-generic/errno.h>
#include <asm-generic/ioctls.h>
#include <asm-generic/poll.h>
#include <linux/stat.h>
#include "arch/x86_64/uaccess.h"
#include "base/format.h"
#include "base/string.h"
#include "fs/vfs.h"
#include "kernel/slab.h"

#define PIPE_START_PAGES 16u   /* 64 KiB */
#define PIPE_MOST_PAGES  256u  /* 1 MiB: Linux's pipe-max-size */
#define PIPE_BUF_SIZE    4096u /* what is written at once or not at all */

static const struct inode_ops pipe_inode_ops;
static const struct file_ops pipe_ops;

static void free_ring(char **pages, uint32_t count) {
    for (uint32_t n = 0; n < count; n++)
        kfree(pages[n]);
    kfree(pages);
}

static void pipe_destroy(struct inode *i) {
    struct pipe *p = pipe_of(i);
    free_ring(p->pages, p->page_count);
    kfree(p);
}

char *pipe_ring_at(struct pipe *p, uint64_t at, size_t *n) {
    char **page = &p->pages[at / PAGE_SIZE % p->page_count];
    if (!*page)
        *page = kmalloc_uncleared(PAGE_SIZE); /* only what was written is read */
    *n = MIN(*n, PAGE_SIZE - at % PAGE_SIZE);
    return *page ? *page + at % PAGE_SIZE : NULL;
}

bool pipe_ring_extend(struct pipe *p, size_t n) {
    for (size_t done = 0, part; done < n; done += part) {
        part = n - done;
        if (!pipe_ring_at(p, p->head + done, &part))
            return false;
    }
    return true;
}

size_t pipe_ring_look(struct pipe *p, struct iter *to, size_t most) {
    size_t done = 0;
    most = MIN(most, p->used);
    while (to->left && done < most) {
        size_t n = MIN(to->left, most - done);
        const char *from = pipe_ring_at(p, p->tail + done, &n);
        size_t moved = iter_to(to, from, n);
        done += moved;
        if (moved < n)
            break;
    }
    return done;
}

size_t pipe_ring_take(struct pipe *p, struct iter *to) {
    size_t done = pipe_ring_look(p, to, SIZE_MAX);
    p->tail += done;
    p->used -= done;
    return done;
}

void pipe_ring_free(struct pipe *p, size_t n) {
    p->held -= n;
    if (!p->held) /* so that a pipe that is mostly empty does not come to use every page */
        p->head = p->tail = 0;
}

long pipe_ring_put(struct pipe *p, struct iter *from, size_t most) {
    size_t done = 0;
    while (done < most && pipe_room(p)) {
        size_t n = MIN(most - done, pipe_room(p));
        char *to = pipe_ring_at(p, p->head, &n);
        if (!to || (p->promised && !pipe_ring_extend(p, n + p->promised)))
            return done ? (long)done : -ENOMEM;
        size_t moved = iter_from(from, to, n);
        p->head += moved;
        p->held += moved;
        p->used += moved;
        done += moved;
        if (moved < n)
            break;
    }
    return (long)done;
}

static long pipe_read(struct file *f, struct iter *to, uint64_t *pos) {
    struct pipe *p = pipe_of(f->inode);
    (void)pos;
    if (!to->left)
        return 0;
    for (;;) {
        mutex_lock(&p->lock);
        bool some = pipe_has_bytes(p), ended = pipe_has_ended(p);
        size_t done = some ? pipe_ring_take(p, to) : 0;
        pipe_ring_free(p, done);
        mutex_unlock(&p->lock);
        if (some) {
            wait_wake_events(&p->writable, POLLOUT | POLLWRNORM);
            return iter_result(to, done);
        }
        if (ended)
            return 0;
        if (file_is_nonblocking(f))
            return -EAGAIN;
        int err =
            wait_until(&p->readable, pipe_has_bytes(p) || pipe_has_ended(p), TIME_NEVER, true);
        if (err)
            return err;
    }
}

static long pipe_write(struct file *f, struct iter *from, uint64_t *pos) {
    struct pipe *p = pipe_of(f->inode);
    size_t done = 0, whole = from->left <= PIPE_BUF_SIZE ? from->left : 1;
    (void)pos;
    long err = 0;
    while (from->left && !from->faulted && !err) {
        mutex_lock(&p->lock);
        bool fits = pipe_has_room(p, whole);
        if (!p->readers) {
            err = -EPIPE;
        } else if (fits && !pipe_ring_extend(p, whole + p->promised)) {
            err = -ENOMEM; /* before a part of it is in */
        } else if (fits) {
            long n = pipe_ring_put(p, from, from->left);
            if (n < 0)
                err = n;
            else
                done += (size_t)n;
        }
        mutex_unlock(&p->lock);
        if (err)
            break;
        if (fits)
            wait_wake_events(&p->readable, POLLIN | POLLRDNORM);
        else if (file_is_nonblocking(f))
            err = -EAGAIN;
        else
            err =
                wait_until(&p->writable, pipe_has_room(p, whole) || !p->readers, TIME_NEVER, true);
    }
    return done || !err ? iter_result(from, done) : err;
}

static uint32_t pipe_poll(struct file *f, struct poll_table *pt) {
    struct pipe *p = pipe_of(f->inode);
    uint32_t events = 0;
    if (file_is_readable(f)) {
        poll_wait(pt, f, &p->readable);
        if (pipe_has_bytes(p))
            events |= POLLIN | POLLRDNORM;
        if (pipe_has_ended(p))
            events |= POLLHUP;
    }
    if (file_is_writable(f)) {
        poll_wait(pt, f, &p->writable);
        if (pipe_has_room(p, PIPE_BUF_SIZE))
            events |= POLLOUT | POLLWRNORM;
        if (!p->readers)
            events |= POLLERR;
    }
    return events;
}

static long pipe_ioctl(struct file *f, unsigned command, uintptr_t arg) {
    if (command != FIONREAD)
        return -ENOTTY;
    int waiting = (int)pipe_of(f->inode)->used;
    return copy_to_user((void *)arg, &waiting, sizeof waiting);
}

/* Also when /proc/self/fd/N is opened: another end of the same pipe. */
static int pipe_open(struct file *f) {
    struct pipe *p = pipe_of(f->inode);
    mutex_lock(&p->lock);
    p->readers += file_is_readable(f);
    p->writers += file_is_writable(f);
    mutex_unlock(&p->lock);
    return 0;
}

static void pipe_release(struct file *f) {
    struct pipe *p = pipe_of(f->inode);
    mutex_lock(&p->lock);
    p->readers -= file_is_readable(f);
    p->writers -= file_is_writable(f);
    mutex_unlock(&p->lock);
    wait_wake_all(&p->readable);
    wait_wake_all(&p->writable);
}

static const struct file_ops pipe_ops = {
    .read = pipe_read,
    .write = pipe_write,
    .ioctl = pipe_ioctl,
    .poll = pipe_poll,
    .release = pipe_release,
};
static const struct inode_ops pipe_inode_ops = { .open = pipe_open, .destroy = pipe_destroy };

static struct pipe *pipe_new(void) {
    struct pipe *p = kmalloc(sizeof *p);
    char **pages = kmalloc(PIPE_START_PAGES * sizeof *pages);
    if (!p || !pages) {
        kfree(p);
        kfree(pages);
        return NULL;
    }
    inode_init(&p->inode, &pipe_inode_ops, VFS_DEV_ANONYMOUS, S_IFIFO | 0600);
    p->inode.file_ops = &pipe_ops;
    mutex_init(&p->lock);
    wait_init(&p->readable);
    wait_init(&p->writable);
    wait_init(&p->turn);
    p->pages = pages;
    p->page_count = PIPE_START_PAGES;
    p->capacity = PIPE_START_PAGES * PAGE_SIZE;
    return p;
}

int pipe_create(uint32_t flags, struct file **read_end, struct file **write_end) {
    struct pipe *p = pipe_new();
    if (!p)
        return -ENOMEM;
    char name[32];
    format(name, sizeof name, "pipe:[%lu]", p->inode.number);
    struct entry *e = entry_create_anonymous(name, &p->inode);
    if (!e)
        return -ENOMEM;
    *read_end = file_create(&pipe_ops, e, flags);
    *write_end = file_create(&pipe_ops, e, flags | 1);
    /* Before any release, which counts down again. */
    p->readers = *read_end != NULL;
    p->writers = *write_end != NULL;
    if (*read_end && *write_end) {
        entry_put(e);
        return 0;
    }
    if (*read_end)
        file_put(*read_end);
    if (*write_end)
        file_put(*write_end);
    entry_put(e);
    return -ENOMEM;
}

bool file_is_pipe(const struct file *f) {
    return f->ops == &pipe_ops;
}

long pipe_capacity(struct file *f) {
    return file_is_pipe(f) ? (long)pipe_of(f->inode)->capacity : -EBADF;
}

/* All bytes of the ring into another one, from its start on; they fit.  0 or -ENOMEM. */
static int copy_ring(struct pipe *p, char **pages) {
    for (size_t done = 0, n; done < p->used; done += n) {
        char **page = &pages[done / PAGE_SIZE];
        if (!*page)
            *page = kmalloc_uncleared(PAGE_SIZE);
        if (!*page)
            return -ENOMEM;
        n = MIN(p->used - done, PAGE_SIZE - done % PAGE_SIZE);
        const char *from = pipe_ring_at(p, p->tail + done, &n);
        memcpy(*page + done % PAGE_SIZE, from, n);
    }
    return 0;
}

/* Locks the pipe while no splice has a part of the ring.  0 or -EINTR. */
static int lock_capacity(struct pipe *p) {
    for (;;) {
        mutex_lock(&p->lock);
        if (!p->filling && !p->draining)
            return 0;
        mutex_unlock(&p->lock);
        int err = wait_until(&p->turn, !p->filling && !p->draining, TIME_NEVER, true);
        if (err)
            return err;
    }
}

long pipe_set_capacity(struct file *f, size_t bytes) {
    if (!file_is_pipe(f))
        return -EBADF;
    struct pipe *p = pipe_of(f->inode);
    uint32_t count = 1;
    int err;
    while ((size_t)count * PAGE_SIZE < bytes && count <= PIPE_MOST_PAGES)
        count *= 2;
    if (count > PIPE_MOST_PAGES)
        return bytes > INT32_MAX ? -EINVAL : -EPERM;
    char **pages = kmalloc(count * sizeof *pages);
    if (!pages)
        return -ENOMEM;
    err = lock_capacity(p);
    if (err) {
        kfree(pages);
        return err;
    }
    err = p->used > (size_t)count * PAGE_SIZE ? -EBUSY : copy_ring(p, pages);
    if (err) {
        mutex_unlock(&p->lock);
        free_ring(pages, count);
        return err;
    }
    char **old = p->pages;
    uint32_t old_count = p->page_count;
    p->pages = pages;
    p->page_count = count;
    p->head = p->used;
    p->tail = 0;
    p->capacity = (size_t)count * PAGE_SIZE;
    mutex_unlock(&p->lock);
    free_ring(old, old_count);
    wait_wake_all(&p->writable);
    return (long)count * (long)PAGE_SIZE;
}
