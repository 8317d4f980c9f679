/* SPDX-License-Identifier: MIT */
/*
 * The table of system calls.  entry.S calls straight through it: the path is
 * counted in instructions (getppid: 80 at most, entry and exit included).
 * --strace swaps the whole table for one whose every entry prints, so that it
 * costs nothing when off.
 */
#include <asm-generic/errno.h>
#include <stdatomic.h>

#include "arch/x86_64/trap.h"
#include "kernel/log.h"
#include "kernel/thread.h"
#include "linux/syscalls.h"

static const char *const names[SYSCALL_COUNT] = {
#define SYSCALL(number, name, argc, args, status, note) [number] = #name,
#include "linux/syscalls.tbl.h"
#undef SYSCALL
};

static long syscall_missing(long a, long b, long c, long d, long e, long f);

/*
 * Handlers take from none to six longs; all are called with six.  The System V
 * ABI passes them in registers, and a callee ignores those it did not ask for.
 */
#define HANDLER_none(name)    syscall_missing
#define HANDLER_partial(name) (syscall_function *)(void (*)(void))sys_##name
#define HANDLER_done(name)    (syscall_function *)(void (*)(void))sys_##name

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
syscall_function *const syscall_table[SYSCALL_COUNT] = {
    [0 ... SYSCALL_COUNT - 1] = syscall_missing,
#define SYSCALL(number, name, argc, args, status, note) [number] = HANDLER_##status(name),
#include "linux/syscalls.tbl.h"
#undef SYSCALL
};
#pragma GCC diagnostic pop

syscall_function *const *syscall_handlers = syscall_table; /* set before the program starts */
const unsigned long syscall_limit = SYSCALL_COUNT;

const char *syscall_name(unsigned long number) {
    return number < SYSCALL_COUNT ? names[number] : NULL;
}

/* Every call without a handler ends here; each is logged once. */
static cold_fn long syscall_missing(long a, long b, long c, long d, long e, long f) {
    static _Atomic(uint64_t) logged[(SYSCALL_COUNT + 63) / 64];
    unsigned long number = thread_user_frame(current)->error; /* < SYSCALL_COUNT: entry.S */
    uint64_t bit = 1ul << number % 64;

    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    /* relaxed: the bits order nothing else, and one of two racing calls sees the other's */
    if (!(atomic_fetch_or_explicit(&logged[number / 64], bit, memory_order_relaxed) & bit))
        log_info("system call %s (%lu) is not there: ENOSYS", names[number] ? names[number] : "?",
                 number);
    return -ENOSYS;
}
