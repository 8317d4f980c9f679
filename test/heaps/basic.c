/* SPDX-License-Identifier: MIT */
/* The contract in one thread: sizes, alignments, overflow, realloc, contents. */
#include "test/heaps/contract.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_aligned(const void *block, size_t align) {
    return !((uintptr_t)block & (align - 1));
}

/* One block of `bytes`: aligned, all of it usable, its contents its own. */
static void try_size(size_t bytes) {
    void *block = t_malloc(bytes);

    CHECK(block);
    CHECK(is_aligned(block, bytes >= 16 ? 16 : 8));
    block_fill(block, bytes, (uint32_t)bytes);
    CHECK(block_holds(block, bytes, (uint32_t)bytes));
    t_free(block);
}

const char *case_sizes(void) {
    enum { HELD = 3000 };
    static unsigned char *held[HELD];

    for (size_t i = 0; i < HELD; i++) {
        held[i] = t_malloc(i);
        CHECK(held[i]);
        block_fill(held[i], i, (uint32_t)i);
    }
    for (size_t i = 0; i < HELD; i++) {
        CHECK(block_holds(held[i], i, (uint32_t)i));
    }
    CHECK(held[0] != held[1]); /* a block of no bytes is one of its own */
    for (size_t i = 0; i < HELD; i += 2) {
        t_free(held[i]);
    }
    for (size_t i = 1; i < HELD; i += 2) {
        CHECK(block_holds(held[i], i, (uint32_t)i));
        t_free(held[i]);
    }
    for (size_t bytes = 4096; bytes <= (size_t)64 << 20; bytes *= 2) {
        try_size(bytes - 1);
        try_size(bytes);
        try_size(bytes + 1);
        try_size(bytes + bytes / 2 + 17);
    }
    return PASSED;
}

static void refused(void *block) {
    CHECK(!block);
    CHECK(errno == ENOMEM);
    errno = 0;
}

const char *case_beyond(void) {
    static volatile const size_t too_large[] = {
        (size_t)PTRDIFF_MAX + 1, SIZE_MAX,      SIZE_MAX - 1,
        SIZE_MAX - 15,           SIZE_MAX - 64, SIZE_MAX - 4096,
        (size_t)1 << 62,         PTRDIFF_MAX,   (size_t)PTRDIFF_MAX - 4096,
        (size_t)1 << 48,
    };
    char *old = t_malloc(100);

    CHECK(old);
    block_fill(old, 100, 7);
    errno = 0;
    for (size_t i = 0; i < sizeof(too_large) / sizeof(too_large[0]); i++) {
        refused(t_malloc(too_large[i]));
        refused(t_calloc(1, too_large[i]));
        refused(t_calloc(too_large[i], 1));
        refused(t_realloc(old, too_large[i]));
        refused(t_realloc(NULL, too_large[i]));
#ifndef CONTRACT_TABLE /* the entries refuse these before a heap sees them */
        refused(t_aligned_alloc(64, too_large[i]));
        refused(t_aligned_alloc((size_t)1 << 32, too_large[i]));
        refused(reallocarray(old, too_large[i], 3));
#endif
    }
#ifndef CONTRACT_TABLE
    volatile size_t wild = (size_t)1 << 62;
    refused(t_aligned_alloc(wild, 1));
    wild *= 2;
    refused(t_aligned_alloc(wild, 1));
#endif
    CHECK(block_holds(old, 100, 7));
    t_free(old);
    return PASSED;
}

const char *case_align(void) {
    static const size_t sizes[] = { 0, 1, 8, 24, 100, 4095, 4096, 5000, 100000, 3000000 };
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

    for (size_t align = 1; align <= (size_t)1 << 26; align *= 2) {
        char *blocks[SIZES];
        for (size_t i = 0; i < SIZES; i++) {
            blocks[i] = t_aligned_alloc(align, sizes[i]);
            CHECK(blocks[i]);
            CHECK(is_aligned(blocks[i], align));
            CHECK(t_usable_size(blocks[i]) >= sizes[i]);
            block_fill(blocks[i], sizes[i], (uint32_t)(align + i));
        }
        for (size_t i = 0; i < SIZES; i++) {
            CHECK(block_holds(blocks[i], sizes[i], (uint32_t)(align + i)));
            char *grown = t_realloc(blocks[i], 2 * sizes[i] + 1);
            CHECK(grown && block_holds(grown, sizes[i], (uint32_t)(align + i)));
            t_free(grown);
        }
    }
    return PASSED;
}

const char *case_family(void) {
#ifdef CONTRACT_TABLE
    return "the table has no public names";
#else
    void *block = &block;
    volatile size_t odd = 3;

    errno = 77;
    free(NULL);
    CHECK(posix_memalign(&block, odd, 8) == EINVAL);
    CHECK(posix_memalign(&block, 0, 8) == EINVAL);
    CHECK(posix_memalign(&block, 4, 8) == EINVAL);
    CHECK(posix_memalign(&block, 64, PTRDIFF_MAX) == ENOMEM);
    CHECK(block == &block); /* untouched by a failure */
    CHECK(posix_memalign(&block, 4096, 10) == 0 && is_aligned(block, 4096));
    CHECK(errno == 77);
    free(block);
    CHECK(errno == 77); /* POSIX.1-2024: free keeps errno */

    errno = 0;
    CHECK(!aligned_alloc(odd, 8) && errno == EINVAL);
    errno = 0;
    CHECK(!aligned_alloc(odd - 3, 8) && errno == EINVAL);
    block = memalign(256, 10);
    CHECK(block && is_aligned(block, 256));
    free(block);
    block = valloc(10);
    CHECK(block && is_aligned(block, 4096));
    free(block);
    block = pvalloc(4097);
    CHECK(block && is_aligned(block, 4096) && malloc_usable_size(block) >= 8192);
    free(block);
    block = pvalloc(0);
    CHECK(block && is_aligned(block, 4096));
    free(block);
    block = reallocarray(NULL, 10, 10);
    CHECK(block && malloc_usable_size(block) >= 100);
    free(block);
    CHECK(malloc_usable_size(NULL) == 0);
    return PASSED;
#endif
}

static bool is_zero(const char *block, size_t bytes) {
    return !bytes || (!block[0] && !memcmp(block, block + 1, bytes - 1));
}

const char *case_calloc(void) {
    static const size_t sizes[] = { 1, 16, 40, 100, 1000, 5000, 40000, 1000000, 20000000 };
    volatile size_t half = SIZE_MAX / 2 + 1;

    errno = 0;
    refused(t_calloc(half, 2));
    refused(t_calloc(2, half));
    refused(t_calloc(half, half));
    refused(t_calloc(SIZE_MAX / 16 + 1 + (half & 0), 16)); /* the product wraps to 0 */
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int round = 0; round < 4; round++) { /* dirty it, take it back clean */
            char *block = t_calloc(1, sizes[i]);
            CHECK(block && is_zero(block, sizes[i]));
            memset(block, 0xff, sizes[i]);
            t_free(block);
            char *dirty = t_malloc(sizes[i]);
            CHECK(dirty);
            memset(dirty, 0xee, sizes[i]);
            t_free(dirty);
        }
    }
    char *none = t_calloc(0, 10);
    CHECK(none);
    t_free(none);
    return PASSED;
}

const char *case_realloc(void) {
    char *block = t_realloc(NULL, 0);
    size_t bytes = 1;

    CHECK(block);
    block = t_realloc(block, bytes);
    CHECK(block);
    block_fill(block, bytes, 1);
    while (bytes < (size_t)80 << 20) { /* up, through every way a heap keeps blocks */
        size_t next = bytes + bytes / 2 + 1;
        block = t_realloc(block, next);
        CHECK(block && block_holds(block, bytes <= 65536 ? bytes : 64, 1));
        bytes = next;
        block_fill(block, bytes, 1);
        CHECK(block_holds(block, bytes, 1));
    }
    while (bytes > 1) { /* and down */
        bytes -= bytes / 3 + 1;
        block = t_realloc(block, bytes);
        CHECK(block && t_usable_size(block) >= bytes);
        CHECK(block_holds(block, bytes < 64 ? bytes : 64, 1));
    }
    block = t_realloc(block, 0); /* as malloc(0): a block, not NULL */
    CHECK(block);
    t_free(block);

    /* A neighbour must survive what grows and shrinks beside it. */
    char *first = t_malloc(5000), *second = t_malloc(5000), *third = t_malloc(5000);
    CHECK(first && second && third);
    block_fill(first, 5000, 2);
    block_fill(third, 5000, 3);
    for (size_t i = 1; i < 200; i++) {
        second = t_realloc(second, i * 7919 % 70000);
        CHECK(second);
        block_fill(second, i * 7919 % 70000, 4);
        CHECK(block_holds(first, 5000, 2) && block_holds(third, 5000, 3));
    }
    t_free(first);
    t_free(second);
    t_free(third);
    return PASSED;
}

const char *case_usable(void) {
    enum { BLOCKS = 500 };
    static char *blocks[BLOCKS];
    uint32_t random = 12345;

    CHECK(t_usable_size(NULL) == 0);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        size_t bytes = random_next(&random) % (i % 10 ? 600 : 60000);
        blocks[i] = t_malloc(bytes);
        CHECK(blocks[i] && t_usable_size(blocks[i]) >= bytes);
        block_fill(blocks[i], t_usable_size(blocks[i]), i);
    }
    for (uint32_t i = 0; i < BLOCKS; i++) {
        CHECK(block_holds(blocks[i], t_usable_size(blocks[i]), i));
        t_free(blocks[i]);
    }
    return PASSED;
}

/* Mostly small, some of a few pages, a few of a megabyte or more. */
static size_t random_size(uint32_t *random) {
    uint32_t kind = random_next(random) % 1000;

    if (kind < 900) {
        return random_next(random) % 700;
    }
    return random_next(random) % (kind < 990 ? 40000 : kind < 999 ? 2000000 : 30000000);
}

const char *case_fuzz(void) {
    enum { SLOTS = 400 };
    static struct {
        char *block;
        size_t bytes;
        uint32_t seed;
    } slots[SLOTS];
    uint32_t random = 2463534242u;

    for (unsigned i = 0; i < contract_work(60000); i++) {
        uint32_t slot = random_next(&random) % SLOTS;
        size_t bytes = random_size(&random);
        if (!slots[slot].block) {
            size_t align = (size_t)1 << (random_next(&random) % 15);
            slots[slot].block = i % 4 ? t_malloc(bytes) : t_aligned_alloc(align, bytes);
        } else {
            CHECK(block_holds(slots[slot].block, slots[slot].bytes, slots[slot].seed));
            if (i % 3) {
                t_free(slots[slot].block);
                slots[slot].block = NULL;
                continue;
            }
            size_t kept = bytes < slots[slot].bytes ? bytes : slots[slot].bytes;
            slots[slot].block = t_realloc(slots[slot].block, bytes);
            CHECK(slots[slot].block);
            CHECK(block_holds(slots[slot].block, kept < 64 ? kept : 64, slots[slot].seed));
        }
        CHECK(slots[slot].block);
        slots[slot].bytes = bytes;
        slots[slot].seed = i;
        block_fill(slots[slot].block, bytes, i);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        CHECK(!slots[i].block || block_holds(slots[i].block, slots[i].bytes, slots[i].seed));
        t_free(slots[i].block);
    }
    return PASSED;
}

const char *case_stats(void) {
    struct mimosa_heap_stats before, during, after;

    t_heap_stats(&before);
    char *small = t_malloc(100), *large = t_malloc((size_t)50 << 20);
    CHECK(small && large);
    t_heap_stats(&during);
    t_free(small);
    t_free(large);
    t_heap_stats(&after);
    if (before.committed != MIMOSA_HEAP_UNKNOWN) {
        CHECK(during.committed >= (uint64_t)50 << 20);
        CHECK(during.peak >= during.committed && after.peak >= during.peak);
    }
    if (before.live == MIMOSA_HEAP_UNKNOWN) {
        return "this heap counts neither requested nor live bytes";
    }
    CHECK(during.requested == before.requested + 100 + ((uint64_t)50 << 20));
    CHECK(during.live >= before.live + 100 + ((uint64_t)50 << 20));
    CHECK(after.live == before.live);
    return PASSED;
}
