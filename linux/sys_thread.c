/* SPDX-License-Identifier: MIT */
/* Threads as C libraries make and end them: clone, exit, and what a thread may ask of itself. */
#include <asm-generic/errno.h>
#include <asm/prctl.h>
#include <linux/sched.h>
#include <stdatomic.h>

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/uaccess.h"
#include "base/string.h"
#include "kernel/log.h"
#include "linux/process.h"
#include "linux/syscalls.h"

#define EXIT_SIGNAL_MASK 0xfful
/* A thread shares all of this; there is only one process. */
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
/* And may ask for these. */
#define THREAD_OPTIONS                                                                             \
    (CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID |                   \
     CLONE_CHILD_SETTID | CLONE_DETACHED | CLONE_IO | CLONE_PTRACE | CLONE_UNTRACED)

struct clone_request {
    uint64_t flags;
    uintptr_t stack; /* its top; 0: the caller's */
    uint32_t *parent_tid, *child_tid;
    uint64_t tls;
};

/* Whether these flags are a thread's: 0, -EINVAL as Linux has it, or -ENOSYS for processes. */
static int check_flags(uint64_t flags) {
    static atomic_bool told;

    if ((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND))
        return -EINVAL;
    if ((flags & CLONE_SIGHAND) && !(flags & CLONE_VM))
        return -EINVAL;
    if ((flags & THREAD_FLAGS) == THREAD_FLAGS && !(flags & ~(THREAD_FLAGS | THREAD_OPTIONS)))
        return 0;
    if (!atomic_exchange(&told, true))
        log_info("clone with flags %#lx: new processes are not there yet", flags);
    return -ENOSYS;
}

static long clone_thread(const struct clone_request *r) {
    struct task *me = current_task(), *t;
    int err = check_flags(r->flags), tid;

    if (err)
        return err;
    if ((r->flags & CLONE_SETTLS) && r->tls >= USER_END)
        return -EPERM;
    t = task_create(me->process);
    if (!t)
        return -EAGAIN;
    t->start = *thread_user_frame(current);
    t->start.rax = 0;
    if (r->stack)
        t->start.rsp = r->stack;
    if (r->flags & CLONE_SETTLS)
        t->thread.fs_base = r->tls;
    if (r->flags & CLONE_CHILD_CLEARTID)
        t->clear_child_tid = r->child_tid;
    atomic_store(&t->thread.affinity, atomic_load(&me->thread.affinity));
    err = task_list(t);
    if (err) {
        task_free(t);
        return err;
    }
    tid = t->thread.tid;
    if ((r->flags & CLONE_PARENT_SETTID) && user_write_u32(r->parent_tid, (uint32_t)tid))
        log_debug("clone: the address for the tid cannot be written"); /* Linux goes on, too */
    if ((r->flags & CLONE_CHILD_SETTID) && user_write_u32(r->child_tid, (uint32_t)tid))
        log_debug("clone: the child's address for the tid cannot be written");
    err = task_start(t);
    return err ? err : tid;
}

long sys_clone(long flags, long stack, long parent_tid, long child_tid, long tls) {
    struct clone_request r = {
        .flags = (uint64_t)flags & ~EXIT_SIGNAL_MASK,
        .stack = (uintptr_t)stack,
        .parent_tid = (uint32_t *)parent_tid,
        .child_tid = (uint32_t *)child_tid,
        .tls = (uint64_t)tls,
    };

    return clone_thread(&r);
}

long sys_clone3(long args, long size) {
    struct clone_args a = { 0 };
    struct clone_request r;
    uint8_t beyond = 0;

    if ((size_t)size < CLONE_ARGS_SIZE_VER0)
        return -EINVAL;
    if ((size_t)size > PAGE_SIZE)
        return -E2BIG;
    if (copy_from_user(&a, (const void *)args, MIN((size_t)size, sizeof(a))))
        return -EFAULT;
    for (size_t i = sizeof(a); i < (size_t)size; i++) {
        if (copy_from_user(&beyond, (const uint8_t *)args + i, 1))
            return -EFAULT;
        if (beyond)
            return -E2BIG;
    }
    if ((a.flags & (CLONE_DETACHED | EXIT_SIGNAL_MASK)) || a.exit_signal > EXIT_SIGNAL_MASK ||
        ((a.flags & CLONE_THREAD) && a.exit_signal) || !a.stack != !a.stack_size ||
        (a.stack && !user_range_ok((void *)a.stack, a.stack_size)))
        return -EINVAL;
    if (a.set_tid_size)
        return a.set_tid_size > 32 ? -EINVAL : -EPERM;
    r.flags = a.flags;
    r.stack = a.stack + a.stack_size;
    r.parent_tid = (uint32_t *)a.parent_tid;
    r.child_tid = (uint32_t *)a.child_tid;
    r.tls = a.tls;
    return clone_thread(&r);
}

long sys_exit(long status) {
    task_exit((uint32_t)status & 0xff);
}

long sys_exit_group(long status) {
    process_exit_group((uint32_t)status & 0xff, 0);
}

long sys_set_tid_address(long addr) {
    current_task()->clear_child_tid = (uint32_t *)addr;
    return current->tid;
}

long sys_gettid(void) {
    return current->tid;
}

long sys_sched_yield(void) {
    thread_yield();
    return 0;
}

/* Carries out `act` on the task `tid` (0: the caller) while it cannot vanish. */
static long with_task(int tid, long (*act)(struct task *, uint64_t *), uint64_t *value) {
    struct process *p = current_task()->process;
    uint64_t flags;
    struct task *t;
    long result;

    flags = spin_lock_irqsave(&p->lock);
    t = tid ? process_find_task(p, tid) : current_task();
    result = t ? act(t, value) : -ESRCH;
    spin_unlock_irqrestore(&p->lock, flags);
    return result;
}

static long get_affinity(struct task *t, uint64_t *mask) {
    *mask = atomic_load(&t->thread.affinity) & cpus_online;
    return 0;
}

static long set_affinity(struct task *t, uint64_t *mask) {
    if (&t->thread == current)
        return 1; /* moves away itself, without the lock */
    thread_set_affinity(&t->thread, *mask);
    return 0;
}

long sys_sched_setaffinity(long tid, long size, long user_mask) {
    uint64_t mask = 0;
    long result;

    if (copy_from_user(&mask, (const void *)user_mask, MIN((size_t)(uint32_t)size, sizeof(mask))))
        return -EFAULT;
    mask &= cpus_online;
    if (!mask)
        return -EINVAL;
    result = with_task((int)tid, set_affinity, &mask);
    if (result == 1) {
        thread_set_affinity(current, mask);
        return 0;
    }
    return result;
}

long sys_sched_getaffinity(long tid, long size, long user_mask) {
    uint64_t mask;
    long result;

    if ((uint32_t)size < sizeof(mask) || (uint32_t)size % sizeof(mask))
        return -EINVAL;
    result = with_task((int)tid, get_affinity, &mask);
    if (!result && copy_to_user((void *)user_mask, &mask, sizeof(mask)))
        result = -EFAULT;
    return result ? result : (long)sizeof(mask);
}

long sys_getcpu(long cpu, long node, long unused) {
    (void)unused;
    if (cpu && user_write_u32((uint32_t *)cpu, cpu_id()))
        return -EFAULT;
    if (node && user_write_u32((uint32_t *)node, 0))
        return -EFAULT;
    return 0;
}

long sys_arch_prctl(long code, long addr) {
    switch ((int)code) {
    case ARCH_SET_FS:
        if ((uint64_t)addr >= USER_END)
            return -EPERM;
        cpu_set_fs_base((uint64_t)addr);
        return 0;
    case ARCH_SET_GS:
        if ((uint64_t)addr >= USER_END)
            return -EPERM;
        cpu_set_user_gs_base((uint64_t)addr);
        return 0;
    case ARCH_GET_FS:
        return user_write_u64((uint64_t *)addr, cpu_get_fs_base());
    case ARCH_GET_GS:
        return user_write_u64((uint64_t *)addr, cpu_get_user_gs_base());
    default:
        return -EINVAL;
    }
}

#define PR_SET_PDEATHSIG    1
#define PR_GET_PDEATHSIG    2
#define PR_GET_DUMPABLE     3
#define PR_SET_DUMPABLE     4
#define PR_GET_KEEPCAPS     7
#define PR_SET_KEEPCAPS     8
#define PR_SET_NAME         15
#define PR_GET_NAME         16
#define PR_SET_TIMERSLACK   29
#define PR_GET_TIMERSLACK   30
#define PR_SET_NO_NEW_PRIVS 38
#define PR_GET_NO_NEW_PRIVS 39

static int set_name(const char *from) {
    char name[16] = "";

    if (string_from_user(name, from, sizeof(name)) == -EFAULT)
        return -EFAULT;
    name[15] = 0;
    string_copy(current->name, name, sizeof(current->name));
    return 0;
}

static int get_name(char *to) {
    char name[16] = "";

    string_copy(name, current->name, sizeof(name));
    return copy_to_user(to, name, sizeof(name));
}

static int set_word(struct task_settings *own, int option, unsigned long value) {
    switch (option) {
    case PR_SET_DUMPABLE:
        if (value > 1)
            return -EINVAL;
        atomic_store(&current_task()->process->undumpable, !value);
        return 0;
    case PR_SET_KEEPCAPS:
        if (value > 1)
            return -EINVAL;
        own->keep_capabilities = value;
        return 0;
    case PR_SET_PDEATHSIG:
        if (value > SIGNAL_COUNT)
            return -EINVAL;
        own->death_signal = (uint32_t)value;
        return 0;
    default: /* PR_SET_TIMERSLACK */
        own->timer_slack_ns = (long)value > 0 ? value : TIMER_SLACK_NS;
        return 0;
    }
}

long sys_prctl(long a, long b, long c, long d, long e) {
    struct task_settings *own = &current_task()->settings;

    switch ((int)a) {
    case PR_SET_NAME:
        return set_name((const char *)b);
    case PR_GET_NAME:
        return get_name((char *)b);
    case PR_SET_DUMPABLE:
    case PR_SET_KEEPCAPS:
    case PR_SET_PDEATHSIG:
    case PR_SET_TIMERSLACK:
        return set_word(own, (int)a, (unsigned long)b);
    case PR_GET_DUMPABLE:
        return !atomic_load(&current_task()->process->undumpable);
    case PR_GET_KEEPCAPS:
        return own->keep_capabilities;
    case PR_GET_PDEATHSIG:
        return user_write_u32((uint32_t *)b, own->death_signal);
    case PR_GET_TIMERSLACK:
        return (long)own->timer_slack_ns;
    case PR_SET_NO_NEW_PRIVS:
        if (b != 1 || c || d || e)
            return -EINVAL;
        own->no_new_privs = true;
        return 0;
    case PR_GET_NO_NEW_PRIVS:
        return b || c || d || e ? -EINVAL : own->no_new_privs;
    default:
        return -EINVAL;
    }
}
