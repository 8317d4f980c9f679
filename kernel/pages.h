/* SPDX-License-Identifier: MIT */
/*
 * Page frames: a buddy allocator with per-CPU caches of orders 0 and 9.
 * Context of everything here: any thread, interrupts on or off, no sleeping.
 */
#ifndef KERNEL_PAGES_H
#define KERNEL_PAGES_H

#include <stdatomic.h>
#include "arch/x86_64/paging.h"
#include "base/list.h"
#include "base/types.h"

#define PAGES_MAX_ORDER 18 /* 1 GiB */

struct page {
    struct list link;     /* free list, or its owner's use while allocated */
    _Atomic(uint32_t) refs; /* 1 after pages_alloc; see page_get and page_put */
    uint8_t order;        /* of a free block's or an allocated block's first frame */
    uint8_t flags;        /* PAGE_* */
    uint16_t owner_data;
};

/* Boot: hand over free physical memory, page aligned, before any allocation; once per range. */
void pages_add_range(struct paddr start, uint64_t size);
void pages_init(void);
void pages_init_cpu(void);

/* A block of 2^order frames, contents undefined, or NULL. */
struct page *pages_alloc(unsigned order);
/* As above, cleared. */
struct page *pages_alloc_zeroed(unsigned order);
/* Gives back a block; `order` as allocated, refs must be 1 (or 0 after page_put's own use). */
void pages_free(struct page *p, unsigned order);

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
/* Moves this CPU's cached frames back to the buddy (tests, memory pressure). */
void pages_drain_cpu(void);

#endif
