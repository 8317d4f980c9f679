/* SPDX-License-Identifier: MIT */
/*
 * What a handler may change for the way back, and what rt_sigreturn refuses:
 * selectors, flags, places to go, the extended state, and frames that are
 * none.  Refused is SIGSEGV from the kernel, at the mask of the frame where
 * that could be read.
 */
#define _GNU_SOURCE
#include "test/guest/guest.h"
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

#define FLAG_TF       0x100L
#define FLAG_IF       0x200L
#define FLAG_DF       0x400L
#define FLAG_IOPL     0x3000L
#define FLAG_NT       0x4000L
#define FLAG_VM       0x20000L
#define FLAG_AC       0x40000L
#define FLAG_VIRTUAL  0x180000L /* VIF, VIP */
#define FLAG_ID       0x200000L
#define MAGIC1        0x46505853u /* of struct _fpx_sw_bytes, at byte 464 of the state */
#define MXCSR_DEFAULT 0x1f80u

static sigjmp_buf escape;
static siginfo_t last;
static void (*bend)(ucontext_t *uc);
static greg_t wish;               /* what `bend` puts there */
static volatile int traps, bends; /* how often the handlers ran */

static void on_escape(int signal, siginfo_t *info, void *context) {
    (void)context;
    last = *info;
    siglongjmp(escape, signal);
}

static void on_bend(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)signal;
    (void)info;
    uc->uc_mcontext.gregs[REG_RIP] += 2; /* ud2 */
    bends = bends + 1;
    bend(uc);
}

static void on_trap(int signal, siginfo_t *info, void *context) {
    (void)signal;
    last = *info;
    traps = traps + 1;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~FLAG_TF;
}

static void install(int signal, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };
    sigaction(signal, &action, NULL);
}

/* An instruction that traps; the handler calls `how`.  Yields the flags that it left behind. */
static __attribute__((noinline)) unsigned long flags_after(void (*how)(ucontext_t *)) {
    unsigned long flags;
    bend = how;
    __asm__ volatile("ud2\n pushf\n pop %0\n push $0x202\n popf" : "=r"(flags) : : "memory", "cc");
    return flags;
}

/* The signal that the way back brought, or 0; SIGSEGV has a handler to get out by. */
static int signal_after(void (*how)(ucontext_t *), greg_t value) {
    bends = 0;
    wish = value;
    memset(&last, 0, sizeof last);
    install(SIGILL, on_bend, 0);
    install(SIGSEGV, on_escape, SA_ONSTACK);
    int signal = sigsetjmp(escape, 1);
    if (signal == 0)
        flags_after(how);
    CHECK_EQ(bends, 1);
    return signal;
}

static unsigned short *selector(ucontext_t *uc, int which) {
    return (unsigned short *)&uc->uc_mcontext.gregs[REG_CSGSFS] + which;
}

static void nothing(ucontext_t *uc) {
    (void)uc;
}
static void bend_cs(ucontext_t *uc) {
    *selector(uc, 0) = (unsigned short)wish;
}
static void bend_ss(ucontext_t *uc) {
    *selector(uc, 3) = (unsigned short)wish;
}
static void bend_flags(ucontext_t *uc) {
    uc->uc_mcontext.gregs[REG_EFL] = wish;
}
static void bend_rip(ucontext_t *uc) {
    uc->uc_mcontext.gregs[REG_RIP] = wish;
}

static void selectors(void) {
    static const unsigned short
        wrong[] = { 0x00, 0x03, 0x08, 0x0b, 0x10,   0x13,   0x18,
                    0x1b, 0x40, 0x43, 0x88, 0xfff3, 0xffff, 0x37 /* of the LDT */ };
    for (volatile unsigned i = 0; i < LENGTH(wrong); i = i + 1) {
        CHECK_EQ(signal_after(bend_cs, wrong[i]), SIGSEGV);
        CHECK_EQ(last.si_code, SI_KERNEL);
        CHECK_EQ(signal_after(bend_ss, wrong[i]), SIGSEGV);
        CHECK_EQ(last.si_code, SI_KERNEL);
    }
    /* The privilege level is added for whoever forgot it. */
    CHECK_EQ(signal_after(bend_cs, 0x30), 0);
    CHECK_EQ(signal_after(bend_cs, 0x33), 0);
    CHECK_EQ(signal_after(bend_ss, 0x28), 0);
    CHECK_EQ(signal_after(bend_ss, 0x2b), 0);
}

static void flags_given_and_kept(void) {
    static const long kept[] = { FLAG_IOPL,
                                 FLAG_NT,
                                 FLAG_VM,
                                 FLAG_VIRTUAL,
                                 FLAG_ID,
                                 FLAG_IOPL | FLAG_NT | FLAG_VM | FLAG_VIRTUAL,
                                 (long)0xffffffff00000000 };
    install(SIGILL, on_bend, 0);
    unsigned long before = flags_after(nothing), after;
    for (volatile unsigned i = 0; i < LENGTH(kept); i = i + 1) {
        wish = kept[i] | FLAG_IF | 2;
        after = flags_after(bend_flags);
        CHECK_EQ(after & kept[i], before & kept[i]);
        CHECK_EQ(after & FLAG_IF, FLAG_IF);
    }
    wish = 0; /* interrupts stay on */
    after = flags_after(bend_flags);
    CHECK_EQ(after & (FLAG_IF | 2), FLAG_IF | 2);
    CHECK_EQ(after & 0x8d5, 0);
    wish = 0x8d5 | FLAG_DF | FLAG_AC; /* CF PF AF ZF SF OF: a program's own */
    after = flags_after(bend_flags);
    CHECK_EQ(after & 0x8d5, 0x8d5);
    CHECK_EQ(after & (FLAG_DF | FLAG_AC), FLAG_DF | FLAG_AC);
}

static void single_step(void) {
    install(SIGILL, on_bend, 0);
    install(SIGTRAP, on_trap, 0);
    traps = 0;
    wish = FLAG_TF | FLAG_IF | 2;
    unsigned long after = flags_after(bend_flags);
    CHECK_EQ(traps, 1);
    CHECK_EQ(last.si_code, TRAP_TRACE);
    CHECK_EQ(after & FLAG_IF, FLAG_IF);
}

static void wild_instruction_pointers(void) {
    static const unsigned long places[] = { 0,
                                            8,
                                            0x00007ffffffff000,
                                            0x00007fffffffffff,
                                            0x0000800000000000,
                                            0x8000000000000000,
                                            0xffff7fffffffffff,
                                            0xffff800000000000,
                                            0xffffffff80000000,
                                            0xffffffffffffffff };
    for (volatile unsigned i = 0; i < LENGTH(places); i = i + 1)
        CHECK_EQ(signal_after(bend_rip, (greg_t)places[i]), SIGSEGV);
}

static void bend_rip_and_mask(ucontext_t *uc) {
    sigaddset(&uc->uc_sigmask, SIGUSR1);
    bend_rip(uc);
}

static void on_segv_return(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)signal;
    last = *info;
    CHECK_EQ(uc->uc_mcontext.gregs[REG_RIP], wish);
    CHECK(sigismember(&uc->uc_sigmask, SIGUSR1) && !sigismember(&uc->uc_sigmask, SIGSEGV));
    traps = traps + 1;
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)uc->uc_mcontext.gregs[REG_RBX];
    sigdelset(&uc->uc_sigmask, SIGUSR1);
}

/* The refusal comes after the return: the frame's registers and mask are there, to be repaired. */
static void refused_return_can_be_repaired(void) {
    traps = bends = 0;
    bend = bend_rip_and_mask;
    wish = (greg_t)0x8000000000000000;
    install(SIGSEGV, on_bend, 0); /* blocked while it runs, and free again after it */
    install(SIGILL, on_bend, 0);
    struct sigaction action = { .sa_sigaction = on_segv_return, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &action, NULL);
    __asm__ volatile("lea 1f(%%rip), %%rbx\n ud2\n 1:" : : : "rbx", "memory");
    CHECK_EQ(bends, 1);
    CHECK_EQ(traps, 1);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(!sigismember(&now, SIGUSR1) && !sigismember(&now, SIGSEGV));
}

static unsigned char *state_of(ucontext_t *uc) {
    return (unsigned char *)uc->uc_mcontext.fpregs;
}

static int state_is_extended(ucontext_t *uc) {
    unsigned magic;
    memcpy(&magic, state_of(uc) + 464, 4);
    return magic == MAGIC1;
}

static int extended; /* whether the frames of this machine have more than x87 and SSE */

static void look(ucontext_t *uc) {
    extended = state_is_extended(uc);
}
static void bend_mxcsr(ucontext_t *uc) {
    uc->uc_mcontext.fpregs->mxcsr = (unsigned)wish;
}
static void bend_pointer(ucontext_t *uc) {
    uc->uc_mcontext.fpregs = (void *)wish;
}
static void bend_magic1(ucontext_t *uc) {
    memset(state_of(uc) + 464, (int)wish, 4);
}

/* Eight bytes at once: XSTATE_BV, XCOMP_BV and the word behind it. */
static void bend_header(ucontext_t *uc) {
    memset(state_of(uc) + 512 + wish, 0x7f, 8);
}

static void bend_magic2(ucontext_t *uc) {
    unsigned size;
    memcpy(&size, state_of(uc) + 480, 4); /* xstate_size */
    memset(state_of(uc) + size, (int)wish, 4);
}

static void bend_sizes(ucontext_t *uc) {
    memset(state_of(uc) + 468, (int)wish, 20);
}

static void bend_alignment(ucontext_t *uc) {
    static unsigned char room[16384] __attribute__((aligned(64)));
    unsigned size = 512;
    if (state_is_extended(uc))
        memcpy(&size, state_of(uc) + 468, 4); /* extended_size */
    REQUIRE(size <= sizeof room - 64);
    memcpy(room + wish, state_of(uc), size);
    uc->uc_mcontext.fpregs = (void *)(room + wish);
}

static unsigned mxcsr_now(void) {
    unsigned value;
    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value;
}

static void reserved_bits_of_mxcsr(void) {
    static const unsigned wrong[] = { 0xffffffff, 0x80000000, 0x10000 | MXCSR_DEFAULT };
    for (volatile unsigned i = 0; i < LENGTH(wrong); i = i + 1) {
        CHECK_EQ(signal_after(bend_mxcsr, wrong[i]), SIGSEGV);
        CHECK_EQ(last.si_code, SI_KERNEL);
    }
    CHECK_EQ(signal_after(bend_mxcsr, 0x7f80), 0); /* rounds toward zero */
    CHECK_EQ(mxcsr_now(), 0x7f80);
    CHECK_EQ(signal_after(bend_mxcsr, MXCSR_DEFAULT), 0);
    CHECK_EQ(mxcsr_now(), MXCSR_DEFAULT);
}

static void wild_pointers_to_the_state(void) {
    static const unsigned long wrong[] = { 8,
                                           0x1000,
                                           0x7ffffffff000,
                                           0x8000000000000000,
                                           0xffff800000000000,
                                           0xffffffff80000000,
                                           0xffffffffffffffc0 };
    for (volatile unsigned i = 0; i < LENGTH(wrong); i = i + 1) {
        CHECK_EQ(signal_after(bend_pointer, (greg_t)wrong[i]), SIGSEGV);
        CHECK_EQ(last.si_code, SI_KERNEL);
    }
    for (volatile int by = 1; by < 16; by = by + 7)
        CHECK_EQ(signal_after(bend_alignment, by), SIGSEGV);
    CHECK_EQ(signal_after(bend_alignment, 64), 0);
    unsigned round_down = 0x3f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(round_down));
    CHECK_EQ(signal_after(bend_pointer, 0), 0); /* none: the initial state */
    CHECK_EQ(mxcsr_now(), MXCSR_DEFAULT);
}

static void headers_of_the_state(void) {
    CHECK_EQ(signal_after(look, 0), 0);
    if (!extended)
        SKIP("no XSAVE here");
    for (volatile int at = 0; at < 24; at = at + 8) {
        CHECK_EQ(signal_after(bend_header, at), SIGSEGV);
        CHECK_EQ(last.si_code, SI_KERNEL);
    }
    for (volatile int at = 16; at < 64; at = at + 16) /* 64-byte alignment is XRSTOR's */
        CHECK_EQ(signal_after(bend_alignment, at), at % 64 ? SIGSEGV : 0);
}

/* Without its marks the state is that of FXSAVE, which is loaded. */
static void marks_of_the_state(void) {
    static void (*const marks[])(ucontext_t *) = { bend_magic1, bend_magic2, bend_sizes };
    CHECK_EQ(signal_after(look, 0), 0);
    if (!extended)
        SKIP("no XSAVE here");
    for (volatile unsigned i = 0; i < LENGTH(marks); i = i + 1) {
        unsigned round_up = 0x5f80, normal = MXCSR_DEFAULT;
        __asm__ volatile("ldmxcsr %0" : : "m"(round_up));
        CHECK_EQ(signal_after(marks[i], 0), 0);
        CHECK_EQ(mxcsr_now(), 0x5f80);
        CHECK_EQ(signal_after(marks[i], 0xff), 0);
        CHECK_EQ(mxcsr_now(), 0x5f80);
        __asm__ volatile("ldmxcsr %0" : : "m"(normal));
    }
}

/* rt_sigreturn with the stack pointer there; only a signal comes back from it. */
static __attribute__((noinline)) void return_at(unsigned long stack) {
    __asm__ volatile("mov %0, %%rsp\n mov $15, %%eax\n syscall\n ud2"
                     :
                     : "r"(stack)
                     : "rax", "rcx", "r11", "memory");
}

static int signal_of_return_at(unsigned long stack) {
    memset(&last, 0, sizeof last);
    install(SIGSEGV, on_escape, SA_ONSTACK);
    int signal = sigsetjmp(escape, 1);
    if (signal == 0)
        return_at(stack);
    return signal;
}

static void frames_that_are_none(void) {
    static const unsigned long wild[] = { 0,
                                          8,
                                          0x1000,
                                          0x7ffffffff000,
                                          0x7fffffffefff,
                                          0x800000000000,
                                          0x8000000000000000,
                                          0xffff800000000000,
                                          0xffffffff80200000,
                                          0xfffffffffffffff8 };
    static char handler_stack[65536];
    stack_t stack = { .ss_sp = handler_stack, .ss_size = sizeof handler_stack };
    REQUIRE(sigaltstack(&stack, NULL) == 0);
    for (volatile unsigned i = 0; i < LENGTH(wild); i = i + 1) {
        CHECK_EQ(signal_of_return_at(wild[i]), SIGSEGV);
        CHECK_EQ(last.si_code, SI_KERNEL);
    }
    /* A frame whose end is not there, and one of nonsense; mask and flags alone are harmless. */
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED && munmap(page + 4096, 4096) == 0);
    memset(page, 0xa5, 4096);
    ucontext_t *uc = (ucontext_t *)(page + 1024);
    memset(&uc->uc_sigmask, 0, sizeof uc->uc_sigmask);
    uc->uc_mcontext.gregs[REG_EFL] = FLAG_IF; /* no AC: the handler runs with them */
    CHECK_EQ(signal_of_return_at((unsigned long)uc), SIGSEGV);
    CHECK_EQ(last.si_code, SI_KERNEL);
    CHECK_EQ(signal_of_return_at((unsigned long)page + 4096 - 64), SIGSEGV);
    CHECK_EQ(last.si_code, SI_KERNEL);
    munmap(page, 4096);
    stack.ss_flags = SS_DISABLE;
    CHECK_EQ(sigaltstack(&stack, NULL), 0);
}

GUEST_MAIN(CASE(selectors), CASE(flags_given_and_kept), CASE(single_step),
           CASE(wild_instruction_pointers), CASE(refused_return_can_be_repaired),
           CASE(reserved_bits_of_mxcsr), CASE(wild_pointers_to_the_state),
           CASE(headers_of_the_state), CASE(marks_of_the_state), CASE(frames_that_are_none))
