/* SPDX-License-Identifier: MIT */
/*
 * Pipes as splice(2) sees them: what it has promised and taken.
 *
 * A splice copies through a buffer of its own and may wait for the other side,
 * without the pipe's mutex.  Both ways it holds room of the ring meanwhile:
 *
 *   promised  for what it is going to put in.  Every page of the ring is there
 *             from then on, so that it cannot fail for memory afterwards.
 *   taken     for what it may have to put back, just before `tail`.  Writers
 *             count it as used, so the bytes that come back find their place free
 *             whoever has read or written since.  A reader is not at the end
 *             while there is some of it.
 *
 * The capacity does not change while there is either.
 */
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include "base/string.h"
#include "fs/pipe_impl.h"

/* Whether each page of the ring is there now.  Under the lock. */
static bool complete_ring(struct pipe *p) {
    for (unsigned n = 0; n < p->page_count; n++) {
        size_t whole = PAGE_SIZE;
        if (!pipe_ring_at(p, (uint64_t)n * PAGE_SIZE, &whole))
            return false;
    }
    return true;
}

static void wake_readers(struct pipe *p) {
    wait_wake_events(&p->readable, POLLIN | POLLRDNORM);
}

static void wake_writers(struct pipe *p) {
    wait_wake_events(&p->writable, POLLOUT | POLLWRNORM);
}

long pipe_promise(struct file *f, size_t most, bool nonblocking) {
    struct pipe *p = pipe_of(f->inode);
    for (;;) {
        mutex_lock(&p->lock);
        long n = p->readers ? (long)MIN(most, pipe_room(p)) : -EPIPE;
        if (n > 0 && !complete_ring(p))
            n = -ENOMEM;
        if (n > 0)
            p->promised += (size_t)n;
        mutex_unlock(&p->lock);
        if (n)
            return n;
        if (nonblocking)
            return -EAGAIN;
        int err = wait_until(&p->writable, pipe_room(p) || !p->readers, TIME_NEVER, true);
        if (err)
            return err;
    }
}

void pipe_keep(struct file *f, size_t promised, void *bytes, size_t n) {
    struct pipe *p = pipe_of(f->inode);
    struct iter from;
    iter_init_kernel(&from, bytes, n);
    mutex_lock(&p->lock);
    p->promised -= promised;
    long put = n ? pipe_ring_put(p, &from, n) : 0;
    assert(put == (long)n);
    mutex_unlock(&p->lock);
    if (n)
        wake_readers(p);
    if (n < promised)
        wake_writers(p);
}

/* Both of the next two.  `leave`: the bytes stay. */
static long look_or_take(struct pipe *p, void *to, size_t most, bool nonblocking, bool leave) {
    for (;;) {
        struct iter it;
        iter_init_kernel(&it, to, most);
        mutex_lock(&p->lock);
        bool ended = pipe_has_ended(p);
        size_t n = leave ? pipe_ring_look(p, &it, most) : pipe_ring_take(p, &it);
        if (!leave)
            p->taken += n;
        mutex_unlock(&p->lock);
        if (n || ended)
            return (long)n;
        if (nonblocking)
            return -EAGAIN;
        int err = wait_until(&p->readable, p->used > 0 || pipe_has_ended(p), TIME_NEVER, true);
        if (err)
            return err;
    }
}

long pipe_take(struct file *f, void *to, size_t most, bool nonblocking) {
    return look_or_take(pipe_of(f->inode), to, most, nonblocking, false);
}

long pipe_look(struct file *f, void *to, size_t most, bool nonblocking) {
    return look_or_take(pipe_of(f->inode), to, most, nonblocking, true);
}

/* Puts bytes in before the front.  Under the lock. */
static void put_back(struct pipe *p, const char *bytes, size_t n) {
    p->tail -= n;
    p->used += n;
    for (size_t done = 0, part; done < n; done += part) {
        part = n - done;
        char *to = pipe_ring_at(p, p->tail + done, &part); /* it came from this page */
        memcpy(to, bytes + done, part);
    }
}

void pipe_settle(struct file *f, const char *taken, size_t size, size_t done) {
    struct pipe *p = pipe_of(f->inode);
    mutex_lock(&p->lock);
    p->taken -= size;
    if (done < size)
        put_back(p, taken + done, size - done);
    bool some = p->used > 0 || pipe_has_ended(p);
    mutex_unlock(&p->lock);
    if (some)
        wake_readers(p);
    if (done)
        wake_writers(p);
}
