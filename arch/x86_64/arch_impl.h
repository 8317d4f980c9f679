/* SPDX-License-Identifier: MIT */
/* Private to arch/x86_64: what its files say to one another. */
#ifndef ARCH_IMPL_H
#define ARCH_IMPL_H

#include "arch/x86_64/paging.h"
#include "arch/x86_64/percpu.h"
#include "base/types.h"

struct trap_frame;

#define PHYS_OF_IMAGE(p) PADDR((uintptr_t)(p)-KERNEL_IMAGE)

#define VECTOR_FIRST_DEVICE 0x30
#define VECTOR_LAST_DEVICE  0xef
#define VECTOR_TIMER        0xf0
#define VECTOR_IPI          0xf1 /* + enum ipi */
#define VECTOR_SPURIOUS     0xff

/* kernel.lds */
extern char kernel_start[], text_end[], rodata_end[], kernel_end[];
extern char percpu_start[], percpu_end[], percpu_boot[];

/* boot.S */
extern struct pte boot_root[512], boot_kernel_3[512], boot_kernel_tables[1024];
extern char boot_stack_top[];
extern char trampoline_start[], trampoline_end[];
extern uintptr_t smp_stacks[MAX_CPUS];
extern unsigned smp_limit;

/* entry.S */
extern char vector_stubs[], syscall_entry[];
extern PERCPU uintptr_t kernel_stack_top, user_rsp;

/* Sets this CPU's GS to its copy of the per-CPU variables. */
void percpu_set(unsigned cpu, uintptr_t offset);
/* GDT, TSS with the IST stacks, IDT. */
void segments_init_cpu(void);

/* acpi.c: finds CPUs and IOAPICs; falls back to one CPU and the standard IOAPIC. */
struct cpu_list {
    unsigned count;
    uint32_t apic_id[MAX_CPUS];
};
struct ioapic {
    uint32_t phys, gsi_base;
};
struct topology {
    struct cpu_list cpus;
    struct ioapic ioapics[4];
    unsigned ioapic_count;
    uint32_t lapic_phys;
    bool too_many_cpus;
};
extern struct topology topology;
void topology_find(void);

/* apic.c */
void apic_init_cpu(void);
/* INIT and two start-up interrupts to every other CPU: all start at `page` << 12. */
void apic_start_others(unsigned page);
void apic_irq(unsigned vector); /* a device, timer or IPI vector arrived */

/* paging.c */
void paging_init_direct_map(uint64_t end);
void paging_protect_kernel(void);
void paging_drop_identity(void);
void *early_alloc_page(void); /* cleared; before pages_init() only; panics when out */

#endif
