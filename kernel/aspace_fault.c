/* SPDX-License-Identifier: MIT */
/*
 * Page faults.  The protocol between faults and changes of mappings is told at
 * the top of aspace.c; here is the reader's half.
 *
 * The common case, the first touch of anonymous memory: mark, find the region,
 * walk the tables, take a frame off this CPU's cache, clear it, swap it in for
 * 0.  Two locked instructions write memory that other CPUs may look at: the
 * mark (this CPU's own line) and the entry.  If another CPU was faster, its
 * frame counts and ours goes back.
 *
 * 2 MiB at once.  An aligned span of 2 MiB that lies in one private anonymous
 * region, not a stack, not under MADV_NOHUGEPAGE, and in which nothing is
 * mapped yet, gets one large page while at least a quarter of memory is free.
 * Clearing takes long, so it is done without the mark, and all is checked again.
 * When memory runs out, large pages are split and what was never touched in
 * them is taken back (aspace_reclaim_locked), after what MADV_FREE gave up.
 *
 * A read of untouched memory gets a frame of its own, so that the write that
 * mostly follows needs no second fault; only with less than an eighth of memory
 * free do reads share one frame of zeros.
 *
 * Files.  get_page may sleep: the mark ends, the region's object is kept alive
 * by a reference of ours, and afterwards the region must still show the same
 * object at the same place.  A private mapping first shares the file's frame
 * (PTE_COW, never writable) and gets a copy at the first write.  In a shared
 * mapping an entry becomes writable only after the object was told.
 *
 * Replacing a frame that was mapped already (copy, or a new frame from the
 * object) needs a shootdown, or another CPU could go on reading the old one;
 * the old frame goes back only after that, and after the readers that may be
 * copying from it.
 */
#include <asm/errno.h>
#include <asm/mman.h>

#include "arch/x86_64/trap.h"
#include "kernel/aspace_impl.h"
#include "kernel/count.h"

#define FAULT_AGAIN 1 /* something changed meanwhile: start over */

static bool is_allowed(const struct region *r, unsigned access) {
    if (access & FAULT_WRITE)
        return r->prot & PROT_WRITE;
    if (access & FAULT_EXEC)
        return r->prot & PROT_EXEC;
    return r->prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
}

/* Whether the 2 MiB round `addr` may be one page. */
static bool is_huge_candidate(const struct region *r, uintptr_t addr) {
    uintptr_t base = ALIGN_DOWN(addr, HUGE_SIZE);
    return base >= r->start && base + HUGE_SIZE <= r->end && !r->object &&
           !(r->flags & (REGION_STACK | REGION_NOHUGE | REGION_SPECIAL)) &&
           pages_free_estimate() * 4 >= aspace_total_frames;
}

/* Swaps `bits` in for an empty entry. */
static bool install(struct pte *e, uint64_t bits) {
    uint64_t empty = 0;
    count_shared_write(e);
    /* Release: the cleared frame before its entry. */
    return atomic_compare_exchange_strong_explicit(&e->bits, &empty, bits, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/*
 * Puts a 2 MiB page at `addr`.  Called without mark.  Returns 0, FAULT_AGAIN
 * where a small page must do, or something else is there by now.
 */
static cold_fn int fault_huge(struct aspace *as, uintptr_t addr, bool *may_be_huge) {
    struct page *p = pages_alloc(HUGE_ORDER);
    *may_be_huge = false;
    if (!p)
        return FAULT_AGAIN;
    char *at = page_address(p);
    for (unsigned i = 0; i < 512; i++) {
        cpu_clear_page(at + i * PAGE_SIZE);
        if (i % 128 == 127)
            thread_preempt_point();
    }
    struct aspace_cpu *c = aspace_read_begin(as);
    struct region *r = region_find(&as->tree, addr);
    bool done = false;
    if (r && is_huge_candidate(r, addr) && (r->prot & (PROT_READ | PROT_WRITE | PROT_EXEC))) {
        unsigned level = 2;
        struct pte *e = table_entry(as, addr, &level);
        done = e && install(e, page_to_phys(p).value | table_bits(r->prot) | PTE_HUGE);
    }
    if (done) {
        c->resident += 512;
        c->faults_huge++;
    }
    aspace_read_end(c);
    if (!done)
        pages_free(p, HUGE_ORDER);
    return done ? 0 : FAULT_AGAIN;
}

/* Replaces `old` (frame and flags; accessed and dirty may change) by `bits`. */
static bool replace(struct pte *e, uint64_t old, uint64_t bits) {
    const uint64_t volatile_bits = PTE_ACCESSED | PTE_DIRTY;
    uint64_t found = old;
    count_shared_write(e);
    while (!atomic_compare_exchange_strong_explicit(&e->bits, &found, bits, memory_order_acq_rel,
                                                    memory_order_acquire)) {
        if ((found ^ old) & ~volatile_bits)
            return false;
    }
    return true;
}

/* After `replace`, without mark: no CPU sees `old`'s frame any more; gives it back. */
static void retire(struct aspace *as, uintptr_t addr, uint64_t old) {
    tlb_shootdown(as, addr, addr + PAGE_SIZE);
    aspace_readers_drain(as);
    page_put(phys_to_page(PADDR(old & PTE_ADDR)));
}

/* A write to a frame that is shared. Ends the mark. */
static cold_fn int fault_copy(struct aspace *as, struct aspace_cpu *c, const struct region *r,
                              struct pte *e, uint64_t old, uintptr_t addr) {
    struct page *from = phys_to_page(PADDR(old & PTE_ADDR));
    bool done = false;
    /* The only user may keep it; a frame that was never allocated is the initrd's. */
    if ((page_flags(from) & PAGE_USED) &&
        atomic_load_explicit(&from->refs, memory_order_acquire) == 1) {
        (void)replace(e, old, table_reprotect(old & ~PTE_COW, r->prot, false) | PTE_DIRTY);
        aspace_read_end(c);
        return 0;
    }
    struct page *copy = pages_alloc(0);
    if (copy) {
        cpu_copy_page(page_address(copy), page_address(from));
        done = replace(e, old, page_to_phys(copy).value | table_bits(r->prot));
        c->faults_copied += done;
    }
    aspace_read_end(c);
    if (done)
        retire(as, addr, old);
    else if (copy)
        pages_free(copy, 0);
    return copy ? 0 : -ENOMEM;
}

/*
 * The entry is not empty: another CPU was faster, or it allows less than the
 * region does.  Ends the mark.
 */
static int fault_mapped(struct aspace *as, struct aspace_cpu *c, const struct region *r,
                        struct pte *e, uint64_t old, uintptr_t addr, unsigned access) {
    if ((access & FAULT_WRITE) && (old & PTE_COW) && !(old & PTE_HUGE))
        return fault_copy(as, c, r, e, old, addr);
    uint64_t bits = table_reprotect(old, r->prot, r->object && (r->flags & REGION_SHARED));
    /* Losing to another change is fine: the program repeats the access, and we look again. */
    if (bits != old)
        (void)replace(e, old, bits);
    aspace_read_end(c);
    return 0;
}

/* Memory is short and this is a read: all such pages share one frame.  Ends the mark. */
static cold_fn void map_zero_page(struct aspace_cpu *c, const struct region *r, struct pte *e) {
    page_get(aspace_zero_page);
    uint64_t bits = page_to_phys(aspace_zero_page).value | table_bits(r->prot);
    if (install(e, (bits & ~PTE_WRITE) | PTE_COW))
        c->resident++;
    else
        page_put(aspace_zero_page);
    aspace_read_end(c);
}

static int fault_anonymous(struct aspace *as, struct aspace_cpu *c, const struct region *r,
                           uintptr_t addr, unsigned access, bool *may_be_huge) {
    unsigned level = 1;
    if (unlikely(*may_be_huge && is_huge_candidate(r, addr))) {
        level = 2;
        struct pte *e = table_lookup(as, addr, &level);
        if (!e || !atomic_load_explicit(&e->bits, memory_order_relaxed)) {
            aspace_read_end(c);
            return fault_huge(as, addr, may_be_huge);
        }
        level = 1;
    }
    struct pte *e = table_entry(as, addr, &level);
    struct page *p;
    int err = -ENOMEM;
    if (unlikely(!e))
        goto end;
    uint64_t old = atomic_load_explicit(&e->bits, memory_order_acquire);
    if (unlikely(old))
        return fault_mapped(as, c, r, e, old, addr, access);
    if (unlikely(!(access & FAULT_WRITE)) && pages_free_estimate() * 8 < aspace_total_frames) {
        map_zero_page(c, r, e);
        return 0;
    }
    p = pages_alloc_zeroed(0);
    if (unlikely(!p))
        goto end;
    if (likely(install(e, page_to_phys(p).value | table_bits(r->prot))))
        c->resident++;
    else
        pages_free(p, 0);
    err = 0;
end:
    aspace_read_end(c);
    return err;
}

/* The object's frame for this access: in *out, with a reference, and the entry that it makes. */
static int object_page(struct vm_object *o, uint64_t index, bool shared, bool write, int prot,
                       struct page **out, uint64_t *bits) {
    struct page *p;
    int err = o->ops->get_page(o, index, shared && write, &p);
    if (err)
        return err;
    if (!shared && write) {
        struct page *copy = pages_alloc(0);
        if (copy)
            cpu_copy_page(page_address(copy), page_address(p));
        page_put(p);
        if (!copy)
            return -ENOMEM;
        p = copy;
    }
    *bits = page_to_phys(p).value | table_bits(prot);
    if (!write)
        *bits = (*bits & ~PTE_WRITE) | (shared ? 0 : PTE_COW);
    *out = p;
    return 0;
}

/*
 * Marks again and, if the region still shows `o` so, puts the frame in.
 * Consumes the reference of `p`.
 */
static int install_object(struct aspace *as, struct vm_object *o, uint32_t truncations,
                          uint64_t index, uintptr_t addr, unsigned access, int prot, struct page *p,
                          uint64_t bits) {
    int err = FAULT_AGAIN;
    bool keep = false;
    uint64_t old = 0;
    struct aspace_cpu *c = aspace_read_begin(as);
    struct region *r = region_find(&as->tree, addr);
    if (r && r->object == o && r->prot == prot &&
        atomic_load_explicit(&o->truncations, memory_order_seq_cst) == truncations &&
        is_allowed(r, access) && (r->offset + (addr - r->start)) >> PAGE_SHIFT == index) {
        unsigned level = 1;
        struct pte *e = table_entry(as, addr, &level);
        err = e ? 0 : -ENOMEM;
        if (e && install(e, bits)) {
            keep = true;
            c->resident++;
        } else if (e && (r->flags & REGION_SHARED) && (access & FAULT_WRITE)) {
            old = atomic_load_explicit(&e->bits, memory_order_acquire);
            bool same = ((old ^ bits) & PTE_ADDR) == 0;
            keep = old && replace(e, old, bits) && !same;
            if (!keep || same)
                old = 0;
        }
    }
    aspace_read_end(c);
    if (old)
        retire(as, addr, old);
    if (!keep)
        page_put(p);
    return err;
}

static int fault_object(struct aspace *as, struct aspace_cpu *c, const struct region *r,
                        uintptr_t addr, unsigned access) {
    unsigned level = 1;
    struct vm_object *o = r->object;
    uint64_t index = (r->offset + (addr - r->start)) >> PAGE_SHIFT;
    bool shared = r->flags & REGION_SHARED, write = access & FAULT_WRITE;
    int prot = r->prot;
    struct page *p = NULL;
    uint64_t bits = 0;

    struct pte *e = table_lookup(as, addr, &level);
    uint64_t old = e ? atomic_load_explicit(&e->bits, memory_order_acquire) : 0;
    if (old && !(shared && write && !(old & PTE_WRITE)))
        return fault_mapped(as, c, r, e, old, addr, access);
    uint32_t truncations = atomic_load_explicit(&o->truncations, memory_order_seq_cst);
    vm_object_get(o);
    aspace_read_end(c);
    int err = object_page(o, index, shared, write, prot, &p, &bits);
    if (!err)
        err = install_object(as, o, truncations, index, addr, access, prot, p, bits);
    vm_object_put(o);
    return err;
}

/* Whether `addr` is now in a stack region, which grew down to it if it had to. */
static cold_fn bool grow_stack(struct aspace *as, uintptr_t addr) {
    bool grown = false;
    uintptr_t start = ALIGN_DOWN(addr, PAGE_SIZE);
    mutex_lock(&as->mutex);
    struct region *r = region_find_above(&as->tree, addr);
    if (r && r->start <= addr) {
        grown = true; /* by another thread, or mapped meanwhile */
    } else if (r && (r->flags & REGION_STACK) && r->end - start <= as->stack_limit) {
        const struct region *below = region_prev(&as->tree, r);
        if (start >= MAP_MIN && (!below || below->end + STACK_GUARD <= start)) {
            aspace_write_begin(as);
            region_resize(&as->tree, r, start, r->end);
            aspace_write_end(as);
            grown = true;
        }
    }
    mutex_unlock(&as->mutex);
    return grown;
}

uint64_t aspace_reclaim_locked(struct aspace *as) {
    uint64_t frames = 0;
    struct region *r;
    list_for_each(r, &as->tree.list, link) {
        if (!r->object)
            frames += table_take_back(as, r->start, r->end);
    }
    table_flush(as);
    list_for_each(r, &as->tree.list, link) {
        if (!frames && !r->object)
            frames += table_trim(as, r->start, r->end);
    }
    return frames;
}

/* Memory is out.  Whether it is worth another try: we, or another thread, got some back. */
static cold_fn bool try_reclaim(struct aspace *as, unsigned *tries) {
    mutex_lock(&as->mutex);
    uint64_t frames = aspace_reclaim_locked(as);
    mutex_unlock(&as->mutex);
    return frames > 0 || (pages_free_estimate() > 0 && ++*tries < 100);
}

int aspace_fault(struct aspace *as, uintptr_t addr, unsigned access) {
    bool may_be_huge = true;
    unsigned tries = 0;
    addr = ALIGN_DOWN(addr, PAGE_SIZE);
    if (unlikely(addr >= USER_END))
        return -EFAULT;
    for (;;) {
        struct aspace_cpu *c = aspace_read_begin(as);
        struct region *r = region_find(&as->tree, addr);
        int err;
        c->faults++;
        current->faults++;
        if (unlikely(!r)) {
            aspace_read_end(c);
            if (!grow_stack(as, addr))
                return -EFAULT;
            continue;
        }
        if (unlikely(!is_allowed(r, access))) {
            aspace_read_end(c);
            return -EACCES;
        }
        if (likely(!r->object))
            err = fault_anonymous(as, c, r, addr, access, &may_be_huge);
        else
            err = fault_object(as, c, r, addr, access);
        if (err == -ENOMEM && try_reclaim(as, &tries))
            continue;
        if (err <= 0)
            return err;
    }
}

int aspace_futex_key(struct aspace *as, uintptr_t addr, const void **base, uint64_t *offset) {
    struct aspace_cpu *c = aspace_read_begin(as);
    const struct region *r = region_find(&as->tree, addr);
    bool shared = r && (r->flags & REGION_SHARED) && r->object;
    *base = shared ? (const void *)r->object : as;
    *offset = shared ? r->offset + (addr - r->start) : addr;
    aspace_read_end(c);
    return r ? 0 : -EFAULT;
}

/* --populate must not take what the program then cannot do without. */
static bool is_populate_enough(void) {
    return aspace_populate_all && pages_free_estimate() * 16 < aspace_total_frames;
}

int aspace_populate(struct aspace *as, uintptr_t start, uintptr_t end) {
    int result = 0;
    for (uintptr_t at = start, next; at < end; at = next) {
        struct aspace_cpu *c = aspace_read_begin(as);
        const struct region *r = region_find_above(&as->tree, at);
        unsigned access =
            r && (r->prot & PROT_WRITE) && !(r->flags & REGION_SHARED) ? FAULT_WRITE : 0;
        bool accessible = r && r->start <= at && is_allowed(r, access);
        /* Where one page fails, the rest of its region would, too: there may be 2^34 of them. */
        uintptr_t after = !r ? end : r->start > at ? r->start : r->end;
        aspace_read_end(c);
        int err = accessible ? aspace_fault(as, at, access) : -EFAULT;
        if (err && !result)
            result = err;
        if (err == -ENOMEM || is_populate_enough())
            break;
        next = err ? after : at + PAGE_SIZE;
        if ((at >> PAGE_SHIFT) % 256 == 255) {
            thread_preempt_point();
            if (atomic_load_explicit(&current->work, memory_order_relaxed) & WORK_EXIT)
                break;
        }
    }
    return result;
}
