/* SPDX-License-Identifier: MIT */
/*
 * The binary buddy system (K. Knowlton, "A fast storage allocator", CACM 8(10),
 * 1965; D. Knuth, The Art of Computer Programming 1, section 2.5, algorithms R
 * and S), made for a malloc:
 *
 * The data.  Memory comes in arenas of 32 MiB (or less, a power of two, when
 * memory is short), each with a *side table* of one byte for each unit of
 * 2^MIN_ORDER bytes.  A block of order n is 2^n bytes at a multiple of 2^n from
 * its arena's start; the byte of its first unit says FREE or USED, and n.  The
 * bytes of all other units are 0.  Blocks carry no header: alignment is free, a
 * program's overflow cannot forge an order, and a second free finds a byte that
 * does not say USED.  (Rejected: Knuth's tag in the block, for these reasons.)
 * Free blocks of one order, of all arenas, are in one doubly linked list whose
 * links lie in the blocks themselves.
 *
 * Invariants.  The blocks tile the arena; no two free buddies of one order
 * stand side by side (they merge at once); free[n] holds exactly the blocks
 * whose byte says FREE|n; bit n of free_orders says whether it holds any.
 *
 * Trimming.  A pure buddy wastes up to half of each block.  From
 * TRIM_ORDER on, the tail of the block that a request does not need goes back
 * to the free lists by pieces, down to one page: the request holds a run of
 * blocks of falling order, each but the last marked MORE.  5 MiB + 1 take
 * 4 MiB, 1 MiB and one page instead of 8 MiB.  Shrinking works in place alike.
 *
 * Giving back.  An arena is divided into granules of 256 KiB with two bits of
 * history: `dirty`, set when any part is handed out.  Free blocks of a
 * granule's size and above are made of whole granules; the bytes of dirty ones
 * among them are counted in dirty_free, and once they pass DISCARD_BYTES all
 * are discarded in one walk.  So a program must free 32 MiB in large pieces for
 * each such walk, and one that frees and allocates the same block never pays.
 * The same walk unmaps arenas that became one free block, all but the last.
 *
 * Lookup.  A radix tree of two levels, indexed by address in steps of the
 * smallest arena, finds the arena of any pointer, or that it has none.
 * An arena's addresses start at a multiple of ARENA_ALIGN, so that up to this a
 * block is aligned to its size.
 *
 * Locking.  One lock for the whole heap, held by the caller.  That is what
 * `buddy` is in the lab to show: the price of a shared lock.
 */
#include "heaps/buddy/buddy_impl.h"
#include "heaps/pages.h"

#include <string.h>

#define TABLE_FREE  0x80
#define TABLE_USED  0x40
#define TABLE_MORE  0x20 /* with USED: the run goes on in the next block */
#define TABLE_ORDER 0x1f

#define TRIM_ORDER    (PAGE_ORDER + 1)
#define GRANULE_ORDER 18
#define MAX_GRANULES  (1u << (MAX_ORDER - GRANULE_ORDER))
#define DISCARD_BYTES ((size_t)32 << 20)

#define ADDRESS_BITS 47
#define LEAF_BITS    13
#define ROOT_BITS    (ADDRESS_BITS - MIN_ARENA_ORDER - LEAF_BITS)

struct block_link {
    struct block_link *next, *previous;
};

struct arena {
    char *start;
    unsigned order;
    struct arena *next, *previous; /* all arenas */
    uint64_t dirty[MAX_GRANULES / 64];
    uint8_t table[]; /* one byte a unit */
};

struct leaf {
    struct arena *arenas[1u << LEAF_BITS];
};

/* Guarded by buddy_state.lock, as all below. */
static struct leaf *roots[1u << ROOT_BITS];
static struct arena *arenas;
static size_t discard_at = DISCARD_BYTES;

static struct arena *arena_of(const void *block) {
    uintptr_t address = (uintptr_t)block;

    if (address >> ADDRESS_BITS) {
        return NULL;
    }
    struct leaf *leaf = roots[address >> (MIN_ARENA_ORDER + LEAF_BITS)];
    return leaf ? leaf->arenas[(address >> MIN_ARENA_ORDER) & ((1u << LEAF_BITS) - 1)] : NULL;
}

/* Makes arena_of answer `arena` (or NULL again) for all its addresses. */
static bool index_arena(const struct arena *at, struct arena *arena) {
    uintptr_t end = (uintptr_t)at->start + ((size_t)1 << at->order);

    for (uintptr_t address = (uintptr_t)at->start; address < end;
         address += (size_t)1 << MIN_ARENA_ORDER) {
        struct leaf **leaf = &roots[address >> (MIN_ARENA_ORDER + LEAF_BITS)];
        if (!*leaf) {
            *leaf = heap_map_pages(sizeof(**leaf), HEAP_PAGE);
            if (!*leaf) {
                return false;
            }
            buddy_commit(&buddy_state, sizeof(**leaf));
        }
        (*leaf)->arenas[(address >> MIN_ARENA_ORDER) & ((1u << LEAF_BITS) - 1)] = arena;
    }
    return true;
}

static size_t unit_of(const struct arena *arena, const void *block) {
    return (size_t)((const char *)block - arena->start) >> MIN_ORDER;
}

static void *unit_at(const struct arena *arena, size_t unit) {
    return arena->start + (unit << MIN_ORDER);
}

static size_t units(unsigned order) {
    return (size_t)1 << (order - MIN_ORDER);
}

static unsigned order_for(size_t bytes) {
    unsigned order = bytes <= 1 ? 0 : 64 - (unsigned)__builtin_clzl(bytes - 1);

    return order < MIN_ORDER ? MIN_ORDER : order;
}

/* ---- The free lists ---- */

static void list_push(struct arena *arena, size_t unit, unsigned order) {
    struct block_link *link = unit_at(arena, unit);

    arena->table[unit] = (uint8_t)(TABLE_FREE | order);
    link->next = buddy_state.free[order];
    link->previous = NULL;
    if (link->next) {
        link->next->previous = link;
    }
    buddy_state.free[order] = link;
    buddy_state.free_orders |= (uint64_t)1 << order;
}

static void list_remove(struct arena *arena, size_t unit, unsigned order) {
    struct block_link *link = unit_at(arena, unit);

    arena->table[unit] = 0;
    if (link->next) {
        link->next->previous = link->previous;
    }
    if (link->previous) {
        link->previous->next = link->next;
    } else {
        buddy_state.free[order] = link->next;
        if (!link->next) {
            buddy_state.free_orders &= ~((uint64_t)1 << order);
        }
    }
}

/* ---- Granules: which free memory is worth giving back ---- */

static bool granule_is_dirty(const struct arena *arena, size_t granule) {
    return arena->dirty[granule / 64] >> (granule % 64) & 1;
}

static void granule_set(struct arena *arena, size_t granule, bool dirty) {
    uint64_t bit = (uint64_t)1 << (granule % 64);

    if (dirty) {
        arena->dirty[granule / 64] |= bit;
    } else {
        arena->dirty[granule / 64] &= ~bit;
    }
}

/*
 * The granules that `bytes` at `unit` touch left the free blocks of a
 * granule's size and above, or joined them.
 */
static void granules_moved(struct arena *arena, size_t unit, size_t bytes, bool to_free) {
    size_t offset = unit << MIN_ORDER;
    size_t last = (offset + bytes - 1) >> GRANULE_ORDER;

    for (size_t granule = offset >> GRANULE_ORDER; granule <= last; granule++) {
        if (!granule_is_dirty(arena, granule)) {
            granule_set(arena, granule, true);
            buddy_commit(&buddy_state, (int64_t)1 << GRANULE_ORDER);
        } else if (!to_free) {
            buddy_state.dirty_free -= (size_t)1 << GRANULE_ORDER;
        }
        if (to_free) {
            buddy_state.dirty_free += (size_t)1 << GRANULE_ORDER;
        }
    }
}

/* Discards the dirty granules of one free block, in runs. */
static void block_discard(struct arena *arena, size_t unit, unsigned order) {
    size_t first = unit << MIN_ORDER >> GRANULE_ORDER;
    size_t end = first + ((size_t)1 << (order - GRANULE_ORDER));
    struct block_link link = *(struct block_link *)unit_at(arena, unit);

    for (size_t run = first; run < end;) {
        size_t stop = run;
        while (stop < end && granule_is_dirty(arena, stop)) {
            stop++;
        }
        size_t bytes = (stop - run) << GRANULE_ORDER;
        if (bytes && heap_discard_pages(arena->start + (run << GRANULE_ORDER), bytes)) {
            buddy_state.dirty_free -= bytes;
            buddy_commit(&buddy_state, -(int64_t)bytes);
            for (; run < stop; run++) {
                granule_set(arena, run, false);
            }
        }
        run = stop + 1;
    }
    /* The links lay in the first of these pages. */
    *(struct block_link *)unit_at(arena, unit) = link;
}

/* ---- Arenas ---- */

static size_t arena_bytes(unsigned order) {
    size_t bytes = sizeof(struct arena) + units(order);

    return (bytes + HEAP_PAGE - 1) & ~(HEAP_PAGE - 1);
}

/* Adds an arena with a free block of at least `order`; NULL when memory is out. */
static struct arena *arena_add(unsigned order) {
    for (unsigned size = MAX_ORDER; size >= MIN_ARENA_ORDER && size >= order; size--) {
        char *start = heap_map_pages((size_t)1 << size, ARENA_ALIGN);
        if (!start) {
            continue; /* perhaps half as much is to be had */
        }
        struct arena *arena = heap_map_pages(arena_bytes(size), HEAP_PAGE);
        if (arena) {
            arena->start = start;
            arena->order = size;
            if (index_arena(arena, arena)) {
                arena->next = arenas;
                if (arenas) {
                    arenas->previous = arena;
                }
                arenas = arena;
                buddy_commit(&buddy_state, (int64_t)arena_bytes(size));
                list_push(arena, 0, size);
                return arena;
            }
            index_arena(arena, NULL);
            heap_unmap_pages(arena, arena_bytes(size));
        }
        heap_unmap_pages(start, (size_t)1 << size);
    }
    return NULL;
}

/* Unmaps an arena that is one free block, in its list. */
static void arena_remove(struct arena *arena) {
    int64_t dirty = 0;

    list_remove(arena, 0, arena->order);
    for (size_t i = 0; i < MAX_GRANULES / 64; i++) {
        dirty += (int64_t)__builtin_popcountl(arena->dirty[i]) << GRANULE_ORDER;
    }
    buddy_state.dirty_free -= (size_t)dirty;
    buddy_commit(&buddy_state, -dirty - (int64_t)arena_bytes(arena->order));
    index_arena(arena, NULL); /* cannot fail: the leaves exist */
    if (arena->next) {
        arena->next->previous = arena->previous;
    }
    if (arena->previous) {
        arena->previous->next = arena->next;
    } else {
        arenas = arena->next;
    }
    heap_unmap_pages(arena->start, (size_t)1 << arena->order);
    heap_unmap_pages(arena, arena_bytes(arena->order));
}

/* Gives back what free memory holds: whole arenas but one, and granules. */
static void discard_free(void) {
    struct arena *next;

    for (struct arena *arena = arenas; arena; arena = next) {
        next = arena->next;
        if (arena->table[0] == (TABLE_FREE | arena->order) && (next || arena->previous)) {
            arena_remove(arena);
        }
    }
    for (unsigned order = GRANULE_ORDER; order <= MAX_ORDER; order++) {
        for (struct block_link *link = buddy_state.free[order]; link; link = link->next) {
            struct arena *arena = arena_of(link);
            block_discard(arena, unit_of(arena, link), order);
        }
    }
    /* Where the system refused (locked memory), do not ask at every free. */
    discard_at = buddy_state.dirty_free + DISCARD_BYTES;
}

/* ---- Blocks ---- */

/*
 * Algorithm S: puts a block into the free lists, merged with its buddies.
 * Merges only with blocks that are free already, so what it adds to the free
 * granules is at most the granules of the block itself; nothing when `fresh`,
 * the rest of a block just taken, whose granules block_take left free.
 */
static void block_release(struct arena *arena, size_t unit, unsigned order, bool fresh) {
    unsigned merged = order;
    size_t at = unit;

    buddy_state.live -= (uint64_t)1 << order;
    arena->table[unit] = 0;
    while (merged < arena->order) {
        size_t buddy = at ^ units(merged);
        if (arena->table[buddy] != (TABLE_FREE | merged)) {
            break;
        }
        list_remove(arena, buddy, merged);
        at &= ~units(merged);
        merged++;
    }
    list_push(arena, at, merged);
    if (merged >= GRANULE_ORDER && !fresh) {
        granules_moved(arena, unit, (size_t)1 << order, true);
    }
}

/*
 * Keeps the first `bytes` of a used block (the last of its run) and releases
 * the rest by pieces: halves it while the upper half is not needed, and goes
 * on in the upper half while that is needed in part.
 */
static void block_trim(struct arena *arena, size_t unit, unsigned order, size_t bytes, bool fresh) {
    for (;;) {
        while (order > MIN_ORDER && bytes <= (size_t)1 << (order - 1)) {
            order--;
            arena->table[unit] = (uint8_t)(TABLE_USED | order);
            block_release(arena, unit + units(order), order, fresh);
        }
        arena->table[unit] = (uint8_t)(TABLE_USED | order);
        if (order < TRIM_ORDER || bytes + HEAP_PAGE > (size_t)1 << order) {
            return;
        }
        order--;
        arena->table[unit] = (uint8_t)(TABLE_USED | TABLE_MORE | order);
        bytes -= (size_t)1 << order;
        unit += units(order);
        arena->table[unit] = (uint8_t)(TABLE_USED | order);
    }
}

/*
 * Algorithm R: a used block of `order`, split off the smallest that holds it.
 * Only the granules of its first `bytes` leave the free ones.
 */
static struct arena *block_take(unsigned order, size_t bytes, size_t *unit) {
    uint64_t fitting = buddy_state.free_orders >> order << order;
    struct arena *arena;
    unsigned have;

    if (fitting) {
        have = (unsigned)__builtin_ctzl(fitting);
        arena = arena_of(buddy_state.free[have]);
        *unit = unit_of(arena, buddy_state.free[have]);
    } else {
        arena = arena_add(order);
        if (!arena) {
            return NULL;
        }
        have = arena->order;
        *unit = 0;
    }
    list_remove(arena, *unit, have);
    if (have >= GRANULE_ORDER) {
        granules_moved(arena, *unit, bytes, false);
    }
    while (have > order) {
        have--;
        list_push(arena, *unit + units(have), have);
    }
    buddy_state.live += (uint64_t)1 << order;
    arena->table[*unit] = (uint8_t)(TABLE_USED | order);
    return arena;
}

void *arena_alloc(size_t bytes, size_t align) {
    unsigned order = order_for(bytes > align ? bytes : align);
    size_t unit;
    struct arena *arena = block_take(order, bytes ? bytes : 1, &unit);

    if (!arena) {
        return NULL;
    }
    if (order >= TRIM_ORDER || align > bytes) {
        block_trim(arena, unit, order, bytes, true);
    }
    return unit_at(arena, unit);
}

/* The arena and unit of an allocated block (the first of its run), or NULL. */
static struct arena *used_block(void *block, size_t *unit) {
    struct arena *arena = arena_of(block);

    if (!arena || (uintptr_t)block & (((size_t)1 << MIN_ORDER) - 1)) {
        return NULL;
    }
    *unit = unit_of(arena, block);
    return arena->table[*unit] & TABLE_USED ? arena : NULL;
}

/* Releases a run from `unit` on. */
static void run_release(struct arena *arena, size_t unit) {
    uint8_t entry;

    do {
        entry = arena->table[unit];
        block_release(arena, unit, entry & TABLE_ORDER, false);
        unit += units(entry & TABLE_ORDER);
    } while (entry & TABLE_MORE);
    if (buddy_state.dirty_free > discard_at) {
        discard_free();
    }
}

bool arena_free(void *block) {
    size_t unit;
    struct arena *arena = used_block(block, &unit);

    if (arena) {
        run_release(arena, unit);
    }
    return arena;
}

/* The bytes of the run at `unit`; `last` becomes the unit of its last block. */
static size_t run_bytes(const struct arena *arena, size_t unit, size_t *last) {
    size_t bytes = (size_t)1 << (arena->table[unit] & TABLE_ORDER);

    while (arena->table[unit] & TABLE_MORE) {
        unit += units(arena->table[unit] & TABLE_ORDER);
        bytes += (size_t)1 << (arena->table[unit] & TABLE_ORDER);
    }
    *last = unit;
    return bytes;
}

size_t arena_block_bytes(void *block) {
    size_t unit, last;
    struct arena *arena = used_block(block, &unit);

    return arena ? run_bytes(arena, unit, &last) : 0;
}

/* Takes the free blocks that follow a run until it holds `bytes`. */
static bool run_grow(struct arena *arena, size_t unit, size_t bytes) {
    size_t last, have = run_bytes(arena, unit, &last);
    size_t arena_units = units(arena->order);
    size_t end = unit + (have >> MIN_ORDER);
    size_t reach = have;

    for (size_t at = end; reach < bytes;) {
        if (at >= arena_units || !(arena->table[at] & TABLE_FREE)) {
            return false;
        }
        reach += (size_t)1 << (arena->table[at] & TABLE_ORDER);
        at += units(arena->table[at] & TABLE_ORDER);
    }
    while (have < bytes) {
        unsigned order = arena->table[end] & TABLE_ORDER;
        list_remove(arena, end, order);
        if (order >= GRANULE_ORDER) {
            granules_moved(arena, end, (size_t)1 << order, false);
        }
        buddy_state.live += (uint64_t)1 << order;
        arena->table[end] = (uint8_t)(TABLE_USED | order);
        arena->table[last] |= TABLE_MORE;
        last = end;
        end += units(order);
        have += (size_t)1 << order;
    }
    return true;
}

/* Gives back what lies beyond the first `bytes` of a run. */
static void run_trim(struct arena *arena, size_t unit, size_t bytes) {
    uint8_t entry = arena->table[unit];

    while (bytes > (size_t)1 << (entry & TABLE_ORDER) && entry & TABLE_MORE) {
        bytes -= (size_t)1 << (entry & TABLE_ORDER);
        unit += units(entry & TABLE_ORDER);
        entry = arena->table[unit];
    }
    /* The tail goes first: trimming the block ends its run. */
    if (entry & TABLE_MORE) {
        arena->table[unit] &= (uint8_t)~TABLE_MORE;
        run_release(arena, unit + units(entry & TABLE_ORDER));
    }
    block_trim(arena, unit, entry & TABLE_ORDER, bytes, false);
}

bool arena_resize(void *block, size_t bytes) {
    size_t unit;
    struct arena *arena = used_block(block, &unit);

    /* Below a page the pieces would cost more than a copy. */
    if (!arena || bytes < HEAP_PAGE || arena_block_bytes(block) < HEAP_PAGE) {
        return false;
    }
    if (arena_block_bytes(block) < bytes && !run_grow(arena, unit, bytes)) {
        return false;
    }
    run_trim(arena, unit, bytes);
    return true;
}
