/* SPDX-License-Identifier: MIT */
/* Telling the person at the command what became of the program. */
#include <asm-generic/errno.h>

#include "arch/x86_64/irq.h"
#include "arch/x86_64/trap.h"
#include "arch/x86_64/uaccess.h"
#include "base/format.h"
#include "base/string.h"
#include "kernel/log.h"
#include "kernel/slab.h"
#include "linux/process.h"
#include "linux/syscalls.h"

#define BACKTRACE_MAX 24
#define RED_ZONE      128 /* below the stack pointer, a leaf function's to use */
/* Signals by which others end a program on purpose: its status says enough. */
#define SIGNALS_QUIET                                                                              \
    (SIGNAL_BIT(SIGHUP) | SIGNAL_BIT(SIGINT) | SIGNAL_BIT(SIGPIPE) | SIGNAL_BIT(SIGTERM) |         \
     SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGALRM) | SIGNAL_BIT(SIGUSR1) | SIGNAL_BIT(SIGUSR2) |       \
     SIGNAL_BIT(SIGQUIT) | SIGNAL_BIT(SIGVTALRM) | SIGNAL_BIT(SIGPROF) | SIGNAL_BIT(SIGIO))

/* A mapping, as /proc/self/maps tells of it. */
struct mapping {
    uint64_t start, end;
    const char *prot; /* "rw-p", within the line */
    char line[320];   /* without its newline */
};

/* Reads the hexadecimal number at *text, which ends in `end`, and goes behind that. */
static bool read_bound(const char **text, char end, uint64_t *bound) {
    char number[24] = "0x";
    const char *p = number;
    size_t n = 2;

    while (n < sizeof(number) - 1 && **text && **text != end)
        number[n++] = *(*text)++;
    number[n] = 0;
    return *(*text)++ == end && string_number(&p, bound);
}

/* Finds the mapping that holds `addr`. */
static bool mapping_find(struct aspace *as, uintptr_t addr, struct mapping *m) {
    uint64_t cursor = addr;
    size_t n = aspace_format_maps(as, &cursor, m->line, sizeof(m->line) - 1);

    m->line[n] = 0;
    char *newline = strchr(m->line, '\n');
    if (!newline)
        return false;
    *newline = 0;
    m->prot = m->line;
    return read_bound(&m->prot, '-', &m->start) && read_bound(&m->prot, ' ', &m->end) &&
           addr >= m->start;
}

/* One line of a backtrace.  Addresses in the program go out as linked, for the command to name. */
static void report_address(const char *what, uintptr_t address) {
    const struct process *p = the_process;

    if (address >= p->image_start && address < p->image_end)
        report("  %-5s <u:%016lx>\n", what, address - p->load_bias);
    else
        report("  %-5s %#lx\n", what, address);
}

static void report_backtrace(const struct trap_frame *f) {
    uintptr_t fp = f->rbp, last = f->rsp, frame[2];

    report_address("at", f->rip);
    /* Without frame pointers RBP is anything; walk only while it climbs the stack. */
    for (unsigned i = 0; i < BACKTRACE_MAX; i++) {
        if (fp % 8 || fp < last || copy_from_user(frame, (void *)fp, sizeof(frame)) ||
            frame[1] < PAGE_SIZE || frame[1] >= USER_END)
            return;
        report_address("from", frame[1]);
        last = fp + sizeof(frame);
        fp = frame[0];
    }
}

static void report_registers(const struct trap_frame *f) {
    report("  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n"
           "  rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n"
           "  r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n"
           "  r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n"
           "  rip %016lx flags %08lx\n",
           f->rax, f->rbx, f->rcx, f->rdx, f->rsi, f->rdi, f->rbp, f->rsp, f->r8, f->r9, f->r10,
           f->r11, f->r12, f->r13, f->r14, f->r15, f->rip, f->rflags);
}

/* Whether an access to `addr` ran off the lower end of a stack. */
static bool is_stack_overflow(const struct process *p, const struct trap_frame *f, uintptr_t addr) {
    return addr + MIB(1) > f->rsp && addr < f->rsp + MIB(1) && addr < p->stack_top &&
           addr > p->stack_top - MIB(64);
}

/*
 * Whether an access to `addr` ran off the lower end of a thread's stack: C libraries leave a
 * mapping without any access below it.  The stack pointer is there already, or at most a red zone
 * and a push above the access; elsewhere it is a stray pointer that hit the guard.
 */
static bool is_thread_overflow(const struct process *p, const struct trap_frame *f,
                               uintptr_t addr) {
    struct mapping m;

    if (!mapping_find(p->aspace, addr, &m) || !string_starts(m.prot, "---") || f->rsp < m.start ||
        f->rsp > addr + RED_ZONE + 8)
        return false;
    return mapping_find(p->aspace, m.end, &m) && string_starts(m.prot, "rw");
}

/* Whether the program stopped at `hlt`, which is how musl's malloc and others give up. */
static bool is_halt(const struct trap_frame *f) {
    uint8_t opcode;

    return !copy_from_user(&opcode, (const void *)f->rip, 1) && opcode == 0xf4;
}

static const char *protection_reason(const struct trap_frame *f) {
    if (f->vector != TRAP_PROTECTION)
        return "";
    if (is_halt(f))
        return "hlt, by which a C library ends a program that misused it "
               "(a double free? a buffer overrun?)";
    return "a privileged instruction or an address that cannot be";
}

static bool is_from_itself(const struct process *p, const siginfo_t *info) {
    return (info->si_code == SI_USER || info->si_code == SI_TKILL || info->si_code == SI_QUEUE) &&
           info->si_pid == p->pid;
}

static const char *reason(const struct trap_frame *f, int signo, const siginfo_t *info) {
    uintptr_t addr = (uintptr_t)info->si_addr;

    if (signo == SIGABRT)
        return "the program called abort()";
    if (info->si_code <= 0) /* no exception: somebody sent it */
        return is_from_itself(the_process, info) ? "sent by the program itself" : "";
    switch (signo) {
    case SIGSEGV:
        if (info->si_code == SEGV_ACCERR)
            return is_thread_overflow(the_process, f, addr)
                       ? "stack overflow: the access is in the guard below the thread's stack"
                       : "not allowed by the mapping's protection";
        if (info->si_code == SEGV_MAPERR)
            return addr < PAGE_SIZE                          ? "NULL pointer"
                   : addr >= USER_END                        ? "an address of the kernel"
                   : is_stack_overflow(the_process, f, addr) ? "stack overflow"
                   : f->vector == TRAP_PAGE_FAULT            ? "nothing is mapped there"
                                                             : "";
        if (f->vector == TRAP_SYSCALL) /* enter_handler or rt_sigreturn gave up */
            return "a signal's frame that cannot be written or returned from";
        return protection_reason(f);
    case SIGBUS:
        return info->si_code == BUS_ADRERR ? "beyond the end of the mapped file" : "";
    case SIGFPE:
        return info->si_code == FPE_INTDIV ? "integer division by zero"
                                           : "floating-point exception";
    case SIGTRAP:
        return f->vector == TRAP_BREAKPOINT ? "a breakpoint" : "a single step";
    case SIGILL:
        return "an instruction that this CPU does not have";
    default:
        return "";
    }
}

static const char *access_of(const struct trap_frame *f) {
    if (f->vector == TRAP_SYSCALL)
        return "a system call used";
    if (f->error & FAULT_EXEC)
        return "executing";
    return f->error & FAULT_WRITE ? "writing" : "reading";
}

/* What lies at `addr`, or why nothing does. */
static void report_mapping(struct process *p, const struct trap_frame *f, uintptr_t addr) {
    struct mapping m;

    if (mapping_find(p->aspace, addr, &m))
        report("  there: %s\n", m.line);
    else if (is_stack_overflow(p, f, addr))
        report("  there: nothing is mapped; the stack has reached its limit\n");
    else if (addr < USER_END)
        report("  there: nothing is mapped\n");
}

/* si_addr means something for what an exception raised. */
static bool has_address(const siginfo_t *info) {
    return info->si_code > 0 && info->si_code != SI_KERNEL &&
           (SIGNAL_BIT(info->si_signo) & SIGNALS_SYNCHRONOUS);
}

/* Of several threads that crash at once, only the first is worth a report. */
static bool is_first_report(void) {
    static atomic_bool told;

    return !atomic_exchange(&told, true);
}

void report_fatal_signal(const struct trap_frame *f, int signo, const siginfo_t *info) {
    struct task *t = current_task();
    const char *why = reason(f, signo, info);

    if (atomic_load(&t->process->exiting) ||
        ((SIGNALS_QUIET & SIGNAL_BIT(signo)) && !is_from_itself(t->process, info)) ||
        !is_first_report())
        return;
    report("mimosa: %s ended by %s%s%s\n", t->process->exe, signal_name(signo), *why ? ": " : "",
           why);
    if (has_address(info) && f->vector == TRAP_PAGE_FAULT) {
        report("  %s %016lx\n", access_of(f), (uintptr_t)info->si_addr);
        report_mapping(t->process, f, (uintptr_t)info->si_addr);
    }
    report("  thread %d (%s) on CPU %u\n", t->thread.tid, t->thread.name, cpu_id());
    report_registers(f);
    report_backtrace(f);
}

void report_out_of_memory(const struct trap_frame *f, uintptr_t addr) {
    struct task *t = current_task();
    struct mapping m;

    if (atomic_load(&t->process->exiting) || !is_first_report())
        return;
    report("mimosa: %s ended: the machine is out of memory (try --mem)\n", t->process->exe);
    report("  %s %016lx\n", access_of(f), addr);
    if (mapping_find(t->process->aspace, addr, &m))
        report("  there: %s\n", m.line);
    aspace_report_largest(t->process->aspace, addr);
    report("  thread %d (%s) on CPU %u\n", t->thread.tid, t->thread.name, cpu_id());
    report_backtrace(f);
}

/* ---- every thread, for --timeout and a second interrupt ---- */

#define REFRESH_NS (10 * NS_PER_MS)

struct thread_line {
    int tid;
    unsigned cpu;
    uint32_t state;
    char name[16];
    struct trap_frame frame;
    uint64_t runtime_ns;
};

static const char *state_name(const struct thread_line *l) {
    switch (l->state) {
    case THREAD_NEW:
        return "new";
    case THREAD_RUNNABLE:
        return "running";
    case THREAD_BLOCKING:
    case THREAD_BLOCKED:
        return "waiting";
    default:
        return "ending";
    }
}

static void report_thread(const struct thread_line *l) {
    const char *call = l->frame.vector == TRAP_SYSCALL ? syscall_name(l->frame.error) : NULL;

    report("thread %d (%s): %s, CPU %u, ran %lu ms", l->tid, l->name, state_name(l), l->cpu,
           l->runtime_ns / NS_PER_MS);
    if (call)
        report(", in %s(%#lx, %#lx, %#lx)\n", call, l->frame.rdi, l->frame.rsi, l->frame.rdx);
    else
        report("\n");
    report_backtrace(&l->frame);
}

/* Makes the threads that run in ring 3 enter the kernel, so that their frames are of now. */
static void refresh_frames(void) {
    for (uint64_t left = cpus_online; left; left &= left - 1)
        ipi_send((unsigned)__builtin_ctzl(left), IPI_RESCHEDULE);
    thread_block_prepare(false);
    (void)!thread_block(clock_now_ns() + REFRESH_NS);
}

/* Copies the state of the first `room` threads, of one moment.  Returns how many there are. */
static unsigned threads_look(struct process *p, struct thread_line *lines, unsigned room) {
    uint64_t flags = spin_lock_irqsave(&p->lock);
    unsigned all = p->task_count;
    struct thread_line *l = lines;
    struct task *t;

    list_for_each(t, &p->tasks, link) {
        if (l == lines + room)
            break;
        l->tid = t->thread.tid;
        l->cpu = atomic_load(&t->thread.cpu);
        l->state = atomic_load(&t->thread.state);
        memcpy(l->name, t->thread.name, sizeof(l->name));
        l->frame = *thread_user_frame(&t->thread); /* of its last entry into the kernel */
        l->runtime_ns = thread_runtime_ns(&t->thread);
        l++;
    }
    spin_unlock_irqrestore(&p->lock, flags);
    return all;
}

void report_all_threads(void) {
    struct process *p = the_process;
    /* A few more may come meanwhile; where memory is short, fewer will do. */
    unsigned room = threads_look(p, NULL, 0) + 16;
    struct thread_line *lines;

    while (!(lines = kmalloc(room * sizeof(*lines))))
        if (!(room /= 2))
            return;
    refresh_frames();
    unsigned all = threads_look(p, lines, room);
    report("mimosa: %u threads of %s\n", all, p->exe);
    thread_borrow_aspace(p->aspace); /* to read the stacks */
    for (unsigned i = 0; i < MIN(all, room); i++)
        report_thread(&lines[i]);
    thread_borrow_aspace(NULL);
    if (all > room)
        report("and %u more\n", all - room);
    kfree(lines);
}
