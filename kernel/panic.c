/* SPDX-License-Identifier: MIT */
/*
 * The end of the machine after a bug of ours.  The first CPU to get here
 * reports; it stops the others by NMI.  Nothing here takes a lock.
 */
#include "kernel/panic.h"
#include <stdatomic.h>
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/irq.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/trap.h"
#include "base/format.h"
#include "base/string.h"
#include "kernel/log.h"
#include "kernel/log_impl.h"
#include "kernel/machine.h"
#include "kernel/thread.h"

#define MAX_FRAMES 32

static atomic_uint panicking; /* CPU number + 1 of the first */

static void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void print(const char *fmt, ...) {
    char line[256];
    va_list args;
    va_start(args, fmt);
    int n = format_args(line, sizeof(line), fmt, args);
    va_end(args);
    log_write(line, MIN((size_t)n, sizeof(line) - 1));
}

/* Follows frame pointers as long as they climb within one stack's reach. */
static void print_backtrace(uintptr_t rip, uintptr_t rbp) {
    if (rip)
        print("  <k:%016lx>\n", rip);
    uintptr_t limit = ALIGN_DOWN(rbp, KIB(16)) + KIB(32);
    for (int i = 0; i < MAX_FRAMES && rbp >= DIRECT_MAP && IS_ALIGNED(rbp, 8); i++) {
        const uintptr_t *frame = (const uintptr_t *)rbp;
        if (!frame[1])
            break;
        print("  <k:%016lx>\n", frame[1]);
        if (frame[0] <= rbp || frame[0] >= limit)
            break;
        rbp = frame[0];
    }
}

static void print_registers(const struct trap_frame *f) {
    print("rip <k:%016lx> cs %02lx rflags %06lx rsp %016lx\n", f->rip, f->cs, f->rflags, f->rsp);
    print("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
    print("rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", f->rsi, f->rdi, f->rbp, f->r8);
    print("r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", f->r9, f->r10, f->r11, f->r12);
    print("r13 %016lx r14 %016lx r15 %016lx cr2 %016lx\n", f->r13, f->r14, f->r15, read_cr2());
}

static void stop_others(void) {
    for (unsigned cpu = 0; cpu < cpu_count; cpu++)
        if (cpu != cpu_id() && (atomic_load(&cpus_online) >> cpu & 1))
            ipi_send_nmi(cpu);
}

static noreturn_fn void end(const struct trap_frame *f, uintptr_t rbp, const char *message) {
    irq_disable();
    unsigned nobody = 0;
    if (!atomic_compare_exchange_strong(&panicking, &nobody, cpu_id() + 1)) {
        if (nobody != cpu_id() + 1)
            cpu_halt();
        machine_power_off_failed(); /* a panic inside a panic */
    }
    if (!log_verbose)
        log_replay();
    print("mimosa: panic: %s\n", message);
    const struct thread *t = current;
    print("cpu %u thread %d (%s) build ", cpu_id(), t ? t->tid : 0, t ? t->name : "none");
    for (unsigned i = 0; i < sizeof(machine.build_id); i++)
        print("%02x", machine.build_id[i]);
    print("\n");
    if (f)
        print_registers(f);
    print("backtrace:\n");
    print_backtrace(f ? f->rip : 0, f ? f->rbp : rbp);
    stop_others();
    print("mimosa: end of panic\n");
    machine_power_off_failed();
}

void give_up(const char *fmt, ...) {
    char message[200];
    unsigned nobody = 0;
    va_list args;

    irq_disable();
    if (!atomic_compare_exchange_strong(&panicking, &nobody, cpu_id() + 1))
        cpu_halt();
    va_start(args, fmt);
    format_args(message, sizeof(message), fmt, args);
    va_end(args);
    print("mimosa: cannot start: %s\n", message);
    machine_power_off_failed();
}

void panic(const char *fmt, ...) {
    char message[200];
    va_list args;
    va_start(args, fmt);
    format_args(message, sizeof(message), fmt, args);
    va_end(args);
    end(NULL, (uintptr_t)__builtin_frame_address(0), message);
}

void panic_at(const struct trap_frame *f, const char *fmt, ...) {
    char message[200];
    va_list args;
    va_start(args, fmt);
    format_args(message, sizeof(message), fmt, args);
    va_end(args);
    end(f, 0, message);
}

void panic_nmi(const struct trap_frame *f) {
    if (atomic_load(&panicking))
        cpu_halt();
    print("cpu %u answers: rip <k:%016lx> rsp %016lx thread %d\n", cpu_id(), f->rip, f->rsp,
          current->tid);
    if (!trap_from_user(f))
        print_backtrace(f->rip, f->rbp);
}
