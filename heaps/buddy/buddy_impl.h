/* SPDX-License-Identifier: MIT */
/*
 * Private to heaps/buddy: the arena, and what buddy.c (the malloc family)
 * asks of arena.c (blocks) and large.c (requests too large for an arena).
 *
 * The folder is compiled twice: BUDDY_MIN_ORDER 5 makes `buddy`, 12 makes
 * `buddy-page`.  BUDDY_NAME (buddy, buddy_page) keeps their symbols apart.
 */
#ifndef HEAPS_BUDDY_IMPL_H
#define HEAPS_BUDDY_IMPL_H

#include "heaps/heap.h"
#include "heaps/lock.h"

#define BUDDY_JOIN2(a, b, c) a##b##c
#define BUDDY_JOIN(a, b, c)  BUDDY_JOIN2(a, b, c)
#define BUDDY_FN(verb)       BUDDY_JOIN(heap_, BUDDY_NAME, _##verb)

#define arena_alloc       BUDDY_FN(arena_alloc)
#define arena_free        BUDDY_FN(arena_free)
#define arena_block_bytes BUDDY_FN(arena_block_bytes)
#define arena_resize      BUDDY_FN(arena_resize)
#define large_take        BUDDY_FN(large_take)
#define large_put         BUDDY_FN(large_put)
#define large_bytes       BUDDY_FN(large_bytes)
#define buddy_state       BUDDY_FN(state)

#define MIN_ORDER       BUDDY_MIN_ORDER
#define PAGE_ORDER      12
#define MAX_ORDER       25                /* 32 MiB: the largest arena */
#define MIN_ARENA_ORDER 20                /* 1 MiB: the smallest, when memory is short */
#define ARENA_ALIGN     ((size_t)1 << 21) /* so that arenas can have huge pages */
#define LARGE_BYTES     ((size_t)1 << 24) /* requests above have a mapping of their own */

struct block_link; /* threads a free block into its list; lies in the block */

struct buddy_state {
    struct heap_lock lock;                  /* guards everything here, arenas and tables included */
    struct block_link *free[MAX_ORDER + 1]; /* by order; doubly linked, newest first */
    uint64_t free_orders;                   /* bit n: free[n] is not empty */
    uint64_t requested, live, committed, peak;
    size_t dirty_free; /* bytes in free granules that hold memory (arena.c) */
};

extern struct buddy_state buddy_state;

/* All of these: the lock is held.  Sizes in bytes; NULL or 0: cannot. */

/* A block of at least `bytes` (up to LARGE_BYTES), aligned to `align` (up to ARENA_ALIGN). */
void *arena_alloc(size_t bytes, size_t align);

/* Frees a block of an arena; false if `block` is none that is allocated. */
bool arena_free(void *block);

/* The usable size of an allocated block of an arena, or 0 if it is none. */
size_t arena_block_bytes(void *block);

/* Makes an allocated block hold `bytes` where it lies; false if it cannot. */
bool arena_resize(void *block, size_t bytes);

/* The size of the large block at `block`, or 0 if there is none. */
size_t large_bytes(void *block);

/* Takes a large block out of the table (its mapping stays); its size, or 0. */
size_t large_take(void *block);

/* Enters a mapping into the table; false when there is no memory for the table. */
bool large_put(void *block, size_t bytes);

/* Notes that `bytes` more (or fewer) of the system's memory are held. */
static inline void buddy_commit(struct buddy_state *state, int64_t bytes) {
    state->committed += (uint64_t)bytes;
    if (state->committed > state->peak) {
        state->peak = state->committed;
    }
}

#endif
