/* SPDX-License-Identifier: MIT */
/* Changes of what is mapped already: mprotect, madvise, mlock, mincore. */
#include <asm/errno.h>
#include <asm/mman.h>

#include "arch/x86_64/trap.h"
#include "kernel/aspace_impl.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

/* The regions that overlap a range, one after the other. */
struct part {
    struct region *r;
    uintptr_t from, to; /* what of `r` is in the range */
    uintptr_t end;      /* of the range */
    bool hole;          /* something in the range so far is not mapped */
};

static struct part part_begin(uintptr_t start, uintptr_t end) {
    return (struct part){ .to = start, .end = end };
}

static bool part_next(struct aspace *as, struct part *p) {
    struct region *r = p->r ? region_next(&as->tree, p->r) : region_find_above(&as->tree, p->to);
    if (!r || r->start >= p->end) {
        p->hole |= p->to < p->end;
        return false;
    }
    p->r = r;
    p->hole |= r->start > p->to;
    p->from = MAX(r->start, p->to);
    p->to = MIN(r->end, p->end);
    return true;
}

/* Checks what Linux's mprotect checks of each region, up to the first that fails. */
static int check_protect(struct aspace *as, uintptr_t start, uintptr_t *end, int prot) {
    struct part p = part_begin(start, *end);
    while (part_next(as, &p) && !p.hole) {
        bool refused = (prot & PROT_WRITE) && (p.r->flags & REGION_NOWRITE);
        if (refused || aspace_overcommits(p.r->prot & PROT_WRITE ? 0 : prot, p.r->flags,
                                          p.r->object, p.to - p.from)) {
            *end = p.from;
            return refused ? -EACCES : -ENOMEM;
        }
        start = p.to;
    }
    *end = start;
    return p.hole ? -ENOMEM : 0;
}

int aspace_protect(struct aspace *as, uintptr_t addr, size_t length, int prot) {
    uintptr_t end;
    struct region *r;
    const int grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
    if (!IS_ALIGNED(addr, PAGE_SIZE) || grows == (PROT_GROWSDOWN | PROT_GROWSUP))
        return -EINVAL;
    if (!length)
        return 0;
    if (!aspace_range(addr, length, &end))
        return -ENOMEM;
    if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | grows))
        return -EINVAL;
    prot &= PROT_READ | PROT_WRITE | PROT_EXEC;

    mutex_lock(&as->mutex);
    int err = 0, check = 0;
    bool commit = false;
    if (grows) {
        r = region_find_above(&as->tree, addr);
        err = !r || r->start >= end                                  ? -ENOMEM
              : (grows & PROT_GROWSUP) || !(r->flags & REGION_STACK) ? -EINVAL
                                                                     : 0;
        if (err)
            goto unlock;
        addr = r->start;
    }
    check = check_protect(as, addr, &end, prot);
    if (addr == end)
        goto unlock;
    err = aspace_cut(as, addr, end);
    if (err)
        goto unlock;
    aspace_write_begin(as);
    for (r = region_find(&as->tree, addr); r && r->start < end; r = region_next(&as->tree, r))
        r->prot = prot;
    aspace_write_end(as);
    for (r = region_find(&as->tree, addr); r && r->start < end; r = region_next(&as->tree, r))
        table_protect(as, r->start, r->end, prot, r->object && (r->flags & REGION_SHARED));
    table_flush(as);
    aspace_join(as, addr, end);
    commit = aspace_populate_all && (prot & PROT_WRITE);
unlock:
    mutex_unlock(&as->mutex);
    if (commit)
        (void)aspace_populate(as, addr, end);
    return err ? err : check;
}

/* Sets and clears flags of the regions in [start, end); returns 0 or -ENOMEM. */
static int change_flags(struct aspace *as, uintptr_t start, uintptr_t end, uint32_t set,
                        uint32_t clear) {
    bool needed = false;
    for (struct part p = part_begin(start, end); part_next(as, &p);)
        needed |= ((p.r->flags & ~clear) | set) != p.r->flags;
    if (!needed)
        return 0;
    int err = aspace_cut(as, start, end);
    if (err)
        return err;
    aspace_write_begin(as);
    for (struct part p = part_begin(start, end); part_next(as, &p);)
        p.r->flags = (p.r->flags & ~clear) | set;
    aspace_write_end(as);
    aspace_join(as, start, end);
    return 0;
}

static int advise_region(struct aspace *as, struct region *r, uintptr_t from, uintptr_t to,
                         int advice) {
    switch (advice) {
    case MADV_DONTNEED:
        if (r->flags & REGION_LOCKED)
            return -EINVAL;
        table_zap(as, from, to);
        return 0;
    case MADV_FREE:
        if (r->object || (r->flags & REGION_LOCKED))
            return -EINVAL;
        table_give_up(as, from, to);
        return 0;
    case MADV_WIPEONFORK:
        return r->object ? -EINVAL : 0;
    default:
        return 0;
    }
}

/* What MADV_REMOVE says of a region that cannot lose its pages. */
static int check_removable(const struct region *r) {
    if ((r->flags & REGION_LOCKED) || !r->object)
        return -EINVAL;
    if (!(r->flags & REGION_SHARED) || (r->flags & REGION_NOWRITE))
        return -EACCES;
    return r->object->ops->punch ? 0 : -EOPNOTSUPP;
}

/* Object by object and without the mutex, which taking pages out of one takes itself. */
static int remove_advised(struct aspace *as, uintptr_t start, uintptr_t end) {
    bool hole = false;
    for (uintptr_t at = start; at < end;) {
        mutex_lock(&as->mutex);
        const struct region *r = region_find_above(&as->tree, at);
        if (!r || r->start >= end) {
            mutex_unlock(&as->mutex);
            return -ENOMEM;
        }
        hole |= r->start > at;
        at = MAX(at, r->start);
        uintptr_t to = MIN(end, r->end);
        uint64_t offset = r->offset + (at - r->start);
        struct vm_object *o = r->object;
        int err = check_removable(r);
        if (!err)
            vm_object_get(o);
        mutex_unlock(&as->mutex);
        if (err)
            return err;
        err = o->ops->punch(o, offset, to - at);
        vm_object_put(o);
        if (err)
            return err;
        at = to;
    }
    return hole ? -ENOMEM : 0;
}

static int populate_advised(struct aspace *as, uintptr_t start, uintptr_t end, unsigned access) {
    for (uintptr_t at = start; at < end; at += PAGE_SIZE) {
        int err = aspace_fault(as, at, access);
        /* Linux's madvise: no mapping ENOMEM, forbidden EINVAL, beyond the file EFAULT. */
        if (err)
            return err == -EFAULT   ? -ENOMEM
                   : err == -EACCES ? -EINVAL
                   : err == -EIO    ? -EFAULT
                                    : err;
        if ((at >> PAGE_SHIFT) % 256 == 255) {
            thread_preempt_point();
            if (atomic_load_explicit(&current->work, memory_order_relaxed) & WORK_EXIT)
                return -EINTR;
        }
    }
    return 0;
}

static bool is_known_advice(int advice) {
    return (advice >= MADV_NORMAL && advice <= MADV_DONTNEED) ||
           (advice >= MADV_FREE && advice <= MADV_POPULATE_WRITE);
}

int aspace_advise(struct aspace *as, uintptr_t addr, size_t length, int advice) {
    uintptr_t end;
    int err = 0;
    if (!is_known_advice(advice) || !IS_ALIGNED(addr, PAGE_SIZE))
        return -EINVAL;
    if (!length)
        return 0;
    if (!aspace_range(addr, length, &end))
        return length > USER_END || addr + length < addr ? -EINVAL : -ENOMEM;
    if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)
        return populate_advised(as, addr, end, advice == MADV_POPULATE_WRITE ? FAULT_WRITE : 0);
    if (advice == MADV_REMOVE)
        return remove_advised(as, addr, end);

    mutex_lock(&as->mutex);
    if (advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE) {
        bool on = advice == MADV_HUGEPAGE;
        err = change_flags(as, addr, end, on ? REGION_HUGE : REGION_NOHUGE,
                           on ? REGION_NOHUGE : REGION_HUGE);
    }
    if (!err) {
        struct part p = part_begin(addr, end);
        while (!err && part_next(as, &p))
            err = advise_region(as, p.r, p.from, p.to, advice);
        table_flush(as);
        if (!err && p.hole)
            err = -ENOMEM;
    }
    mutex_unlock(&as->mutex);
    return err;
}

/* What mlock and munlock may change of a region's flags. */
#define LOCK_FLAGS (REGION_LOCKED | REGION_ONFAULT)

int aspace_lock(struct aspace *as, uintptr_t addr, size_t length, unsigned lock) {
    uintptr_t start = ALIGN_DOWN(addr, PAGE_SIZE), end;
    if (length + (addr - start) < length || !aspace_range(start, length + (addr - start), &end))
        return addr + length < addr ? -EINVAL : -ENOMEM;
    if (start == end)
        return 0;
    mutex_lock(&as->mutex);
    bool whole = aspace_is_mapped_locked(as, start, end);
    int err = change_flags(as, start, end, lock, LOCK_FLAGS & ~lock);
    mutex_unlock(&as->mutex);
    if (!err && !whole)
        err = -ENOMEM;
    if (!err && lock == REGION_LOCKED && aspace_populate(as, start, end) == -ENOMEM)
        err = -EAGAIN;
    return err;
}

int aspace_lock_all(struct aspace *as, bool current_too, bool future, unsigned lock) {
    int err = 0;
    mutex_lock(&as->mutex);
    as->future_flags = future ? lock : 0;
    if (current_too || !lock)
        err = change_flags(as, 0, USER_END, lock, LOCK_FLAGS & ~lock);
    mutex_unlock(&as->mutex);
    if (err || lock != REGION_LOCKED || !current_too)
        return err;
    /* Region by region, or it would visit every page of the gaps. */
    for (uintptr_t at = 0, end = 0;; at = end) {
        mutex_lock(&as->mutex);
        const struct region *r = region_find_above(&as->tree, at);
        at = r ? r->start : 0;
        end = r ? r->end : 0;
        mutex_unlock(&as->mutex);
        if (!end)
            return 0;
        (void)aspace_populate(as, at, end);
    }
}

int aspace_mincore(struct aspace *as, uintptr_t addr, size_t pages, uint8_t *vec) {
    int err = 0;
    mutex_lock(&as->mutex);
    for (size_t i = 0; i < pages; i++, addr += PAGE_SIZE) {
        const struct region *r = region_find(&as->tree, addr);
        if (!r) {
            err = -ENOMEM;
            break;
        }
        unsigned level = 1;
        struct pte *e = table_lookup(as, addr, &level);
        uint64_t index = (r->offset + (addr - r->start)) >> PAGE_SHIFT;
        vec[i] = e && atomic_load_explicit(&e->bits, memory_order_relaxed);
        if (!vec[i] && r->object && r->object->ops->has_page)
            vec[i] = r->object->ops->has_page(r->object, index);
    }
    mutex_unlock(&as->mutex);
    thread_preempt_point(); /* the caller asks for a part at a time */
    return err;
}

int aspace_check_sync(struct aspace *as, uintptr_t addr, size_t length, bool invalidate) {
    uintptr_t end;
    bool locked = false;
    if (!aspace_range(addr, length, &end))
        return -ENOMEM;
    struct part p = part_begin(addr, end);
    mutex_lock(&as->mutex);
    while (part_next(as, &p))
        locked |= (p.r->flags & REGION_LOCKED) != 0;
    mutex_unlock(&as->mutex);
    return locked && invalidate ? -EBUSY : p.hole ? -ENOMEM : 0;
}
