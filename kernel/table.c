/* SPDX-License-Identifier: MIT */
/*
 * Page tables of the program's half.
 *
 * An entry is 0, or points to a table, or owns one frame (a leaf: at level 1,
 * or at level 2 with PTE_HUGE), present or held back (PTE_HELD).  It owns one
 * reference of its frame.
 *
 * Entries come into being by compare-exchange from 0, so that any number of
 * CPUs may fault at once; under a read mark or with the mutex held.  Everything
 * else happens with the mutex held: leaves are exchanged for 0 or for other
 * permissions, tables are unhooked.  What is cleared is gathered, and
 * table_flush() does the rest in the only safe order: shoot down the
 * translations, wait for the readers that may still look at the table or the
 * frame, free.
 *
 * Invariant: every table overlaps a region, or holds the mutex's owner's
 * attention; so when regions go, the tables that overlapped them and lie wholly
 * in the gap that arose are all the tables to be freed.
 */
#include <asm/errno.h>
#include <asm/mman.h>

#include "base/string.h"
#include "kernel/aspace_impl.h"
#include "kernel/count.h"
#include "kernel/panic.h"

#define TRIM_ENOUGH 512 /* frames that one call takes back before it lets the program go on */
#define TABLE_BITS  (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED)

static size_t span_of(unsigned level) {
    return 1ul << (PAGE_SHIFT + 9 * (level - 1));
}

static struct pte *table_at(uint64_t bits) {
    return phys_to_virt(PADDR(bits & PTE_ADDR));
}

static bool is_leaf(uint64_t bits, unsigned level) {
    return level == 1 || (bits & PTE_HUGE);
}

static uint64_t load(struct pte *e) {
    return atomic_load_explicit(&e->bits, memory_order_acquire);
}

/* Hooks a new table into the empty entry `e`, unless another CPU was faster; 0 without memory. */
static cold_fn uint64_t make_table(struct pte *e) {
    struct page *p = pages_alloc_zeroed(0);
    if (!p)
        return 0;
    uint64_t found = 0, bits = page_to_phys(p).value | TABLE_BITS;
    count_shared_write(e);
    /* Release: the cleared table before its entry; pairs with load(). */
    if (atomic_compare_exchange_strong_explicit(&e->bits, &found, bits, memory_order_acq_rel,
                                                memory_order_acquire))
        return bits;
    pages_free(p, 0);
    return found;
}

/* Down to the entry of `addr`; `make`: missing tables are made.  Inline, since faults call it. */
static inline __attribute__((always_inline)) struct pte *descend(struct aspace *as, uintptr_t addr,
                                                                 unsigned *level, bool make) {
    struct pte *table = as->root;
    for (unsigned l = 4;; l--) {
        struct pte *e = &table[paging_index(addr, l)];
        if (l == *level)
            return e;
        uint64_t bits = load(e);
        if (unlikely(!bits) && !(make && (bits = make_table(e))))
            return NULL;
        if (l == 2 && unlikely(bits & PTE_HUGE)) {
            *level = 2;
            return e;
        }
        table = table_at(bits);
    }
}

struct pte *table_entry(struct aspace *as, uintptr_t addr, unsigned *level) {
    return descend(as, addr, level, true);
}

struct pte *table_lookup(struct aspace *as, uintptr_t addr, unsigned *level) {
    return descend(as, addr, level, false);
}

uint64_t table_bits(int prot) {
    uint64_t bits = PTE_PRESENT | PTE_USER | PTE_ACCESSED | PTE_DIRTY;
    if (prot & PROT_WRITE)
        bits |= PTE_WRITE;
    if (!(prot & PROT_EXEC) && cpu_features.nx)
        bits |= PTE_NX;
    return bits;
}

uint64_t table_reprotect(uint64_t old, int prot, bool shared_object) {
    uint64_t kept = old & (PTE_ADDR | PTE_HUGE | PTE_COW | PTE_LAZY | PTE_DIRTY);
    if (!(prot & (PROT_READ | PROT_WRITE | PROT_EXEC)))
        return kept | PTE_HELD;
    uint64_t bits = kept | (table_bits(prot) & ~PTE_DIRTY);
    /* The object wants to hear of the first write through each shared entry. */
    if ((old & PTE_COW) || (shared_object && !(old & PTE_WRITE)))
        bits &= ~PTE_WRITE;
    return bits;
}

/* ---- gathering what is to be freed ---- */

static void gather_range(struct gather *g, uintptr_t start, uintptr_t end) {
    g->start = MIN(g->start, start);
    g->end = MAX(g->end, end);
}

/* Whether `p` is a single frame that nobody else uses. */
static bool is_sole(const struct page *p) {
    return page_flags(p) == PAGE_USED && p->order == 0 &&
           atomic_load_explicit(&p->refs, memory_order_acquire) == 1;
}

/*
 * Frees entry `i` and those after it that continue a run of neighbouring
 * frames, up or down: memory that was touched in order.  Returns how many.
 */
static unsigned free_run(const struct gather *g, unsigned i) {
    uint64_t phys = g->entry[i] & PTE_ADDR;
    struct page *p = phys_to_page(PADDR(phys));
    if ((g->entry[i] & ~PTE_ADDR) || !is_sole(p)) {
        if (g->entry[i] & GATHER_TABLE)
            pages_free(p, 0);
        else
            page_put(p);
        return 1;
    }
    unsigned n = 1;
    int64_t step = i + 1 < g->count && g->entry[i + 1] < phys ? -1 : 1;
    while (i + n < g->count) {
        uint64_t next = phys + (uint64_t)(step * (int64_t)(n * PAGE_SIZE));
        if (g->entry[i + n] != next || (next ^ phys) & ~(PAGES_SECTION_SIZE - 1) ||
            !is_sole(p + step * (int64_t)n))
            break;
        n++;
    }
    pages_free_run(step > 0 ? p : p - (n - 1), n);
    return n;
}

void table_flush(struct aspace *as) {
    struct gather *g = as->gather;
    if (g->start >= g->end)
        return;
    tlb_shootdown(as, g->start, g->end);
    if (g->count)
        aspace_readers_drain(as);
    for (unsigned i = 0; i < g->count;)
        i += free_run(g, i);
    g->count = 0;
    g->start = UINTPTR_MAX;
    g->end = 0;
}

static void gather_add(struct aspace *as, uint64_t entry, uintptr_t start, uintptr_t end) {
    struct gather *g = as->gather;
    if (unlikely(g->count == GATHER_ENTRIES)) {
        table_flush(as);
        thread_preempt_point();
    }
    g->entry[g->count++] = entry;
    gather_range(g, start, end);
}

static int split_leaf(struct pte *e) {
    struct page *p = pages_alloc(0);
    if (!p)
        return -ENOMEM;
    struct pte *small = page_address(p);
    uint64_t old = load(e);
    pages_split(phys_to_page(PADDR(old & PTE_ADDR)), HUGE_ORDER);
    do {
        for (unsigned i = 0; i < 512; i++)
            atomic_init(&small[i].bits, (old & ~PTE_HUGE) + i * PAGE_SIZE);
    } while (!atomic_compare_exchange_strong_explicit(&e->bits, &old,
                                                      page_to_phys(p).value | TABLE_BITS,
                                                      memory_order_acq_rel, memory_order_acquire));
    return 0;
}

/* ---- walking over leaves ---- */

struct walk {
    struct aspace *as;
    /* Called for `n` entries in a row, at level 1 or (n is 1) a 2 MiB leaf that is not empty. */
    void (*leaves)(struct walk *w, struct pte *e, unsigned n, uintptr_t addr, size_t size);
    int prot;
    bool shared_object;
    bool keep_copies; /* zap only frames that an object shares */
    int64_t frames;   /* what `leaves` counts */
    uintptr_t to;     /* table_move: destination minus source */
};

static void zap_leaves(struct walk *w, struct pte *e, unsigned n, uintptr_t addr, size_t size);
static void count_leaves(struct walk *w, struct pte *e, unsigned n, uintptr_t addr, size_t size);
static void trim_leaves(struct walk *w, struct pte *e, unsigned n, uintptr_t addr, size_t size);

/*
 * The range covers part of a 2 MiB page: only madvise, which makes no region
 * boundaries, gets here.  Splits the page; without memory for that, clears the
 * part in place, which is all that MADV_DONTNEED promises.
 */
static cold_fn bool split_partial(struct walk *w, struct pte *e, uintptr_t start, uintptr_t end) {
    if (w->leaves != count_leaves && w->leaves != trim_leaves && split_leaf(e) == 0)
        return true;
    if (w->leaves == zap_leaves)
        memset((char *)table_at(load(e)) + start % HUGE_SIZE, 0, end - start);
    return false;
}

static void walk(struct walk *w, struct pte *table, unsigned level, uintptr_t start,
                 uintptr_t end) {
    size_t span = span_of(level);
    if (level == 1) {
        w->leaves(w, &table[paging_index(start, 1)], (unsigned)((end - start) >> PAGE_SHIFT), start,
                  PAGE_SIZE);
        return;
    }
    for (uintptr_t at = start, next; at < end; at = next) {
        next = MIN(end, ALIGN_DOWN(at, span) + span);
        struct pte *e = &table[paging_index(at, level)];
        uint64_t bits = load(e);
        if (!bits)
            continue;
        if (!is_leaf(bits, level) || (next - at < HUGE_SIZE && split_partial(w, e, at, next))) {
            walk(w, table_at(load(e)), level - 1, at, next);
            /* What is gathered may wait: the flush is for every CPU that runs this space. */
            if (level == 2)
                thread_preempt_point();
        } else if (next - at == HUGE_SIZE)
            w->leaves(w, e, 1, at, HUGE_SIZE);
    }
}

static void walk_range(struct walk *w, uintptr_t start, uintptr_t end) {
    if (start < end)
        walk(w, w->as->root, 4, start, end);
}

static void zap_leaves(struct walk *w, struct pte *e, unsigned n, uintptr_t addr, size_t size) {
    for (unsigned i = 0; i < n; i++, addr += size) {
        uint64_t seen = atomic_load_explicit(&e[i].bits, memory_order_relaxed);
        if (!seen || (w->keep_copies && !(seen & PTE_COW)))
            continue;
        uint64_t old = atomic_exchange_explicit(&e[i].bits, 0, memory_order_acq_rel);
        w->frames += (int64_t)(size >> PAGE_SHIFT);
        gather_add(w->as, (old & PTE_ADDR) | (size == HUGE_SIZE ? GATHER_HUGE : 0), addr,
                   addr + size);
    }
}

/* A walk whose `leaves` take frames away; how many. */
static uint64_t walk_taking(struct walk *w, uintptr_t start, uintptr_t end) {
    walk_range(w, start, end);
    if (w->frames) {
        w->as->peak_resident = MAX(w->as->peak_resident, aspace_resident_frames(w->as));
        aspace_count_resident(w->as, -w->frames);
    }
    return (uint64_t)w->frames;
}

void table_zap(struct aspace *as, uintptr_t start, uintptr_t end) {
    struct walk w = { .as = as, .leaves = zap_leaves };
    (void)walk_taking(&w, start, end);
}

void table_zap_shared(struct aspace *as, uintptr_t start, uintptr_t end) {
    struct walk w = { .as = as, .leaves = zap_leaves, .keep_copies = true };
    (void)walk_taking(&w, start, end);
}

static void free_unused(struct aspace *as, struct pte *table, unsigned level, uintptr_t start,
                        uintptr_t end, uintptr_t floor, uintptr_t ceiling) {
    size_t span = span_of(level);
    for (uintptr_t at = start, next; at < end; at = next) {
        uintptr_t base = ALIGN_DOWN(at, span);
        next = MIN(end, base + span);
        struct pte *e = &table[paging_index(at, level)];
        uint64_t bits = load(e);
        if (!bits || is_leaf(bits, level))
            continue;
        bool whole = base >= floor && base + span <= ceiling;
        if (level > 2)
            free_unused(as, table_at(bits), level - 1, whole ? base : at,
                        whole ? base + span : next, floor, ceiling);
        if (whole) {
            atomic_store_explicit(&e->bits, 0, memory_order_release);
            gather_add(as, (bits & PTE_ADDR) | GATHER_TABLE, at, at + PAGE_SIZE);
        }
    }
}

void table_free_unused(struct aspace *as, uintptr_t start, uintptr_t end, uintptr_t floor,
                       uintptr_t ceiling) {
    free_unused(as, as->root, 4, start, end, floor, ceiling);
}

int table_split_at(struct aspace *as, uintptr_t addr) {
    unsigned level = 1;
    if (IS_ALIGNED(addr, HUGE_SIZE))
        return 0;
    struct pte *e = table_lookup(as, addr, &level);
    return e && level == 2 ? split_leaf(e) : 0;
}

/* Old translations allow what the new entry forbids. */
static bool needs_flush(uint64_t old, uint64_t new) {
    return (old & PTE_PRESENT) && ((old & ~new &(PTE_PRESENT | PTE_WRITE)) || (new & ~old &PTE_NX));
}

static void protect_leaves(struct walk *w, struct pte *e, unsigned n, uintptr_t addr, size_t size) {
    for (unsigned i = 0; i < n; i++, addr += size) {
        uint64_t old = load(&e[i]), new;
        if (!old)
            continue;
        do
            new = table_reprotect(old, w->prot, w->shared_object);
        while (!atomic_compare_exchange_weak_explicit(&e[i].bits, &old, new, memory_order_acq_rel,
                                                      memory_order_acquire));
        if (needs_flush(old, new))
            gather_range(w->as->gather, addr, addr + size);
    }
}

void table_protect(struct aspace *as, uintptr_t start, uintptr_t end, int prot,
                   bool shared_object) {
    struct walk w = {
        .as = as, .leaves = protect_leaves, .prot = prot, .shared_object = shared_object
    };
    walk_range(&w, start, end);
}

static void give_up_leaves(struct walk *w, struct pte *e, unsigned n, uintptr_t addr, size_t size) {
    for (unsigned i = 0; i < n; i++, addr += size) {
        uint64_t old = load(&e[i]);
        /* A frame copied from a file by reading only is not ours to mark. */
        while ((old & PTE_PRESENT) && !(old & PTE_COW)) {
            if (atomic_compare_exchange_weak_explicit(&e[i].bits, &old,
                                                      (old & ~PTE_DIRTY) | PTE_LAZY,
                                                      memory_order_acq_rel, memory_order_acquire)) {
                gather_range(w->as->gather, addr, addr + size);
                break;
            }
        }
    }
}

void table_give_up(struct aspace *as, uintptr_t start, uintptr_t end) {
    struct walk w = { .as = as, .leaves = give_up_leaves };
    walk_range(&w, start, end);
}

static void take_back_leaves(struct walk *w, struct pte *e, unsigned n, uintptr_t addr,
                             size_t size) {
    for (unsigned i = 0; i < n; i++, addr += size) {
        uint64_t old = load(&e[i]);
        /* A write meanwhile sets the dirty bit and lets the exchange fail. */
        if ((old & PTE_LAZY) && !(old & PTE_DIRTY) &&
            atomic_compare_exchange_strong_explicit(&e[i].bits, &old, 0, memory_order_acq_rel,
                                                    memory_order_acquire)) {
            w->frames += (int64_t)(size >> PAGE_SHIFT);
            gather_add(w->as, (old & PTE_ADDR) | (size == HUGE_SIZE ? GATHER_HUGE : 0), addr,
                       addr + size);
        }
    }
}

uint64_t table_take_back(struct aspace *as, uintptr_t start, uintptr_t end) {
    struct walk w = { .as = as, .leaves = take_back_leaves };
    return walk_taking(&w, start, end);
}

static bool is_zero(const struct page *p) {
    const uint64_t *at = page_address(p);
    for (unsigned i = 0; i < PAGE_SIZE / sizeof(*at); i++) {
        if (at[i])
            return false;
    }
    return true;
}

/* Splits the block of leaf bits `old`, which no CPU can reach now, and frees the frames that
 * hold only zeros; one of these becomes the table.  Returns what the entry is to be. */
static uint64_t split_zeros(struct walk *w, uint64_t old) {
    struct page *p = phys_to_page(PADDR(old & PTE_ADDR)), *table = NULL;
    uint64_t zero[512 / 64] = { 0 };
    unsigned zeros = 0;
    for (unsigned i = 0; i < 512; i++) {
        if (is_zero(p + i)) {
            zero[i / 64] |= 1ul << i % 64;
            table = p + i;
            zeros++;
        }
    }
    if (zeros < 2)
        return old;
    pages_split(p, HUGE_ORDER);
    struct pte *small = page_address(table);
    for (unsigned i = 0; i < 512; i++) {
        if (!(zero[i / 64] & 1ul << i % 64))
            atomic_init(&small[i].bits, (old & ~PTE_HUGE) + i * PAGE_SIZE);
        else if (p + i != table)
            pages_free(p + i, 0);
    }
    w->frames += zeros;
    return page_to_phys(table).value | TABLE_BITS;
}

static void trim_leaves(struct walk *w, struct pte *e, unsigned n, uintptr_t addr, size_t size) {
    (void)n;
    if (size != HUGE_SIZE || w->frames >= TRIM_ENOUGH)
        return;
    /* All faults wait meanwhile, but they would fail without memory. */
    aspace_write_begin(w->as);
    uint64_t old = atomic_exchange_explicit(&e->bits, 0, memory_order_acq_rel);
    tlb_shootdown(w->as, addr, addr + HUGE_SIZE);
    atomic_store_explicit(&e->bits, split_zeros(w, old), memory_order_release);
    aspace_write_end(w->as);
    thread_preempt_point();
}

uint64_t table_trim(struct aspace *as, uintptr_t start, uintptr_t end) {
    struct walk w = { .as = as, .leaves = trim_leaves };
    return walk_taking(&w, start, end);
}

static void count_leaves(struct walk *w, struct pte *e, unsigned n, uintptr_t addr, size_t size) {
    (void)addr;
    for (unsigned i = 0; i < n; i++) {
        if (load(&e[i]))
            w->frames += (int64_t)(size >> PAGE_SHIFT);
    }
}

uint64_t table_count(struct aspace *as, uintptr_t start, uintptr_t end) {
    struct walk w = { .as = as, .leaves = count_leaves };
    walk_range(&w, start, end);
    return (uint64_t)w.frames;
}

/* ---- mremap ---- */

int table_prepare_move(struct aspace *as, uintptr_t from, uintptr_t to, size_t length) {
    bool aligned = IS_ALIGNED(from ^ to, HUGE_SIZE);
    for (uintptr_t at = from, next; at < from + length; at = next) {
        next = MIN(from + length, ALIGN_DOWN(at, HUGE_SIZE) + HUGE_SIZE);
        unsigned level = 1;
        struct pte *e = table_lookup(as, at, &level);
        if (next % (256 * HUGE_SIZE) == 0)
            thread_preempt_point();
        if (!e)
            continue;
        if (level == 2 && !aligned) {
            int err = split_leaf(e);
            if (err)
                return err;
            level = 1;
        }
        /* One table at most begins inside a chunk of 2 MiB. */
        unsigned first = level, last = level;
        if (!table_entry(as, at - from + to, &first) ||
            !table_entry(as, next - PAGE_SIZE - from + to, &last))
            return -ENOMEM;
    }
    return 0;
}

static void move_leaves(struct walk *w, struct pte *e, unsigned n, uintptr_t addr, size_t size) {
    for (unsigned i = 0; i < n; i++, addr += size) {
        if (!load(&e[i]))
            continue;
        unsigned level = size == HUGE_SIZE ? 2 : 1;
        uint64_t old = atomic_exchange_explicit(&e[i].bits, 0, memory_order_acq_rel);
        struct pte *to = table_entry(w->as, addr + w->to, &level);
        assert(to && !load(to));
        atomic_store_explicit(&to->bits, old, memory_order_release);
        gather_range(w->as->gather, addr, addr + size);
    }
}

void table_move(struct aspace *as, uintptr_t from, uintptr_t to, size_t length) {
    struct walk w = { .as = as, .leaves = move_leaves, .to = to - from };
    walk_range(&w, from, from + length);
}
