/* SPDX-License-Identifier: MIT */
/*
 * The address space: its regions, and who may touch what when.
 *
 * Two kinds of threads meet here.  Readers serve faults; there are as many as
 * CPUs, all the time.  Writers change mappings; they hold the sleeping mutex,
 * so there is one.
 *
 * Reader:                                 Writer:
 *   preemption off                          take the mutex
 *   as->cpus[me].reading = odd  (barrier)   as->writing = 1  (barrier)
 *   as->writing? unmark, wait, again        wait until no CPU's mark is odd
 *   find the region                         change the tree of regions
 *   make tables, allocate, clear            as->writing = 0
 *   compare-and-swap the entry from 0       clear entries, shoot down, wait for
 *   reading = even                          the readers of before, free
 *
 * The marks are per CPU and the announcement is one word that is hardly ever
 * written, so a fault writes no line that other CPUs write, but for the entry
 * and the frame caches' refills.  The two barriers make it impossible that the
 * reader misses the announcement *and* the writer misses the mark.
 *
 * While a reader is marked, therefore, the tree stands still; and what it finds
 * in an entry (a table, a frame) is not freed before its mark has gone, because
 * table_flush() waits for the marks that it finds after the entries were
 * cleared.  Where a region disappears, it leaves the tree first: no fault can
 * install anything in the range that is being cleared.
 *
 * The announcement stands for the whole address space, not for a range: the
 * tree changes under it in some hundred instructions, while all that is long
 * (clearing entries, shootdowns, freeing) goes on without it, beside faults.
 *
 * A reader that must sleep (a file's page) or work long (clearing 2 MiB) ends
 * its mark, does so, marks again and looks everything up anew.
 *
 * Locks: all_mutex, a space's mutex, then RANK_SLAB and RANK_PAGES for a moment.  Faults take
 * the mutex only to grow a stack, and to take back frames when memory is out.
 *
 * Rejected: a lock per region (mmap of a neighbour splits and merges regions
 * under the feet of waiters), and sequence counts with retries (a fault would
 * have to undo what it installed).
 */
#include <asm/errno.h>
#include <asm/mman.h>

#include "base/string.h"
#include "kernel/aspace_impl.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/slab.h"

#define STACK_RANDOM     GIB(16) /* how far below USER_END linux/ may put the stack */
#define MAP_RANDOM_PAGES (1ul << 28)
#define LOW_START        GIB(1) /* where MAP_32BIT goes, as on Linux */
#define LOW_END          GIB(2)
#define KEPT_FLAGS                                                                                 \
    (REGION_SHARED | REGION_STACK | REGION_NORESERVE | REGION_NOHUGE | REGION_HUGE |               \
     REGION_LOCKED | REGION_ONFAULT | REGION_SPECIAL | REGION_NOWRITE)

struct slab_cache *region_cache;
struct page *aspace_zero_page;
uint64_t aspace_total_frames;
bool aspace_populate_all;
static struct slab_cache *aspace_cache;
static struct list all_aspaces = LIST_INIT(all_aspaces); /* aspace.link; all_mutex */
static struct mutex all_mutex;

void aspace_init(void) {
    struct pages_stats stats;
    region_cache = slab_cache_create("region", sizeof(struct region), 0);
    aspace_cache = slab_cache_create("aspace", sizeof(struct aspace), CACHE_LINE);
    mutex_init(&all_mutex);
    pages_stats(&stats);
    aspace_total_frames = stats.total;
    aspace_zero_page = pages_alloc_zeroed(0);
    if (!region_cache || !aspace_cache || !aspace_zero_page)
        give_up("too little memory for an address space");
}

struct aspace *aspace_create(void) {
    struct aspace *as = slab_alloc(aspace_cache);
    struct page *root = pages_alloc_zeroed(0);
    if (!as || !root)
        goto free_all;
    /* Size classes from 64 bytes up that are no powers of two are multiples of 64, too. */
    as->cpus = kmalloc(cpu_count * sizeof(*as->cpus));
    as->gather = kmalloc(sizeof(*as->gather));
    if (!as->cpus || !as->gather)
        goto free_all;
    as->root = page_address(root);
    as->root_phys = page_to_phys(root);
    memcpy(as->root + 256, (struct pte *)phys_to_virt(kernel_root) + 256, PAGE_SIZE / 2);
    as->gather->start = UINTPTR_MAX;
    mutex_init(&as->mutex);
    region_tree_init(&as->tree);
    as->stack_limit = MIB(8);
    as->map_base = USER_END - STACK_RANDOM - MIB(8) - STACK_GUARD -
                   random_u64() % MAP_RANDOM_PAGES * PAGE_SIZE;
    mutex_lock(&all_mutex);
    list_add_tail(&all_aspaces, &as->link);
    mutex_unlock(&all_mutex);
    return as;

free_all:
    if (as) {
        kfree(as->cpus);
        kfree(as->gather);
        slab_free(aspace_cache, as);
    }
    if (root)
        pages_free(root, 0);
    return NULL;
}

static void free_region(struct region *r) {
    if (r->object)
        vm_object_put(r->object);
    slab_free(region_cache, r);
}

/* ---- marks and announcement ---- */

void aspace_wait_writer(struct aspace *as) {
    while (atomic_load_explicit(&as->writing, memory_order_acquire))
        cpu_relax();
}

void aspace_readers_drain(struct aspace *as) {
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned n = 0; n < cpu_count; n++) {
        uint64_t seen = atomic_load_explicit(&as->cpus[n].reading, memory_order_acquire);
        while ((seen & 1) &&
               atomic_load_explicit(&as->cpus[n].reading, memory_order_acquire) == seen)
            cpu_relax();
    }
}

void aspace_write_begin(struct aspace *as) {
    preempt_disable();
    atomic_store_explicit(&as->writing, 1, memory_order_seq_cst);
    aspace_readers_drain(as);
}

void aspace_write_end(struct aspace *as) {
    atomic_store_explicit(&as->writing, 0, memory_order_release);
    preempt_enable();
}

uint64_t aspace_resident_frames(struct aspace *as) {
    int64_t sum = 0;
    for (unsigned n = 0; n < cpu_count; n++)
        sum += as->cpus[n].resident;
    return sum > 0 ? (uint64_t)sum : 0;
}

/* ---- regions: cut, join, insert ---- */

static bool can_join(const struct region *a, const struct region *b) {
    return a->end == b->start && a->prot == b->prot && a->flags == b->flags && a->tag == b->tag &&
           a->object == b->object && !(a->flags & REGION_SPECIAL) &&
           (!a->object || a->offset + (a->end - a->start) == b->offset);
}

void aspace_join(struct aspace *as, uintptr_t start, uintptr_t end) {
    struct region *r = region_find_above(&as->tree, start ? start - 1 : 0);
    while (r && r->start <= end) {
        struct region *next = region_next(&as->tree, r);
        if (!next || !can_join(r, next)) {
            r = next;
            continue;
        }
        aspace_write_begin(as);
        region_remove(&as->tree, next);
        region_resize(&as->tree, r, r->start, next->end);
        aspace_write_end(as);
        free_region(next);
    }
}

/* Splits the region that `addr` lies inside of, if any. */
static int cut_at(struct aspace *as, uintptr_t addr) {
    struct region *low = region_find(&as->tree, addr);
    if (!low || low->start == addr)
        return 0;
    struct region *high = as->tree.count < MAX_REGIONS ? slab_alloc(region_cache) : NULL;
    if (!high)
        return -ENOMEM;
    *high = *low;
    high->start = addr;
    if (high->object) {
        vm_object_get(high->object);
        high->offset += addr - low->start;
    }
    aspace_write_begin(as);
    region_resize(&as->tree, low, low->start, addr);
    region_insert(&as->tree, high);
    aspace_write_end(as);
    /* No fault makes a 2 MiB page across the boundary any more; split the one that is there. */
    int err = table_split_at(as, addr);
    if (err && aspace_reclaim_locked(as))
        err = table_split_at(as, addr);
    return err;
}

int aspace_cut(struct aspace *as, uintptr_t start, uintptr_t end) {
    int err = cut_at(as, start);
    if (!err)
        err = cut_at(as, end);
    if (err)
        aspace_join(as, start, end);
    return err;
}

int aspace_insert_locked(struct aspace *as, uintptr_t start, uintptr_t end, int prot,
                         uint32_t flags, struct vm_object *object, uint64_t offset,
                         const char *tag) {
    struct region key = { .start = start,
                          .end = end,
                          .prot = prot,
                          .flags = flags,
                          .object = object,
                          .offset = object ? offset : 0,
                          .tag = tag };
    struct region *above = region_find_above(&as->tree, start);
    struct region *below = above ? region_prev(&as->tree, above)
                           : list_is_empty(&as->tree.list)
                               ? NULL
                               : list_entry(as->tree.list.prev, struct region, link);

    struct region *r = below && can_join(below, &key)   ? below
                       : above && can_join(&key, above) ? above
                                                        : NULL;

    if (r) {
        bool up = r == below;
        aspace_write_begin(as);
        region_resize(&as->tree, r, up ? r->start : start, up ? end : r->end);
        if (!up && r->object)
            r->offset = offset;
        aspace_write_end(as);
        if (object)
            vm_object_put(object); /* `r` has a reference already */
        aspace_join(as, start, end);
        return 0;
    }
    r = as->tree.count < MAX_REGIONS ? slab_alloc(region_cache) : NULL;
    if (!r)
        return -ENOMEM;
    *r = key;
    aspace_write_begin(as);
    region_insert(&as->tree, r);
    aspace_write_end(as);
    return 0;
}

bool aspace_is_mapped_locked(struct aspace *as, uintptr_t start, uintptr_t end) {
    struct region *r = region_find(&as->tree, start);
    while (r && r->end < end) {
        struct region *next = region_next(&as->tree, r);
        if (!next || next->start != r->end)
            return false;
        r = next;
    }
    return r || start == end;
}

/* ---- placing ---- */

bool aspace_range(uintptr_t addr, size_t length, uintptr_t *end) {
    if (length > USER_END || addr > USER_END - length)
        return false;
    *end = ALIGN_UP(addr + length, PAGE_SIZE);
    return true;
}

uintptr_t aspace_place_locked(struct aspace *as, size_t length, size_t align) {
    for (;;) {
        uintptr_t at = region_find_gap(&as->tree, MAP_MIN, as->map_base, length, align, false);
        if (!at)
            at = region_find_gap(&as->tree, as->map_base, USER_END, length, align, true);
        if (at || align == PAGE_SIZE)
            return at;
        align = PAGE_SIZE;
    }
}

static bool is_free(struct aspace *as, uintptr_t start, uintptr_t end) {
    struct region *r = region_find_above(&as->tree, start);
    return !r || r->start >= end;
}

bool aspace_overcommits(int prot, unsigned flags, const struct vm_object *object, size_t length) {
    bool is_private_file = object && !(flags & REGION_SHARED);
    return (prot & PROT_WRITE) && !(flags & REGION_NORESERVE) && (!object || is_private_file) &&
           length >> PAGE_SHIFT > aspace_total_frames;
}

/* Shared memory counts as it is made, whatever the mapping allows: Linux's shmem_acct_size. */
static bool shared_overcommits(unsigned flags, const struct vm_object *object, size_t length) {
    return (flags & REGION_SHARED) && !(flags & REGION_NORESERVE) && object &&
           vm_object_is_shared_memory(object) && length >> PAGE_SHIFT > aspace_total_frames;
}

/* Finds where [*addr, ...) goes, and makes room where REGION_FIXED asks for it. */
static int place(struct aspace *as, uintptr_t *addr, size_t length, unsigned flags,
                 bool anonymous) {
    uintptr_t want = *addr;
    if (flags & (REGION_FIXED | REGION_NOREPLACE)) {
        if (!IS_ALIGNED(want, PAGE_SIZE))
            return -EINVAL;
        if (want > USER_END - length)
            return -ENOMEM;
        if (want < MAP_MIN)
            return -EPERM;
        if (is_free(as, want, want + length))
            return 0;
        return flags & REGION_NOREPLACE ? -EEXIST : aspace_unmap_locked(as, want, want + length);
    }
    uintptr_t limit = flags & REGION_LOW ? LOW_END : USER_END;
    if (length > limit)
        return -ENOMEM;
    want = ALIGN_DOWN(want, PAGE_SIZE);
    if (want >= MAP_MIN && want <= limit - length && is_free(as, want, want + length)) {
        *addr = want;
        return 0;
    }
    bool may_be_huge = anonymous && length >= HUGE_SIZE && !(flags & REGION_STACK);
    if (flags & REGION_LOW)
        *addr = region_find_gap(&as->tree, LOW_START, LOW_END, length, PAGE_SIZE, true);
    else
        *addr = aspace_place_locked(as, length, may_be_huge ? HUGE_SIZE : PAGE_SIZE);
    return *addr ? 0 : -ENOMEM;
}

int aspace_map(struct aspace *as, uintptr_t *addr, size_t length, int prot, unsigned flags,
               struct vm_object *object, uint64_t object_offset, const char *tag) {
    if (!length)
        return -EINVAL;
    if (length > USER_END)
        return -ENOMEM;
    length = ALIGN_UP(length, PAGE_SIZE);
    if (object && object_offset + length < object_offset)
        return -EOVERFLOW;
    if (aspace_overcommits(prot, flags, object, length) ||
        shared_overcommits(flags, object, length))
        return -ENOMEM;

    mutex_lock(&as->mutex);
    int err = place(as, addr, length, flags, !object);
    if (!err)
        err = aspace_insert_locked(as, *addr, *addr + length, prot,
                                   (flags & KEPT_FLAGS) | as->future_flags, object, object_offset,
                                   tag);
    bool commit = !err && ((flags & REGION_POPULATE) || as->future_flags == REGION_LOCKED ||
                           (aspace_populate_all && !(flags & REGION_NORESERVE)));
    mutex_unlock(&as->mutex);
    if (commit)
        (void)aspace_populate(as, *addr, *addr + length); /* a fault will tell */
    return err;
}

/* ---- unmapping ---- */

int aspace_unmap_locked(struct aspace *as, uintptr_t start, uintptr_t end) {
    struct list dead = LIST_INIT(dead);
    struct region *r, *next;
    int err = aspace_cut(as, start, end);
    if (err)
        return err;

    aspace_write_begin(as);
    for (r = region_find_above(&as->tree, start); r && r->start < end; r = next) {
        next = region_next(&as->tree, r);
        region_remove(&as->tree, r);
        list_add_tail(&dead, &r->link);
    }
    aspace_write_end(as);
    if (list_is_empty(&dead))
        return 0;

    struct region *above = region_find_above(&as->tree, start);
    struct region *below = above ? region_prev(&as->tree, above)
                           : list_is_empty(&as->tree.list)
                               ? NULL
                               : list_entry(as->tree.list.prev, struct region, link);
    list_for_each(r, &dead, link)
        table_zap(as, r->start, r->end);
    table_free_unused(as, start, end, below ? below->end : 0, above ? above->start : USER_END);
    table_flush(as);
    list_for_each_safe(r, next, &dead, link)
        free_region(r);
    return 0;
}

int aspace_unmap(struct aspace *as, uintptr_t addr, size_t length) {
    uintptr_t end;
    if (!IS_ALIGNED(addr, PAGE_SIZE) || !length || !aspace_range(addr, length, &end))
        return -EINVAL;
    mutex_lock(&as->mutex);
    int err = aspace_unmap_locked(as, addr, end);
    mutex_unlock(&as->mutex);
    return err;
}

/* The part of `r` that shows the pages [first, last] of its object. */
static void forget_in_region(struct aspace *as, const struct region *r, uint64_t first,
                             uint64_t last, bool copies) {
    uint64_t from = r->offset >> PAGE_SHIFT, to = from + ((r->end - r->start) >> PAGE_SHIFT);
    uint64_t low = MAX(first, from), high = MIN(last, to - 1);
    if (low > high)
        return;
    uintptr_t start = r->start + ((low - from) << PAGE_SHIFT);
    uintptr_t end = r->start + ((high + 1 - from) << PAGE_SHIFT);
    if (copies || (r->flags & REGION_SHARED))
        table_zap(as, start, end);
    else
        table_zap_shared(as, start, end);
}

void aspace_forget_pages(struct vm_object *o, uint64_t first, uint64_t last, bool copies) {
    struct aspace *as;
    const struct region *r;
    /* Before the drain, so that a fault either is seen by it or sees the new number. */
    atomic_fetch_add_explicit(&o->truncations, 1, memory_order_seq_cst);
    mutex_lock(&all_mutex);
    list_for_each(as, &all_aspaces, link) {
        mutex_lock(&as->mutex);
        aspace_readers_drain(as);
        list_for_each(r, &as->tree.list, link) {
            if (r->object == o)
                forget_in_region(as, r, first, last, copies);
        }
        table_flush(as);
        mutex_unlock(&as->mutex);
    }
    mutex_unlock(&all_mutex);
}

/* ---- brk ---- */

void aspace_set_brk_start(struct aspace *as, uintptr_t start) {
    as->brk_start = as->brk_end = start;
}

uintptr_t aspace_brk(struct aspace *as, uintptr_t want) {
    mutex_lock(&as->mutex);
    uintptr_t old_end = ALIGN_UP(as->brk_end, PAGE_SIZE), start = 0, end = 0;
    if (want < as->brk_start || want > USER_END - PAGE_SIZE)
        goto unlock;
    uintptr_t new_end = ALIGN_UP(want, PAGE_SIZE);
    if (new_end > old_end) {
        const int prot = PROT_READ | PROT_WRITE;
        /* One page is kept free above, as Linux does. */
        if (aspace_overcommits(prot, 0, NULL, new_end - old_end) ||
            !is_free(as, old_end, new_end + PAGE_SIZE) ||
            aspace_insert_locked(as, old_end, new_end, prot, as->future_flags, NULL, 0, "[heap]"))
            goto unlock;
        start = old_end;
        end = aspace_populate_all || as->future_flags == REGION_LOCKED ? new_end : old_end;
    } else if (new_end < old_end && aspace_unmap_locked(as, new_end, old_end)) {
        goto unlock;
    }
    as->brk_end = want;
unlock:
    want = as->brk_end;
    mutex_unlock(&as->mutex);
    if (start < end)
        (void)aspace_populate(as, start, end);
    return want;
}

void aspace_set_stack_limit(struct aspace *as, uint64_t bytes) {
    mutex_lock(&as->mutex);
    as->stack_limit = bytes;
    mutex_unlock(&as->mutex);
}
