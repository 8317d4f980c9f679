/* SPDX-License-Identifier: MIT */
/*
 * Breaks the kernel where the boot word provoke= asks for it.  Each bug lies two calls deep in
 * functions that stay functions, so that a backtrace has something to name.
 */
#include "kernel/provoke.h"
#include <stdatomic.h>
#include "arch/x86_64/paging.h"
#include "base/string.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/thread.h"

/* Reads the unmapped half below the first kernel stack.  The call gives it a frame of its own. */
static cold_fn uint64_t provoke_fault(void) {
    log_info("reading %#lx", KERNEL_STACKS);
    return *(volatile uint64_t *)KERNEL_STACKS;
}

static cold_fn void provoke_assert(unsigned cpus) {
    assert(cpus == 0);
}

/* Uses the frame after the call, so that it is no tail call. */
static cold_fn unsigned provoke_overflow(unsigned depth) {
    volatile unsigned frame[64];
    frame[0] = depth;
    unsigned below = depth == ~0u ? 0 : provoke_overflow(depth + 1);
    return below + frame[0];
}

static cold_fn void provoke(const char *kind) {
    if (!strcmp(kind, "fault"))
        log_error("read %lx", provoke_fault());
    else if (!strcmp(kind, "assert"))
        provoke_assert(cpu_count);
    else if (!strcmp(kind, "overflow"))
        log_error("recursed, %u", provoke_overflow(0));
    give_up("provoke=%s: there are fault, assert and overflow", kind);
}

cold_fn void provoke_if_asked(void) {
    char kind[16];

    if (!machine_option("provoke=", 0, kind, sizeof(kind)))
        return;
    uint64_t last = 63u - (unsigned)__builtin_clzl(atomic_load(&cpus_online));
    thread_set_affinity(current, 1ul << last);
    log_info("provoke=%s on CPU %u", kind, cpu_id());
    provoke(kind);
}
