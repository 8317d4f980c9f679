/* SPDX-License-Identifier: MIT */
/*
 * Page frames.
 *
 * Data.  Physical memory is cut into sections of 128 MiB.  A section has an
 * array of `struct page`, one per frame, taken from its own free memory.  The
 * array is written when the section is first needed, by an allocation that the
 * active sections cannot serve or by phys_to_page(); so a machine of 8 GiB
 * boots as fast as one of 128 MiB.  Blocks never span sections, hence the
 * largest order.
 *
 * Free blocks of the active sections lie on one list per order, a binary buddy
 * (Knowlton, CACM 1965): block and buddy differ in one bit of the frame number
 * and merge when both are free.  `buddy.orders` has a bit per non-empty list.
 *
 * In front of it each CPU keeps a stack of single frames and one of 2 MiB
 * blocks, refilled and drained by half a stack at a time, so that the common
 * case touches no line that another CPU writes.
 *
 * Locks.  buddy.lock (RANK_PAGES, irqsave) guards lists, counts and activation.
 * A CPU's cache has a one-word lock of its own that only its owner takes, but
 * for pages_drain(), which empties the caches of all CPUs when memory runs out.
 * The owner never waits for it: where trylock fails (a drain, or an interrupt
 * handler that came while the lock was held) it goes to the buddy directly.
 * Order: cache before buddy.
 *
 * Rejected: a flat array of descriptors for all of memory: either boot writes
 * all of it, or each access must ask whether it is written already.
 */
#include "kernel/pages.h"
#include "kernel/count.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/percpu.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/thread.h"

#define SECTION_SHIFT  27
#define SECTION_FRAMES (1ul << (SECTION_SHIFT - PAGE_SHIFT))
#define MAX_SECTIONS   512 /* 64 GiB; memory above stays unused */
#define MAX_RANGES     32
#define NO_FRAME       UINT64_MAX

#define CACHE_FRAMES 64
#define CACHE_HUGE   4

struct section {
    struct page *_Atomic pages; /* release after the array is written; pairs with phys_to_page */
    uint32_t frames;            /* described frames, from the section's first on */
    uint32_t usable;            /* frames in ranges that were handed over */
};

struct frame_range {
    uint64_t start, end; /* frame numbers */
};

static struct section sections[MAX_SECTIONS]; /* but for `pages`, constant after pages_init */
static struct frame_range ranges[MAX_RANGES]; /* constant after pages_init */
static unsigned range_count;

static struct {
    struct spinlock lock;
    struct list free[PAGES_MAX_ORDER + 1];
    uint32_t orders; /* bit per non-empty list */
    uint64_t total;  /* frames that can be allocated, sections to come included */
    uint64_t blocks[PAGES_MAX_ORDER + 1];
    uint64_t refills, drains;
    unsigned next_section;      /* all usable ones below are active */
    _Atomic(uint64_t) estimate; /* free frames; written under the lock, read without */
} buddy = { .lock = SPINLOCK_INIT(RANK_PAGES) };

struct page_cache {
    atomic_bool busy;
    uint8_t frames, huge; /* how many lie on each stack */
    struct page *frame[CACHE_FRAMES];
    struct page *block[CACHE_HUGE];
};
static PERCPU struct page_cache page_cache cache_aligned;
static unsigned cache_limit = CACHE_FRAMES; /* single frames per CPU; less on a small machine */
static unsigned huge_limit = CACHE_HUGE;

static uint64_t frame_of(const struct page *p) {
    const struct section *s = &sections[p->section];
    return p->section * SECTION_FRAMES +
           (uint64_t)(p - atomic_load_explicit(&s->pages, memory_order_relaxed));
}

struct paddr page_to_phys(const struct page *p) {
    return PADDR(frame_of(p) << PAGE_SHIFT);
}

static void estimate_add(int64_t frames) {
    uint64_t now = atomic_load_explicit(&buddy.estimate, memory_order_relaxed);
    count_shared_write(&buddy.estimate); /* every fault reads it */
    atomic_store_explicit(&buddy.estimate, now + (uint64_t)frames, memory_order_relaxed);
}

static void list_block(struct page *p, unsigned order) {
    p->order = (uint8_t)order;
    page_set_flags(p, PAGE_FREE);
    list_add_head(&buddy.free[order], &p->link);
    buddy.orders |= 1u << order;
    buddy.blocks[order]++;
}

static void unlist_block(struct page *p) {
    unsigned order = p->order;
    list_remove(&p->link);
    buddy.blocks[order]--;
    if (list_is_empty(&buddy.free[order]))
        buddy.orders &= ~(1u << order);
}

/* Puts a block on its list, merged with its buddies; buddy.lock is held. */
static void buddy_free_locked(struct page *p, unsigned order) {
    const struct section *s = &sections[p->section];
    struct page *first = atomic_load_explicit(&s->pages, memory_order_relaxed);
    uint64_t index = (uint64_t)(p - first);

    estimate_add(1l << order);
    page_set_flags(p, 0);
    while (order < PAGES_MAX_ORDER) {
        uint64_t other = index ^ 1ul << order;
        struct page *b = first + other;
        if (other + (1ul << order) > s->frames || !(page_flags(b) & PAGE_FREE) || b->order != order)
            break;
        unlist_block(b);
        page_set_flags(b, 0);
        index &= ~(1ul << order);
        order++;
    }
    list_block(first + index, order);
}

/* Adds frames [start, end) of one active section to the free lists. */
static void free_frames_locked(struct page *first, uint64_t start, uint64_t end) {
    while (start < end) {
        uint64_t in_section = start % SECTION_FRAMES;
        unsigned order = in_section ? (unsigned)__builtin_ctzl(in_section) : PAGES_MAX_ORDER;
        while (1ul << order > end - start)
            order--;
        buddy_free_locked(first + in_section, order);
        start += 1ul << order;
    }
}

static struct frame_range range_in_section(unsigned r, unsigned number) {
    uint64_t base = number * SECTION_FRAMES;
    uint64_t start = MAX(ranges[r].start, base);
    uint64_t end = MIN(ranges[r].end, base + SECTION_FRAMES);
    return (struct frame_range){ start, end };
}

static struct page *buddy_alloc_locked(unsigned order);

/* The largest range of section `number`. */
static struct frame_range largest_range(unsigned number) {
    struct frame_range best = { 0, 0 };
    for (unsigned r = 0; r < range_count; r++) {
        struct frame_range here = range_in_section(r, number);
        if (here.start < here.end && here.end - here.start > best.end - best.start)
            best = here;
    }
    return best;
}

/* Frames that the descriptors of `s` take. */
static uint64_t descriptor_frames(const struct section *s) {
    return ALIGN_UP(s->frames * sizeof(struct page), PAGE_SIZE) >> PAGE_SHIFT;
}

/*
 * Writes the descriptors of section `number` and frees its memory.  They go
 * into its largest range.  A section with nothing usable (the initrd fills it)
 * gets them from another section; false where there is no memory for that.
 */
static bool section_activate_locked(unsigned number) {
    struct section *s = &sections[number];
    struct frame_range best = largest_range(number);
    uint64_t need = descriptor_frames(s);
    struct page *pages;

    if (s->usable) {
        pages = phys_to_virt(PADDR(best.start << PAGE_SHIFT));
    } else {
        unsigned order = need > 1 ? 64 - (unsigned)__builtin_clzl(need - 1) : 0;
        struct page *block = buddy_alloc_locked(order);
        if (!block)
            return false;
        pages = page_address(block);
    }
    const uint64_t word = (uint64_t)number << 48;
    _Static_assert(offsetof(struct page, section) == offsetof(struct page, refs) + 6, "layout");
    /* refs, order, flags and section in one store, and the bound in a register: boot pays for
     * each instruction here. */
    char *at = (char *)pages + offsetof(struct page, refs);
    const char *end = at + s->frames * sizeof(struct page);
#pragma GCC unroll 8
    for (; at < end; at += sizeof(struct page))
        *(uint64_t *)(void *)at = word;
    atomic_store_explicit(&s->pages, pages, memory_order_release);
    if (!s->usable)
        return true;
    estimate_add(-(int64_t)s->usable);
    buddy.total -= need;
    for (unsigned r = 0; r < range_count; r++) {
        struct frame_range here = range_in_section(r, number);
        if (here.start == best.start)
            here.start += need;
        if (here.start < here.end)
            free_frames_locked(pages, here.start, here.end);
    }
    return true;
}

/* Activates the next section with memory in it; false after the last. */
static bool activate_next_locked(void) {
    while (buddy.next_section < MAX_SECTIONS) {
        unsigned number = buddy.next_section++;
        struct section *s = &sections[number];
        if (s->usable && !atomic_load_explicit(&s->pages, memory_order_relaxed))
            return section_activate_locked(number);
    }
    return false;
}

/* A block off the lists, flags PAGE_USED, or NULL. */
static struct page *buddy_alloc_locked(unsigned order) {
    uint32_t fitting;
    while (!(fitting = buddy.orders >> order << order)) {
        if (!activate_next_locked())
            return NULL;
    }
    unsigned have = (unsigned)__builtin_ctz(fitting);
    struct page *p = list_first(&buddy.free[have], struct page, link);
    unlist_block(p);
    while (have > order) {
        have--;
        list_block(p + (1ul << have), have);
    }
    p->order = (uint8_t)order;
    page_set_flags(p, PAGE_USED);
    estimate_add(-(1l << order));
    return p;
}

static cold_fn struct page *phys_to_page_slow(unsigned number) {
    uint64_t flags = spin_lock_irqsave(&buddy.lock);
    struct section *s = &sections[number];
    if (!atomic_load_explicit(&s->pages, memory_order_relaxed) &&
        (!s->frames || !section_activate_locked(number)))
        panic("pages: section %u has no descriptors", number);
    spin_unlock_irqrestore(&buddy.lock, flags);
    return atomic_load_explicit(&s->pages, memory_order_relaxed);
}

struct page *phys_to_page(struct paddr phys) {
    uint64_t frame = phys.value >> PAGE_SHIFT;
    uint64_t number = frame / SECTION_FRAMES, index = frame % SECTION_FRAMES;
    assert(number < MAX_SECTIONS && index < sections[number].frames);
    struct page *pages = atomic_load_explicit(&sections[number].pages, memory_order_acquire);
    if (unlikely(!pages))
        pages = phys_to_page_slow((unsigned)number);
    return pages + index;
}

static struct page_cache *cache_lock(void) {
    preempt_disable();
    struct page_cache *c = this_cpu(page_cache);
    if (likely(!atomic_exchange_explicit(&c->busy, true, memory_order_acquire)))
        return c;
    preempt_enable();
    return NULL;
}

static void cache_unlock(struct page_cache *c) {
    atomic_store_explicit(&c->busy, false, memory_order_release);
    preempt_enable();
}

/* Makes the frames of `p`, a block of 2^order, into cached single frames, the lowest on top. */
static unsigned push_frames(struct page **stack, struct page *p, unsigned order) {
    unsigned n = 1u << order;
    for (unsigned i = 0; i < n; i++) {
        p[i].order = 0;
        page_set_flags(&p[i], PAGE_CACHED);
        stack[n - 1 - i] = &p[i];
    }
    return n;
}

/* Half a stack of single frames: small blocks first, which keeps the large ones whole. */
static unsigned refill_frames_locked(struct page **stack, unsigned want) {
    unsigned got = 0;
    while (got < want) {
        unsigned most = 31 - (unsigned)__builtin_clz(want - got);
        uint32_t small = buddy.orders & ((2u << most) - 1);
        unsigned order = small ? 31 - (unsigned)__builtin_clz(small) : most;
        struct page *p = buddy_alloc_locked(order);
        if (p)
            got += push_frames(stack + got, p, order);
        else if (!buddy.orders)
            break; /* else the attempt activated a section with small blocks only */
    }
    return got;
}

static unsigned refill_huge_locked(struct page **stack, unsigned want) {
    unsigned got = 0;
    struct page *p;
    while (got < want && (p = buddy_alloc_locked(HUGE_ORDER))) {
        page_set_flags(p, PAGE_CACHED);
        stack[got++] = p;
    }
    return got;
}

/* Takes up to half a stack from the buddy; false where it has none. */
static cold_fn bool cache_refill(struct page_cache *c, unsigned order) {
    uint64_t flags = spin_lock_irqsave(&buddy.lock);
    unsigned got = order ? refill_huge_locked(c->block, huge_limit / 2)
                         : refill_frames_locked(c->frame, cache_limit / 2);
    buddy.refills++;
    spin_unlock_irqrestore(&buddy.lock, flags);
    if (order)
        c->huge = (uint8_t)got;
    else
        c->frames = (uint8_t)got;
    return got > 0;
}

/* Gives the buddy all but `keep` blocks of a stack, the coldest first. */
static void cache_drain(struct page **stack, uint8_t *count, unsigned order, unsigned keep) {
    unsigned give = *count - keep;
    uint64_t flags = spin_lock_irqsave(&buddy.lock);
    for (unsigned i = 0; i < give; i++)
        buddy_free_locked(stack[i], order);
    buddy.drains++;
    spin_unlock_irqrestore(&buddy.lock, flags);
    for (unsigned i = 0; i < keep; i++)
        stack[i] = stack[give + i];
    *count = (uint8_t)keep;
}

void pages_drain(void) {
    for (unsigned n = 0; n < cpu_count; n++) {
        if (!percpu_is_there(n))
            continue;
        struct page_cache *c = cpu_of(page_cache, n);
        preempt_disable();
        /* Another CPU's owner holds it for a few hundred instructions at most; our own, interrupted
         * by us, would never let go: skip what is busy after a while. */
        for (unsigned tries = 0; tries < 1000; tries++) {
            if (!atomic_exchange_explicit(&c->busy, true, memory_order_acquire)) {
                if (c->frames)
                    cache_drain(c->frame, &c->frames, 0, 0);
                if (c->huge)
                    cache_drain(c->block, &c->huge, HUGE_ORDER, 0);
                atomic_store_explicit(&c->busy, false, memory_order_release);
                break;
            }
            cpu_relax();
        }
        preempt_enable();
    }
}

static struct page *cache_alloc(unsigned order) {
    struct page *p = NULL;
    struct page_cache *c = cache_lock();
    if (!c)
        return NULL;
    if (!order) {
        if (likely(c->frames) || cache_refill(c, 0))
            p = c->frame[--c->frames];
    } else if (c->huge || cache_refill(c, HUGE_ORDER)) {
        p = c->block[--c->huge];
    }
    cache_unlock(c);
    return p;
}

static struct page *buddy_alloc(unsigned order) {
    uint64_t flags = spin_lock_irqsave(&buddy.lock);
    struct page *p = buddy_alloc_locked(order);
    spin_unlock_irqrestore(&buddy.lock, flags);
    return p;
}

static cold_fn struct page *alloc_slow(unsigned order) {
    struct page *p = buddy_alloc(order);
    if (!p) {
        pages_drain();
        p = buddy_alloc(order);
    }
    return p;
}

struct page *pages_alloc(unsigned order) {
    struct page *p = NULL;
    if (order == 0 || (order == HUGE_ORDER && huge_limit))
        p = cache_alloc(order);
    if (unlikely(!p)) {
        if (order > PAGES_MAX_ORDER)
            return NULL;
        p = alloc_slow(order);
        if (!p)
            return NULL;
    }
    page_set_flags(p, PAGE_USED);
    atomic_store_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

struct page *pages_alloc_zeroed(unsigned order) {
    struct page *p = pages_alloc(order);
    if (likely(p != NULL)) {
        char *at = page_address(p);
        for (uint64_t i = 0; i < 1ul << order; i++)
            cpu_clear_page(at + (i << PAGE_SHIFT));
    }
    return p;
}

#ifdef DEBUG
static void poison(struct page *p, unsigned order) {
    uint64_t *at = page_address(p);
    for (uint64_t i = 0; i < (PAGE_SIZE << order) / sizeof(*at); i++)
        at[i] = 0xdeadf4eedeadf4eeul;
}
#else
static void poison(struct page *p, unsigned order) {
    (void)p;
    (void)order;
}
#endif

void pages_free(struct page *p, unsigned order) {
    if (unlikely((page_flags(p) & (PAGE_FREE | PAGE_CACHED | PAGE_USED)) != PAGE_USED ||
                 p->order != order))
        panic("pages: freeing frame %#lx (flags %#x, order %u) as order %u",
              (unsigned long)frame_of(p), page_flags(p), p->order, order);
    poison(p, order);
    struct page_cache *c = NULL;
    if (order == 0 || (order == HUGE_ORDER && huge_limit))
        c = cache_lock();
    if (likely(c != NULL)) {
        page_set_flags(p, PAGE_CACHED);
        if (!order) {
            if (unlikely(c->frames == cache_limit))
                cache_drain(c->frame, &c->frames, 0, cache_limit / 2);
            c->frame[c->frames++] = p;
        } else {
            if (c->huge == huge_limit)
                cache_drain(c->block, &c->huge, HUGE_ORDER, huge_limit / 2);
            c->block[c->huge++] = p;
        }
        cache_unlock(c);
        return;
    }
    uint64_t flags = spin_lock_irqsave(&buddy.lock);
    buddy_free_locked(p, order);
    spin_unlock_irqrestore(&buddy.lock, flags);
}

void pages_free_run(struct page *p, uint64_t n) {
    const struct section *s = &sections[p->section];
    struct page *first = atomic_load_explicit(&s->pages, memory_order_relaxed);
    uint64_t index = (uint64_t)(p - first);
    if (n < 8) {
        for (uint64_t i = 0; i < n; i++)
            pages_free(p + i, 0);
        return;
    }
    for (uint64_t i = 0; i < n; i++) {
        assert(page_flags(&p[i]) == PAGE_USED && p[i].order == 0);
        page_set_flags(&p[i], 0);
        poison(&p[i], 0);
    }
    uint64_t flags = spin_lock_irqsave(&buddy.lock);
    free_frames_locked(first, index, index + n);
    buddy.drains++;
    spin_unlock_irqrestore(&buddy.lock, flags);
}

void pages_split(struct page *p, unsigned order) {
    assert(page_flags(p) == PAGE_USED && p->order == order);
    for (uint64_t i = 0; i < 1ul << order; i++) {
        page_set_flags(&p[i], PAGE_USED);
        p[i].order = 0;
        atomic_store_explicit(&p[i].refs, 1, memory_order_relaxed);
    }
}

void page_get(struct page *p) {
    count_shared_write(p);
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}

void page_put(struct page *p) {
    count_shared_write(p);
    /* A sole owner needs no locked operation: nobody else can raise the count from 1. */
    if (atomic_load_explicit(&p->refs, memory_order_acquire) != 1 &&
        atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (page_flags(p) & PAGE_USED)
        pages_free(p, p->order);
    else
        atomic_store_explicit(&p->refs, 0, memory_order_relaxed);
}

void pages_stats(struct pages_stats *out) {
    uint64_t flags = spin_lock_irqsave(&buddy.lock);
    *out =
        (struct pages_stats){ .total = buddy.total,
                              .free = atomic_load_explicit(&buddy.estimate, memory_order_relaxed),
                              .refills = buddy.refills,
                              .drains = buddy.drains };
    for (unsigned order = HUGE_ORDER; order <= PAGES_MAX_ORDER; order++)
        out->free_huge += buddy.blocks[order] << order;
    spin_unlock_irqrestore(&buddy.lock, flags);
    /* Racy reads of other CPUs' counts: off by what they do this instant. */
    for (unsigned n = 0; n < cpu_count; n++) {
        if (percpu_is_there(n)) {
            const struct page_cache *c = cpu_of(page_cache, n);
            out->free += c->frames + ((uint64_t)c->huge << HUGE_ORDER);
        }
    }
}

uint64_t pages_free_estimate(void) {
    return atomic_load_explicit(&buddy.estimate, memory_order_relaxed);
}

/* Makes the descriptors of the sections cover [start, end). */
static void describe_frames(uint64_t start, uint64_t end) {
    for (uint64_t n = start / SECTION_FRAMES; n * SECTION_FRAMES < end && n < MAX_SECTIONS; n++) {
        uint64_t frames = MIN(end - n * SECTION_FRAMES, SECTION_FRAMES);
        sections[n].frames = MAX(sections[n].frames, (uint32_t)frames);
    }
}

void pages_add_range(struct paddr start, uint64_t size) {
    uint64_t first = ALIGN_UP(start.value, PAGE_SIZE) >> PAGE_SHIFT;
    uint64_t end = MIN((start.value + size) >> PAGE_SHIFT, MAX_SECTIONS * SECTION_FRAMES);
    if (range_count == MAX_RANGES || first >= end) {
        log_info("pages: range %#lx of %lu bytes left unused", (unsigned long)start.value,
                 (unsigned long)size);
        return;
    }
    ranges[range_count++] = (struct frame_range){ first, end };
    describe_frames(first, end);
}

void pages_init(void) {
    for (unsigned order = 0; order <= PAGES_MAX_ORDER; order++)
        list_init(&buddy.free[order]);
    if (machine.initrd) {
        uint64_t start = virt_to_phys(machine.initrd).value;
        describe_frames(start >> PAGE_SHIFT,
                        ALIGN_UP(start + machine.initrd_size, PAGE_SIZE) >> PAGE_SHIFT);
    }
    for (unsigned r = 0; r < range_count; r++) {
        for (uint64_t n = ranges[r].start / SECTION_FRAMES; n * SECTION_FRAMES < ranges[r].end;
             n++) {
            struct frame_range here = range_in_section(r, (unsigned)n);
            sections[n].usable += (uint32_t)(here.end - here.start);
        }
    }
    for (unsigned n = 0; n < MAX_SECTIONS; n++) {
        if (!sections[n].frames)
            continue;
        struct frame_range best = largest_range(n);
        /* A scrap that cannot hold the descriptors is left alone. */
        if (best.end - best.start < descriptor_frames(&sections[n]))
            sections[n].usable = 0;
        buddy.total += sections[n].usable;
    }
    atomic_store_explicit(&buddy.estimate, buddy.total, memory_order_relaxed);
    /* On a small machine caches must not hold what others lack. */
    if (buddy.total < MIB(64) >> PAGE_SHIFT)
        cache_limit = 16;
    if (buddy.total < GIB(2) >> PAGE_SHIFT)
        huge_limit = buddy.total < MIB(256) >> PAGE_SHIFT ? 0 : 2;
}
