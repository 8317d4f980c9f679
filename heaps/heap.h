/* SPDX-License-Identifier: MIT */
/*
 * What a heap is to the rest of heaps/: seven functions and three fork hooks,
 * named heap_NAME_*, gathered in one constant table `heap_NAME`.
 *
 * heaps/entry.c builds the public malloc family on top of them, so that the
 * rules shared by all (which alignment is EINVAL, overflow in reallocarray,
 * page rounding in pvalloc) are written once.  A heap is written against Linux
 * and its libc alone; it knows nothing of Mimosa and nothing of other heaps.
 *
 * The contract (test/heaps/contract.c holds every heap to it):
 * - malloc, calloc, aligned_alloc, realloc return NULL with errno ENOMEM when
 *   they cannot serve, and always so above PTRDIFF_MAX bytes or when calloc's
 *   product overflows; otherwise a block aligned to 16 bytes (8 for a request
 *   of less than 16, which no type of that alignment fits).  A request of 0
 *   bytes gets a block of its own, which must be freed.
 * - realloc(NULL, n) is malloc(n); realloc(p, 0) gives a block as malloc(0)
 *   does and frees p; a failed realloc leaves p as it was.
 * - aligned_alloc takes any power of two and any size.
 * - free(NULL) does nothing; free keeps errno.
 * - usable_size(NULL) is 0; all of the bytes it names may be written.
 * - Every function may be called from any thread at any time: before
 *   constructors, in TLS destructors, in a fork's child; and free from a
 *   thread other than malloc's.  None is async-signal-safe.
 */
#ifndef HEAPS_HEAP_H
#define HEAPS_HEAP_H

#include "heaps/include/mimosa/heap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_PAGE        ((size_t)4096)
#define HEAP_MIN_ALIGN   ((size_t)16)
#define HEAP_MAX_REQUEST ((size_t)PTRDIFF_MAX)

struct heap {
    const char *name;
    void *(*malloc)(size_t bytes);
    void (*free)(void *block);
    void *(*calloc)(size_t count, size_t bytes);
    void *(*realloc)(void *block, size_t bytes);
    void *(*aligned_alloc)(size_t align, size_t bytes); /* align: a power of two */
    size_t (*usable_size)(void *block);
    void (*stats)(struct mimosa_heap_stats *stats);
    /* pthread_atfork's three; NULL where the heap (or its libc) needs none. */
    void (*fork_prepare)(void);
    void (*fork_parent)(void);
    void (*fork_child)(void);
};

/* Declares heap NAME's functions and its table. */
#define HEAP_DECLARE(name)                                                                         \
    void *heap_##name##_malloc(size_t bytes);                                                      \
    void heap_##name##_free(void *block);                                                          \
    void *heap_##name##_calloc(size_t count, size_t bytes);                                        \
    void *heap_##name##_realloc(void *block, size_t bytes);                                        \
    void *heap_##name##_aligned_alloc(size_t align, size_t bytes);                                 \
    size_t heap_##name##_usable_size(void *block);                                                 \
    void heap_##name##_stats(struct mimosa_heap_stats *stats);                                     \
    extern const struct heap heap_##name

HEAP_DECLARE(buddy);
HEAP_DECLARE(buddy_page);
HEAP_DECLARE(bump);
HEAP_DECLARE(mimalloc);
HEAP_DECLARE(mimalloc_secure);
HEAP_DECLARE(musl);

/*
 * Ends the process: "HEAP: WHAT ADDRESS" on standard error (no address if
 * `block` is NULL), then abort().
 * For misuse by the program that the heap can prove: a double free, a pointer
 * it never gave out.  Takes no memory; call it without the heap's lock.
 */
_Noreturn void heap_misuse(const char *heap, const char *what, const void *block);

/* errno = ENOMEM, and NULL to return. */
void *heap_no_memory(void);

#endif
