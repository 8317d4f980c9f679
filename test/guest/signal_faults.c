/* SPDX-License-Identifier: MIT */
/* Signals that the program brings on itself, alternate stacks, and the frame. */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>

#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf escape;
static siginfo_t last;
static char *page;
static volatile int count;

static void on_escape(int signal, siginfo_t *info, void *context) {
    (void)context;
    last = *info;
    siglongjmp(escape, signal);
}

static void install(void (*handler)(int, siginfo_t *, void *), int flags) {
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };
    for (unsigned i = 0; i < LENGTH(faults); i++)
        sigaction(faults[i], &action, NULL);
    count = 0;
}

/* Runs the statement and yields the signal that it brought. */
#define SIGNAL_OF(statement)                                                                       \
    __extension__({                                                                                \
        int guest_signal = sigsetjmp(escape, 1);                                                   \
        if (guest_signal == 0) {                                                                   \
            statement;                                                                             \
        }                                                                                          \
        guest_signal;                                                                              \
    })

/* Addresses that the compiler knows nothing of. */
static volatile char *at(unsigned long address) {
    __asm__("" : "+r"(address));
    return (volatile char *)address;
}

static void jump(unsigned long address) {
    ((void (*)(void))(uintptr_t)at(address))();
}

static void faults_of_memory(void) {
    install(on_escape, 0);
    CHECK_EQ(SIGNAL_OF(*at(16) = 1), SIGSEGV);
    CHECK_EQ(last.si_code, SEGV_MAPERR);
    CHECK(last.si_addr == (void *)16);
    page = mmap(NULL, 4096, PROT_READ, ANON, -1, 0);
    CHECK_EQ(SIGNAL_OF(*(volatile char *)(page + 5) = 1), SIGSEGV);
    CHECK_EQ(last.si_code, SEGV_ACCERR);
    CHECK(last.si_addr == page + 5);
    munmap(page, 4096);
    /* A non-canonical address, and one of the kernel's. */
    CHECK_EQ(SIGNAL_OF(*at(0x8000000000000000) = 1), SIGSEGV);
    CHECK_EQ(last.si_code, SI_KERNEL);
    CHECK_EQ(SIGNAL_OF(*at(0xffffffff80000000) = 1), SIGSEGV);
    CHECK_EQ(SIGNAL_OF((void)*at(0xffff800000000000)), SIGSEGV);
    CHECK_EQ(SIGNAL_OF(jump(0xffffffff80000000)), SIGSEGV);
    CHECK_EQ(SIGNAL_OF(jump(0)), SIGSEGV);
}

static void faults_of_instructions(void) {
    install(on_escape, 0);
    CHECK_EQ(SIGNAL_OF(__asm__ volatile("ud2")), SIGILL);
    CHECK_EQ(last.si_code, ILL_ILLOPN);
    CHECK_EQ(SIGNAL_OF(__asm__ volatile("xor %%edx, %%edx; mov $1, %%eax; xor %%ecx, %%ecx;"
                                        "div %%ecx"
                                        :
                                        :
                                        : "eax", "ecx", "edx")),
             SIGFPE);
    CHECK_EQ(last.si_code, FPE_INTDIV);
    CHECK_EQ(SIGNAL_OF(__asm__ volatile("int3")), SIGTRAP);
    CHECK_EQ(SIGNAL_OF(__asm__ volatile("hlt")), SIGSEGV);
    CHECK_EQ(last.si_code, SI_KERNEL);
    CHECK_EQ(SIGNAL_OF(__asm__ volatile("cli")), SIGSEGV);
    CHECK_EQ(SIGNAL_OF(__asm__ volatile("in $0x60, %%al" : : : "eax")), SIGSEGV);
    CHECK_EQ(SIGNAL_OF(__asm__ volatile("mov %%cr3, %%rax" : : : "rax")), SIGSEGV);
    CHECK_EQ(SIGNAL_OF(__asm__ volatile("xor %%ecx, %%ecx; rdmsr"
                                        :
                                        :
                                        : "eax", "ecx", "edx")),
             SIGSEGV);
    CHECK_EQ(SIGNAL_OF(__asm__ volatile("mov $0x18, %%eax; mov %%ax, %%ds; int $0x20"
                                        :
                                        :
                                        : "eax")),
             SIGSEGV);
}

/* QEMU without KVM never raises the exceptions of SSE arithmetic. */
static int sse_traps(void) {
    unsigned a = 0x40000000, b, c, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return b != 0x54474354; /* "TCGT" */
}

static void floating_point_exceptions(void) {
    install(on_escape, 0);
    unsigned normal = 0x1f80, trap_division = 0x1f80 & ~0x200u;
    volatile double one = 1, zero = 0;
    if (sse_traps()) {
        CHECK_EQ(SIGNAL_OF(__asm__ volatile("ldmxcsr %0"
                                            :
                                            : "m"(trap_division));
                           one = one / zero),
                 SIGFPE);
        CHECK_EQ(last.si_code, FPE_FLTDIV);
    }
    __asm__ volatile("ldmxcsr %0" : : "m"(normal));
    unsigned short x87_normal = 0x37f, x87_trap = 0x37f & ~4;
    CHECK_EQ(SIGNAL_OF(__asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait"
                                        :
                                        : "m"(x87_trap)
                                        : "st", "st(1)")),
             SIGFPE);
    __asm__ volatile("fninit; fldcw %0" : : "m"(x87_normal));
}

static void on_repair(int signal, siginfo_t *info, void *context) {
    (void)context;
    if (signal != SIGSEGV || info->si_addr != page + 100 || ++count > 3)
        _exit(4);
    mprotect(page, 4096, RW);
}

static void handler_repairs_and_returns(void) {
    install(on_repair, 0);
    page = mmap(NULL, 4096, PROT_NONE, ANON, -1, 0);
    *(volatile char *)(page + 100) = 42;
    CHECK_EQ(*(volatile char *)(page + 100), 42);
    CHECK_EQ(count, 1);
    munmap(page, 4096);
}

static void on_skip(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)signal;
    (void)info;
    uc->uc_mcontext.gregs[REG_RIP] += 2; /* ud2 */
    uc->uc_mcontext.gregs[REG_RAX] = 0x1234567890abcdef;
    uc->uc_mcontext.gregs[REG_R15] ^= -1;
    count = count + 1;
}

static void handler_changes_registers(void) {
    unsigned long rax = 1, r15 = 0x5555;
    install(on_skip, 0);
    __asm__ volatile("mov %1, %%r15; ud2; mov %%r15, %1" : "+a"(rax), "+r"(r15) : : "r15");
    CHECK_EQ(count, 1);
    CHECK_EQ(rax, 0x1234567890abcdef);
    CHECK_EQ(r15, ~0x5555UL);
}

static volatile uintptr_t handler_stack;
static volatile int handler_onstack;

static void on_where(int signal, siginfo_t *info, void *context) {
    stack_t now;
    ucontext_t *uc = context;
    char local;
    (void)signal;
    (void)info;
    handler_stack = (uintptr_t)&local;
    CHECK_EQ(sigaltstack(NULL, &now), 0);
    handler_onstack = now.ss_flags;
    stack_t none = { .ss_flags = SS_DISABLE };
    CHECK_ERRNO(sigaltstack(&none, NULL), EPERM); /* not while standing on it */
    CHECK(uc->uc_stack.ss_sp == now.ss_sp && uc->uc_stack.ss_size == now.ss_size);
    CHECK_EQ((uintptr_t)__builtin_frame_address(0) % 16, 0);
}

static void alternate_stack(void) {
    static char memory[65536];
    stack_t stack = { .ss_sp = memory, .ss_size = sizeof memory }, old;
    struct sigaction action = { .sa_sigaction = on_where, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    CHECK_EQ(sigaltstack(&stack, NULL), 0);
    CHECK_EQ(sigaltstack(NULL, &old), 0);
    CHECK(old.ss_sp == memory && old.ss_size == sizeof memory && old.ss_flags == 0);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    CHECK(handler_stack > (uintptr_t)memory && handler_stack < (uintptr_t)memory + sizeof memory);
    CHECK_EQ(handler_onstack, SS_ONSTACK);
    stack.ss_flags = SS_DISABLE;
    CHECK_EQ(sigaltstack(&stack, NULL), 0);
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == SS_DISABLE);
    stack.ss_flags = 0;
    stack.ss_size = 500;
    CHECK_ERRNO(sigaltstack(&stack, NULL), ENOMEM);
    stack.ss_flags = 0x70;
    stack.ss_size = sizeof memory;
    CHECK_ERRNO(sigaltstack(&stack, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_sigaltstack, (void *)8, NULL), EFAULT);
}

static volatile long recursion_depth;

static volatile long recursion_limit = 1L << 40;

static __attribute__((noinline)) long recurse(long n) {
    volatile char frame[512];
    frame[0] = (char)n;
    recursion_depth = n;
    if (n > recursion_limit)
        return 0;
    return recurse(n + 1) + frame[0];
}

/* A stack that overflows, twice, in a thread and in the main thread, and is left by longjmp. */
static void *overflow(void *arg) {
    size_t size = 65536;
    stack_t stack = { .ss_sp = malloc(size), .ss_size = size };
    (void)arg;
    CHECK_EQ(sigaltstack(&stack, NULL), 0);
    install(on_escape, SA_ONSTACK);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(SIGNAL_OF(recurse(1)), SIGSEGV);
        CHECK(recursion_depth > 50);
        CHECK(last.si_addr < (void *)&size);
    }
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
    free(stack.ss_sp);
    return NULL;
}

static void stack_overflow_is_survived(void) {
    pthread_t thread;
    REQUIRE(thread_start(&thread, overflow, NULL));
    thread_join(thread);
    overflow(NULL);
}

struct frame_view {
    unsigned magic1, extended_size, fpstate_size;
    int mxcsr_ok, aligned;
    uintptr_t rsp, frame;
};
static struct frame_view view;

static void on_frame(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    const unsigned char *fpstate = (const void *)uc->uc_mcontext.fpregs;
    (void)signal;
    (void)info;
    view.rsp = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
    view.frame = (uintptr_t)uc;
    view.aligned = (uintptr_t)fpstate % 64 == 0;
    memcpy(&view.magic1, fpstate + 464, 4); /* struct _fpx_sw_bytes */
    memcpy(&view.extended_size, fpstate + 468, 4);
    memcpy(&view.fpstate_size, fpstate + 480, 4);
    view.mxcsr_ok = uc->uc_mcontext.fpregs->mxcsr == 0x1f80;
    if (view.magic1 == 0x46505853) {
        unsigned magic2;
        memcpy(&magic2, fpstate + view.extended_size - 4, 4);
        CHECK_EQ(magic2, 0x46505845);
    }
}

static void frame_is_linux_shaped(void) {
    struct sigaction action = { .sa_sigaction = on_frame, .sa_flags = SA_SIGINFO };
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    CHECK(view.mxcsr_ok && view.aligned);
    CHECK(view.frame < view.rsp - 128); /* the red zone is left alone */
    unsigned least = (unsigned)getauxval(51);
    CHECK(view.rsp - view.frame < least + 256);
    unsigned a, b, c = 0, d;
    __asm__("cpuid" : "=a"(a), "=b"(b), "+c"(c), "=d"(d) : "0"(1));
    if (c & 1 << 27) /* OSXSAVE */
        CHECK_EQ(view.magic1, 0x46505853);
}

static void flags_that_no_program_may_set(void) {
    /* They come back as they were; signal_return.c has those that a frame asks for. */
    unsigned long flags;
    install(on_escape, 0);
    __asm__ volatile("pushf; orl $0x40000, (%%rsp); popf; pushf; pop %0; push $0x202; popf"
                     : "=r"(flags)
                     :
                     : "cc", "memory");
    CHECK(flags & 0x200); /* interrupts were never off */
    __asm__ volatile("pushf; orl $0x3000, (%%rsp); popf; pushf; pop %0" : "=r"(flags) : : "cc");
    CHECK_EQ(flags & 0x3000, 0); /* IOPL */
}

static void on_wild_return(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] = (greg_t)0x8000000000000000;
}

/* Addresses that the CPU refuses when the kernel returns to them: the kernel must refuse first. */
static void wild_places_to_return_to(void) {
    static const unsigned long places[] = { 0x8000000000000000, 0x0000800000000000,
                                            0x00007ffffffff000, 0xffffffff80000000 };
    struct sigaction wild;
    memset(&wild, 0, sizeof wild);
    wild.sa_flags = SA_NODEFER;
    for (volatile unsigned i = 0; i < LENGTH(places); i = i + 1) {
        install(on_escape, SA_NODEFER);
        CHECK_EQ(SIGNAL_OF(jump(places[i])), SIGSEGV);
        wild.sa_handler = (void (*)(int))places[i];
        sigaction(SIGUSR1, &wild, NULL);
        CHECK_EQ(SIGNAL_OF(raise(SIGUSR1)), SIGSEGV);
    }
    wild.sa_sigaction = on_wild_return;
    wild.sa_flags = SA_SIGINFO;
    sigaction(SIGUSR1, &wild, NULL);
    CHECK_EQ(SIGNAL_OF(raise(SIGUSR1)), SIGSEGV);
}

GUEST_MAIN(CASE(faults_of_memory), CASE(faults_of_instructions), CASE(floating_point_exceptions),
           CASE(handler_repairs_and_returns), CASE(handler_changes_registers),
           CASE(alternate_stack), CASE(stack_overflow_is_survived), CASE(frame_is_linux_shaped),
           CASE(flags_that_no_program_may_set), CASE(wild_places_to_return_to))
