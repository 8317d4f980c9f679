/* SPDX-License-Identifier: MIT */
/*
 * Kernel objects: slabs and per-CPU magazines, after Bonwick (USENIX 1994) and
 * Bonwick and Adams (USENIX 2001).
 *
 * Data.  A slab is a block of 2^order frames cut into objects of one size; its
 * first frame's descriptor is the slab's own: `link` chains the slabs that have
 * free objects, `owner` is the cache (in all frames of the slab, for kfree),
 * `refs` packs the number of used objects (low half) and where the chain of
 * free ones starts (high half: offset / 16 + 1; 0 ends the chain).  The link to
 * the next free object is the first two bytes of a free one.
 *
 * A magazine is a stack of free objects that one CPU keeps of one cache; with
 * preemption off no lock is needed.  Empty, it is filled by half from the
 * slabs; full, half of it goes back; both under the cache's lock.  There is no
 * depot of full magazines between: at our rates a batch of fifteen objects
 * under the lock costs no more than exchanging magazines there.
 *
 * Objects are cleared when handed out, so a free object may hold anything.
 *
 * Lock: cache.lock (RANK_SLAB) guards the slabs; taken with preemption off.
 * An empty slab is kept as long as it is the only one with free objects.
 */
#include "kernel/slab.h"

#include "arch/x86_64/percpu.h"
#include "base/list.h"
#include "base/string.h"
#include "kernel/lock.h"
#include "kernel/pages.h"
#include "kernel/panic.h"
#include "kernel/thread.h"

#define MAX_CACHES      64
#define MAX_SLAB_ORDER  3
#define MAGAZINE_ROUNDS 63
#define UNIT            16u /* objects are multiples of this */

struct magazine {
    unsigned rounds;
    void *object[MAGAZINE_ROUNDS];
};

struct slab_cache {
    const char *name;
    uint32_t size;     /* bytes of an object */
    uint16_t per_slab; /* objects in a slab */
    uint8_t order;     /* frames in a slab, log2 */
    uint8_t id;        /* index into `magazines` */
    uint8_t rounds;    /* capacity of a magazine */

    struct spinlock
        lock;            /* RANK_SLAB, irqsave; guards `partial` and the descriptors of the slabs */
    struct list partial; /* slabs with a free object: page.link */
};

static struct slab_cache caches[MAX_CACHES];
static atomic_uint cache_count;
static PERCPU struct magazine *magazines[MAX_CACHES];

/* Magazines come from caches[0], which has none itself. */
#define MAGAZINE_CACHE (&caches[0])

static const uint16_t class_sizes[] = { 16,  32,  48,  64,  96,   128,  192,
                                        256, 384, 512, 768, 1024, 1344, 2048 };
static struct slab_cache *classes[ARRAY_SIZE(class_sizes)];
static uint8_t class_of[2048 / UNIT + 1]; /* by size in units, rounded up */

static unsigned slab_used(const struct page *slab) {
    return atomic_load_explicit(&slab->refs, memory_order_relaxed) & 0xffff;
}

static unsigned slab_chain(const struct page *slab) {
    return atomic_load_explicit(&slab->refs, memory_order_relaxed) >> 16;
}

static void slab_set(struct page *slab, unsigned chain, unsigned used) {
    atomic_store_explicit(&slab->refs, chain << 16 | used, memory_order_relaxed);
}

static struct page *slab_of(const struct slab_cache *c, const void *object) {
    uint64_t phys = virt_to_phys(object).value;
    return phys_to_page(PADDR(ALIGN_DOWN(phys, PAGE_SIZE << c->order)));
}

/* A new slab on the list of `c`; NULL without memory.  The lock is held. */
static cold_fn struct page *slab_create_locked(struct slab_cache *c) {
    struct page *slab = pages_alloc(c->order);
    if (!slab)
        return NULL;
    char *base = page_address(slab);
    unsigned chain = 0;
    for (unsigned i = c->per_slab; i-- > 0;) {
        *(uint16_t *)(void *)(base + i * c->size) = (uint16_t)chain;
        chain = i * c->size / UNIT + 1;
    }
    for (unsigned i = 0; i < 1u << c->order; i++) {
        slab[i].owner = c;
        page_set_flags(&slab[i], page_flags(&slab[i]) | PAGE_SLAB);
    }
    slab_set(slab, chain, 0);
    list_add_head(&c->partial, &slab->link);
    return slab;
}

static void *slab_take_locked(struct slab_cache *c) {
    struct page *slab = list_is_empty(&c->partial) ? slab_create_locked(c)
                                                   : list_first(&c->partial, struct page, link);
    if (!slab)
        return NULL;
    void *object = (char *)page_address(slab) + (slab_chain(slab) - 1) * UNIT;
    unsigned next = *(uint16_t *)object;
    slab_set(slab, next, slab_used(slab) + 1);
    if (!next)
        list_remove(&slab->link);
    return object;
}

static void slab_give_locked(struct slab_cache *c, void *object) {
    struct page *slab = slab_of(c, object);
    unsigned used = slab_used(slab), chain = slab_chain(slab);
    assert(slab->owner == c && used > 0);

    if (!chain)
        list_add_tail(&c->partial, &slab->link);
    *(uint16_t *)object = (uint16_t)chain;
    chain = (unsigned)((char *)object - (char *)page_address(slab)) / UNIT + 1;
    slab_set(slab, chain, used - 1);
    if (used == 1 && c->partial.next != c->partial.prev) {
        list_remove(&slab->link);
        for (unsigned i = 0; i < 1u << c->order; i++)
            page_set_flags(&slab[i], page_flags(&slab[i]) & ~PAGE_SLAB);
        pages_free(slab, c->order);
    }
}

static cold_fn struct magazine *magazine_create(void) {
    uint64_t flags = spin_lock_irqsave(&MAGAZINE_CACHE->lock);
    struct magazine *m = slab_take_locked(MAGAZINE_CACHE);
    spin_unlock_irqrestore(&MAGAZINE_CACHE->lock, flags);
    if (m)
        m->rounds = 0;
    return m;
}

/* This CPU's magazine for `c`, made on first use; NULL without memory or for MAGAZINE_CACHE.
 * Preemption is off. */
static inline struct magazine *magazine_of(struct slab_cache *c) {
    struct magazine **m = this_cpu(magazines[0]) + c->id;
    return likely(*m != NULL) || c == MAGAZINE_CACHE ? *m : (*m = magazine_create());
}

static cold_fn void *alloc_refill(struct slab_cache *c, struct magazine *m) {
    uint64_t flags = spin_lock_irqsave(&c->lock);
    void *object = slab_take_locked(c);
    while (object && m && m->rounds < c->rounds / 2u) {
        void *more = slab_take_locked(c);
        if (!more)
            break;
        m->object[m->rounds++] = more;
    }
    spin_unlock_irqrestore(&c->lock, flags);
    return object;
}

static void *alloc_uncleared(struct slab_cache *c) {
    preempt_disable();
    struct magazine *m = magazine_of(c);
    void *object = likely(m && m->rounds) ? m->object[--m->rounds] : alloc_refill(c, m);
    preempt_enable();
    return object;
}

void *slab_alloc(struct slab_cache *c) {
    void *object = alloc_uncleared(c);
    if (likely(object != NULL))
        memset(object, 0, c->size);
    return object;
}

static cold_fn void free_drain(struct slab_cache *c, struct magazine *m, void *object) {
    uint64_t flags = spin_lock_irqsave(&c->lock);
    while (m && m->rounds > c->rounds / 2u)
        slab_give_locked(c, m->object[--m->rounds]);
    slab_give_locked(c, object);
    spin_unlock_irqrestore(&c->lock, flags);
}

#ifdef DEBUG
static void check_free(struct slab_cache *c, struct magazine *m, void *object) {
    assert(slab_of(c, object)->owner == c);
    for (unsigned i = 0; m && i < m->rounds; i++)
        assert(m->object[i] != object);
    memset(object, 0xdb, c->size);
}
#else
static void check_free(struct slab_cache *c, struct magazine *m, void *object) {
    (void)c;
    (void)m;
    (void)object;
}
#endif

void slab_free(struct slab_cache *c, void *object) {
    preempt_disable();
    struct magazine *m = magazine_of(c);
    check_free(c, m, object);
    if (likely(m && m->rounds < c->rounds))
        m->object[m->rounds++] = object;
    else
        free_drain(c, m, object);
    preempt_enable();
}

/* The smallest slab that wastes at most an eighth, else the largest allowed. */
static uint8_t order_for(size_t size) {
    uint8_t order = 0;
    while (order < MAX_SLAB_ORDER && (PAGE_SIZE << order) % size > (PAGE_SIZE << order) / 8)
        order++;
    while (PAGE_SIZE << order < size)
        order++;
    return order;
}

struct slab_cache *slab_cache_create(const char *name, size_t size, size_t align) {
    unsigned id = atomic_fetch_add_explicit(&cache_count, 1, memory_order_relaxed);
    assert(id < MAX_CACHES && align <= PAGE_SIZE);
    struct slab_cache *c = &caches[id];

    /* Objects lie at multiples of the size from a page boundary. */
    size = ALIGN_UP(MAX(size, UNIT), MAX(align, (size_t)UNIT));
    c->name = name;
    c->size = (uint32_t)size;
    c->id = (uint8_t)id;
    c->order = order_for(size);
    c->per_slab = (uint16_t)((PAGE_SIZE << c->order) / size);
    c->rounds = (uint8_t)MIN(MAX(PAGE_SIZE * 4 / size, 8ul), (size_t)MAGAZINE_ROUNDS);
    spin_init(&c->lock, RANK_SLAB);
    list_init(&c->partial);
    return c;
}

void slab_init(void) {
    struct slab_cache *first = slab_cache_create("magazine", sizeof(struct magazine), 0);
    assert(first == MAGAZINE_CACHE);
    unsigned class = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(class_sizes); i++)
        classes[i] = slab_cache_create("kmalloc", class_sizes[i], 0);
    for (unsigned units = 0; units < ARRAY_SIZE(class_of); units++) {
        if (units * UNIT > class_sizes[class])
            class ++;
        class_of[units] = (uint8_t) class;
    }
}

/* The class of `size`, at most 2 KiB. */
static struct slab_cache *class_for(size_t size) {
    return classes[class_of[(size + UNIT - 1) / UNIT]];
}

/* The order of a block that holds `size`. */
static unsigned block_order(size_t size) {
    uint64_t frames = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    return frames == 1 ? 0 : 64 - (unsigned)__builtin_clzl(frames - 1);
}

void *kmalloc(size_t size) {
    if (likely(size <= 2048))
        return slab_alloc(class_for(size));
    if (size > PAGE_SIZE << PAGES_MAX_ORDER)
        return NULL;
    struct page *p = pages_alloc_zeroed(block_order(size));
    return p ? page_address(p) : NULL;
}

void *kmalloc_uncleared(size_t size) {
    if (likely(size <= 2048))
        return alloc_uncleared(class_for(size));
    if (size > PAGE_SIZE << PAGES_MAX_ORDER)
        return NULL;
    struct page *p = pages_alloc(block_order(size));
    return p ? page_address(p) : NULL;
}

void *kmalloc_uncleared_most(size_t *size) {
    void *p;
    while (!(p = kmalloc_uncleared(*size)) && *size > PAGE_SIZE)
        *size /= 2;
    return p;
}

void kfree(void *p) {
    if (!p)
        return;
    struct page *page = phys_to_page(virt_to_phys(p));
    if (page_flags(page) & PAGE_SLAB)
        slab_free(page->owner, p);
    else
        pages_free(page, page->order);
}
