/* SPDX-License-Identifier: MIT */
/*
 * Local APIC (xAPIC or x2APIC), IOAPICs, device vectors and interrupts between
 * CPUs.
 *
 * vector_table maps (CPU, vector) to a handler; irq_lock guards its writers.  A
 * reader is the interrupt itself, which cannot arrive before the writer has
 * told the device or IOAPIC about the vector: release and acquire on `handler`.
 */
#include <asm-generic/errno.h>
#include "arch/x86_64/arch_impl.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/clock_impl.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/irq.h"
#include "kernel/aspace.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/slab.h"
#include "kernel/thread.h"

#define MSR_APIC_BASE    0x1b
#define MSR_X2APIC       0x800
#define APIC_BASE_ENABLE (1ul << 11)
#define APIC_BASE_X2APIC (1ul << 10)

#define LAPIC_ID            0x20
#define LAPIC_TPR           0x80
#define LAPIC_EOI           0xb0
#define LAPIC_SVR           0xf0
#define LAPIC_ICR           0x300
#define LAPIC_ICR_HIGH      0x310
#define LAPIC_LVT_TIMER     0x320
#define LAPIC_LVT_LINT0     0x350
#define LAPIC_LVT_LINT1     0x360
#define LAPIC_LVT_ERROR     0x370
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE  0x3e0

#define LVT_MASKED  (1u << 16)
#define ICR_NMI     0x400u
#define ICR_INIT    0x500u
#define ICR_STARTUP 0x600u
#define ICR_ASSERT  0x4000u
#define ICR_PENDING 0x1000u
#define ICR_OTHERS  0xc0000u

#define IOAPIC_VERSION  1
#define IOAPIC_REDIRECT 0x10

#define DEVICE_VECTORS (VECTOR_LAST_DEVICE - VECTOR_FIRST_DEVICE + 1)

struct vector {
    irq_handler *_Atomic handler;
    void *arg;
};

static struct spinlock irq_lock = SPINLOCK_INIT(RANK_DEVICE);
static struct vector *vector_table[MAX_CPUS]; /* allocated with the CPU's first vector */
static volatile uint32_t *lapic;              /* xAPIC registers; NULL with x2APIC */
static volatile uint32_t *ioapic_regs[ARRAY_SIZE(topology.ioapics)];
static PERCPU uint32_t cpu_apic_id;

static uint32_t lapic_read(unsigned reg) {
    return lapic ? lapic[reg / 4] : (uint32_t)rdmsr(MSR_X2APIC + reg / 16);
}

static void lapic_write(unsigned reg, uint32_t value) {
    if (lapic)
        lapic[reg / 4] = value;
    else
        wrmsr(MSR_X2APIC + reg / 16, value);
}

static uint32_t apic_id(void) {
    uint32_t id = lapic_read(LAPIC_ID);
    return lapic ? id >> 24 : id;
}

static void icr_write(uint32_t target, uint32_t command) {
    if (!lapic) {
        /* Unlike a store to device memory, this write may overtake the stores before it, and
         * so the interrupt what it tells of. */
        __asm__ volatile("mfence; lfence" ::: "memory");
        wrmsr(MSR_X2APIC + LAPIC_ICR / 16, (uint64_t)target << 32 | command);
        return;
    }
    uint64_t flags = irq_save(); /* the two halves belong together */
    while (lapic_read(LAPIC_ICR) & ICR_PENDING)
        cpu_relax();
    lapic_write(LAPIC_ICR_HIGH, target << 24);
    lapic_write(LAPIC_ICR, command);
    irq_restore(flags);
}

uint32_t irq_apic_id(unsigned cpu) {
    return *cpu_of(cpu_apic_id, cpu);
}

void ipi_send(unsigned cpu, enum ipi kind) {
    icr_write(*cpu_of(cpu_apic_id, cpu), ICR_ASSERT | (VECTOR_IPI + kind));
}

void ipi_send_nmi(unsigned cpu) {
    icr_write(*cpu_of(cpu_apic_id, cpu), ICR_ASSERT | ICR_NMI);
}

void apic_start_others(unsigned page) {
    icr_write(0, ICR_OTHERS | ICR_ASSERT | ICR_INIT);
    /* Two start-ups, as Intel's protocol has it; the second is ignored by a CPU that runs. */
    for (int i = 0; i < 2; i++)
        icr_write(0, ICR_OTHERS | ICR_ASSERT | ICR_STARTUP | page);
}

void apic_init_cpu(void) {
    uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;
    wrmsr(MSR_APIC_BASE, base);
    if (!lapic)
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
    lapic_write(LAPIC_TPR, 0);
    /* First: an APIC that is off in software keeps all its vectors masked. */
    lapic_write(LAPIC_SVR, 0x100 | VECTOR_SPURIOUS);
    lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
    lapic_write(LAPIC_LVT_LINT1, LVT_MASKED);
    lapic_write(LAPIC_LVT_ERROR, LVT_MASKED);
    lapic_write(LAPIC_TIMER_DIVIDE, 0xb); /* by 1 */
    lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER);
    this_cpu_write(cpu_apic_id, apic_id());
}

static void apic_init(void) {
    /* The old interrupt controllers, where there are any, fall silent, and before the APIC stops
     * listening: a tick of theirs that pends then is an interrupt without a vector to QEMU 7.2,
     * which makes a general protection fault of it. */
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    if (!cpu_features.x2apic) {
        lapic = paging_map_device(PADDR(topology.lapic_phys), PAGE_SIZE);
        if (!lapic)
            give_up("too little memory to map the local APIC");
    }
    apic_init_cpu();
    for (unsigned i = 0; i < topology.ioapic_count; i++)
        ioapic_regs[i] = paging_map_device(PADDR(topology.ioapics[i].phys), 32);
}

void irq_init(void) {
    topology_find();
    apic_init();
}

uint32_t lapic_timer_read(void) {
    return lapic_read(LAPIC_TIMER_CURRENT);
}

void lapic_timer_write(uint32_t count) {
    lapic_write(LAPIC_TIMER_INITIAL, count);
}

static int vector_reserve(unsigned cpu, irq_handler *handler, void *arg) {
    if (!vector_table[cpu]) {
        struct vector *table = kmalloc(DEVICE_VECTORS * sizeof(struct vector));
        if (!table)
            return -ENOMEM;
        vector_table[cpu] = table;
    }
    for (unsigned i = 0; i < DEVICE_VECTORS; i++) {
        struct vector *v = &vector_table[cpu][i];
        if (atomic_load_explicit(&v->handler, memory_order_relaxed))
            continue;
        v->arg = arg;
        atomic_store_explicit(&v->handler, handler, memory_order_release);
        return (int)(VECTOR_FIRST_DEVICE + i);
    }
    return -ENOSPC;
}

static uint32_t ioapic_read(unsigned n, uint32_t reg) {
    ioapic_regs[n][0] = reg;
    return ioapic_regs[n][4];
}

static void ioapic_write(unsigned n, uint32_t reg, uint32_t value) {
    ioapic_regs[n][0] = reg;
    ioapic_regs[n][4] = value;
}

int irq_connect_line(unsigned gsi, bool level, unsigned cpu, irq_handler *handler, void *arg) {
    int err = -ENODEV;
    uint64_t flags = spin_lock_irqsave(&irq_lock);
    for (unsigned i = 0; i < topology.ioapic_count; i++) {
        uint32_t base = topology.ioapics[i].gsi_base;
        if (!ioapic_regs[i] || gsi < base ||
            gsi - base > (ioapic_read(i, IOAPIC_VERSION) >> 16 & 0xff))
            continue;
        int vector = vector_reserve(cpu, handler, arg);
        if (vector < 0) {
            err = vector;
            break;
        }
        uint32_t reg = IOAPIC_REDIRECT + 2 * (gsi - base);
        ioapic_write(i, reg + 1, *cpu_of(cpu_apic_id, cpu) << 24);
        ioapic_write(i, reg, (uint32_t)vector | (level ? 1u << 15 : 0));
        err = 0;
        break;
    }
    spin_unlock_irqrestore(&irq_lock, flags);
    return err;
}

int irq_connect_message(unsigned cpu, irq_handler *handler, void *arg, uint64_t *address,
                        uint32_t *data) {
    uint64_t flags = spin_lock_irqsave(&irq_lock);
    int vector = vector_reserve(cpu, handler, arg);
    spin_unlock_irqrestore(&irq_lock, flags);
    if (vector < 0)
        return vector;
    *address = 0xfee00000 | (uint64_t)*cpu_of(cpu_apic_id, cpu) << 12;
    *data = (uint32_t)vector;
    return 0;
}

void apic_irq(unsigned vector) {
    if (vector == VECTOR_SPURIOUS)
        return;
    if (vector == VECTOR_TIMER) {
        lapic_write(LAPIC_EOI, 0);
        timer_interrupt();
        return;
    }
    if (vector == VECTOR_IPI + IPI_RESCHEDULE) {
        lapic_write(LAPIC_EOI, 0);
        thread_reschedule_interrupt();
        return;
    }
    if (vector == VECTOR_IPI + IPI_SHOOTDOWN) {
        lapic_write(LAPIC_EOI, 0);
        tlb_serve();
        return;
    }
    struct vector *table = vector_table[cpu_id()];
    if (vector >= VECTOR_FIRST_DEVICE && vector <= VECTOR_LAST_DEVICE && table) {
        struct vector *v = &table[vector - VECTOR_FIRST_DEVICE];
        irq_handler *handler = atomic_load_explicit(&v->handler, memory_order_acquire);
        if (handler)
            handler(v->arg);
    }
    lapic_write(LAPIC_EOI, 0);
}
