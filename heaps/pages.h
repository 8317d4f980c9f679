/* SPDX-License-Identifier: MIT */
/*
 * Where our own heaps (buddy, buddy-page, bump) get pages from: one door, so
 * that a test can shut it at the n-th knock (heaps/pages.c is the real one).
 *
 * Sizes are bytes, multiples of HEAP_PAGE.  All keep errno, may be called
 * under a heap's lock, and may block in the kernel.
 */
#ifndef HEAPS_PAGES_H
#define HEAPS_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Zeroed, readable, writable pages, aligned to `align` (a power of two, one
 * page at least).  NULL when the system has none.
 */
void *heap_map_pages(size_t bytes, size_t align);

/* Gives pages back; any part of what was mapped. */
void heap_unmap_pages(void *pages, size_t bytes);

/*
 * Lets the system take the pages' memory; they stay mapped and read as zero
 * from now on.  False if it would not.
 */
bool heap_discard_pages(void *pages, size_t bytes);

/*
 * Resizes a mapping, moving it where it cannot grow in place.  NULL when the
 * system will not: the old mapping then stands as it was.
 */
void *heap_resize_pages(void *pages, size_t old_bytes, size_t new_bytes);

#endif
