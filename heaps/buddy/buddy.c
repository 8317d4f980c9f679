/* SPDX-License-Identifier: MIT */
/*
 * The buddy heap's malloc family: takes the lock, picks an arena's block or a
 * mapping of its own, and keeps system calls for large blocks outside the lock.
 */
#include "heaps/buddy/buddy_impl.h"
#include "heaps/pages.h"

#include <errno.h>
#include <string.h>

#define BUDDY_STRING2(name) #name
#define BUDDY_STRING(name)  BUDDY_STRING2(name)

struct buddy_state buddy_state = { .lock = HEAP_LOCK_INITIALIZER };

static const char misuse[] = "double free, or a pointer that is no block:";

/* Whole pages; one at least. */
static size_t page_round(size_t bytes) {
    return bytes ? (bytes + HEAP_PAGE - 1) & ~(HEAP_PAGE - 1) : HEAP_PAGE;
}

/* A mapping of its own.  Called without the lock. */
static void *alloc_large(size_t bytes, size_t align) {
    void *block = NULL;
    size_t rounded = page_round(bytes);

    if (bytes <= HEAP_MAX_REQUEST) {
        block = heap_map_pages(rounded, align > HEAP_PAGE ? align : HEAP_PAGE);
    }
    if (!block) {
        return heap_no_memory();
    }
    heap_lock(&buddy_state.lock);
    bool entered = large_put(block, rounded);
    buddy_state.requested += entered ? bytes : 0;
    heap_unlock(&buddy_state.lock);
    if (!entered) {
        heap_unmap_pages(block, rounded);
        return heap_no_memory();
    }
    return block;
}

static void *alloc(size_t bytes, size_t align) {
    void *block = NULL;

    if (bytes <= LARGE_BYTES && align <= ARENA_ALIGN) {
        heap_lock(&buddy_state.lock);
        block = arena_alloc(bytes, align);
        buddy_state.requested += block ? bytes : 0;
        heap_unlock(&buddy_state.lock);
        /* No room for an arena, but there may be for a few pages. */
        if (!block && bytes < HEAP_PAGE) {
            return heap_no_memory();
        }
    }
    return block ? block : alloc_large(bytes, align);
}

void *BUDDY_FN(malloc)(size_t bytes) {
    return alloc(bytes, 1);
}

void *BUDDY_FN(aligned_alloc)(size_t align, size_t bytes) {
    return alloc(bytes, align);
}

void BUDDY_FN(free)(void *block) {
    if (!block) {
        return;
    }
    heap_lock(&buddy_state.lock);
    bool freed = arena_free(block);
    size_t large = freed ? 0 : large_take(block);
    heap_unlock(&buddy_state.lock);
    if (large) {
        heap_unmap_pages(block, large);
    } else if (!freed) {
        heap_misuse(BUDDY_STRING(BUDDY_HEAP), misuse, block);
    }
}

void *BUDDY_FN(calloc)(size_t count, size_t bytes) {
    size_t total;

    if (__builtin_mul_overflow(count, bytes, &total)) {
        return heap_no_memory();
    }
    void *block = alloc(total, 1);
    if (block && total <= LARGE_BYTES) {
        memset(block, 0, total); /* a larger one is fresh from the system */
    }
    return block;
}

size_t BUDDY_FN(usable_size)(void *block) {
    heap_lock(&buddy_state.lock);
    size_t bytes = arena_block_bytes(block);
    if (!bytes) {
        bytes = large_bytes(block);
    }
    heap_unlock(&buddy_state.lock);
    if (!bytes && block) {
        heap_misuse(BUDDY_STRING(BUDDY_HEAP), "size of a pointer that is no block:", block);
    }
    return bytes;
}

/*
 * Resizes a mapping of its own, perhaps moved; NULL: it cannot be.  Under the
 * lock: table and mapping must change as one, since the old address may be
 * mapped anew by another thread as soon as it is free.
 */
static void *resize_large(void *block, size_t bytes) {
    size_t rounded = page_round(bytes);

    heap_lock(&buddy_state.lock);
    size_t old = large_bytes(block);
    void *moved = old ? heap_resize_pages(block, old, rounded) : NULL;
    if (moved) {
        large_take(block);
        /* Cannot fail: the slot just left is there. */
        bool entered = large_put(moved, rounded);
        (void)entered;
        buddy_state.requested += bytes;
    }
    heap_unlock(&buddy_state.lock);
    return moved;
}

void *BUDDY_FN(realloc)(void *block, size_t bytes) {
    if (!block) {
        return alloc(bytes, 1);
    }
    if (bytes > HEAP_MAX_REQUEST) {
        return heap_no_memory();
    }
    heap_lock(&buddy_state.lock);
    size_t old = arena_block_bytes(block);
    size_t large = old ? 0 : large_bytes(block);
    bool fits = bytes <= old && old - bytes < HEAP_PAGE &&
                (bytes > old / 2 || old == (size_t)1 << MIN_ORDER);
    if (fits || (old && bytes <= LARGE_BYTES && arena_resize(block, bytes))) {
        buddy_state.requested += bytes;
        heap_unlock(&buddy_state.lock);
        return block;
    }
    heap_unlock(&buddy_state.lock);
    if (!old && !large) {
        heap_misuse(BUDDY_STRING(BUDDY_HEAP), misuse, block);
    }
    if (large && bytes > LARGE_BYTES) {
        void *moved = resize_large(block, bytes);
        return moved ? moved : heap_no_memory();
    }
    void *copy = alloc(bytes, 1);
    if (copy) {
        old += large;
        memcpy(copy, block, bytes < old ? bytes : old);
        BUDDY_FN(free)(block);
    } else if (bytes <= old + large) {
        return block; /* shrinking never fails */
    }
    return copy;
}

void BUDDY_FN(stats)(struct mimosa_heap_stats *stats) {
    heap_lock(&buddy_state.lock);
    stats->requested = buddy_state.requested;
    stats->live = buddy_state.live;
    stats->committed = buddy_state.committed;
    stats->peak = buddy_state.peak;
    heap_unlock(&buddy_state.lock);
}

static void fork_prepare(void) {
    heap_lock(&buddy_state.lock);
}

static void fork_parent(void) {
    heap_unlock(&buddy_state.lock);
}

static void fork_child(void) {
    heap_lock_reset(&buddy_state.lock);
}

const struct heap BUDDY_JOIN(heap_, BUDDY_NAME, ) = {
    .name = BUDDY_STRING(BUDDY_HEAP),
    .malloc = BUDDY_FN(malloc),
    .free = BUDDY_FN(free),
    .calloc = BUDDY_FN(calloc),
    .realloc = BUDDY_FN(realloc),
    .aligned_alloc = BUDDY_FN(aligned_alloc),
    .usable_size = BUDDY_FN(usable_size),
    .stats = BUDDY_FN(stats),
    .fork_prepare = fork_prepare,
    .fork_parent = fork_parent,
    .fork_child = fork_child,
};
