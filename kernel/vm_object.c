/* SPDX-License-Identifier: MIT */
/*
 * Backing objects of mappings: the reference count, and shared anonymous
 * memory.  The latter keeps its frames in a tree of tables with 512 slots each,
 * as deep as the highest page asks for, under one lock.
 */
#include <asm/errno.h>

#include "base/string.h"
#include "kernel/aspace.h"
#include "kernel/count.h"
#include "kernel/lock.h"
#include "kernel/slab.h"
#include "kernel/thread.h"

#define SLOTS     512
#define SLOT_BITS 9

void vm_object_put(struct vm_object *o) {
    count_shared_write(&o->refs);
    if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
        o->ops->release(o);
}

struct shared_object {
    struct vm_object object;
    struct spinlock lock; /* RANK_ASPACE; guards the rest */
    unsigned depth;       /* tables on the way to a frame; 0: nothing yet */
    void **root;
};

static struct shared_object *shared_of(struct vm_object *o) {
    return container_of(o, struct shared_object, object);
}

/* The slot for page `index`, made where missing; NULL without memory. */
static void **slot_locked(struct shared_object *s, uint64_t index) {
    while (!s->depth || index >> (SLOT_BITS * s->depth)) {
        void **table = kmalloc(SLOTS * sizeof(void *));
        if (!table)
            return NULL;
        table[0] = s->root;
        s->root = table;
        s->depth++;
    }
    void **table = s->root;
    for (unsigned level = s->depth - 1; level > 0; level--) {
        void **slot = &table[index >> (SLOT_BITS * level) & (SLOTS - 1)];
        if (!*slot && !(*slot = kmalloc(SLOTS * sizeof(void *))))
            return NULL;
        table = *slot;
    }
    return &table[index & (SLOTS - 1)];
}

static int shared_get_page(struct vm_object *o, uint64_t index, bool write, struct page **out) {
    struct shared_object *s = shared_of(o);
    struct page *fresh = NULL;
    (void)write;
    for (;;) {
        spin_lock(&s->lock);
        void **slot = slot_locked(s, index);
        if (slot && !*slot && fresh) {
            *slot = fresh;
            fresh = NULL;
        }
        struct page *p = slot ? *slot : NULL;
        if (p)
            page_get(p);
        spin_unlock(&s->lock);
        if (p || !slot || fresh) {
            if (fresh)
                pages_free(fresh, 0); /* another thread was faster, or no memory for tables */
            *out = p;
            return p ? 0 : -ENOMEM;
        }
        /* Cleared without the lock. */
        fresh = pages_alloc_zeroed(0);
        if (!fresh)
            return -ENOMEM;
    }
}

/* The slot of page `index`, or NULL where a table on the way is missing; *span: how many pages
 * from an aligned index on are missing with it. */
static void **slot_find_locked(struct shared_object *s, uint64_t index, uint64_t *span) {
    void **table = s->root;
    *span = s->depth ? 1ul << (SLOT_BITS * s->depth) : 1;
    if (!s->depth || index >> (SLOT_BITS * s->depth)) {
        *span = 1ul << 52; /* nothing from here on */
        return NULL;
    }
    for (unsigned level = s->depth - 1; level > 0 && table; level--) {
        table = table[index >> (SLOT_BITS * level) & (SLOTS - 1)];
        *span = 1ul << (SLOT_BITS * level);
    }
    return table ? &table[index & (SLOTS - 1)] : NULL;
}

static bool shared_has_page(struct vm_object *o, uint64_t index) {
    struct shared_object *s = shared_of(o);
    uint64_t span;
    spin_lock(&s->lock);
    void **slot = slot_find_locked(s, index, &span);
    bool has = slot && *slot;
    spin_unlock(&s->lock);
    return has;
}

static int shared_punch(struct vm_object *o, uint64_t offset, uint64_t length) {
    struct shared_object *s = shared_of(o);
    uint64_t first = offset >> PAGE_SHIFT, end = (offset + length) >> PAGE_SHIFT, span;
    for (uint64_t index = first; index < end;) {
        spin_lock(&s->lock);
        void **slot = slot_find_locked(s, index, &span);
        struct page *p = slot ? *slot : NULL;
        if (p)
            *slot = NULL;
        spin_unlock(&s->lock);
        if (p)
            page_put(p);
        index = slot ? index + 1 : ALIGN_DOWN(index, span) + span;
        if (index % 256 == 0)
            thread_preempt_point();
    }
    aspace_forget_pages(o, first, end - 1, false);
    return 0;
}

static void release_table(void **table, unsigned depth) {
    for (unsigned i = 0; i < SLOTS; i++) {
        if (!table[i])
            continue;
        if (depth > 1)
            release_table(table[i], depth - 1);
        else
            page_put(table[i]);
    }
    kfree(table);
}

static void shared_release(struct vm_object *o) {
    struct shared_object *s = shared_of(o);
    if (s->root)
        release_table(s->root, s->depth);
    kfree(s);
}

static uint64_t shared_name(struct vm_object *o, char *to, size_t size) {
    (void)o;
    string_copy(to, "/dev/zero (deleted)", size);
    return 1;
}

static const struct vm_object_ops shared_ops = {
    .get_page = shared_get_page,
    .has_page = shared_has_page,
    .punch = shared_punch,
    .release = shared_release,
    .name = shared_name,
};

struct vm_object *vm_object_create_shared(void) {
    struct shared_object *s = kmalloc(sizeof(*s));
    if (!s)
        return NULL;
    s->object.ops = &shared_ops;
    atomic_init(&s->object.refs, 1);
    spin_init(&s->lock, RANK_ASPACE);
    return &s->object;
}

bool vm_object_is_shared_memory(const struct vm_object *o) {
    return o->ops == &shared_ops;
}
