/* SPDX-License-Identifier: MIT */
/*
 * The kernel's page tables.
 *
 * Mappings of the kernel half are only ever added, under paging_lock, and a
 * present entry never changes: readers and hardware need no lock and no
 * shootdown.  All 256 upper root entries are filled at boot, before any other
 * address space copies them.
 */
#include "arch/x86_64/paging.h"
#include <asm-generic/errno.h>
#include "arch/x86_64/arch_impl.h"
#include "arch/x86_64/cpu.h"
#include "base/string.h"
#include "kernel/lock.h"
#include "kernel/machine.h"
#include "kernel/pages.h"
#include "kernel/panic.h"

#define TABLE_FLAGS  (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY)
#define DIRECT_FLAGS (TABLE_FLAGS | PTE_HUGE | PTE_GLOBAL | PTE_NX)

struct paddr kernel_root;

static struct spinlock paging_lock = SPINLOCK_INIT(RANK_PAGING);
static uintptr_t device_next = DEVICE_MAP; /* paging_lock */

static uint64_t entry_get(struct pte *e) {
    return atomic_load_explicit(&e->bits, memory_order_relaxed);
}

static void entry_set(struct pte *e, uint64_t bits) {
    atomic_store_explicit(&e->bits, bits, memory_order_release);
}

static struct pte *table_of(uint64_t bits) {
    return phys_to_virt(PADDR(bits & PTE_ADDR));
}

/* During boot the frame allocator is not there yet; `early` says where a table comes from. */
static struct pte *table_next(struct pte *e, bool early) {
    uint64_t bits = entry_get(e);
    if (bits & PTE_PRESENT)
        return table_of(bits);
    void *table;
    if (early) {
        table = early_alloc_page();
    } else {
        struct page *p = pages_alloc_zeroed(0);
        if (!p)
            return NULL;
        table = page_address(p);
    }
    entry_set(e, virt_to_phys(table).value | TABLE_FLAGS);
    return table;
}

/* Maps RAM up to `end` at DIRECT_MAP; the first GiB is mapped already. */
void paging_init_direct_map(uint64_t end) {
    for (uint64_t at = GIB(1); at < end; at += GIB(1)) {
        uintptr_t v = DIRECT_MAP + at;
        struct pte *t3 = table_next(&boot_root[paging_index(v, 4)], true);
        struct pte *e3 = &t3[paging_index(v, 3)];
        if (cpu_features.pdpe1gb) {
            entry_set(e3, at | DIRECT_FLAGS);
            continue;
        }
        struct pte *t2 = table_next(e3, true);
        for (unsigned i = 0; i < 512; i++)
            entry_set(&t2[i], (at + i * HUGE_SIZE) | DIRECT_FLAGS);
    }
}

/* W^X for the image, NX for the direct map, and the rest of the upper root entries. */
void paging_protect_kernel(void) {
    for (unsigned i = 0; i < 1024; i++) {
        uintptr_t v = KERNEL_IMAGE + i * PAGE_SIZE;
        uint64_t bits = i * PAGE_SIZE | PTE_PRESENT | PTE_GLOBAL | PTE_ACCESSED;
        if (v < (uintptr_t)kernel_start || v >= (uintptr_t)kernel_end)
            bits = 0;
        else if (v >= (uintptr_t)rodata_end)
            bits |= PTE_WRITE | PTE_DIRTY | PTE_NX;
        else if (v >= (uintptr_t)text_end)
            bits |= PTE_NX;
        entry_set(&boot_kernel_tables[i], bits);
    }
    struct pte *t3 = table_of(entry_get(&boot_root[paging_index(DIRECT_MAP, 4)]));
    struct pte *t2 = table_of(entry_get(&t3[0]));
    for (unsigned i = 0; i < 512; i++)
        entry_set(&t2[i], i * HUGE_SIZE | DIRECT_FLAGS);
    /* Only the areas that are ever used get tables; the direct map's length is fixed by now. */
    (void)table_next(&boot_root[paging_index(KERNEL_STACKS, 4)], true);
    (void)table_next(&boot_root[paging_index(DEVICE_MAP, 4)], true);
    kernel_root = PHYS_OF_IMAGE(boot_root);
    write_cr3(kernel_root.value);
}

void paging_drop_identity(void) {
    entry_set(&boot_root[0], 0);
    entry_set(&boot_kernel_3[0], 0);
    write_cr3(kernel_root.value);
}

static int map_locked(uintptr_t addr, struct paddr phys, uint64_t flags) {
    struct pte *e = &boot_root[paging_index(addr, 4)];
    assert(entry_get(e) & PTE_PRESENT);
    for (unsigned level = 3; level >= 1; level--) {
        struct pte *t = table_next(e, false);
        if (!t)
            return -ENOMEM;
        e = &t[paging_index(addr, level)];
    }
    assert(!(entry_get(e) & PTE_PRESENT));
    entry_set(e, phys.value | flags | PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY);
    return 0;
}

int paging_map_kernel(uintptr_t addr, struct paddr phys, uint64_t flags) {
    uint64_t irq = spin_lock_irqsave(&paging_lock);
    int err = map_locked(addr, phys, flags | PTE_GLOBAL | PTE_NX);
    spin_unlock_irqrestore(&paging_lock, irq);
    return err;
}

volatile void *paging_map_device(struct paddr phys, size_t size) {
    uint64_t offset = phys.value & (PAGE_SIZE - 1), first = phys.value - offset;
    size_t pages = ALIGN_UP(offset + size, PAGE_SIZE) >> PAGE_SHIFT;
    uint64_t irq = spin_lock_irqsave(&paging_lock);
    uintptr_t base = device_next;
    device_next += (pages + 1) << PAGE_SHIFT;
    int err = 0;
    for (size_t i = 0; i < pages && !err; i++)
        err = map_locked(base + (i << PAGE_SHIFT), PADDR(first + (i << PAGE_SHIFT)),
                         PTE_WRITE | PTE_PCD | PTE_PWT | PTE_GLOBAL | PTE_NX);
    spin_unlock_irqrestore(&paging_lock, irq);
    return err ? NULL : (volatile void *)(base + offset);
}
