/* SPDX-License-Identifier: MIT */
/* The system calls about signals; signal.c has the machinery. */
#include <asm-generic/errno.h>

#include "arch/x86_64/trap.h"
#include "arch/x86_64/uaccess.h"
#include "linux/process.h"
#include "linux/syscalls.h"
#include "linux/time_user.h"

#define MASK_SIZE sizeof(uint64_t)

static bool is_signal(int signo) {
    return signo >= 1 && signo <= SIGNAL_COUNT;
}

long sys_rt_sigaction(long signo, long new, long old, long size) {
    struct signal_action a, before;

    if (size != MASK_SIZE)
        return -EINVAL;
    if (new &&copy_from_user(&a, (const void *)new, sizeof(a)))
        return -EFAULT;
    signo = (int)signo;
    if (!is_signal((int)signo) || (new && (SIGNALS_UNBLOCKABLE & SIGNAL_BIT(signo))))
        return -EINVAL;
    signal_set_action((int)signo, new ? &a : NULL, &before);
    return old ? copy_to_user((void *)old, &before, sizeof(before)) : 0;
}

long sys_rt_sigprocmask(long how, long new, long old, long size) {
    uint64_t before = current_task()->signals.blocked, mask;

    if (size != MASK_SIZE)
        return -EINVAL;
    if (new) {
        if (user_read_u64(&mask, (const uint64_t *)new))
            return -EFAULT;
        switch ((int)how) {
        case SIG_BLOCK:
            mask |= before;
            break;
        case SIG_UNBLOCK:
            mask = before & ~mask;
            break;
        case SIG_SETMASK:
            break;
        default:
            return -EINVAL;
        }
        signal_set_blocked(mask);
    }
    return old ? user_write_u64((uint64_t *)old, before) : 0;
}

long sys_rt_sigpending(long to, long size) {
    struct task *t = current_task();
    uint64_t set = t->signals.pending.set | t->process->signals.pending.set;

    if ((size_t)size > MASK_SIZE)
        return -EINVAL;
    set &= t->signals.blocked;
    return copy_to_user((void *)to, &set, (size_t)size);
}

int signal_read_mask_for_call(const void *user_mask, size_t size) {
    uint64_t mask;

    if (!user_mask)
        return 0;
    if (size != MASK_SIZE)
        return -EINVAL;
    if (user_read_u64(&mask, user_mask))
        return -EFAULT;
    signal_set_blocked_for_call(mask);
    return 0;
}

/* Sleeps until a signal wants to be delivered. */
static long wait_for_signal(void) {
    while (!signal_is_pending()) {
        thread_block_prepare(true);
        if (signal_is_pending())
            thread_block_cancel();
        else if (thread_block(TIME_NEVER))
            break;
    }
    return -ERESTARTNOHAND;
}

long sys_pause(void) {
    return wait_for_signal();
}

long sys_rt_sigsuspend(long mask, long size) {
    int err;

    if (size != MASK_SIZE)
        return -EINVAL;
    err = mask ? signal_read_mask_for_call((const void *)mask, MASK_SIZE) : -EFAULT;
    return err ? err : wait_for_signal();
}

/* A signal of `set`, now or before the deadline: its number, -EAGAIN or -EINTR. */
static long take_until(struct task *t, uint64_t set, uint64_t deadline_ns, siginfo_t *info) {
    int signo, err = 0;

    atomic_store(&t->signals.waiting, set); /* seq_cst: before the look at what is pending */
    for (;;) {
        thread_block_prepare(true);
        signo = signal_take(set, info);
        if (signo || err)
            break;
        /* WORK_SIGNAL may be left over from a signal of `set` that another task took. */
        atomic_fetch_and(&t->thread.work, ~WORK_SIGNAL);
        if ((t->signals.pending.set | t->process->signals.pending.set) & ~t->signals.blocked & ~set)
            atomic_fetch_or(&t->thread.work, WORK_SIGNAL);
        signo = signal_take(set, info);
        if (signo)
            break;
        err = thread_block(deadline_ns);
    }
    thread_block_cancel();
    atomic_store(&t->signals.waiting, 0);
    atomic_fetch_or(&t->thread.work, WORK_SIGNAL); /* look again for what came meanwhile */
    return signo ? signo : err == -ETIMEDOUT ? -EAGAIN : -EINTR;
}

long sys_rt_sigtimedwait(long mask, long to, long timeout, long size) {
    uint64_t set, ns, deadline_ns = TIME_NEVER;
    siginfo_t info;
    long result;

    if (size != MASK_SIZE)
        return -EINVAL;
    if (user_read_u64(&set, (const uint64_t *)mask))
        return -EFAULT;
    set &= ~SIGNALS_UNBLOCKABLE;
    if (timeout) {
        int err = timespec_from_user((const void *)timeout, &ns);

        if (err)
            return err;
        deadline_ns = deadline_after(ns);
    }
    result = take_until(current_task(), set, deadline_ns, &info);
    if (result > 0 && to && copy_to_user((void *)to, &info, sizeof(info)))
        return -EFAULT;
    return result;
}

long sys_sigaltstack(long new, long old) {
    struct task_signals *s = &current_task()->signals;
    uintptr_t sp = thread_user_frame(current)->rsp;
    stack_t stack, before = {
        .ss_sp = (void *)s->stack_base,
        .ss_flags = (int)(signal_stack_state(s, sp) | (s->stack_flags & SS_AUTODISARM)),
        .ss_size = s->stack_size,
    };
    int err = 0;

    if (new) {
        if (copy_from_user(&stack, (const void *)new, sizeof(stack)))
            return -EFAULT;
        err = signal_set_stack(s, &stack, sp);
    }
    if (!err && old && copy_to_user((void *)old, &before, sizeof(before)))
        return -EFAULT;
    return err;
}

/* ---- sending ---- */

static siginfo_t info_of_sender(int signo, int code) {
    siginfo_t info = { .si_signo = signo, .si_code = code };

    info.si_pid = current_task()->process->pid;
    return info;
}

/* 0 where `pid` names the one process in kill(2)'s terms. */
static int check_pid(long pid) {
    pid = (int)pid;
    return pid == 0 || pid == -1 || pid == 1 ? 0 : -ESRCH;
}

long sys_kill(long pid, long signo) {
    siginfo_t info = info_of_sender((int)signo, SI_USER);
    int err;

    err = check_pid(pid);
    if ((int)pid == -1)
        err = -ESRCH; /* everybody but the first process: nobody */
    if (!err && ((int)signo < 0 || (int)signo > SIGNAL_COUNT))
        err = -EINVAL; /* whom a signal is for is asked first */
    if (err || (int)signo == 0)
        return err;
    return signal_send_process(current_task()->process, (int)signo, &info);
}

/* To one task; `group`: the process it must belong to, or 0. */
static long send_to_task(long group, long tid, int signo, const siginfo_t *info) {
    struct process *p = current_task()->process;
    uint64_t flags;
    struct task *t;
    long result = 0;

    flags = spin_lock_irqsave(&p->lock);
    t = process_find_task(p, (int)tid);
    if (!t || (group && (int)group != p->pid))
        result = -ESRCH;
    else if (signo < 0 || signo > SIGNAL_COUNT)
        result = -EINVAL;
    else if (signo)
        result = signal_send_task(t, signo, info);
    spin_unlock_irqrestore(&p->lock, flags);
    return result;
}

long sys_tgkill(long group, long tid, long signo) {
    siginfo_t info = info_of_sender((int)signo, SI_TKILL);

    if ((int)group <= 0 || (int)tid <= 0)
        return -EINVAL;
    return send_to_task(group, tid, (int)signo, &info);
}

long sys_tkill(long tid, long signo) {
    siginfo_t info = info_of_sender((int)signo, SI_TKILL);

    return (int)tid <= 0 ? -EINVAL : send_to_task(0, tid, (int)signo, &info);
}

static int read_info(siginfo_t *info, int signo, long from) {
    if (copy_from_user(info, (const void *)from, sizeof(*info)))
        return -EFAULT;
    info->si_signo = signo;
    return 0;
}

/* What only the kernel may say of a signal's origin, a task may say to itself alone. */
static bool may_claim(const siginfo_t *info, long receiver) {
    return (info->si_code < 0 && info->si_code != SI_TKILL) || (int)receiver == current->tid;
}

long sys_rt_sigqueueinfo(long pid, long signo, long from) {
    siginfo_t info;
    int err = read_info(&info, (int)signo, from);

    if (!err && !may_claim(&info, pid))
        err = -EPERM;
    if (!err && (int)pid != 1)
        err = -ESRCH;
    if (!err && ((int)signo < 0 || (int)signo > SIGNAL_COUNT))
        err = -EINVAL;
    if (err || (int)signo == 0)
        return err;
    return signal_send_process(current_task()->process, (int)signo, &info);
}

long sys_rt_tgsigqueueinfo(long group, long tid, long signo, long from) {
    siginfo_t info;

    if (read_info(&info, (int)signo, from))
        return -EFAULT;
    if ((int)group <= 0 || (int)tid <= 0)
        return -EINVAL;
    if (!may_claim(&info, tid))
        return -EPERM;
    return send_to_task(group, tid, (int)signo, &info);
}
