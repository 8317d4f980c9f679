/* SPDX-License-Identifier: MIT */
/*
 * Page frames: a buddy allocator with per-CPU caches of orders 0 and 9.
 * Context of everything here: any, interrupt handlers included; never sleeps.
 *
 * A `struct page` describes one frame of memory for as long as the machine
 * runs.  Frames that were never handed over (the initrd) have one as well,
 * with refs 0; getting and putting such a frame never frees it.
 */
#ifndef KERNEL_PAGES_H
#define KERNEL_PAGES_H

#include <stdatomic.h>
#include "arch/x86_64/paging.h"
#include "base/list.h"
#include "base/types.h"

#define PAGES_MAX_ORDER 15 /* 128 MiB, one section */

/* page.flags: exactly one of the first three, or none for a frame that was never handed over. */
#define PAGE_FREE   1u /* first frame of a free block in the buddy */
#define PAGE_CACHED 2u /* first frame of a free block in a CPU's cache */
#define PAGE_USED   4u /* first frame of an allocated block */
#define PAGE_SLAB   8u /* part of a slab; `owner` is its cache */

struct page {
    struct list link;       /* free list, or its owner's use while allocated */
    _Atomic(uint32_t) refs; /* 1 after pages_alloc; see page_get and page_put */
    uint8_t order;          /* of a free block's or an allocated block's first frame */
    uint8_t flags;          /* PAGE_*; through page_flags and page_set_flags */
    uint16_t section;       /* which section the frame is in; constant */
    void *owner;            /* its owner's use while allocated; undefined after pages_alloc */
};

/* The flags have one writer, the block's owner; the buddy looks at those of neighbours. */
static inline unsigned page_flags(const struct page *p) {
    return __atomic_load_n(&p->flags, __ATOMIC_RELAXED);
}

static inline void page_set_flags(struct page *p, unsigned flags) {
    __atomic_store_n(&p->flags, (uint8_t)flags, __ATOMIC_RELAXED);
}

/*
 * Boot, on one CPU, before any allocation: hand over free physical memory,
 * page aligned, once per range; then pages_init(), which wants `machine.initrd`
 * set, the direct map complete and per-CPU data in place.  Costs nothing per
 * frame: descriptors are initialised a section (128 MiB) at a time on demand.
 */
void pages_add_range(struct paddr start, uint64_t size);
void pages_init(void);

/* A block of 2^order frames, contents undefined, or NULL. */
struct page *pages_alloc(unsigned order);
/* As above, cleared. */
struct page *pages_alloc_zeroed(unsigned order);
/* Gives back a block; `order` as allocated, nobody else may hold a reference. */
void pages_free(struct page *p, unsigned order);

/*
 * Gives back `n` single frames that lie next to each other in one section
 * (PAGES_MAX_ORDER), as pages_free one by one, but in few large blocks.
 */
void pages_free_run(struct page *p, uint64_t n);
#define PAGES_SECTION_SIZE (PAGE_SIZE << PAGES_MAX_ORDER)

/* Makes an allocated block into single frames, each with one reference, to be freed one by one. */
void pages_split(struct page *p, unsigned order);

/* Counts another user of an order-0 (or whole-block) frame; the last page_put frees it. */
void page_get(struct page *p);
void page_put(struct page *p);

struct paddr page_to_phys(const struct page *p);
struct page *phys_to_page(struct paddr phys);
static inline void *page_address(const struct page *p) {
    return phys_to_virt(page_to_phys(p));
}

struct pages_stats {
    uint64_t total, free; /* frames; free includes the caches */
    uint64_t free_huge;   /* free blocks of order HUGE_ORDER and above, in frames */
    uint64_t refills, drains;
};
void pages_stats(struct pages_stats *out);
/* Approximate count of free frames, cheap: one load, no lock. */
uint64_t pages_free_estimate(void);
/* Moves all CPUs' cached frames back to the buddy (tests; pages_alloc does it before it fails). */
void pages_drain(void);

#endif
