/* SPDX-License-Identifier: MIT */
/* Thin wrappers round single instructions, and what CPUID said. */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#include "base/types.h"

/* What the CPU offers; filled by cpu_detect() on the boot CPU, constant afterwards. */
struct cpu_features {
    bool fsgsbase, smep, smap, umip, xsave, xsaveopt, avx512, x2apic, tsc_deadline;
    bool pdpe1gb, pcid, rdrand, rdtscp, hypervisor, nx, erms, rdpid;
    bool slow_pause;     /* `pause` costs a trip through the emulator's one lock: see cpu_relax() */
    uint64_t xcr0;       /* state components that are saved */
    uint32_t xsave_size; /* bytes of a thread's extended state area */
    char vendor[13], model[49];
};
extern struct cpu_features cpu_features;

static inline uint64_t rdmsr(uint32_t msr) {
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t value) {
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

static inline uint64_t rdtsc(void) {
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return (uint64_t)hi << 32 | lo;
}

static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4]) {
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(sub));
}

/*
 * Once round a loop that waits for another CPU.  Under QEMU's multi-threaded TCG
 * `pause` leaves the translated code and takes QEMU's global lock, which the
 * other CPU needs to take the very interrupt we wait for; there we just spin.
 */
static inline void cpu_relax(void) {
    if (cpu_features.slow_pause)
        __asm__ volatile("" ::: "memory");
    else
        __asm__ volatile("pause" ::: "memory");
}

static inline void irq_disable(void) {
    __asm__ volatile("cli" ::: "memory");
}

static inline void irq_enable(void) {
    __asm__ volatile("sti" ::: "memory");
}

/* Turns interrupts off; returns what irq_restore() needs to put them back. */
static inline uint64_t irq_save(void) {
    uint64_t flags;
    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags)::"memory");
    return flags;
}

static inline void irq_restore(uint64_t flags) {
    if (flags & 0x200)
        irq_enable();
}

static inline bool irq_enabled(void) {
    uint64_t flags;
    __asm__ volatile("pushfq; popq %0" : "=r"(flags)::"memory");
    return flags & 0x200;
}

static inline uint64_t read_cr2(void) {
    uint64_t v;
    __asm__ volatile("mov %%cr2, %0" : "=r"(v)::"memory");
    return v;
}

static inline uint64_t read_cr3(void) {
    uint64_t v;
    __asm__ volatile("mov %%cr3, %0" : "=r"(v)::"memory");
    return v;
}

static inline void write_cr3(uint64_t v) {
    __asm__ volatile("mov %0, %%cr3" ::"r"(v) : "memory");
}

static inline void invlpg(uintptr_t addr) {
    __asm__ volatile("invlpg (%0)" ::"r"(addr) : "memory");
}

static inline uint8_t inb(uint16_t port) {
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline uint16_t inw(uint16_t port) {
    uint16_t v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline uint32_t inl(uint16_t port) {
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline void outb(uint16_t port, uint8_t v) {
    __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t v) {
    __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t v) {
    __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port) : "memory");
}

/* Interrupts on and sleep until one comes, without a gap between the two. */
static inline void cpu_wait_interrupt(void) {
    __asm__ volatile("sti; hlt" ::: "memory");
}

static inline noreturn_fn void cpu_halt(void) {
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* A triple fault: resets any machine. */
noreturn_fn void cpu_reset(void);

/* FS base and the program's GS base (which waits for swapgs) as the hardware has them now. */
uint64_t cpu_get_fs_base(void);
void cpu_set_fs_base(uint64_t base);
uint64_t cpu_get_user_gs_base(void);
void cpu_set_user_gs_base(uint64_t base);

/* A number from RDRAND, if there is one and it answers; mixed with the TSC. */
uint64_t cpu_random(void);

/* Fills cpu_features; once, on the boot CPU. */
void cpu_detect(void);
/* Sets CR0, CR4, EFER, XCR0, PAT and the syscall MSRs of this CPU. */
void cpu_init_cpu(void);

/* Clears one page (PAGE_SIZE bytes, page aligned), eight bytes at a time or wider. */
void cpu_clear_page(void *page);
/* Copies one page; both page aligned. */
void cpu_copy_page(void *to, const void *from);

#endif
