/* SPDX-License-Identifier: MIT */
/* What CPUID says, and the control registers, segments and vectors of each CPU. */
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/arch_impl.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/trap.h"
#include "base/string.h"
#include "kernel/machine.h"
#include "kernel/pages.h"
#include "kernel/panic.h"

#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_FMASK          0xc0000084
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_PAT            0x277

#define EFER_SCE (1ul << 0)
#define EFER_LME (1ul << 8)
#define EFER_NXE (1ul << 11)

#define CR4_DE         (1ul << 3)
#define CR4_PAE        (1ul << 5)
#define CR4_MCE        (1ul << 6)
#define CR4_PGE        (1ul << 7)
#define CR4_OSFXSR     (1ul << 9)
#define CR4_OSXMMEXCPT (1ul << 10)
#define CR4_UMIP       (1ul << 11)
#define CR4_FSGSBASE   (1ul << 16)
#define CR4_OSXSAVE    (1ul << 18)
#define CR4_SMEP       (1ul << 20)
#define CR4_SMAP       (1ul << 21)

#define XCR0_X87_SSE 3ul
#define XCR0_AVX     4ul
#define XCR0_AVX512  0xe0ul

#define IST_STACK_ORDER 1 /* 8 KiB */
enum ist { IST_NMI = 1, IST_DOUBLE_FAULT, IST_MACHINE_CHECK, IST_DEBUG, IST_COUNT };

struct cpu_features cpu_features;
uintptr_t percpu_offsets[MAX_CPUS];
unsigned cpu_count = 1;
PERCPU uintptr_t percpu_offset;
PERCPU unsigned percpu_cpu;

struct idt_entry {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

PERCPU struct tss cpu_tss;
static PERCPU uint64_t cpu_gdt[9];
static struct idt_entry idt[256]; /* written once, by the boot CPU, before the others start */

void percpu_set(unsigned cpu, uintptr_t offset) {
    wrmsr(MSR_GS_BASE, offset);
    wrmsr(MSR_KERNEL_GS_BASE, 0);
    percpu_offsets[cpu] = offset;
    this_cpu_write(percpu_offset, offset);
    this_cpu_write(percpu_cpu, cpu);
}

static void detect_names(void) {
    uint32_t r[4];
    cpuid(0, 0, r);
    memcpy(cpu_features.vendor, &r[1], 4);
    memcpy(cpu_features.vendor + 4, &r[3], 4);
    memcpy(cpu_features.vendor + 8, &r[2], 4);
    cpuid(0x80000000, 0, r);
    if (r[0] < 0x80000004)
        return;
    for (uint32_t i = 0; i < 3; i++) {
        cpuid(0x80000002 + i, 0, r);
        memcpy(cpu_features.model + 16 * i, r, 16);
    }
}

/* Which extended state there is, and how large a thread's save area must be. */
static void detect_xsave(void) {
    struct cpu_features *f = &cpu_features;
    uint32_t r[4];
    if (!f->xsave) {
        f->xsave_size = 512; /* FXSAVE's */
        return;
    }
    cpuid(0xd, 0, r);
    uint64_t offered = (uint64_t)r[3] << 32 | r[0];
    f->xcr0 = XCR0_X87_SSE;
    if (offered & XCR0_AVX)
        f->xcr0 |= XCR0_AVX;
    if ((offered & XCR0_AVX512) == XCR0_AVX512 && (f->xcr0 & XCR0_AVX)) {
        f->xcr0 |= XCR0_AVX512;
        f->avx512 = true;
    }
    cpuid(0xd, 1, r);
    f->xsaveopt = r[0] & 1;
}

/* --icount runs all CPUs in one thread, where `pause` is what lets the next one run. */
static bool detect_slow_pause(void) {
    char word[8];
    uint32_t r[4];
    cpuid(0x40000000, 0, r);
    return memcmp(&r[1], "TCGTCGTCGTCG", 12) == 0 &&
           !machine_option("icount", 0, word, sizeof(word));
}

void cpu_detect(void) {
    struct cpu_features *f = &cpu_features;
    uint32_t r[4], max;
    cpuid(0, 0, r);
    max = r[0];
    cpuid(1, 0, r);
    f->xsave = r[2] >> 26 & 1;
    f->x2apic = r[2] >> 21 & 1;
    f->tsc_deadline = r[2] >> 24 & 1;
    f->pcid = r[2] >> 17 & 1;
    f->rdrand = r[2] >> 30 & 1;
    f->hypervisor = r[2] >> 31 & 1;
    if (max >= 7) {
        cpuid(7, 0, r);
        f->fsgsbase = r[1] & 1;
        f->smep = r[1] >> 7 & 1;
        f->erms = r[1] >> 9 & 1;
        f->smap = r[1] >> 20 & 1;
        f->umip = r[2] >> 2 & 1;
        f->rdpid = r[2] >> 22 & 1;
    }
    /* A KVM that emulates kernel code (see trap.c) shows the real CPU's CPUID, but its emulator
     * knows only part of that. */
    char word[8];
    bool real_ring3 = machine_option("software-kvm", 0, word, sizeof(word));
    if (real_ring3)
        f->smap = f->smep = f->umip = f->fsgsbase = f->xsave = false;
    cpuid(0x80000001, 0, r);
    f->nx = r[3] >> 20 & 1;
    f->pdpe1gb = r[3] >> 26 & 1;
    f->rdtscp = r[3] >> 27 & 1;
    if (real_ring3) /* there the program would read the host's TSC_AUX */
        f->rdtscp = f->rdpid = false;
    f->slow_pause = f->hypervisor && detect_slow_pause();
    detect_names();
    detect_xsave();
}

void cpu_init_cpu(void) {
    const struct cpu_features *f = &cpu_features;
    uint64_t cr4 = CR4_DE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    if (f->umip)
        cr4 |= CR4_UMIP;
    if (f->fsgsbase)
        cr4 |= CR4_FSGSBASE;
    if (f->xsave)
        cr4 |= CR4_OSXSAVE;
    if (f->smep)
        cr4 |= CR4_SMEP;
    if (f->smap)
        cr4 |= CR4_SMAP;
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr4) : "memory");
    if (f->xsave) {
        __asm__ volatile("xsetbv" ::"c"(0), "a"((uint32_t)f->xcr0), "d"((uint32_t)(f->xcr0 >> 32)));
        uint32_t r[4];
        cpuid(0xd, 0, r);
        cpu_features.xsave_size = r[1]; /* the same on every CPU */
    }
    wrmsr(MSR_EFER, EFER_SCE | EFER_LME | (f->nx ? EFER_NXE : 0) | (1ul << 10));
    wrmsr(MSR_STAR, (uint64_t)0x23 << 48 | (uint64_t)KERNEL_CS << 32);
    wrmsr(MSR_LSTAR, (uintptr_t)syscall_entry);
    wrmsr(MSR_FMASK, RFLAGS_IF | RFLAGS_DF | RFLAGS_TF | RFLAGS_AC | RFLAGS_NT);
    if (f->rdtscp || f->rdpid)
        wrmsr(0xc0000103, cpu_id()); /* TSC_AUX: what the vDSO's getcpu reads */
    segments_init_cpu();
}

static void idt_set(unsigned vector, enum ist ist, unsigned dpl) {
    uintptr_t entry = (uintptr_t)vector_stubs + 16 * vector;
    idt[vector] = (struct idt_entry){
        .offset_low = (uint16_t)entry,
        .selector = KERNEL_CS,
        .ist = (uint8_t)ist,
        .type = (uint8_t)(0x8e | dpl << 5), /* interrupt gate: IF off */
        .offset_middle = (uint16_t)(entry >> 16),
        .offset_high = (uint32_t)(entry >> 32),
    };
}

static void idt_init(void) {
    for (unsigned v = 0; v < 256; v++)
        idt_set(v, 0, 0);
    idt_set(TRAP_NMI, IST_NMI, 0);
    idt_set(TRAP_DOUBLE_FAULT, IST_DOUBLE_FAULT, 0);
    idt_set(TRAP_MACHINE_CHECK, IST_MACHINE_CHECK, 0);
    idt_set(TRAP_DEBUG, IST_DEBUG, 0);
    idt_set(TRAP_BREAKPOINT, 0, 3);
    idt_set(TRAP_OVERFLOW, 0, 3);
}

/* The last word of an IST stack holds the CPU's per-CPU offset for trap_paranoid. */
static uint64_t ist_stack(void) {
    struct page *p = pages_alloc(IST_STACK_ORDER);
    if (!p)
        give_up("too little memory for the exception stacks of CPU %u", cpu_id());
    uintptr_t end = (uintptr_t)page_address(p) + (PAGE_SIZE << IST_STACK_ORDER);
    *(uintptr_t *)(end - 8) = this_cpu_read(percpu_offset);
    return end - 16;
}

void segments_init_cpu(void) {
    struct tss *tss = this_cpu(cpu_tss);
    uint64_t *gdt = *this_cpu(cpu_gdt), base = (uintptr_t)tss;

    if (cpu_id() == 0)
        idt_init();
    for (unsigned i = IST_NMI; i < IST_COUNT; i++)
        tss->ist[i - 1] = ist_stack();
    tss->io_map = sizeof(*tss); /* none: every port access of the program faults */
    gdt[1] = 0x00af9b000000ffff;
    gdt[2] = 0x00cf93000000ffff;
    gdt[5] = 0x00cff3000000ffff;
    gdt[6] = 0x00affb000000ffff;
    gdt[7] =
        (sizeof(*tss) - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
    gdt[8] = base >> 32;

    struct table_pointer p = { sizeof(cpu_gdt) - 1, (uintptr_t)gdt };
    uintptr_t gs = this_cpu_read(percpu_offset);
    __asm__ volatile("lgdt %0" ::"m"(p));
    __asm__ volatile("mov %w0, %%ss; mov %w1, %%ds; mov %w1, %%es; mov %w1, %%fs;"
                     "mov %w1, %%gs" ::"r"(KERNEL_DS),
                     "r"(0));
    __asm__ volatile("push %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:" ::"i"(KERNEL_CS)
                     : "rax", "memory");
    wrmsr(MSR_GS_BASE, gs); /* loading the selector cleared it */
    __asm__ volatile("ltr %w0" ::"r"(0x38));
    p = (struct table_pointer){ sizeof(idt) - 1, (uintptr_t)idt };
    __asm__ volatile("lidt %0" ::"m"(p));
}

void cpu_reset(void) {
    struct table_pointer none = { 0, 0 };
    __asm__ volatile("lidt %0; int3" ::"m"(none));
    cpu_halt();
}

uint64_t cpu_get_fs_base(void) {
    if (!cpu_features.fsgsbase)
        return rdmsr(MSR_FS_BASE);
    uint64_t base;
    __asm__ volatile("rdfsbase %0" : "=r"(base));
    return base;
}

void cpu_set_fs_base(uint64_t base) {
    if (cpu_features.fsgsbase)
        __asm__ volatile("wrfsbase %0" ::"r"(base));
    else
        wrmsr(MSR_FS_BASE, base);
}

uint64_t cpu_get_user_gs_base(void) {
    return rdmsr(MSR_KERNEL_GS_BASE);
}

void cpu_set_user_gs_base(uint64_t base) {
    wrmsr(MSR_KERNEL_GS_BASE, base);
}

uint64_t cpu_random(void) {
    uint64_t v = rdtsc();
    bool ok = false;
    for (int i = 0; cpu_features.rdrand && !ok && i < 10; i++)
        __asm__ volatile("rdrand %0; setc %1" : "=r"(v), "=qm"(ok));
    return v ^ rdtsc() << 32;
}

void cpu_clear_page(void *page) {
    uint64_t *p = page, *end = p + PAGE_SIZE / 8;
    for (; p < end; p += 32) {
#define CLEAR4(i) p[i] = 0, p[i + 1] = 0, p[i + 2] = 0, p[i + 3] = 0
        CLEAR4(0), CLEAR4(4), CLEAR4(8), CLEAR4(12);
        CLEAR4(16), CLEAR4(20), CLEAR4(24), CLEAR4(28);
#undef CLEAR4
        __asm__ volatile("" ::: "memory"); /* keeps it from becoming memset */
    }
}

void cpu_copy_page(void *to, const void *from) {
    memcpy(to, from, PAGE_SIZE);
}
