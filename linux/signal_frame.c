/* SPDX-License-Identifier: MIT */
/*
 * What a signal handler finds on its stack, and the way back from it.
 *
 * From the interrupted stack pointer downwards, as Linux lays it out: 128 bytes
 * of red zone that stay untouched (not on an alternate stack), the extended
 * state on a 64-byte boundary with FP_XSTATE_MAGIC2 behind it, then struct
 * frame on a 16-byte boundary minus 8, as if the handler had been called.
 *
 * Everything that rt_sigreturn reads was in the program's hands.  Flags that
 * are not a program's stay as they were.  What Linux leaves to the CPU to
 * refuse, iretq's RIP and selectors and XRSTOR's area, is checked here, so that
 * no instruction of ours faults; the outcome is the same SIGSEGV, with the
 * registers and the mask of the frame already in force.
 */
#include <asm-generic/errno.h>
#include <asm/sigcontext.h>
#include <asm/signal.h>
#include <asm/ucontext.h>

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/trap.h"
#include "arch/x86_64/uaccess.h"
#include "base/string.h"
#include "kernel/panic.h"
#include "kernel/slab.h"
#include "linux/process.h"
#include "linux/signal.h"
#include "linux/syscalls.h"

#define RED_ZONE         128
#define FXSAVE_SIZE      512u
#define XSTATE_BV_OFFSET 512
#define XSTATE_X87_SSE   3ul
/* Linux's FIX_EFLAGS: rt_sigreturn sets these; ID is a program's own, too, but stays. */
#define RFLAGS_RETURNED (RFLAGS_USER & ~RFLAGS_ID)
#define SW_BYTES_OFFSET offsetof(struct _fpstate_64, sw_reserved)

struct frame {
    uintptr_t return_address; /* the action's restorer, which calls rt_sigreturn */
    struct ucontext uc;
    siginfo_t info;
};

static struct slab_cache *state_cache;

/* Bytes of extended state in a frame, without FP_XSTATE_MAGIC2. */
static size_t state_size(void) {
    return cpu_features.xsave ? cpu_features.xsave_size : FXSAVE_SIZE;
}

void signal_frame_init(void) {
    state_cache = slab_cache_create("signal_state", MAX(state_size(), FXSAVE_SIZE + 64), 64);
    if (!state_cache)
        give_up("too little memory for signal frames");
}

size_t signal_frame_min_stack(void) {
    return ALIGN_UP(sizeof(struct frame) + 16 + state_size() + FP_XSTATE_MAGIC2_SIZE + 64, 16);
}

/* Writes the current extended state to the program's `to`. */
static int state_push(uint8_t *to) {
    uint32_t magic2 = FP_XSTATE_MAGIC2;
    uint8_t *area = slab_alloc(state_cache);
    struct _fpx_sw_bytes sw = { 0 };
    int err;

    if (!area)
        return -EFAULT;
    /* Components in their initial state are not written by XSAVEOPT: put that state there first,
     * so that the program finds it, and then declare x87 and SSE valid as Linux does. */
    fpu_init_area(area);
    fpu_save(area);
    if (cpu_features.xsave) {
        uint64_t present;

        memcpy(&present, area + XSTATE_BV_OFFSET, sizeof(present));
        present |= XSTATE_X87_SSE;
        memcpy(area + XSTATE_BV_OFFSET, &present, sizeof(present));
        sw.magic1 = FP_XSTATE_MAGIC1;
        sw.extended_size = (uint32_t)state_size() + FP_XSTATE_MAGIC2_SIZE;
        sw.xfeatures = cpu_features.xcr0;
        sw.xstate_size = (uint32_t)state_size();
    }
    memcpy(area + SW_BYTES_OFFSET, &sw, sizeof(sw));
    err = copy_to_user(to, area, state_size());
    if (!err && cpu_features.xsave)
        err = copy_to_user(to + state_size(), &magic2, sizeof(magic2));
    slab_free(state_cache, area);
    return err;
}

/* How much of the state at `from` is ours: 0 only the x87 and SSE part, else its features. */
static uint64_t state_features(const uint8_t *area, const uint8_t *from) {
    struct _fpx_sw_bytes sw;
    uint32_t magic2;

    memcpy(&sw, area + SW_BYTES_OFFSET, sizeof(sw));
    if (!cpu_features.xsave || sw.magic1 != FP_XSTATE_MAGIC1 || sw.xstate_size != state_size() ||
        sw.extended_size != state_size() + FP_XSTATE_MAGIC2_SIZE ||
        copy_from_user(&magic2, from + state_size(), sizeof(magic2)) || magic2 != FP_XSTATE_MAGIC2)
        return 0;
    return sw.xfeatures & cpu_features.xcr0;
}

/* Loads the extended state at the program's `from` (NULL: the initial one). */
static int state_pop(const uint8_t *from) {
    struct task *t = current_task();
    uint8_t *area = slab_alloc(state_cache);
    uint64_t present, features = 0;
    int err = -EFAULT;

    if (!area)
        return -EFAULT;
    fpu_init_area(area);
    if (from) {
        if (copy_from_user(area, from, FXSAVE_SIZE))
            goto free_area;
        features = state_features(area, from);
        /* The alignment that FXRSTOR and XRSTOR ask for. */
        if ((uintptr_t)from % (features ? 64 : 16) ||
            (features && copy_from_user(area, from, state_size())) || !fpu_sanitise(area))
            goto free_area;
    }
    if (features) {
        memcpy(&present, area + XSTATE_BV_OFFSET, sizeof(present));
        present &= features;
        memcpy(area + XSTATE_BV_OFFSET, &present, sizeof(present));
    }
    preempt_disable();
    memcpy(t->thread.fpu_area, area, state_size());
    fpu_restore(t->thread.fpu_area);
    preempt_enable();
    err = 0;
free_area:
    slab_free(state_cache, area);
    return err;
}

static bool on_alternate_stack(const struct task_signals *s, uintptr_t sp) {
    return !(s->stack_flags & SS_AUTODISARM) && s->stack_size && sp > s->stack_base &&
           sp - s->stack_base <= s->stack_size;
}

unsigned signal_stack_state(const struct task_signals *s, uintptr_t sp) {
    if (!s->stack_size)
        return SS_DISABLE;
    return on_alternate_stack(s, sp) ? SS_ONSTACK : 0;
}

static void save_registers(struct sigcontext *c, const struct trap_frame *f,
                           const struct task_signals *s, uint64_t mask) {
    c->r8 = f->r8, c->r9 = f->r9, c->r10 = f->r10, c->r11 = f->r11;
    c->r12 = f->r12, c->r13 = f->r13, c->r14 = f->r14, c->r15 = f->r15;
    c->rdi = f->rdi, c->rsi = f->rsi, c->rbp = f->rbp, c->rbx = f->rbx;
    c->rdx = f->rdx, c->rax = f->rax, c->rcx = f->rcx, c->rsp = f->rsp;
    c->rip = f->rip, c->eflags = f->rflags;
    c->cs = USER_CS, c->ss = USER_DS;
    c->err = s->trap_error, c->trapno = s->trap_number, c->cr2 = s->trap_addr;
    c->oldmask = mask;
}

int signal_frame_push(struct trap_frame *f, int signo, const siginfo_t *info,
                      const struct signal_action *action, uint64_t mask_to_restore) {
    struct task_signals *s = &current_task()->signals;
    uintptr_t sp = f->rsp - RED_ZONE, state;
    bool alternate = on_alternate_stack(s, f->rsp);
    struct frame frame;

    /* iretq to an address that is not canonical faults in the kernel, with the program's GS. */
    if (!(action->flags & SA_RESTORER) || action->handler >= USER_END)
        return -EFAULT;
    if ((action->flags & SA_ONSTACK) && !alternate && s->stack_size) {
        sp = s->stack_base + s->stack_size;
        alternate = true;
    }
    sp -= state_size() + (cpu_features.xsave ? FP_XSTATE_MAGIC2_SIZE : 0);
    state = sp = ALIGN_DOWN(sp, 64);
    sp = ALIGN_DOWN(sp - sizeof(frame), 16) - 8;
    if (alternate && (sp <= s->stack_base || sp - s->stack_base > s->stack_size))
        return -EFAULT;

    memset(&frame, 0, sizeof(frame));
    frame.return_address = action->restorer;
    frame.uc.uc_flags = (cpu_features.xsave ? (unsigned long)UC_FP_XSTATE : 0) | UC_SIGCONTEXT_SS |
                        UC_STRICT_RESTORE_SS;
    frame.uc.uc_stack.ss_sp = (void *)s->stack_base;
    frame.uc.uc_stack.ss_size = s->stack_size;
    frame.uc.uc_stack.ss_flags =
        (int)(signal_stack_state(s, f->rsp) | (s->stack_flags & SS_AUTODISARM));
    frame.uc.uc_sigmask = mask_to_restore;
    save_registers(&frame.uc.uc_mcontext, f, s, mask_to_restore);
    frame.uc.uc_mcontext.fpstate = (void *)state;
    frame.info = *info;
    /* The handler starts with the initial extended state, whatever the program was at. */
    if (state_push((uint8_t *)state) || copy_to_user((void *)sp, &frame, sizeof(frame)) ||
        state_pop(NULL))
        return -EFAULT;

    if (s->stack_flags & SS_AUTODISARM)
        s->stack_base = s->stack_size = 0, s->stack_flags = SS_DISABLE;
    f->rdi = (uint64_t)signo;
    f->rsi = sp + offsetof(struct frame, info);
    f->rdx = sp + offsetof(struct frame, uc);
    f->rax = 0;
    f->rip = action->handler;
    f->rsp = sp;
    f->rflags &= ~(RFLAGS_DF | RFLAGS_RF | RFLAGS_TF);
    return 0;
}

static void restore_registers(struct trap_frame *f, const struct sigcontext *c) {
    f->r8 = c->r8, f->r9 = c->r9, f->r10 = c->r10, f->r11 = c->r11;
    f->r12 = c->r12, f->r13 = c->r13, f->r14 = c->r14, f->r15 = c->r15;
    f->rdi = c->rdi, f->rsi = c->rsi, f->rbp = c->rbp, f->rbx = c->rbx;
    f->rdx = c->rdx, f->rax = c->rax, f->rcx = c->rcx, f->rsp = c->rsp;
    f->rip = c->rip;
    f->rflags = (f->rflags & ~RFLAGS_RETURNED) | (c->eflags & RFLAGS_RETURNED);
    f->cs = USER_CS, f->ss = USER_DS;
}

/* Whether iretq would go there; privilege levels are forced, as on Linux. */
static bool can_return_to(const struct sigcontext *c) {
    return c->rip < USER_END && (c->cs | 3) == USER_CS && (c->ss | 3) == USER_DS;
}

long sys_rt_sigreturn(void) {
    struct task *t = current_task();
    struct trap_frame *f = thread_user_frame(current);
    const struct frame *at = (const struct frame *)(f->rsp - sizeof(uintptr_t));
    siginfo_t bad = { .si_signo = SIGSEGV, .si_code = SI_KERNEL };
    struct frame frame;

    if (copy_from_user(&frame, at, offsetof(struct frame, info))) {
        signal_force(SIGSEGV, &bad);
        return 0;
    }
    restore_registers(f, &frame.uc.uc_mcontext);
    atomic_fetch_or_explicit(&current->work, WORK_FRAME, memory_order_relaxed);
    f->error = (uint64_t)-1; /* nothing to repeat: these registers are no call's */
    signal_set_blocked(frame.uc.uc_sigmask);
    t->restart.call = NULL;
    if (state_pop((const uint8_t *)frame.uc.uc_mcontext.fpstate) ||
        !can_return_to(&frame.uc.uc_mcontext))
        signal_force(SIGSEGV, &bad);
    (void)signal_set_stack(&t->signals, &frame.uc.uc_stack, f->rsp);
    return (long)f->rax;
}

int signal_set_stack(struct task_signals *s, const stack_t *new, uintptr_t sp) {
    unsigned mode = (unsigned)new->ss_flags & ~SS_AUTODISARM;

    if (on_alternate_stack(s, sp))
        return -EPERM;
    if (mode != 0 && mode != SS_ONSTACK && mode != SS_DISABLE)
        return -EINVAL;
    if (mode == SS_DISABLE) {
        s->stack_base = s->stack_size = 0;
    } else {
        if (new->ss_size < MINSIGSTKSZ)
            return -ENOMEM;
        s->stack_base = (uintptr_t) new->ss_sp;
        s->stack_size = new->ss_size;
    }
    s->stack_flags = (unsigned)new->ss_flags;
    return 0;
}
