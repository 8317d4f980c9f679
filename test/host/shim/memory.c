/* SPDX-License-Identifier: MIT */
/*
 * Kernel memory and time for drivers under test, where the real allocators would
 * hide mistakes: every object is one of the C library's, so that the sanitizers
 * see each overflow and each use after free, and time stands still.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/paging.h"
#include "base/list.h"
#include "kernel/pages.h"
#include "kernel/slab.h"
#include "kernel/timer.h"
#include "test/host/shim/memory.h"

/* In front of every object. */
struct block {
    struct list link;
    size_t size;
} __attribute__((aligned(CACHE_LINE)));

/* In front of every page: its descriptor. */
struct frame {
    struct list link;
    struct page page;
} __attribute__((aligned(PAGE_SIZE)));

struct slab_cache {
    size_t size;
};

unsigned host_pages_left = UINT32_MAX;
unsigned host_pages_used, host_objects_used;
uint64_t host_now_ns;
static struct list blocks = LIST_INIT(blocks), frames = LIST_INIT(frames);
static struct timer *timers[16];

void host_objects_create(void) {
    /* An object's physical address is not its virtual one. */
    host_memory = (char *)PAGE_SIZE;
    host_pages_left = UINT32_MAX;
    host_now_ns = 1;
}

static void free_frame(struct frame *f) {
    list_remove(&f->link);
    host_pages_used--;
    free(f);
}

void host_objects_free(void) {
    while (!list_is_empty(&blocks))
        kfree(list_first(&blocks, struct block, link) + 1);
    while (!list_is_empty(&frames))
        free_frame(list_first(&frames, struct frame, link));
    memset(timers, 0, sizeof timers);
}

void *kmalloc(size_t size) {
    void *at;

    if (posix_memalign(&at, sizeof(struct block), sizeof(struct block) + size))
        abort();
    struct block *b = at;
    memset(b, 0, sizeof *b + size);
    b->size = size;
    list_add_tail(&blocks, &b->link);
    host_objects_used++;
    return b + 1;
}

void kfree(void *p) {
    if (!p)
        return;
    struct block *b = (struct block *)p - 1;
    list_remove(&b->link);
    host_objects_used--;
    free(b);
}

struct slab_cache *slab_cache_create(const char *name, size_t size, size_t align) {
    struct slab_cache *c = kmalloc(sizeof *c);

    (void)name;
    assert(align <= CACHE_LINE);
    c->size = size;
    return c;
}

void *slab_alloc(struct slab_cache *c) {
    return kmalloc(c->size);
}

struct page *pages_alloc(unsigned order) {
    void *at;

    assert(order == 0);
    if (host_pages_left == 0)
        return NULL;
    host_pages_left--;
    host_pages_used++;
    if (posix_memalign(&at, PAGE_SIZE, sizeof(struct frame) + PAGE_SIZE))
        abort();
    struct frame *f = at;
    atomic_init(&f->page.refs, 1);
    list_add_tail(&frames, &f->link);
    return &f->page;
}

void page_get(struct page *p) {
    assert(p->refs > 0);
    p->refs++;
}

void page_put(struct page *p) {
    assert(p->refs > 0);
    if (--p->refs == 0)
        free_frame(container_of(p, struct frame, page));
}

struct paddr page_to_phys(const struct page *p) {
    const struct frame *f =
        (const struct frame *)(const void *)((const char *)p - offsetof(struct frame, page));

    return virt_to_phys(f + 1);
}

struct page *phys_to_page(struct paddr phys) {
    char *page = phys_to_virt(PADDR(ALIGN_DOWN(phys.value, PAGE_SIZE)));

    return &((struct frame *)(void *)page - 1)->page;
}

uint64_t clock_now_ns(void) {
    return host_now_ns += NS_PER_SEC / 10; /* whoever polls gets to an end, and soon */
}

void timer_init(struct timer *t, void (*fire)(struct timer *)) {
    *t = (struct timer){ .fire = fire };
}

void timer_arm(struct timer *t, uint64_t deadline_ns) {
    unsigned free_slot = ARRAY_SIZE(timers);

    for (unsigned i = 0; i < ARRAY_SIZE(timers); i++) {
        if (timers[i] == t)
            timers[i] = NULL;
        if (!timers[i])
            free_slot = i;
    }
    assert(free_slot < ARRAY_SIZE(timers));
    timers[free_slot] = t;
    t->deadline_ns = deadline_ns;
    t->armed = true;
}

unsigned host_timers_fire(uint64_t until_ns) {
    unsigned fired = 0;

    host_now_ns = MAX(host_now_ns, until_ns);
    for (unsigned i = 0; i < ARRAY_SIZE(timers); i++) {
        struct timer *t = timers[i];

        if (!t || t->deadline_ns > until_ns)
            continue;
        timers[i] = NULL;
        t->armed = false;
        t->fire(t);
        fired++;
    }
    return fired;
}
