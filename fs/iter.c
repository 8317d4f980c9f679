/* SPDX-License-Identifier: MIT */
/* Moves bytes between the kernel and the buffers of a read or write. */
#include "fs/iter.h"

#include "arch/x86_64/uaccess.h"
#include "base/string.h"

void iter_init_user(struct iter *it, void *buffer, size_t size) {
    /* Field by field: the compiler would clear the whole with a string instruction first. */
    it->only.base = buffer;
    it->only.size = size;
    it->parts = &it->only;
    it->part_count = 1;
    it->offset = 0;
    it->left = size;
    it->user = true;
    it->faulted = false;
}

void iter_init_kernel(struct iter *it, void *buffer, size_t size) {
    iter_init_user(it, buffer, size);
    it->user = false;
}

void iter_init_parts(struct iter *it, const struct iter_part *parts, size_t count, size_t total) {
    *it = (struct iter){ .parts = parts, .part_count = count, .left = total, .user = true };
}

/* The next contiguous stretch, at most n bytes; 0 at the end. */
static size_t iter_peek(struct iter *it, size_t n, char **at) {
    while (it->part_count && it->offset == it->parts->size) {
        it->parts++;
        it->part_count--;
        it->offset = 0;
    }
    if (!it->part_count)
        return 0;
    *at = (char *)it->parts->base + it->offset;
    return MIN(MIN(n, it->left), it->parts->size - it->offset);
}

/* One stretch; returns how many bytes were not copied. */
typedef size_t stretch_copy(char *at, void *other, size_t n, bool user);

static size_t stretch_to(char *at, void *other, size_t n, bool user) {
    if (user)
        return copy_to_user_partial(at, other, n);
    memcpy(at, other, n);
    return 0;
}

static size_t stretch_from(char *at, void *other, size_t n, bool user) {
    if (user)
        return copy_from_user_partial(other, at, n);
    memcpy(other, at, n);
    return 0;
}

/* Stretch by stretch, until n bytes are moved, the buffers end, or one cannot be reached. */
static size_t iter_move(struct iter *it, char *other, size_t n, stretch_copy *copy) {
    size_t done = 0;
    char *at;
    size_t piece;
    while (done < n && !it->faulted && (piece = iter_peek(it, n - done, &at)) > 0) {
        size_t missing = copy(at, other + done, piece, it->user);
        it->faulted = missing > 0;
        piece -= missing;
        it->offset += piece;
        it->left -= piece;
        done += piece;
    }
    return done;
}

/* Whether all that is left lies in one buffer of the program's: nearly always. */
static inline bool is_simple(const struct iter *it) {
    return likely(it->part_count == 1 && it->user && !it->faulted);
}

/* The next bytes of a simple one. */
static inline char *simple_at(const struct iter *it) {
    return (char *)it->parts->base + it->offset;
}

/* `missing` of n bytes could not be copied. */
static inline size_t simple_moved(struct iter *it, size_t n, size_t missing) {
    it->faulted = missing > 0;
    it->offset += n - missing;
    it->left -= n - missing;
    return n - missing;
}

size_t iter_to(struct iter *it, const void *from, size_t n) {
    if (is_simple(it)) {
        n = MIN(n, it->left);
        return simple_moved(it, n, copy_to_user_partial(simple_at(it), from, n));
    }
    union {
        const void *constant;
        char *plain;
    } other = { .constant = from }; /* stretch_to only reads it */
    return iter_move(it, other.plain, n, stretch_to);
}

size_t iter_from(struct iter *it, void *to, size_t n) {
    if (is_simple(it)) {
        n = MIN(n, it->left);
        return simple_moved(it, n, copy_from_user_partial(to, simple_at(it), n));
    }
    return iter_move(it, to, n, stretch_from);
}

size_t iter_zero(struct iter *it, size_t n) {
    static const char zeros[PAGE_SIZE] __attribute__((aligned(4096)));
    size_t done = 0;
    while (done < n) {
        size_t piece = iter_to(it, zeros, MIN(n - done, sizeof zeros));
        if (!piece)
            break;
        done += piece;
    }
    return done;
}

size_t iter_skip(struct iter *it, size_t n) {
    size_t done = 0;
    char *at;
    size_t piece;
    while (done < n && (piece = iter_peek(it, n - done, &at)) > 0) {
        it->offset += piece;
        it->left -= piece;
        done += piece;
    }
    return done;
}
