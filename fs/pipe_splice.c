/* SPDX-License-Identifier: MIT */
/*
 * Pipes as splice(2) sees them: what it is promised and what it takes.
 *
 * A splice copies through a buffer of its own and may wait for the other side,
 * without the pipe's mutex.  Meanwhile a part of the ring is its own:
 *
 *   promised  room for what it is going to put in.  The pages are there, so that
 *             it cannot fail for memory afterwards; who writes in between finds
 *             pages for himself and for what is promised.
 *   taken     what it may have to put back, just before `tail`, where its place
 *             stays free, since `held` counts it.
 *
 * One splice at a time fills and one drains, whatever O_NONBLOCK says: so
 * several of them keep the order of bytes (Linux keeps its mutex so long).  A
 * reader finds nothing while one drains, and is not at the end.
 *
 * What comes back unused is no event unless somebody missed it: who waits by
 * edges, and splices when he hears of one, would hear of it again for ever.
 */
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include "base/string.h"
#include "fs/pipe_impl.h"

static void wake_readers(struct pipe *p) {
    wait_wake_events(&p->readable, POLLIN | POLLRDNORM);
}

static void wake_writers(struct pipe *p) {
    wait_wake_events(&p->writable, POLLOUT | POLLWRNORM);
}

/* Under the lock: bytes, 0: none for now, or why there will be none. */
static long promise_locked(struct pipe *p, size_t least, size_t most) {
    if (!p->readers)
        return -EPIPE;
    size_t n = pipe_has_room(p, least) ? MIN(most, pipe_room(p)) : 0;
    if (n && !pipe_ring_extend(p, n))
        return -ENOMEM;
    p->promised = n;
    p->held += n;
    p->filling = n > 0;
    return (long)n;
}

long pipe_promise(struct file *f, size_t least, size_t most, bool nonblocking) {
    struct pipe *p = pipe_of(f->inode);
    for (;;) {
        mutex_lock(&p->lock);
        bool is_turn = !p->filling;
        long n = is_turn ? promise_locked(p, least, most) : 0;
        mutex_unlock(&p->lock);
        if (n)
            return n;
        if (is_turn && nonblocking)
            return -EAGAIN;
        int err = is_turn ? wait_until(&p->writable, pipe_has_room(p, least) || !p->readers,
                                       TIME_NEVER, true)
                          : wait_until(&p->turn, !p->filling, TIME_NEVER, true);
        if (err)
            return err;
    }
}

void pipe_keep(struct file *f, void *bytes, size_t n) {
    struct pipe *p = pipe_of(f->inode);
    struct iter from;
    iter_init_kernel(&from, bytes, n);
    mutex_lock(&p->lock);
    bool is_less = n < p->promised;
    p->held -= p->promised;
    p->promised = 0;
    long put = n ? pipe_ring_put(p, &from, n) : 0;
    assert(put == (long)n);
    pipe_ring_free(p, 0);
    p->filling = false;
    mutex_unlock(&p->lock);
    wait_wake_all(&p->turn);
    if (n)
        wake_readers(p);
    if (is_less && atomic_exchange(&p->missed_room, false))
        wake_writers(p);
}

/* Both of the next two.  `leave`: the bytes stay. */
static long look_or_take(struct pipe *p, void *to, size_t most, bool nonblocking, bool leave) {
    for (;;) {
        struct iter it;
        iter_init_kernel(&it, to, most);
        mutex_lock(&p->lock);
        bool is_turn = !p->draining, some = is_turn && pipe_has_bytes(p);
        bool ended = is_turn && pipe_has_ended(p);
        size_t n = !some ? 0 : leave ? pipe_ring_look(p, &it, most) : pipe_ring_take(p, &it);
        if (n && !leave)
            p->draining = true;
        mutex_unlock(&p->lock);
        if (n || ended)
            return (long)n;
        if (is_turn && nonblocking)
            return -EAGAIN;
        int err = is_turn ? wait_until(&p->readable, pipe_has_bytes(p) || pipe_has_ended(p),
                                       TIME_NEVER, true)
                          : wait_until(&p->turn, !p->draining, TIME_NEVER, true);
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
    for (size_t done = 0, part; done < n; done += part) {
        part = n - done;
        char *to = pipe_ring_at(p, p->tail + done, &part); /* it came from this page */
        memcpy(to, bytes + done, part);
    }
    p->used += n;
}

void pipe_settle(struct file *f, const char *taken, size_t size, size_t done) {
    struct pipe *p = pipe_of(f->inode);
    mutex_lock(&p->lock);
    put_back(p, taken + done, size - done);
    pipe_ring_free(p, done);
    p->draining = false;
    mutex_unlock(&p->lock);
    wait_wake_all(&p->turn);
    if (done)
        wake_writers(p);
    if (atomic_exchange(&p->missed_bytes, false))
        wait_wake_all(&p->readable); /* of its end, too */
}
