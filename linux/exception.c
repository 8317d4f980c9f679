/* SPDX-License-Identifier: MIT */
/* Exceptions of the program become signals, with Linux's siginfo. */
#include <asm-generic/errno.h>

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/trap.h"
#include "linux/process.h"

#define FPU_SW_OFFSET    2
#define FPU_CW_OFFSET    0
#define FPU_MXCSR_OFFSET 24

/* si_code of a floating-point exception, from the unmasked flags. */
static int fpe_code(uint32_t flags) {
    if (flags & 0x01)
        return FPE_FLTINV;
    if (flags & 0x04)
        return FPE_FLTDIV;
    if (flags & 0x08)
        return FPE_FLTOVF;
    if (flags & 0x12) /* underflow, denormal operand */
        return FPE_FLTUND;
    return FPE_FLTRES;
}

static int fpe_code_now(struct task *t, uint64_t vector) {
    uint8_t *area = t->thread.fpu_area;
    uint64_t flags = irq_save();

    fpu_save(area);
    irq_restore(flags);
    if (vector == TRAP_X87) {
        uint16_t cw = *(uint16_t *)(void *)(area + FPU_CW_OFFSET);
        uint16_t sw = *(uint16_t *)(void *)(area + FPU_SW_OFFSET);

        return fpe_code(sw & ~(uint32_t)cw & 0x3f);
    }
    uint32_t mxcsr = *(uint32_t *)(void *)(area + FPU_MXCSR_OFFSET);

    return fpe_code(mxcsr & ~(mxcsr >> 7) & 0x3f);
}

static void page_fault_info(siginfo_t *info, uintptr_t addr, int error) {
    info->si_addr = (void *)addr;
    if (error == -EIO) {
        info->si_signo = SIGBUS;
        info->si_code = BUS_ADRERR;
    } else {
        info->si_signo = SIGSEGV;
        info->si_code = error == -EACCES ? SEGV_ACCERR : SEGV_MAPERR;
    }
}

void linux_out_of_memory(uintptr_t addr) {
    if (!current->fpu_area) /* not a task: a thread of ours that reads stacks */
        return;
    current_task()->starved_at = addr;
    atomic_fetch_or(&current->work, WORK_SIGNAL);
}

void exception_end_if_starved(const struct trap_frame *f) {
    struct task *t = current_task();

    if (!t->starved_at)
        return;
    report_out_of_memory(f, t->starved_at);
    process_exit_group(128 + SIGKILL, SIGKILL);
}

void linux_exception(struct trap_frame *f, uintptr_t addr, int error) {
    struct task *t = current_task();
    siginfo_t info = { .si_signo = SIGSEGV, .si_code = SI_KERNEL };

    if (error == -ENOMEM) {
        report_out_of_memory(f, addr);
        process_exit_group(128 + SIGKILL, SIGKILL);
    }
    t->signals.trap_number = f->vector;
    t->signals.trap_error = f->error;
    t->signals.trap_addr = addr;
    switch (f->vector) {
    case TRAP_PAGE_FAULT:
        page_fault_info(&info, addr, error);
        break;
    case TRAP_DIVIDE:
        info.si_signo = SIGFPE, info.si_code = FPE_INTDIV;
        info.si_addr = (void *)f->rip;
        break;
    case TRAP_X87:
    case TRAP_SIMD:
        info.si_signo = SIGFPE, info.si_code = fpe_code_now(t, f->vector);
        info.si_addr = (void *)f->rip;
        break;
    case TRAP_INVALID_OPCODE:
        info.si_signo = SIGILL, info.si_code = ILL_ILLOPN;
        info.si_addr = (void *)f->rip;
        break;
    case TRAP_BREAKPOINT:
        info.si_signo = SIGTRAP, info.si_code = SI_KERNEL;
        break;
    case TRAP_DEBUG:
        info.si_signo = SIGTRAP, info.si_code = TRAP_TRACE;
        info.si_addr = (void *)f->rip;
        break;
    case TRAP_ALIGNMENT:
        info.si_signo = SIGBUS, info.si_code = BUS_ADRALN;
        break;
    case TRAP_STACK_SEGMENT:
        info.si_signo = SIGBUS;
        break;
    default: /* general protection and its kin: SIGSEGV with SI_KERNEL and no address */
        break;
    }
    signal_force(info.si_signo, &info);
}
