/* SPDX-License-Identifier: MIT */
/*
 * Signals.
 *
 * Data.  A signal waits in one of two places: its task's `pending`, or the
 * process's, from where any task may take it.  A bit in `set` says that it
 * waits; an entry in `queue` carries its siginfo.  Standard signals wait once
 * and may lack an entry (no memory, or sent from an interrupt): the receiver
 * then sees SI_KERNEL.  process_signals.lock guards sets, queues and actions.
 *
 * Noticing.  A task looks for signals when its thread has WORK_SIGNAL set, on
 * the way to ring 3.  The bit also ends interruptible sleeps, so it is set only
 * where there is something to take.  The mask `blocked` is written by its own
 * task without the lock; what keeps a signal from being missed is the order of
 * two sequentially consistent accesses on each side:
 *
 *   sender:    set |= bit;        reads blocked; notifies if clear
 *   receiver:  blocked = mask;    reads set;     sets its own WORK_SIGNAL
 *
 * One of the two sees the other.  A signal for the process that was given to a
 * task which then blocks it, or ends, is passed on: signal_pass_on().
 *
 * Locks.  process.lock (the list of tasks), then process_signals.lock, then the
 * run queue's inside thread_notify.  Both are irqsave, since the alarm sends
 * from a timer.
 */
#include "linux/signal.h"

#include <asm-generic/errno.h>

#include "base/string.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/slab.h"
#include "linux/process.h"
#include "linux/syscalls.h"

#define QUEUED_MAX 32768 /* RLIMIT_SIGPENDING would be the same figure */

struct queued_signal {
    struct list link; /* empty: not queued */
    siginfo_t info;
    struct interval_timer *timer; /* who reserved it; NULL: freed when taken */
};

static struct slab_cache *queued_cache;

#define SIGNALS_IGNORED_BY_DEFAULT                                                                 \
    (SIGNAL_BIT(SIGCHLD) | SIGNAL_BIT(SIGCONT) | SIGNAL_BIT(SIGURG) | SIGNAL_BIT(SIGWINCH))
#define SIGNALS_STOPPING                                                                           \
    (SIGNAL_BIT(SIGSTOP) | SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGTTIN) | SIGNAL_BIT(SIGTTOU))

static void pending_init(struct signal_pending *p) {
    atomic_init(&p->set, 0);
    list_init(&p->queue);
}

void signal_init(void) {
    queued_cache = slab_cache_create("queued_signal", sizeof(struct queued_signal), 0);
    if (!queued_cache)
        give_up("too little memory for signals");
    signal_frame_init();
}

void signal_init_process(struct process *p) {
    spin_init(&p->signals.lock, RANK_SIGNAL);
    pending_init(&p->signals.pending);
}

void signal_init_task(struct task *t, const struct task *creator) {
    pending_init(&t->signals.pending);
    atomic_init(&t->signals.blocked, creator ? creator->signals.blocked : 0);
    t->signals.stack_flags = SS_DISABLE;
}

/* The signals that this task would take now. */
static uint64_t takes(const struct task *t) {
    return ~atomic_load(&t->signals.blocked) | atomic_load(&t->signals.waiting);
}

static bool is_ignored(const struct process *p, int signo) {
    uintptr_t handler = p->signals.actions[signo - 1].handler;

    return handler == (uintptr_t)SIG_IGN ||
           (handler == (uintptr_t)SIG_DFL && (SIGNALS_IGNORED_BY_DEFAULT & SIGNAL_BIT(signo)));
}

/* Enters a signal into `p`; lock held.  0, or -EAGAIN where a real-time signal finds no room. */
static int pending_add(struct process *process, struct signal_pending *p, int signo,
                       const siginfo_t *info) {
    bool real_time = signo >= SIGRTMIN;
    struct queued_signal *q;

    if (!real_time && (p->set & SIGNAL_BIT(signo)))
        return 0;
    q = info && process->signals.queued < QUEUED_MAX ? slab_alloc(queued_cache) : NULL;
    if (q) {
        process->signals.queued++;
        q->info = *info;
        list_add_tail(&p->queue, &q->link);
    } else if (real_time && info && info->si_code != SI_USER) {
        return -EAGAIN;
    }
    atomic_fetch_or(&p->set, SIGNAL_BIT(signo));
    return 0;
}

/* The timers of setitimer whose signal this is go on. */
static void itimers_taken(struct process *process, int signo) {
    for (unsigned i = 0; i < ARRAY_SIZE(process->signals.itimers); i++)
        if (process->signals.itimers[i].signo == signo)
            (void)interval_timer_taken_locked(&process->signals.itimers[i]);
}

/* Takes an entry out of its queue: it is free, or its timer's again. */
static void entry_take(struct process *process, struct queued_signal *q) {
    list_remove(&q->link);
    if (q->timer)
        return;
    slab_free(queued_cache, q);
    process->signals.queued--;
}

/* Takes `signo` out of `p`; lock held. */
static void pending_take(struct process *process, struct signal_pending *p, int signo,
                         siginfo_t *info) {
    struct queued_signal *q, *tmp, *found = NULL;
    bool more = false;

    list_for_each_safe(q, tmp, &p->queue, link) {
        if (q->info.si_signo != signo)
            continue;
        if (!found) {
            found = q;
        } else {
            more = true;
            break;
        }
    }
    if (!more)
        atomic_fetch_and(&p->set, ~SIGNAL_BIT(signo));
    if (found) {
        *info = found->info;
        if (found->timer)
            info->si_overrun = interval_timer_taken_locked(found->timer);
        entry_take(process, found);
    } else {
        memset(info, 0, sizeof(*info));
        info->si_signo = signo;
        info->si_code = SI_KERNEL;
    }
    if (p == &process->signals.pending)
        itimers_taken(process, signo);
}

/* Forgets every signal of `mask` that waits in `p`; lock held. */
static void pending_drop(struct process *process, struct signal_pending *p, uint64_t mask) {
    struct queued_signal *q, *tmp;

    atomic_fetch_and(&p->set, ~mask);
    list_for_each_safe(q, tmp, &p->queue, link) {
        if (!(SIGNAL_BIT(q->info.si_signo) & mask))
            continue;
        entry_take(process, q);
    }
}

/* Tells a task of `p` that takes one of `set`, other than task `not_tid` (0: any); p->lock held. */
static void notify_one(struct process *p, uint64_t set, int not_tid) {
    struct task *t;

    list_for_each(t, &p->tasks, link) {
        if ((takes(t) & set) && t->thread.tid != not_tid) {
            thread_notify(&t->thread, WORK_SIGNAL);
            return;
        }
    }
}

/* The current task no longer takes `lost`: another one may have to. */
static void signal_pass_on(struct task *t, uint64_t lost) {
    struct process *p = t->process;
    uint64_t flags, set = atomic_load(&p->signals.pending.set) & lost;

    if (!set)
        return;
    flags = spin_lock_irqsave(&p->lock);
    for (; set; set &= set - 1)
        notify_one(p, set & -set, t->thread.tid);
    spin_unlock_irqrestore(&p->lock, flags);
}

void signal_end_task(struct task *t) {
    uint64_t flags = spin_lock_irqsave(&t->process->signals.lock);

    pending_drop(t->process, &t->signals.pending, ~0ul);
    spin_unlock_irqrestore(&t->process->signals.lock, flags);
    signal_pass_on(t, ~0ul);
}

int signal_send_process(struct process *p, int signo, const siginfo_t *info) {
    uint64_t flags = spin_lock_irqsave(&p->lock), inner;
    struct task *main;
    int err = 0;

    if (list_is_empty(&p->tasks))
        goto unlock;
    main = list_first(&p->tasks, struct task, link);
    inner = spin_lock_irqsave(&p->signals.lock);
    if (!is_ignored(p, signo) || !(takes(main) & SIGNAL_BIT(signo)) ||
        (atomic_load(&main->signals.waiting) & SIGNAL_BIT(signo)))
        err = pending_add(p, &p->signals.pending, signo, info);
    spin_unlock_irqrestore(&p->signals.lock, inner);
    if (!err && (atomic_load(&p->signals.pending.set) & SIGNAL_BIT(signo)))
        notify_one(p, SIGNAL_BIT(signo), 0);
unlock:
    spin_unlock_irqrestore(&p->lock, flags);
    return err;
}

int signal_send_task(struct task *t, int signo, const siginfo_t *info) {
    struct process *p = t->process;
    uint64_t flags = spin_lock_irqsave(&p->signals.lock);
    int err = 0;

    if (!is_ignored(p, signo) || !(takes(t) & SIGNAL_BIT(signo)) ||
        (atomic_load(&t->signals.waiting) & SIGNAL_BIT(signo)))
        err = pending_add(p, &t->signals.pending, signo, info);
    spin_unlock_irqrestore(&p->signals.lock, flags);
    if (!err && (atomic_load(&t->signals.pending.set) & takes(t) & SIGNAL_BIT(signo)))
        thread_notify(&t->thread, WORK_SIGNAL);
    return err;
}

struct queued_signal *signal_reserve(struct process *p, struct interval_timer *t,
                                     const siginfo_t *info) {
    uint64_t flags = spin_lock_irqsave(&p->signals.lock);
    struct queued_signal *q = p->signals.queued < QUEUED_MAX ? slab_alloc(queued_cache) : NULL;

    if (q) {
        p->signals.queued++;
        list_init(&q->link);
        q->info = *info;
        q->timer = t;
    }
    spin_unlock_irqrestore(&p->signals.lock, flags);
    return q;
}

void signal_release(struct process *p, struct queued_signal *q) {
    uint64_t flags = spin_lock_irqsave(&p->signals.lock);
    bool waits = !list_is_empty(&q->link);

    q->timer = NULL; /* a signal that has been sent will be taken all the same */
    if (!waits)
        entry_take(p, q);
    spin_unlock_irqrestore(&p->signals.lock, flags);
}

/* Enters the signal of `t`, which is due, into `pending`; lock held.  True where it is ignored. */
static bool expired_add(struct process *p, struct task *to, struct signal_pending *pending,
                        struct interval_timer *t) {
    struct queued_signal *q = t->entry;

    if (t->stopped)
        return false;
    if (is_ignored(p, t->signo) && (takes(to) & SIGNAL_BIT(t->signo)) &&
        !(atomic_load(&to->signals.waiting) & SIGNAL_BIT(t->signo)))
        return true;
    t->waits = t->interval_ns != 0;
    if (!q) {
        (void)pending_add(p, pending, t->signo, NULL);
    } else if (list_is_empty(&q->link)) {
        list_add_tail(&pending->queue, &q->link);
        atomic_fetch_or(&pending->set, SIGNAL_BIT(t->signo));
    } else {
        t->overrun++;
    }
    return false;
}

bool signal_send_expired(struct process *p, struct interval_timer *t) {
    uint64_t flags = spin_lock_irqsave(&p->lock), inner, bit = SIGNAL_BIT(t->signo);
    struct signal_pending *pending = &p->signals.pending;
    struct task *to = NULL;
    bool ignored = false;

    if (t->tid)
        to = process_find_task(p, t->tid);
    else if (!list_is_empty(&p->tasks))
        to = list_first(&p->tasks, struct task, link);
    if (!to)
        goto unlock;
    if (t->tid)
        pending = &to->signals.pending;
    inner = spin_lock_irqsave(&p->signals.lock);
    ignored = expired_add(p, to, pending, t);
    spin_unlock_irqrestore(&p->signals.lock, inner);
    if (!t->tid && (atomic_load(&pending->set) & bit))
        notify_one(p, bit, 0);
    else if (atomic_load(&pending->set) & takes(to) & bit)
        thread_notify(&to->thread, WORK_SIGNAL);
unlock:
    spin_unlock_irqrestore(&p->lock, flags);
    return ignored;
}

void signal_force(int signo, const siginfo_t *info) {
    struct task *t = current_task();
    struct process *p = t->process;
    struct signal_action *a = &p->signals.actions[signo - 1];
    uint64_t flags = spin_lock_irqsave(&p->signals.lock);
    bool blocked = atomic_load(&t->signals.blocked) & SIGNAL_BIT(signo);

    if (blocked || a->handler == (uintptr_t)SIG_IGN)
        a->handler = (uintptr_t)SIG_DFL;
    if (blocked)
        atomic_fetch_and(&t->signals.blocked, ~SIGNAL_BIT(signo));
    (void)pending_add(p, &t->signals.pending, signo, info);
    spin_unlock_irqrestore(&p->signals.lock, flags);
    atomic_fetch_or(&t->thread.work, WORK_SIGNAL);
}

void signal_set_blocked(uint64_t mask) {
    struct task *t = current_task();
    uint64_t old = atomic_load_explicit(&t->signals.blocked, memory_order_relaxed), pending;

    mask &= ~SIGNALS_UNBLOCKABLE;
    if (mask == old)
        return;
    atomic_store(&t->signals.blocked, mask); /* seq_cst; see the theory above */
    pending = atomic_load(&t->signals.pending.set) | atomic_load(&t->process->signals.pending.set);
    if (pending & ~mask)
        atomic_fetch_or(&t->thread.work, WORK_SIGNAL);
    if (pending & mask & ~old)
        signal_pass_on(t, mask & ~old);
}

void signal_set_blocked_for_call(uint64_t mask) {
    struct task_signals *s = &current_task()->signals;

    s->saved_blocked = s->blocked;
    s->restore_blocked = true;
    signal_set_blocked(mask);
}

void signal_restore_blocked(void) {
    struct task_signals *s = &current_task()->signals;

    if (s->restore_blocked) {
        s->restore_blocked = false;
        signal_set_blocked(s->saved_blocked);
    }
}

bool signal_is_pending(void) {
    return atomic_load_explicit(&current->work, memory_order_relaxed) & WORK_LINUX;
}

/* Takes the first signal of `set` for `t`: its own before the process's, synchronous ones before
 * others, then by number.  Returns 0 where there is none. */
static int take_signal(struct task *t, uint64_t set, siginfo_t *info) {
    struct process *p = t->process;
    struct signal_pending *from[2] = { &t->signals.pending, &p->signals.pending };
    uint64_t flags;
    int signo = 0;

    if (!((from[0]->set | from[1]->set) & set))
        return 0;
    flags = spin_lock_irqsave(&p->signals.lock);
    for (unsigned i = 0; i < 2 && !signo; i++) {
        uint64_t waiting = from[i]->set & set;

        if (waiting & SIGNALS_SYNCHRONOUS)
            waiting &= SIGNALS_SYNCHRONOUS;
        if (waiting) {
            signo = __builtin_ctzl(waiting) + 1;
            pending_take(p, from[i], signo, info);
        }
    }
    spin_unlock_irqrestore(&p->signals.lock, flags);
    return signo;
}

int signal_take(uint64_t set, siginfo_t *info) {
    return take_signal(current_task(), set, info);
}

void signal_set_action(int signo, const struct signal_action *new, struct signal_action *old) {
    struct process *p = current_task()->process;
    struct signal_action *a = &p->signals.actions[signo - 1];
    uint64_t outer = spin_lock_irqsave(&p->lock);
    uint64_t flags = spin_lock_irqsave(&p->signals.lock);
    struct task *t;

    *old = *a;
    if (new) {
        *a = *new;
        a->mask &= ~SIGNALS_UNBLOCKABLE;
        if (is_ignored(p, signo)) {
            pending_drop(p, &p->signals.pending, SIGNAL_BIT(signo));
            list_for_each(t, &p->tasks, link)
                pending_drop(p, &t->signals.pending, SIGNAL_BIT(signo));
        }
    }
    spin_unlock_irqrestore(&p->signals.lock, flags);
    spin_unlock_irqrestore(&p->lock, outer);
}

/* The default action of a signal that has no handler. */
static void act_by_default(struct trap_frame *f, int signo, const siginfo_t *info) {
    if (SIGNALS_IGNORED_BY_DEFAULT & SIGNAL_BIT(signo))
        return;
    if (SIGNALS_STOPPING & SIGNAL_BIT(signo)) {
        log_info("%s ignored: a program cannot be stopped here", signal_name(signo));
        return;
    }
    report_fatal_signal(f, signo, info);
    process_exit_group(128 + (uint32_t)signo, (uint32_t)signo);
}

/* What an interrupted system call returns, or how it is repeated. */
static void restart_call(struct trap_frame *f, bool handler, bool sa_restart) {
    bool repeat;

    if (f->vector != TRAP_SYSCALL || f->error == (uint64_t)-1)
        return;
    switch (-(int64_t)f->rax) {
    case ERESTARTSYS:
        repeat = !handler || sa_restart;
        break;
    case ERESTARTNOINTR:
        repeat = true;
        break;
    case ERESTARTNOHAND:
        repeat = !handler;
        break;
    case ERESTART_RESTARTBLOCK:
        repeat = !handler;
        if (repeat)
            f->error = 219; /* restart_syscall */
        break;
    default:
        f->error = (uint64_t)-1;
        return;
    }
    if (repeat) {
        f->rax = f->error;
        f->rip -= 2;
    } else {
        f->rax = (uint64_t)-EINTR;
    }
    f->error = (uint64_t)-1; /* this call is dealt with */
}

static void enter_handler(struct trap_frame *f, int signo, const siginfo_t *info,
                          const struct signal_action *a) {
    struct task *t = current_task();
    uint64_t blocked = t->signals.blocked, back = blocked;

    restart_call(f, true, a->flags & SA_RESTART);
    if (t->signals.restore_blocked) {
        back = t->signals.saved_blocked;
        t->signals.restore_blocked = false;
    }
    if (signal_frame_push(f, signo, info, a, back) < 0) {
        siginfo_t fault = { .si_signo = SIGSEGV, .si_code = SI_KERNEL };

        exception_end_if_starved(f);
        if (signo == SIGSEGV) {
            report_fatal_signal(f, signo, info);
            process_exit_group(128 + SIGSEGV, SIGSEGV);
        }
        signal_force(SIGSEGV, &fault);
        return;
    }
    signal_set_blocked(blocked | a->mask | (a->flags & SA_NODEFER ? 0 : SIGNAL_BIT(signo)));
}

/* Reads the action of `signo`, and sets it back where it serves once only. */
static struct signal_action take_action(struct process *p, int signo) {
    uint64_t flags = spin_lock_irqsave(&p->signals.lock);
    struct signal_action a = p->signals.actions[signo - 1];

    if ((a.flags & SA_RESETHAND) && a.handler > (uintptr_t)SIG_IGN)
        p->signals.actions[signo - 1].handler = (uintptr_t)SIG_DFL;
    spin_unlock_irqrestore(&p->signals.lock, flags);
    return a;
}

void signal_deliver(struct trap_frame *f) {
    struct task *t = current_task();
    siginfo_t info;
    int signo;

    while ((signo = take_signal(t, ~atomic_load(&t->signals.blocked), &info)) != 0) {
        struct signal_action a = take_action(t->process, signo);

        if (a.handler == (uintptr_t)SIG_IGN)
            continue;
        if (a.handler == (uintptr_t)SIG_DFL)
            act_by_default(f, signo, &info);
        else
            enter_handler(f, signo, &info, &a);
    }
    restart_call(f, false, false);
    signal_restore_blocked();
}

void linux_user_work(struct trap_frame *f) {
    struct task *t = current_task();

    if (atomic_load(&t->process->exiting))
        task_exit(0);
    exception_end_if_starved(f);
    atomic_fetch_and(&t->thread.work, ~WORK_SIGNAL);
    signal_deliver(f);
}

const char *signal_name(int signo) {
    static const char *const signal_names[] = {
        "0",         "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
        "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
        "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
        "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS",
    };

    return (unsigned)signo < ARRAY_SIZE(signal_names) ? signal_names[signo] : "SIGRT";
}
