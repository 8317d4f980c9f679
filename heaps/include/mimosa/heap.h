/* SPDX-License-Identifier: MIT */
/*
 * What a program built with `mimosa cc` may ask of its heap, besides malloc
 * and its family.  It works alike on Linux and on Mimosa, and in a program
 * that has all heaps (MIMOSA_HEAP chooses) or one (`mimosa cc --heap NAME`).
 *
 * A program that wants to build without Mimosa too declares these weak.
 */
#ifndef MIMOSA_HEAP_H
#define MIMOSA_HEAP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A number that the heap does not keep. */
#define MIMOSA_HEAP_UNKNOWN UINT64_MAX

struct mimosa_heap_stats {
    uint64_t requested; /* bytes asked for by all calls so far; only grows */
    uint64_t live;      /* usable bytes of the blocks not yet freed */
    uint64_t committed; /* bytes of the system's memory the heap holds for use */
    uint64_t peak;      /* the highest `committed` so far */
};

/* The name of the heap in use: "buddy", "mimalloc", ...  Never NULL. */
const char *mimosa_heap_name(void);

/*
 * Fills `stats`.  Each number is exact when no other thread is in the heap,
 * else a value it had during the call; MIMOSA_HEAP_UNKNOWN where a heap does
 * not count (heaps/README.md has the table).
 */
void mimosa_heap_stats(struct mimosa_heap_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
