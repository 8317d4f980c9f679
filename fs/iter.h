/* SPDX-License-Identifier: MIT */
/*
 * Where the bytes of a read go to or those of a write come from: one buffer or
 * a vector of them, in the program's memory or in the kernel's.
 *
 * iter_to and iter_from move forward and may stop early, at the end of the
 * buffers or at a page of the program that cannot be reached; `faulted` tells
 * the two apart.  A caller that has moved some bytes returns their count, one
 * that has moved none and sees `faulted` returns -EFAULT: iter_result().
 *
 * Context: thread, no spinlock held (a copy may fault and sleep).
 */
#ifndef FS_ITER_H
#define FS_ITER_H

#include "base/types.h"

#define ITER_EFAULT 14

/* Linux's struct iovec. */
struct iter_part {
    void *base;
    size_t size;
};

struct iter {
    const struct iter_part *parts; /* kernel memory; the owner keeps it alive */
    size_t part_count;
    size_t offset;         /* within the first of `parts` */
    size_t left;           /* bytes until the end of all parts */
    struct iter_part only; /* the vector when there is but one buffer */
    bool user;             /* the buffers are the program's */
    bool faulted;
};

/* One buffer of the program, or one of the kernel. `it` must not be moved afterwards. */
void iter_init_user(struct iter *it, void *buffer, size_t size);
void iter_init_kernel(struct iter *it, void *buffer, size_t size);
/* A vector of the program's buffers; `parts` is a checked kernel copy, `total` their sum. */
void iter_init_parts(struct iter *it, const struct iter_part *parts, size_t count, size_t total);

/* Copies up to n bytes from `from` into the buffers; returns how many. */
size_t iter_to(struct iter *it, const void *from, size_t n);
/* Copies up to n bytes out of the buffers to `to`; returns how many. */
size_t iter_from(struct iter *it, void *to, size_t n);
/* Puts up to n zero bytes into the buffers; returns how many. */
size_t iter_zero(struct iter *it, size_t n);
/* Passes over up to n bytes without touching them. */
size_t iter_skip(struct iter *it, size_t n);

/* What a read or write returns that has moved `done` bytes. */
static inline long iter_result(const struct iter *it, size_t done) {
    return done || !it->faulted ? (long)done : -ITER_EFAULT;
}

#endif
