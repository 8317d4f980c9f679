/* SPDX-License-Identifier: MIT */
/* Exceptions and interrupts, sorted by where they came from. */
#include "arch/x86_64/trap.h"
#include <asm-generic/errno.h>
#include "arch/x86_64/arch_impl.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/offsets.h"
#include "arch/x86_64/trap_impl.h"
#include "arch/x86_64/uaccess_impl.h"
#include "kernel/aspace.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/thread.h"

_Static_assert(offsetof(struct trap_frame, rax) == FRAME_RAX, "offsets.h");
_Static_assert(offsetof(struct trap_frame, cs) == FRAME_CS, "offsets.h");
_Static_assert(sizeof(struct trap_frame) == FRAME_SIZE, "offsets.h");
_Static_assert(offsetof(struct thread, work) == THREAD_WORK, "offsets.h");

PERCPU uintptr_t kernel_stack_top, user_rsp;
static bool syscalls_fault; /* set at boot: see syscall_fault() */

void trap_init(void) {
    char word[8];
    syscalls_fault = machine_option("software-kvm", 0, word, sizeof(word));
}

static const char *const names[32] = {
    [TRAP_DIVIDE] = "divide error",
    [TRAP_DEBUG] = "debug exception",
    [TRAP_NMI] = "NMI",
    [TRAP_BREAKPOINT] = "breakpoint",
    [TRAP_INVALID_OPCODE] = "invalid opcode",
    [TRAP_DOUBLE_FAULT] = "double fault (kernel stack overflow?)",
    [TRAP_STACK_SEGMENT] = "stack segment fault",
    [TRAP_PROTECTION] = "general protection fault",
    [TRAP_PAGE_FAULT] = "page fault",
    [TRAP_X87] = "x87 error",
    [TRAP_ALIGNMENT] = "alignment check",
    [TRAP_MACHINE_CHECK] = "machine check",
    [TRAP_SIMD] = "SIMD exception",
};

static const char *name_of(uint64_t vector) {
    return vector < ARRAY_SIZE(names) && names[vector] ? names[vector] : "exception";
}

/* A fault of the kernel on the program's memory, at an instruction that expects it. */
static void kernel_fault(struct trap_frame *f, uintptr_t addr) {
    uintptr_t fixup = uaccess_fixup(f->rip);
    struct thread *me = current;
    if (!fixup || addr >= USER_END || !me->aspace)
        panic_at(f, "page fault in the kernel at %#lx (error %#lx)", addr, f->error);
    if (!me->no_fault && (f->rflags & RFLAGS_IF)) {
        assert_slow(me->preempt_count == 0);
        irq_enable();
        int err = aspace_fault(me->aspace, addr, (unsigned)f->error & FAULT_WRITE);
        if (err == 0)
            return;
        if (err == -ENOMEM)
            linux_out_of_memory(addr);
    }
    f->rip = fixup;
}

/*
 * Where KVM runs without hardware virtualisation, ring 3 runs on the real CPU
 * and `syscall` arrives as an instruction fetch of ring 3 from LSTAR, with RIP
 * and flags already in RCX and R11.  This is that call.
 */
static void syscall_fault(struct trap_frame *f) {
    f->vector = TRAP_SYSCALL;
    f->error = (uint64_t)(int32_t)f->rax;
    f->rip = f->rcx;
    f->rflags = (f->r11 & RFLAGS_USER) | RFLAGS_IF;
    f->rax = f->error < syscall_limit
                 ? (uint64_t)syscall_handlers[f->error]((long)f->rdi, (long)f->rsi, (long)f->rdx,
                                                        (long)f->r10, (long)f->r8, (long)f->r9)
                 : (uint64_t)-ENOSYS;
}

static void exception(struct trap_frame *f) {
    uintptr_t addr = f->vector == TRAP_PAGE_FAULT ? read_cr2() : 0;
    if (!trap_from_user(f)) {
        if (f->vector == TRAP_PAGE_FAULT)
            return kernel_fault(f, addr);
        uintptr_t fixup = f->vector == TRAP_PROTECTION ? uaccess_fixup(f->rip) : 0;
        if (!fixup)
            panic_at(f, "%s in the kernel (error %#lx)", name_of(f->vector), f->error);
        f->rip = fixup; /* a non-canonical address of the program's */
        return;
    }
    irq_enable();
    int err = 0;
    if (unlikely(syscalls_fault) && f->vector == TRAP_PAGE_FAULT &&
        f->rip == (uintptr_t)syscall_entry && f->rcx < USER_END)
        return syscall_fault(f);
    if (f->vector == TRAP_PAGE_FAULT) {
        err = aspace_fault(current->aspace, addr, (unsigned)f->error & (FAULT_WRITE | FAULT_EXEC));
        if (err == 0)
            return;
    }
    linux_exception(f, addr, err);
}

void trap_handler(struct trap_frame *f) {
    if (f->vector < 32)
        exception(f);
    else
        apic_irq((unsigned)f->vector);
}

void trap_paranoid_handler(struct trap_frame *f) {
    switch (f->vector) {
    case TRAP_NMI:
        panic_nmi(f);
        return;
    case TRAP_DEBUG: /* a watchpoint or single step that reached the kernel: not ours */
        __asm__ volatile("mov %0, %%dr6" ::"r"(0ul));
        f->rflags &= ~RFLAGS_TF;
        return;
    default:
        panic_at(f, "%s (error %#lx, CR2 %#lx)", name_of(f->vector), f->error, read_cr2());
    }
}
