/* SPDX-License-Identifier: MIT */
/*
 * The system calls: `long sys_NAME(long, ...)` for every row of
 * linux/syscalls.tbl.h that is done or partial.
 *
 * A handler gets its arguments as the program passed them, trusts none, and
 * returns the result or a negative Linux errno.  It runs on the thread's kernel
 * stack with interrupts on and may sleep.
 *
 * A handler whose interruptible wait ended with -EINTR returns one of the
 * ERESTART codes where Linux would; linux/signal.c turns it into a repeated
 * call or EINTR, so that no program ever sees it.
 */
#ifndef LINUX_SYSCALLS_H
#define LINUX_SYSCALLS_H

#include "arch/x86_64/trap.h"
#include "base/types.h"

/* Repeated unless a handler without SA_RESTART runs (most calls). */
#define ERESTARTSYS 512
/* Repeated whatever runs. */
#define ERESTARTNOINTR 513
/* Repeated only where no handler runs (pause, select, sigsuspend). */
#define ERESTARTNOHAND 514
/* As ERESTARTNOHAND, but repeated through task.restart (relative time-outs). */
#define ERESTART_RESTARTBLOCK 516

#define SYSCALL_COUNT 470

#define SYSCALL_ARGS_0 void
#define SYSCALL_ARGS_1 long a
#define SYSCALL_ARGS_2 long a, long b
#define SYSCALL_ARGS_3 long a, long b, long c
#define SYSCALL_ARGS_4 long a, long b, long c, long d
#define SYSCALL_ARGS_5 long a, long b, long c, long d, long e
#define SYSCALL_ARGS_6 long a, long b, long c, long d, long e, long f

#define SYSCALL_DECLARE_none(name, argc)
#define SYSCALL_DECLARE_partial(name, argc) long sys_##name(SYSCALL_ARGS_##argc);
#define SYSCALL_DECLARE_done(name, argc)    long sys_##name(SYSCALL_ARGS_##argc);

#define SYSCALL(number, name, argc, args, status, note) SYSCALL_DECLARE_##status(name, argc)
#include "linux/syscalls.tbl.h"
#undef SYSCALL

/* The handlers by number; calls without one point to a function that returns -ENOSYS. */
extern syscall_function *const syscall_table[SYSCALL_COUNT];
/* "read" for 0; NULL where there is no such number. */
const char *syscall_name(unsigned long number);

/* --strace: from now on every call is printed.  Costs nothing while off. */
void strace_enable(void);

#endif
