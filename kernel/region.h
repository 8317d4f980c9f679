/* SPDX-License-Identifier: MIT */
/*
 * Regions: maximal ranges of the program's addresses with one protection and
 * one backing, in a tree ordered by address that also knows its gaps.
 * No locks and no allocation here: kernel/aspace.c owns both.
 */
#ifndef KERNEL_REGION_H
#define KERNEL_REGION_H

#include "base/list.h"
#include "base/types.h"

struct vm_object;

struct region {
    uintptr_t start, end; /* page aligned, start < end */
    struct region *left, *right;
    uint32_t priority; /* random; a parent's is not below its children's */

    uint32_t flags;           /* REGION_* that outlive mmap */
    int prot;                 /* PROT_READ | PROT_WRITE | PROT_EXEC */
    struct vm_object *object; /* one reference; NULL: private anonymous */
    uint64_t offset;          /* bytes into the object at `start`; 0 without object */
    const char *tag;          /* constant name, or NULL */

    /* Of the subtree: lowest start, highest end, widest gap between two regions of it. */
    uintptr_t min_start, max_end;
    size_t max_gap;

    struct list link; /* region_tree.list, by address */
};

struct region_tree {
    struct region *root;
    struct list list;
    unsigned count;
    size_t bytes, peak_bytes; /* of all regions: now, and the most there ever were */
};

void region_tree_init(struct region_tree *t);

/* The region that holds `addr`, or NULL. */
struct region *region_find(const struct region_tree *t, uintptr_t addr);
/* The lowest region that ends above `addr`, or NULL. */
struct region *region_find_above(const struct region_tree *t, uintptr_t addr);
/* Neighbours by address, or NULL. */
struct region *region_next(const struct region_tree *t, const struct region *r);
struct region *region_prev(const struct region_tree *t, const struct region *r);

/* Adds `r`, whose range must be free. */
void region_insert(struct region_tree *t, struct region *r);
void region_remove(struct region_tree *t, struct region *r);
/* Moves the bounds of `r`; it must not pass a neighbour. */
void region_resize(struct region_tree *t, struct region *r, uintptr_t start, uintptr_t end);

/*
 * The highest (`up` false) or lowest address of a free range of `length` bytes
 * within [low, high), a multiple of `align` (power of two, at least PAGE_SIZE); 0: none.
 */
uintptr_t region_find_gap(const struct region_tree *t, uintptr_t low, uintptr_t high, size_t length,
                          size_t align, bool up);

#endif
