/* SPDX-License-Identifier: MIT */
/*
 * The dispatcher: which heap this process uses, chosen in the first call from
 * the environment variable MIMOSA_HEAP, for ever.
 */
#ifndef HEAPS_DISPATCH_H
#define HEAPS_DISPATCH_H

#include "heaps/heap.h"

#include <stdatomic.h>

#define HEAP_DEFAULT "mimalloc"

/*
 * The table to call through.  Never NULL: until the choice it is a table whose
 * functions choose first, so that malloc has no test on its way.  Every malloc
 * of every thread reads it, so nothing that is written may share its cache line.
 */
struct heap_choice {
    _Alignas(64) _Atomic(const struct heap *) table;
};
extern struct heap_choice heap_choice;

static inline const struct heap *heap_chosen(void) {
    /* acquire; pairs with the release in heap_choose */
    return atomic_load_explicit(&heap_choice.table, memory_order_acquire);
}

/*
 * Chooses, if nobody has yet, and returns the heap chosen.  A name that no
 * heap has ends the process with status 125 and one line that lists them.
 */
const struct heap *heap_choose(void);

/* The heaps there are, in the order in which a refusal lists them; ends with NULL. */
extern const struct heap *const heap_known[];

#endif
