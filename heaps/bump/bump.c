/* SPDX-License-Identifier: MIT */
/*
 * The bump heap: malloc moves a pointer, free does nothing.  The floor that
 * the lab measures the others against, not a heap to ship.
 *
 * The data.  BUMP_SHARDS shards on cache lines of their own; a thread keeps to
 * one, dealt round robin, so the first so many of a process share nothing.  A shard is
 * one word: the address of the next free byte of its chunk.  Chunks are 1 MiB,
 * aligned to it, so the word alone tells where its chunk ends; 0 means none.
 * Each block has a header of 16 bytes before it: usable size, and a mark.
 *
 * The protocol, lock-free but for new chunks: compare-and-swap the word from
 * `next` to `next + bytes`, provided both lie in one chunk.  A chunk is never
 * given back, so a word never takes an old value again (no ABA).  A new chunk
 * is mapped by whoever finds the old one too small and published by the same
 * compare-and-swap; who loses the race unmaps his.  (Rejected: fetch-and-add.
 * Losers would run past the end and have to be waited for.)  All atomics here are
 * relaxed: an address from the word leads to fresh pages, and a counter is a
 * number by itself; no data of another thread lies behind either.
 *
 * Requests above a quarter chunk are mapped alone.  realloc grows in place
 * where the block is the last of its chunk, and with mremap where it has its
 * own mapping.  The mark makes a second free an error instead of a silence.
 *
 * Statistics: committed and peak are exact, counted at each mapping.  Requested
 * and live are counted in the caller's shard, and exact as long as no two
 * threads share one; beyond that, a count may be lost.
 */
#include "heaps/heap.h"
#include "heaps/pages.h"

#include <stdatomic.h>
#include <string.h>

#define BUMP_SHARDS 64u
#define CHUNK       ((size_t)1 << 20)
#define ALONE       (CHUNK / 4)

#define MARK_USED 0x6d75622d64657375u
#define MARK_FREE 0x6d75622d65657266u

struct header {
    size_t bytes; /* usable */
    uint64_t mark;
};

struct shard {
    _Alignas(64) _Atomic uintptr_t next;
    _Atomic uint64_t requested, live;
};

static struct shard shards[BUMP_SHARDS];
static _Atomic unsigned threads;
static _Atomic uint64_t committed; /* = peak: nothing is given back */
static __thread unsigned my_shard __attribute__((tls_model("initial-exec"))); /* 0: not dealt yet */

static struct shard *shard_get(void) {
    if (!my_shard) {
        my_shard = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % BUMP_SHARDS + 1;
    }
    return &shards[my_shard - 1];
}

static struct header *header_of(const void *block) {
    return (struct header *)(uintptr_t)block - 1;
}

/* A load and a store, not one step: a locked instruction would cost more than malloc. */
static void add(_Atomic uint64_t *to, uint64_t what) {
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + what,
                          memory_order_relaxed);
}

static void count(struct shard *shard, size_t requested, int64_t live) {
    add(&shard->requested, requested);
    add(&shard->live, (uint64_t)live);
}

static void *block_make(struct shard *shard, uintptr_t block, size_t usable, size_t requested) {
    *header_of((void *)block) = (struct header){ usable, MARK_USED };
    count(shard, requested, (int64_t)usable);
    return (void *)block;
}

/* A mapping for one block; its header lies right before it. */
static void *alloc_alone(struct shard *shard, size_t align, size_t bytes) {
    /* The block starts `align` into the mapping: one page is enough up to that. */
    size_t lead = align > HEAP_PAGE ? align : HEAP_PAGE;
    size_t room;

    if (__builtin_add_overflow(bytes, lead + HEAP_PAGE - 1, &room) || room > HEAP_MAX_REQUEST) {
        return heap_no_memory();
    }
    room &= ~(HEAP_PAGE - 1);
    char *pages = heap_map_pages(room, lead);
    if (!pages) {
        return heap_no_memory();
    }
    if (lead > HEAP_PAGE) { /* all but the page of the header is not needed */
        heap_unmap_pages(pages, lead - HEAP_PAGE);
    }
    atomic_fetch_add_explicit(&committed, room - lead + HEAP_PAGE, memory_order_relaxed);
    return block_make(shard, (uintptr_t)pages + lead, room - lead, bytes);
}

/* Replaces a shard's chunk, last seen as `old`.  False: no memory. */
static bool chunk_renew(struct shard *shard, uintptr_t old) {
    char *chunk = heap_map_pages(CHUNK, CHUNK);

    if (!chunk) {
        return false;
    }
    if (atomic_compare_exchange_strong_explicit(&shard->next, &old, (uintptr_t)chunk,
                                                memory_order_relaxed, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&committed, CHUNK, memory_order_relaxed);
    } else {
        heap_unmap_pages(chunk, CHUNK); /* another thread brought one */
    }
    return true;
}

static bool same_chunk(uintptr_t first, uintptr_t last) {
    return !((first ^ last) & ~(CHUNK - 1));
}

static void *alloc(size_t align, size_t bytes) {
    struct shard *shard = shard_get();
    size_t usable = (bytes + HEAP_MIN_ALIGN - 1) & ~(HEAP_MIN_ALIGN - 1);

    if (bytes > ALONE || align > ALONE) {
        return alloc_alone(shard, align, bytes);
    }
    usable = usable ? usable : HEAP_MIN_ALIGN;
    for (;;) {
        uintptr_t next = atomic_load_explicit(&shard->next, memory_order_relaxed);
        uintptr_t block = (next + sizeof(struct header) + align - 1) & -align;
        /* A chunk's last 16 bytes stay unused: `next` never reaches the next chunk. */
        if (next && same_chunk(next, block + usable)) {
            if (atomic_compare_exchange_weak_explicit(&shard->next, &next, block + usable,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                return block_make(shard, block, usable, bytes);
            }
        } else if (!chunk_renew(shard, next)) {
            return heap_no_memory();
        }
    }
}

void *heap_bump_malloc(size_t bytes) {
    return alloc(HEAP_MIN_ALIGN, bytes);
}

void *heap_bump_aligned_alloc(size_t align, size_t bytes) {
    return alloc(align > HEAP_MIN_ALIGN ? align : HEAP_MIN_ALIGN, bytes);
}

void heap_bump_free(void *block) {
    if (!block) {
        return;
    }
    struct header *header = header_of(block);
    if (header->mark != MARK_USED) {
        heap_misuse("bump", "double free, or a pointer that is no block:", block);
    }
    header->mark = MARK_FREE;
    count(shard_get(), 0, -(int64_t)header->bytes);
}

/* Memory is handed out once only, fresh from the system: it is zero. */
void *heap_bump_calloc(size_t number, size_t bytes) {
    size_t total;

    if (__builtin_mul_overflow(number, bytes, &total)) {
        return heap_no_memory();
    }
    return alloc(HEAP_MIN_ALIGN, total);
}

size_t heap_bump_usable_size(void *block) {
    return block ? header_of(block)->bytes : 0;
}

/* Grows a block that ends where its chunk's free part begins. */
static bool grow_last(void *block, size_t bytes) {
    struct shard *shard = shard_get();
    struct header *header = header_of(block);
    uintptr_t end = (uintptr_t)block + header->bytes;
    size_t usable = (bytes + HEAP_MIN_ALIGN - 1) & ~(HEAP_MIN_ALIGN - 1);

    if (bytes > ALONE || !same_chunk(end, (uintptr_t)block + usable) ||
        !atomic_compare_exchange_strong_explicit(&shard->next, &end, (uintptr_t)block + usable,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        return false;
    }
    count(shard, bytes, (int64_t)(usable - header->bytes));
    header->bytes = usable;
    return true;
}

/* Grows a mapping of its own; NULL where it cannot. */
static void *grow_alone(void *block, size_t bytes) {
    size_t old = header_of(block)->bytes;
    size_t usable;

    if (__builtin_add_overflow(bytes, HEAP_PAGE - 1, &usable) || usable > HEAP_MAX_REQUEST / 2) {
        return NULL;
    }
    usable &= ~(HEAP_PAGE - 1);
    char *pages = heap_resize_pages((char *)block - HEAP_PAGE, old + HEAP_PAGE, usable + HEAP_PAGE);
    if (!pages) {
        return NULL;
    }
    block = pages + HEAP_PAGE;
    header_of(block)->bytes = usable;
    count(shard_get(), bytes, (int64_t)(usable - old));
    atomic_fetch_add_explicit(&committed, usable - old, memory_order_relaxed);
    return block;
}

void *heap_bump_realloc(void *block, size_t bytes) {
    if (!block) {
        return alloc(HEAP_MIN_ALIGN, bytes);
    }
    struct header *header = header_of(block);
    if (header->mark != MARK_USED) {
        heap_misuse("bump", "realloc of a freed block, or of none:", block);
    }
    if (bytes <= header->bytes || grow_last(block, bytes)) {
        return block;
    }
    if (header->bytes > ALONE) {
        void *grown = grow_alone(block, bytes);
        return grown ? grown : heap_no_memory();
    }
    void *copy = alloc(HEAP_MIN_ALIGN, bytes);
    if (copy) {
        memcpy(copy, block, header->bytes);
        heap_bump_free(block);
    }
    return copy;
}

void heap_bump_stats(struct mimosa_heap_stats *stats) {
    *stats = (struct mimosa_heap_stats){ 0 };
    for (unsigned i = 0; i < BUMP_SHARDS; i++) {
        stats->requested += atomic_load_explicit(&shards[i].requested, memory_order_relaxed);
        stats->live += atomic_load_explicit(&shards[i].live, memory_order_relaxed);
    }
    stats->committed = atomic_load_explicit(&committed, memory_order_relaxed);
    stats->peak = stats->committed;
}

const struct heap heap_bump = {
    .name = "bump",
    .malloc = heap_bump_malloc,
    .free = heap_bump_free,
    .calloc = heap_bump_calloc,
    .realloc = heap_bump_realloc,
    .aligned_alloc = heap_bump_aligned_alloc,
    .usable_size = heap_bump_usable_size,
    .stats = heap_bump_stats,
};
