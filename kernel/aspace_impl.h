/* SPDX-License-Identifier: MIT */
/*
 * Private to kernel/: what an address space is made of, and what its files
 * (aspace*.c, table.c, tlb.c) say to one another.  The protocol is told at the
 * top of aspace.c.
 */
#ifndef KERNEL_ASPACE_IMPL_H
#define KERNEL_ASPACE_IMPL_H

#include <stdatomic.h>
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/percpu.h"
#include "base/types.h"
#include "kernel/aspace.h"
#include "kernel/lock.h"
#include "kernel/mutex.h"
#include "kernel/region.h"
#include "kernel/thread.h"

#define MAP_MIN        0x10000ul         /* Linux's vm.mmap_min_addr */
#define MAX_REGIONS    65530u            /* Linux's vm.max_map_count */
#define STACK_GUARD    (256 * PAGE_SIZE) /* kept free below a growing stack */
#define GATHER_ENTRIES 500u

/* Software bits of an entry.  PTE_HELD: not present, yet it owns its frame (PROT_NONE).
 * PTE_COW: the frame is shared, copy before writing.  PTE_LAZY: after MADV_FREE; while the
 * entry is not dirty the frame may be taken back. */
#define PTE_COW  PTE_SOFT0
#define PTE_HELD PTE_SOFT1
#define PTE_LAZY PTE_SOFT2

/* What one CPU writes of an address space, on a cache line of its own. */
struct aspace_cpu {
    _Atomic(uint64_t) reading; /* odd: a fault is between lookup and publication */
    int64_t resident;          /* frames; the sum over all CPUs counts */
    uint64_t faults, faults_huge, faults_copied;
} cache_aligned;

/* Frames and tables unmapped, to be freed after the shootdown. */
struct gather {
    uintptr_t start, end; /* what must be flushed */
    unsigned count;
    uint64_t entry[GATHER_ENTRIES]; /* physical address | GATHER_* */
};
#define GATHER_HUGE  1u
#define GATHER_TABLE 2u

struct aspace {
    struct list link;        /* all address spaces; their own mutex, taken before `mutex` */
    struct pte *root;        /* constant */
    struct aspace_cpu *cpus; /* [cpu_count]; constant */
    struct paddr root_phys;

    /* Held by all that change mappings; never needed to serve a plain fault. */
    struct mutex mutex;

    /* Changed with the mutex held and `writing` announced; read under either, or a read mark. */
    struct region_tree tree;
    atomic_uint writing;

    /* Guarded by the mutex. */
    struct gather *gather;
    uintptr_t map_base; /* mappings are placed below */
    uintptr_t brk_start, brk_end;
    uint64_t stack_limit;   /* bytes a REGION_STACK may have */
    uint32_t future_flags;  /* REGION_LOCKED, ONFAULT after mlockall(MCL_FUTURE) */
    uint64_t peak_resident; /* frames */

    _Atomic(uint64_t) shootdowns, shootdown_ipis;
};

/* Every address space lives on; at most a few. Its caches, made by aspace_init(). */
extern struct slab_cache *region_cache;
extern struct page *aspace_zero_page; /* what reads see when memory is short */
extern uint64_t aspace_total_frames;  /* what one accountable request may ask for at most */

/* ---- aspace.c: the reader's mark and the writer's announcement ---- */

void aspace_wait_writer(struct aspace *as);

/* Turns preemption off and marks this CPU as reading; never sleep before aspace_read_end(). */
static inline struct aspace_cpu *aspace_read_begin(struct aspace *as) {
    for (;;) {
        preempt_disable();
        struct aspace_cpu *c = &as->cpus[cpu_id()];
        uint64_t seq = atomic_load_explicit(&c->reading, memory_order_relaxed);
        /* An exchange, since it is also the full barrier that the writer's pairs with. */
        atomic_exchange_explicit(&c->reading, seq + 1, memory_order_seq_cst);
        if (likely(!atomic_load_explicit(&as->writing, memory_order_seq_cst)))
            return c;
        atomic_store_explicit(&c->reading, seq + 2, memory_order_release);
        preempt_enable();
        aspace_wait_writer(as);
    }
}

static inline void aspace_read_end(struct aspace_cpu *c) {
    uint64_t seq = atomic_load_explicit(&c->reading, memory_order_relaxed);
    atomic_store_explicit(&c->reading, seq + 1, memory_order_release);
    preempt_enable();
}

/* Waits until every read that is under way now has ended. */
void aspace_readers_drain(struct aspace *as);
/* Between these the tree may change; preemption is off, so be short. The mutex is held. */
void aspace_write_begin(struct aspace *as);
void aspace_write_end(struct aspace *as);

/* Adds to this CPU's count of resident frames. */
static inline void aspace_count_resident(struct aspace *as, int64_t frames) {
    preempt_disable();
    as->cpus[cpu_id()].resident += frames;
    preempt_enable();
}
uint64_t aspace_resident_frames(struct aspace *as);

/*
 * Makes `start` and `end` boundaries of regions, so that each region lies in
 * [start, end) or outside.  Returns 0 or -ENOMEM (memory, or too many regions).
 * The mutex is held; not inside write_begin.
 */
must_check int aspace_cut(struct aspace *as, uintptr_t start, uintptr_t end);
/* Joins neighbours that are alike in and around [start, end).  The mutex is held. */
void aspace_join(struct aspace *as, uintptr_t start, uintptr_t end);
must_check int aspace_unmap_locked(struct aspace *as, uintptr_t start, uintptr_t end);
/* Puts a new region in place; its range is free.  Takes over the object's reference on success. */
must_check int aspace_insert_locked(struct aspace *as, uintptr_t start, uintptr_t end, int prot,
                                    uint32_t flags, struct vm_object *object, uint64_t offset,
                                    const char *tag);
/* A free range for `length` bytes, 0 if none; `align`: preferred alignment. */
uintptr_t aspace_place_locked(struct aspace *as, size_t length, size_t align);
/* Whether all of [start, end) is mapped. */
bool aspace_is_mapped_locked(struct aspace *as, uintptr_t start, uintptr_t end);
/* Whether overcommit mode 0 refuses a mapping of this kind and length. */
bool aspace_overcommits(int prot, unsigned flags, const struct vm_object *object, size_t length);
/* Page-aligns [addr, addr + length) into *end; false where it is no range of the program's half. */
bool aspace_range(uintptr_t addr, size_t length, uintptr_t *end);
/* Commits what is accessible in [start, end); errors are the caller's to ignore.  No locks held. */
int aspace_populate(struct aspace *as, uintptr_t start, uintptr_t end);

/* aspace_fault.c: takes back frames that MADV_FREE gave up, else untouched parts of 2 MiB pages;
 * how many.  The mutex is held, and nothing gathered. */
uint64_t aspace_reclaim_locked(struct aspace *as);

/* ---- table.c: page tables ---- */

/*
 * The entry of `addr` at `level`, tables above it made as needed; the entry of
 * a 2 MiB page above instead where there is one (then *level becomes 2).
 * NULL without memory.  Under a read mark or the mutex.
 */
struct pte *table_entry(struct aspace *as, uintptr_t addr, unsigned *level);
/* As above, but makes nothing: NULL where a table is missing. */
struct pte *table_lookup(struct aspace *as, uintptr_t addr, unsigned *level);

/* An entry's bits for a frame that `prot` protects, with accessed and dirty set. */
uint64_t table_bits(int prot);
/* What `old`, which owns a frame, becomes under `prot`; keeps frame, size and PTE_COW. */
uint64_t table_reprotect(uint64_t old, int prot, bool shared_object);

/* All with the mutex held.  They clear, then table_flush() shoots down and frees. */
void table_zap(struct aspace *as, uintptr_t start, uintptr_t end);
/* As table_zap, but leaves what a private mapping has copied. */
void table_zap_shared(struct aspace *as, uintptr_t start, uintptr_t end);
/* Frees tables that overlap [start, end) and lie wholly in the free gap [floor, ceiling). */
void table_free_unused(struct aspace *as, uintptr_t start, uintptr_t end, uintptr_t floor,
                       uintptr_t ceiling);
void table_flush(struct aspace *as);
/* Splits a 2 MiB page that `addr` cuts; its flush is the caller's.  0 or -ENOMEM. */
must_check int table_split_at(struct aspace *as, uintptr_t addr);
void table_protect(struct aspace *as, uintptr_t start, uintptr_t end, int prot, bool shared_object);
/* Marks the frames of [start, end) as given up (MADV_FREE). */
void table_give_up(struct aspace *as, uintptr_t start, uintptr_t end);
/* Takes back given-up frames of [start, end) that were not written since; how many. */
uint64_t table_take_back(struct aspace *as, uintptr_t start, uintptr_t end);
/* Splits 2 MiB pages of [start, end) and frees what holds only zeros; how many frames. */
uint64_t table_trim(struct aspace *as, uintptr_t start, uintptr_t end);
/* Frames that leaves in the range own. */
uint64_t table_count(struct aspace *as, uintptr_t start, uintptr_t end);
/* Makes the tables that table_move needs.  0 or -ENOMEM. */
must_check int table_prepare_move(struct aspace *as, uintptr_t from, uintptr_t to, size_t length);
void table_move(struct aspace *as, uintptr_t from, uintptr_t to, size_t length);

/* ---- tlb.c ---- */

/*
 * No CPU uses a translation of [start, end) that the tables no longer hold,
 * when this returns.  Context: thread, interrupts on, no spinlock, no read mark.
 */
void tlb_shootdown(struct aspace *as, uintptr_t start, uintptr_t end);

#endif
