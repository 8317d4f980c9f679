/* SPDX-License-Identifier: MIT */
/*
 * Requests too large for an arena: each has a mapping of its own, of whole
 * pages, so that nothing is rounded to a power of two (1 GiB and one byte take
 * 1 GiB and one page).
 *
 * A hash table of address and size remembers them: open addressing with linear
 * probing, at most three quarters full, holes closed by moving later entries
 * back (Knuth, TAOCP 3, 6.4, algorithm R), so that there are no tombstones.
 * It never shrinks: 16 bytes for each mapping of the worst moment.
 */
#include "heaps/buddy/buddy_impl.h"
#include "heaps/pages.h"

struct large {
    uintptr_t address; /* 0: empty */
    size_t bytes;
};

/* Guarded by buddy_state.lock. */
static struct large *table;
static size_t table_slots; /* a power of two, or 0 */
static size_t table_used;

static size_t slot_of(uintptr_t address) {
    return (address >> PAGE_ORDER) * 0x9e3779b97f4a7c15u >> 32 & (table_slots - 1);
}

/* The slot that holds `address`, or the empty one where it would go. */
static size_t slot_find(uintptr_t address) {
    size_t slot = slot_of(address);

    while (table[slot].address && table[slot].address != address) {
        slot = (slot + 1) & (table_slots - 1);
    }
    return slot;
}

static bool table_grow(void) {
    struct large *old = table;
    size_t old_slots = table_slots;
    size_t slots = old_slots ? 2 * old_slots : HEAP_PAGE / sizeof(*table);
    struct large *grown = heap_map_pages(slots * sizeof(*table), HEAP_PAGE);

    if (!grown) {
        return false;
    }
    table = grown;
    table_slots = slots;
    for (size_t i = 0; i < old_slots; i++) {
        if (old[i].address) {
            table[slot_find(old[i].address)] = old[i];
        }
    }
    buddy_commit(&buddy_state, (int64_t)((slots - old_slots) * sizeof(*table)));
    if (old) {
        heap_unmap_pages(old, old_slots * sizeof(*table));
    }
    return true;
}

bool large_put(void *block, size_t bytes) {
    if (4 * (table_used + 1) > 3 * table_slots && !table_grow()) {
        return false;
    }
    table[slot_find((uintptr_t)block)] = (struct large){ (uintptr_t)block, bytes };
    table_used++;
    buddy_state.live += bytes;
    buddy_commit(&buddy_state, (int64_t)bytes);
    return true;
}

size_t large_bytes(void *block) {
    return table_slots && block ? table[slot_find((uintptr_t)block)].bytes : 0;
}

size_t large_take(void *block) {
    size_t bytes = large_bytes(block);

    if (!bytes) {
        return 0;
    }
    size_t hole = slot_find((uintptr_t)block);
    for (size_t i = (hole + 1) & (table_slots - 1); table[i].address;
         i = (i + 1) & (table_slots - 1)) {
        /* An entry may move back only as far as its own first slot. */
        size_t home = slot_of(table[i].address);
        if (((i - home) & (table_slots - 1)) >= ((i - hole) & (table_slots - 1))) {
            table[hole] = table[i];
            hole = i;
        }
    }
    table[hole] = (struct large){ 0, 0 };
    table_used--;
    buddy_state.live -= bytes;
    buddy_commit(&buddy_state, -(int64_t)bytes);
    return bytes;
}
