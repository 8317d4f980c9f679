/* SPDX-License-Identifier: MIT */
/*
 * The musl heap: the allocator of the program's own libc (mallocng), reached
 * behind the back of the public malloc that replaces it.
 *
 * In the static libc.a four entry points have private names of their own; those
 * of aligned_alloc and malloc_usable_size are public, so the build takes these
 * two members out of libc.a and renames what they define (heaps.mk).  libc
 * takes mallocng's lock around fork itself.
 *
 * A double free: mallocng checks its own bitmaps and ends the process by a
 * `hlt`, which is SIGSEGV, without a word.  It keeps no statistics.
 */
#include "heaps/heap.h"

void *__libc_malloc_impl(size_t bytes);
void __libc_free(void *block);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *heap_musl_member_aligned_alloc(size_t align, size_t bytes);
size_t heap_musl_member_malloc_usable_size(void *block);

void *heap_musl_malloc(size_t bytes) {
    return __libc_malloc_impl(bytes);
}

void heap_musl_free(void *block) {
    __libc_free(block);
}

void *heap_musl_calloc(size_t count, size_t bytes) {
    return __libc_calloc(count, bytes);
}

void *heap_musl_realloc(void *block, size_t bytes) {
    return __libc_realloc(block, bytes);
}

void *heap_musl_aligned_alloc(size_t align, size_t bytes) {
    return heap_musl_member_aligned_alloc(align, bytes);
}

size_t heap_musl_usable_size(void *block) {
    return heap_musl_member_malloc_usable_size(block);
}

void heap_musl_stats(struct mimosa_heap_stats *stats) {
    stats->requested = stats->live = stats->committed = stats->peak = MIMOSA_HEAP_UNKNOWN;
}

const struct heap heap_musl = {
    .name = "musl",
    .malloc = heap_musl_malloc,
    .free = heap_musl_free,
    .calloc = heap_musl_calloc,
    .realloc = heap_musl_realloc,
    .aligned_alloc = heap_musl_aligned_alloc,
    .usable_size = heap_musl_usable_size,
    .stats = heap_musl_stats,
};
