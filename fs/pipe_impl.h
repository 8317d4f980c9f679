/* SPDX-License-Identifier: MIT */
/* What pipe.c and pipe_splice.c share; how it works is said there. */
#ifndef FS_PIPE_IMPL_H
#define FS_PIPE_IMPL_H

#include "fs/pipe.h"
#include "fs/vfs.h"

struct pipe {
    struct inode inode;
    struct mutex lock;   /* guards what follows, down to the blank line */
    char **pages;        /* `page_count`; NULL: not needed so far */
    uint32_t page_count; /* a power of two */
    uint64_t head, tail; /* where bytes are written and read; head - tail == used */
    size_t promised;     /* room behind `head` that a splice will fill; its pages are there */
    _Atomic(size_t) used, capacity;
    _Atomic(size_t) held; /* used, promised, and what a splice has taken: no room for others */
    _Atomic(uint32_t) readers, writers;
    atomic_bool filling;  /* a splice has room promised */
    atomic_bool draining; /* a splice has taken bytes, which it may put back */

    /* Somebody has looked in vain for bytes, or for room, since this was last asked. */
    atomic_bool missed_bytes, missed_room;
    struct wait_queue readable, writable;
    struct wait_queue turn; /* of splices, and of who changes the capacity */
};

static inline struct pipe *pipe_of(struct inode *i) {
    return container_of(i, struct pipe, inode);
}

static inline size_t pipe_room(const struct pipe *p) {
    return p->capacity - p->held;
}

/* Whether there is something to read; with the lock, or for who is going to wait. */
static inline bool pipe_has_bytes(struct pipe *p) {
    if (p->used && !p->draining)
        return true;
    p->missed_bytes = true; /* before the last look: pipe_settle() asks after it */
    return p->used && !p->draining;
}

/* The same of room for `least` bytes. */
static inline bool pipe_has_room(struct pipe *p, size_t least) {
    if (pipe_room(p) >= least)
        return true;
    p->missed_room = true;
    return pipe_room(p) >= least;
}

/* Whether there will be nothing more, where there is nothing now. */
static inline bool pipe_has_ended(struct pipe *p) {
    if (p->writers)
        return false;
    if (!p->draining)
        return true;
    p->missed_bytes = true; /* he misses the end */
    return !p->draining;
}

/* The rest is under the lock. */
/* The ring's bytes from `at` up to the end of its page, `*n` at most; NULL without memory. */
char *pipe_ring_at(struct pipe *p, uint64_t at, size_t *n);
/* Whether the pages of the next `n` bytes behind `head` are there now. */
bool pipe_ring_extend(struct pipe *p, size_t n);
/* Copies up to `most` bytes from the front, which stay there; how many. */
size_t pipe_ring_look(struct pipe *p, struct iter *to, size_t most);
/* Takes what `to` has room for off the ring, but not off `held`; how many. */
size_t pipe_ring_take(struct pipe *p, struct iter *to);
/* So many bytes are gone for good. */
void pipe_ring_free(struct pipe *p, size_t n);
/* Puts in up to `most` bytes, and as many as there is room for; -ENOMEM where not even the first
 * can be had. */
long pipe_ring_put(struct pipe *p, struct iter *from, size_t most);

#endif
