/* SPDX-License-Identifier: MIT */
/*
 * The page-table format and the kernel's map of the address space.
 *
 *   0000000000000000 - 00007ffffffff000  the program
 *   ffff800000000000 - ffffbfffffffffff  direct map of all memory (2 MiB pages, NX)
 *   ffffc00000000000 - ffffdfffffffffff  kernel stacks, with guard pages; device registers
 *   ffffffff80000000 -                   the kernel image, W^X
 *
 * Every upper entry of the root that will ever be used exists after boot, so a
 * new address space shares the kernel by copying all 256; the kernel half never
 * needs a shootdown, because its mappings are only ever added.
 */
#ifndef ARCH_PAGING_H
#define ARCH_PAGING_H

#include <stdatomic.h>
#include "base/types.h"

#define USER_END      0x00007ffffffff000ul /* first address the program may not use */
#define DIRECT_MAP    0xffff800000000000ul
#define KERNEL_STACKS 0xffffc00000000000ul
#define DEVICE_MAP    0xffffd00000000000ul
#define KERNEL_IMAGE  0xffffffff80000000ul

#define PTE_PRESENT  (1ul << 0)
#define PTE_WRITE    (1ul << 1)
#define PTE_USER     (1ul << 2)
#define PTE_PWT      (1ul << 3)
#define PTE_PCD      (1ul << 4)
#define PTE_ACCESSED (1ul << 5)
#define PTE_DIRTY    (1ul << 6)
#define PTE_HUGE     (1ul << 7) /* in a level-2 or level-3 entry: a leaf */
#define PTE_GLOBAL   (1ul << 8)
#define PTE_SOFT0    (1ul << 9) /* three bits the hardware ignores */
#define PTE_SOFT1    (1ul << 10)
#define PTE_SOFT2    (1ul << 11)
#define PTE_NX       (1ul << 63)
#define PTE_ADDR     0x000ffffffffff000ul

/*
 * One page-table entry.  The hardware sets Accessed and Dirty behind our back:
 * change a present entry only with compare-exchange or exchange.
 */
struct pte {
    _Atomic uint64_t bits;
};

/* Index of `addr` in the table of `level`: 4 (root) down to 1. */
static inline unsigned paging_index(uintptr_t addr, unsigned level) {
    return addr >> (PAGE_SHIFT + 9 * (level - 1)) & 511;
}

static inline void *phys_to_virt(struct paddr p) {
    return (void *)(DIRECT_MAP + p.value);
}

/* Only for addresses in the direct map. */
static inline struct paddr virt_to_phys(const void *v) {
    return PADDR((uintptr_t)v - DIRECT_MAP);
}

/* The kernel's own root, on which idle CPUs run. */
extern struct paddr kernel_root;

/*
 * Maps one page of kernel space (stack or device area), allocating tables.
 * Context: any thread; takes paging_lock.  Returns 0 or -ENOMEM.  Never unmapped.
 */
must_check int paging_map_kernel(uintptr_t addr, struct paddr phys, uint64_t pte_flags);

/*
 * Maps `size` bytes of device registers at `phys`, uncached, and returns their
 * address, NULL without memory.  Never unmapped.
 */
volatile void *paging_map_device(struct paddr phys, size_t size);

#endif
