/* SPDX-License-Identifier: MIT */
/*
 * Signals: sending, waiting, delivering.  Numbers, structures and semantics are
 * Linux's; signal.c states the protocol, signal_frame.c builds what a handler
 * finds on its stack.
 */
#ifndef LINUX_SIGNAL_H
#define LINUX_SIGNAL_H

#include <asm/siginfo.h>
#include <asm/signal.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/types.h"
#include "kernel/lock.h"
#include "linux/interval_timer.h"

struct process;
struct task;
struct trap_frame;

/* Linux has these two in a header with the name of this one. */
#define SS_ONSTACK    1
#define SS_DISABLE    2
#define SS_AUTODISARM (1u << 31)

#define SIGNAL_COUNT        64
#define SIGNAL_BIT(signo)   (1ul << ((signo)-1))
#define SIGNALS_UNBLOCKABLE (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))
/* Raised by an instruction of the thread itself; delivered before all others. */
#define SIGNALS_SYNCHRONOUS                                                                        \
    (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGTRAP) |         \
     SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGSYS))

/* Linux's struct sigaction of the kernel ABI. */
struct signal_action {
    uintptr_t handler; /* or SIG_DFL (0), SIG_IGN (1) */
    uint64_t flags;    /* SA_* */
    uintptr_t restorer;
    uint64_t mask;
};

struct signal_pending {
    _Atomic(uint64_t) set; /* written under process_signals.lock; read anywhere */
    struct list queue;     /* struct queued_signal.link, oldest first; same lock */
};

struct process_signals {
    struct spinlock lock; /* RANK_SIGNAL, irqsave; guards all, of the timers what they say */
    struct signal_pending pending; /* for whichever task takes it */
    struct signal_action actions[SIGNAL_COUNT];
    unsigned queued;                  /* entries in all queues of the process */
    struct interval_timer itimers[3]; /* by setitimer's ITIMER_*; sys_timer.c */
};

struct task_signals {
    struct signal_pending pending;
    _Atomic(uint64_t) blocked; /* written by the task itself */
    _Atomic(uint64_t) waiting; /* what rt_sigtimedwait waits for, else 0; by the task itself */
    /* The rest is the task's own. */
    uint64_t saved_blocked; /* what the mask returns to after rt_sigsuspend and its like */
    bool restore_blocked;
    uintptr_t stack_base; /* sigaltstack */
    size_t stack_size;
    unsigned stack_flags;
    uint64_t trap_number, trap_error, trap_addr; /* of the last exception, for the frame */
};

void signal_init(void);
void signal_init_process(struct process *p);
/* A new task inherits its creator's mask (NULL: nothing blocked). */
void signal_init_task(struct task *t, const struct task *creator);
/* Drops what is queued for an ended task, and passes on what it was to take for the process. */
void signal_end_task(struct task *t);

/*
 * Sends `info->si_signo` to the process or to one task.  Returns 0, or -EAGAIN
 * for a real-time signal that cannot be queued.  Context: thread; interrupt
 * context only with info == NULL and `signo` a standard signal (nothing is
 * allocated; the receiver sees SI_KERNEL).
 */
int signal_send_process(struct process *p, int signo, const siginfo_t *info);
int signal_send_task(struct task *t, int signo, const siginfo_t *info);
/*
 * A signal that can always be sent, for `t`: NULL without memory or beyond the
 * limit of queued signals.  After signal_release() nothing refers to `t` any more.
 */
struct queued_signal *signal_reserve(struct process *p, struct interval_timer *t,
                                     const siginfo_t *info);
void signal_release(struct process *p, struct queued_signal *q);
/* `t` is due: sends its signal, unless it is stopped.  True where the signal is ignored.
 * Context: any, no lock held. */
bool signal_send_expired(struct process *p, struct interval_timer *t);
/* Raises a synchronous signal in the current task, which it can neither block nor ignore. */
void signal_force(int signo, const siginfo_t *info);

/* Sets the current task's mask (SIGKILL and SIGSTOP stay out of it). */
void signal_set_blocked(uint64_t mask);
/* For the calls that take a mask for their duration (ppoll, pselect6, epoll_pwait): sets it; the
 * old one comes back when the call has returned, after any handler has been entered. */
void signal_set_blocked_for_call(uint64_t mask);
/* As above from the program's memory; `size` must be 8; NULL: no change.  0, -EINVAL, -EFAULT. */
must_check int signal_read_mask_for_call(const void *user_mask, size_t size);
/* Undoes signal_set_blocked_for_call where the call was not interrupted. */
void signal_restore_blocked(void);
/* Whether a signal, or the end of the process, waits for the current task. */
bool signal_is_pending(void);

/* Takes a signal of `set` that waits for the current task: its number, or 0. */
int signal_take(uint64_t set, siginfo_t *info);
/* rt_sigaction: reads the old action, sets `new` unless NULL. */
void signal_set_action(int signo, const struct signal_action *new, struct signal_action *old);

/* Delivers what is pending before a return to ring 3. */
void signal_deliver(struct trap_frame *f);

/* signal_frame.c: enters the handler.  0, or -EFAULT where the stack cannot hold the frame. */
must_check int signal_frame_push(struct trap_frame *f, int signo, const siginfo_t *info,
                                 const struct signal_action *action, uint64_t mask_to_restore);
/* sigaltstack for a program whose stack pointer is `sp`: 0, -EPERM, -EINVAL, -ENOMEM. */
int signal_set_stack(struct task_signals *s, const stack_t *new, uintptr_t sp);
/* SS_DISABLE, SS_ONSTACK or 0. */
unsigned signal_stack_state(const struct task_signals *s, uintptr_t sp);
size_t signal_frame_min_stack(void); /* AT_MINSIGSTKSZ */
void signal_frame_init(void);

const char *signal_name(int signo); /* "SIGSEGV" */

/* report.c: tells the person what happened; the signal will end the program. */
void report_fatal_signal(const struct trap_frame *f, int signo, const siginfo_t *info);
void report_out_of_memory(const struct trap_frame *f, uintptr_t addr);
/* State of every thread, for a person (--timeout). */
void report_all_threads(void);

#endif
