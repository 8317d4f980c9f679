/* SPDX-License-Identifier: MIT */
/* What pipe.c and pipe_splice.c share; the theory is in pipe.c. */
#ifndef FS_PIPE_IMPL_H
#define FS_PIPE_IMPL_H

#include "fs/pipe.h"
#include "fs/vfs.h"

struct pipe {
    struct inode inode;
    struct mutex lock;   /* guards what follows, down to the blank line */
    char **pages;        /* `page_count`; NULL: not needed so far */
    uint32_t page_count; /* a power of two */
    uint64_t head, tail; /* bytes ever written and read; head - tail == used */
    _Atomic(size_t) used, capacity;
    _Atomic(size_t) promised; /* room that is kept for splices which read something else */
    _Atomic(size_t) taken;    /* bytes before `tail` that splices may put back */
    _Atomic(uint32_t) readers, writers;

    struct wait_queue readable, writable;
};

static inline struct pipe *pipe_of(struct inode *i) {
    return container_of(i, struct pipe, inode);
}

/* Bytes that may be written.  Without the lock out of date at once. */
static inline size_t pipe_room(const struct pipe *p) {
    size_t held = p->used + p->promised + p->taken;
    return held < p->capacity ? p->capacity - held : 0;
}

/* Whether a reader who finds nothing is at the end. */
static inline bool pipe_has_ended(const struct pipe *p) {
    return p->writers == 0 && p->taken == 0;
}

/* The rest is under the lock. */
/* The ring's bytes from `at` up to the end of its page, `*n` at most; NULL without memory. */
char *pipe_ring_at(struct pipe *p, uint64_t at, size_t *n);
/* Copies up to `most` bytes from the front, which stay there; how many. */
size_t pipe_ring_look(struct pipe *p, struct iter *to, size_t most);
/* Takes what `to` has room for; how many. */
size_t pipe_ring_take(struct pipe *p, struct iter *to);
/* Puts in up to `most` bytes, and as many as there is room for; -ENOMEM where not even the first
 * page can be had. */
long pipe_ring_put(struct pipe *p, struct iter *from, size_t most);

#endif
