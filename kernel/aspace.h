/* SPDX-License-Identifier: MIT */
/*
 * The program's address space: regions, faults, mappings, shootdown.
 * Linux's results and errors, so that linux/sys_mm.c is a thin skin.
 */
#ifndef KERNEL_ASPACE_H
#define KERNEL_ASPACE_H

#include "arch/x86_64/paging.h"
#include "base/types.h"
#include "kernel/count.h"
#include "kernel/pages.h"

struct aspace;

/*
 * What a mapping shows when it is not plain private anonymous memory: pages of
 * a file, or of shared anonymous memory.  Reference counted by its owner.
 */
struct vm_object {
    const struct vm_object_ops *ops;
    _Atomic(uint32_t) refs;
    _Atomic(uint32_t) truncations; /* aspace_forget_pages() calls; a fault that raced starts over */
};

struct vm_object_ops {
    /*
     * The frame at page offset `index`, with a reference for the caller;
     * `write`: it will be written through a shared mapping.
     * Returns 0, -EIO beyond the end (SIGBUS), -ENOMEM.  Thread context, may sleep.
     */
    int (*get_page)(struct vm_object *o, uint64_t index, bool write, struct page **out);
    void (*release)(struct vm_object *o); /* the last reference is gone */
    /* Whether there is a frame at `index` already.  Must not sleep.  NULL: nobody knows. */
    bool (*has_page)(struct vm_object *o, uint64_t index);
    /* Takes out what lies wholly in [offset, offset + length), page aligned, and unmaps it.
     * Returns 0 or -errno; thread context, may sleep.  NULL: -EOPNOTSUPP. */
    int (*punch)(struct vm_object *o, uint64_t offset, uint64_t length);
    /* For /proc/self/maps: path (or "") into `to`; returns its inode number. */
    uint64_t (*name)(struct vm_object *o, char *to, size_t size);
};

static inline void vm_object_get(struct vm_object *o) {
    count_shared_write(&o->refs);
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
}
void vm_object_put(struct vm_object *o);

/*
 * The owner has taken the pages [first, last] out of `o`: unmaps them wherever
 * they are mapped.  `copies`: also what private mappings have copied from them,
 * as truncation does.  Context: thread, may sleep; takes the mutexes of address
 * spaces, so hold no lock that get_page takes.
 */
void aspace_forget_pages(struct vm_object *o, uint64_t first, uint64_t last, bool copies);

/* Shared anonymous memory. NULL without memory. */
struct vm_object *vm_object_create_shared(void);
bool vm_object_is_shared_memory(const struct vm_object *o);

/* Protection bits are Linux's PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4. */
#define REGION_SHARED    1u  /* MAP_SHARED */
#define REGION_FIXED     2u  /* MAP_FIXED: replaces what is there */
#define REGION_NOREPLACE 4u  /* MAP_FIXED_NOREPLACE: -EEXIST instead */
#define REGION_POPULATE  8u  /* commit now */
#define REGION_STACK     16u /* MAP_GROWSDOWN or the main stack: never huge, grows on faults */
#define REGION_NORESERVE 32u
#define REGION_NOHUGE    64u
#define REGION_HUGE      128u /* MADV_HUGEPAGE */
#define REGION_LOCKED    256u
#define REGION_SPECIAL   512u  /* vDSO, clock page: not merged, not remapped */
#define REGION_NOWRITE   1024u /* shared, of a file not open for writing: never PROT_WRITE */
#define REGION_ONFAULT   2048u /* with REGION_LOCKED: locked as it is touched (MLOCK_ONFAULT) */
#define REGION_LOW       4096u /* MAP_32BIT: below 2 GiB */

/* NULL without memory.  It lives as long as the machine: a program's end is the machine's. */
struct aspace *aspace_create(void);

/*
 * Maps [*addr, *addr + length) (address 0: chosen by us; a hint is honoured
 * where free).  `object` NULL: private anonymous; else the reference is taken
 * over on success only.  `tag`: a constant name for /proc/self/maps ("[heap]") or NULL.
 * Returns 0 or Linux's mmap errors.
 */
must_check int aspace_map(struct aspace *as, uintptr_t *addr, size_t length, int prot,
                          unsigned flags, struct vm_object *object, uint64_t object_offset,
                          const char *tag);
must_check int aspace_unmap(struct aspace *as, uintptr_t addr, size_t length);
must_check int aspace_protect(struct aspace *as, uintptr_t addr, size_t length, int prot);
/* mremap(2): `flags` Linux's MREMAP_*; *new_addr in and out. */
must_check int aspace_remap(struct aspace *as, uintptr_t addr, size_t old_size, size_t new_size,
                            int flags, uintptr_t *new_addr);
/* madvise(2), `advice` Linux's number. */
must_check int aspace_advise(struct aspace *as, uintptr_t addr, size_t length, int advice);
/* brk(2): the new or unchanged break. */
uintptr_t aspace_brk(struct aspace *as, uintptr_t want);
/* Sets where the heap of brk starts (end of the ELF's data, page aligned + random). */
void aspace_set_brk_start(struct aspace *as, uintptr_t start);
/* What a stack may grow to (RLIMIT_STACK); 8 MiB at first. */
void aspace_set_stack_limit(struct aspace *as, uint64_t bytes);
/* mincore(2): one byte per page to `vec` (kernel memory). */
must_check int aspace_mincore(struct aspace *as, uintptr_t addr, size_t pages, uint8_t *vec);
/*
 * mlock(2), munlock(2); mlockall(2) and munlockall(2).  `lock`: REGION_LOCKED, with
 * REGION_ONFAULT or without, or 0 to unlock (then the other two are ignored).
 */
must_check int aspace_lock(struct aspace *as, uintptr_t addr, size_t length, unsigned lock);
must_check int aspace_lock_all(struct aspace *as, bool current_too, bool future, unsigned lock);
/* msync(2): 0, -ENOMEM where not all is mapped, -EBUSY to `invalidate` what is locked. */
must_check int aspace_check_sync(struct aspace *as, uintptr_t addr, size_t length, bool invalidate);

/*
 * Serves a page fault at `addr` (access: FAULT_WRITE, FAULT_EXEC bits).
 * Returns 0, -EFAULT (no mapping), -EACCES (protection), -ENOMEM, -EIO.
 * Context: thread, interrupts on, may sleep.
 */
must_check int aspace_fault(struct aspace *as, uintptr_t addr, unsigned access);

/*
 * Identity of the memory behind a shared futex word: the object and offset for
 * a shared mapping, else (aspace, address).  -EFAULT where unmapped.
 */
must_check int aspace_futex_key(struct aspace *as, uintptr_t addr, const void **base,
                                uint64_t *offset);

/* Writes /proc/self/maps text from region number *cursor on; returns bytes written, 0 at the end.
 */
size_t aspace_format_maps(struct aspace *as, uint64_t *cursor, char *to, size_t size);

struct aspace_stats {
    uint64_t mapped_bytes, resident_bytes, peak_resident_bytes, locked_bytes;
    uint64_t text_bytes, data_bytes, stack_bytes, peak_mapped_bytes;
    uint64_t faults, faults_huge, faults_copied, shootdowns, shootdown_ipis;
};
void aspace_stats(struct aspace *as, struct aspace_stats *out);
enum mapped_kind {
    MAPPED,
    MAPPED_DATA,     /* private and writable, no stack: what aspace_stats counts as data */
    MAPPED_NOT_DATA, /* what PROT_WRITE would make so */
};
/* Bytes of this kind in a range. */
uint64_t aspace_mapped_bytes(struct aspace *as, uintptr_t addr, size_t length,
                             enum mapped_kind kind);
/* Out-of-memory report: the largest holders, through report(). May sleep. */
void aspace_report_largest(struct aspace *as, uintptr_t fault_addr);

/* Scheduler's side: this CPU begins or ends running on `as` (interrupts off).
 * aspace_leave puts the CPU on the kernel's root. */
void aspace_enter(struct aspace *as);
void aspace_leave(void);
/* A full memory barrier on every CPU that runs a thread of `as` (membarrier). Context: thread. */
void aspace_barrier(struct aspace *as);
/* Serves the shootdowns that others ask of this CPU; from IPI_SHOOTDOWN and from waiters. */
void tlb_serve(void);

extern bool aspace_populate_all; /* --populate: every mapping is committed at once */
void aspace_init(void);

#endif
