/* SPDX-License-Identifier: MIT */
/*
 * mremap: grow, shrink, move.
 *
 * Moving takes the entries along instead of copying bytes.  The source leaves
 * the tree first and the destination enters it last, so that no fault can fill
 * either side while entries travel; the stale translations of the source are
 * shot down before the destination can be seen.  A thread that touches the
 * range meanwhile gets the fault that it would get after the move.
 */
#include <asm/errno.h>
#include <asm/mman.h>
#include <linux/mman.h>

#include "kernel/aspace_impl.h"
#include "kernel/slab.h"

struct remap {
    uintptr_t old, old_end, new;
    size_t old_size, new_size;
    int flags;
};

static int check_arguments(const struct remap *m) {
    if (m->flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
        return -EINVAL;
    if ((m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && !(m->flags & MREMAP_MAYMOVE))
        return -EINVAL;
    if ((m->flags & MREMAP_DONTUNMAP) && m->old_size != m->new_size)
        return -EINVAL;
    if (!IS_ALIGNED(m->old, PAGE_SIZE) || !m->new_size || m->new_size > USER_END)
        return -EINVAL;
    if (m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
        if (!(m->flags & MREMAP_FIXED))
            return 0;
        if (!IS_ALIGNED(m->new, PAGE_SIZE) || m->new > USER_END - m->new_size)
            return -EINVAL;
        if (m->new < m->old + m->old_size && m->old < m->new + m->new_size)
            return -EINVAL;
        if (m->new < MAP_MIN)
            return -EPERM;
    }
    return 0;
}

/* Chooses the destination, or clears it under MREMAP_FIXED. */
static int find_destination(struct aspace *as, struct remap *m, const struct region *r) {
    if (m->flags & MREMAP_FIXED)
        return aspace_unmap_locked(as, m->new, m->new + m->new_size);
    size_t align = !r->object && m->new_size >= HUGE_SIZE ? HUGE_SIZE : PAGE_SIZE;
    m->new = aspace_place_locked(as, m->new_size, align);
    return m->new ? 0 : -ENOMEM;
}

/* The range [m->old, m->old_end) is one region, cut out; moves its entries. */
static int move_entries(struct aspace *as, const struct remap *m) {
    struct region *r = region_find(&as->tree, m->old);
    size_t length = m->old_end - m->old;
    struct vm_object *object = r->object;
    uint64_t offset = r->offset;
    const uint32_t flags = r->flags;
    const char *tag = r->tag;
    const int prot = r->prot;

    aspace_write_begin(as);
    region_remove(&as->tree, r);
    aspace_write_end(as);
    int err = table_prepare_move(as, m->old, m->new, length);
    if (err)
        goto put_back;
    /* Two references: the new region's, and the old one's should it stay. */
    if (object)
        vm_object_get(object);
    table_move(as, m->old, m->new, length);
    table_flush(as);
    err = aspace_insert_locked(as, m->new, m->new + m->new_size, prot, flags, object, offset, tag);
    if (err) {
        table_move(as, m->new, m->old, length);
        table_flush(as);
        if (object)
            vm_object_put(object);
        goto put_back;
    }
    if (m->flags & MREMAP_DONTUNMAP) {
        aspace_write_begin(as);
        r->flags &= ~(REGION_LOCKED | REGION_ONFAULT);
        region_insert(&as->tree, r);
        aspace_write_end(as);
        aspace_join(as, m->old, m->old_end);
        return 0;
    }
    if (object)
        vm_object_put(object);
    slab_free(region_cache, r);
    goto free_tables;

put_back:
    aspace_write_begin(as);
    region_insert(&as->tree, r);
    aspace_write_end(as);
    aspace_join(as, m->old, m->old_end);
free_tables:;
    /* Of the side that is empty now, the tables that nobody else needs. */
    uintptr_t gone = err ? m->new : m->old;
    struct region *above = region_find_above(&as->tree, gone), *below;
    if (above)
        below = region_prev(&as->tree, above);
    else
        below = list_entry(as->tree.list.prev, struct region, link);
    table_free_unused(as, gone, gone + length, below ? below->end : 0,
                      above ? above->start : USER_END);
    table_flush(as);
    return err;
}

static int move(struct aspace *as, struct remap *m, const struct region *r) {
    if (as->tree.count + 4 > MAX_REGIONS)
        return -ENOMEM;
    int err = find_destination(as, m, r);
    if (err)
        return err;
    if (m->new_size < m->old_size) {
        err = aspace_unmap_locked(as, m->old + m->new_size, m->old_end);
        if (err)
            return err;
        m->old_end = m->old + m->new_size;
    }
    err = aspace_cut(as, m->old, m->old_end);
    return err ? err : move_entries(as, m);
}

/* Old size 0: another mapping of the same shared pages. */
static int duplicate(struct aspace *as, struct remap *m, const struct region *r) {
    if (!(r->flags & REGION_SHARED) || !(m->flags & MREMAP_MAYMOVE))
        return -EINVAL;
    int err = find_destination(as, m, r);
    if (err)
        return err;
    r = region_find(&as->tree, m->old);
    if (!r)
        return -EFAULT;
    vm_object_get(r->object);
    err = aspace_insert_locked(as, m->new, m->new + m->new_size, r->prot, r->flags, r->object,
                               r->offset + (m->old - r->start), r->tag);
    if (err)
        vm_object_put(r->object);
    return err;
}

static int grow_in_place(struct aspace *as, struct remap *m, struct region *r) {
    uintptr_t end = m->old + m->new_size;
    const struct region *above = region_next(&as->tree, r);
    if (r->end != m->old_end || end > USER_END || (above && above->start < end))
        return -ENOMEM;
    aspace_write_begin(as);
    region_resize(&as->tree, r, r->start, end);
    aspace_write_end(as);
    aspace_join(as, r->start, end);
    m->new = m->old;
    return 0;
}

static int remap_locked(struct aspace *as, struct remap *m) {
    struct region *r = region_find(&as->tree, m->old);
    if (!r || (r->flags & REGION_SPECIAL))
        return -EFAULT;
    if (!m->old_size)
        return duplicate(as, m, r);
    bool must_move = m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
    if (!must_move && m->new_size <= m->old_size) {
        m->new = m->old;
        return m->new_size == m->old_size
                   ? 0
                   : aspace_unmap_locked(as, m->old + m->new_size, m->old_end);
    }
    /* What goes may lie in other mappings; what stays is one. */
    if (m->old + MIN(m->old_size, m->new_size) > r->end)
        return -EFAULT;
    if (m->new_size > m->old_size &&
        aspace_overcommits(r->prot, r->flags, r->object, m->new_size - m->old_size))
        return -ENOMEM;
    if (!must_move && grow_in_place(as, m, r) == 0)
        return 0;
    return m->flags & MREMAP_MAYMOVE ? move(as, m, r) : -ENOMEM;
}

int aspace_remap(struct aspace *as, uintptr_t addr, size_t old_size, size_t new_size, int flags,
                 uintptr_t *new_addr) {
    uintptr_t end = 0;
    if (old_size > USER_END || new_size > USER_END)
        return -EINVAL;
    struct remap m = { .old = addr,
                       .new = flags &MREMAP_FIXED ? *new_addr : 0,
                       .old_size = ALIGN_UP(old_size, PAGE_SIZE),
                       .new_size = ALIGN_UP(new_size, PAGE_SIZE),
                       .flags = flags };
    int err = check_arguments(&m);
    if (err)
        return err;
    if (!aspace_range(addr, m.old_size, &end))
        return -EFAULT;
    m.old_end = end;
    mutex_lock(&as->mutex);
    err = remap_locked(as, &m);
    const struct region *r = err ? NULL : region_find(&as->tree, m.new);
    unsigned lock = r ? r->flags & (REGION_LOCKED | REGION_ONFAULT) : 0;
    bool commit = r && m.new_size > m.old_size && (lock == REGION_LOCKED || aspace_populate_all);
    mutex_unlock(&as->mutex);
    if (!err)
        *new_addr = m.new;
    if (commit)
        (void)aspace_populate(as, m.new + m.old_size, m.new + m.new_size);
    return err;
}
