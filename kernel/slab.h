/* SPDX-License-Identifier: MIT */
/*
 * Typed caches of kernel objects with per-CPU magazines, after Bonwick (USENIX
 * 1994, 2001).  The heap under test never serves the kernel.
 * Context: any thread, no sleeping; not from interrupt handlers.
 */
#ifndef KERNEL_SLAB_H
#define KERNEL_SLAB_H

#include "base/types.h"

struct slab_cache;

/* A new cache of `size`-byte objects aligned to `align` (power of two, at most PAGE_SIZE; 0: 16).
 * Caches live for ever.  NULL without memory. */
struct slab_cache *slab_cache_create(const char *name, size_t size, size_t align);
/* An object, cleared; NULL without memory. */
void *slab_alloc(struct slab_cache *c);
void slab_free(struct slab_cache *c, void *object);

/* Variable sizes: rounded up to size classes; above 2 KiB, whole blocks of 2^n pages.  Cleared. */
void *kmalloc(size_t size);
/* The same with whatever was in the memory before: never for what the program gets to see whole. */
void *kmalloc_uncleared(size_t size);
/* The same of as much as there is in one piece: *size is halved, down to a page.  NULL: not even
 * that. */
void *kmalloc_uncleared_most(size_t *size);
void kfree(void *p); /* NULL is fine */

void slab_init(void);

#endif
