/* SPDX-License-Identifier: MIT */
/* What the program may ask about the machine, its identity and its limits. */
#include <asm-generic/errno.h>
#include <linux/capability.h>
#include <linux/membarrier.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/resource.h>
#include <linux/sysinfo.h>
#include <linux/utsname.h>
#include <linux/wait.h>

#include "arch/x86_64/uaccess.h"
#include "base/string.h"
#include "fs/fdtable.h"
#include "fs/ramfs.h"
#include "kernel/machine.h"
#include "kernel/pages.h"
#include "linux/proc_self.h"
#include "linux/process.h"
#include "linux/syscalls.h"
#include "linux/time_user.h"

#define RANDOM_CHUNK 256

long sys_uname(long to) {
    struct new_utsname u = { 0 };

    string_copy(u.sysname, "Linux", sizeof(u.sysname));
    string_copy(u.nodename, UNAME_NODE, sizeof(u.nodename));
    string_copy(u.release, UNAME_RELEASE, sizeof(u.release));
    string_copy(u.version, UNAME_VERSION, sizeof(u.version));
    string_copy(u.machine, "x86_64", sizeof(u.machine));
    string_copy(u.domainname, "(none)", sizeof(u.domainname));
    return copy_to_user((void *)to, &u, sizeof(u));
}

long sys_sysinfo(long to) {
    struct process *p = current_task()->process;
    struct pages_stats pages;
    struct sysinfo s = { 0 };

    pages_stats(&pages);
    s.uptime = (long)(clock_now_ns() / NS_PER_SEC);
    s.totalram = pages.total * PAGE_SIZE;
    s.freeram = pages.free * PAGE_SIZE;
    s.procs = (uint16_t)MIN(p->task_count, (unsigned)UINT16_MAX);
    s.mem_unit = 1;
    return copy_to_user((void *)to, &s, sizeof(s));
}

long sys_getrandom(long to, long size, long flags) {
    uint8_t chunk[RANDOM_CHUNK];
    size_t done = 0, total = MIN((size_t)size, (size_t)INT32_MAX);

    flags = (uint32_t)flags;
    if ((flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) ||
        (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    if (!user_range_ok((void *)to, total))
        return -EFAULT;
    while (done < total) {
        size_t n = MIN(total - done, sizeof(chunk));
        size_t left;

        random_bytes(chunk, n);
        left = copy_to_user_partial((uint8_t *)to + done, chunk, n);
        done += n - left;
        if (left)
            return done ? (long)done : -EFAULT;
        thread_preempt_point();
        if (signal_is_pending() && done < total)
            break;
    }
    memset(chunk, 0, sizeof(chunk));
    return (long)done;
}

/* ---- limits ---- */

static void limit_apply(struct process *p, unsigned which, uint64_t soft) {
    if (which == RLIMIT_NOFILE)
        fd_table_set_limit(p->files, (unsigned)MIN(soft, (uint64_t)FD_LIMIT_MAX));
    else if (which == RLIMIT_FSIZE)
        ramfs_set_size_limit(soft);
    else if (which == RLIMIT_STACK)
        aspace_set_stack_limit(p->aspace, soft);
}

static long limit_set(struct process *p, unsigned which, const struct rlimit64 *new) {
    if (new->rlim_cur > new->rlim_max)
        return -EINVAL;
    if (which == RLIMIT_NOFILE && new->rlim_max > FD_LIMIT_MAX)
        return -EPERM;
    p->limits.of[which].soft = new->rlim_cur;
    p->limits.of[which].hard = new->rlim_max;
    limit_apply(p, which, new->rlim_cur);
    return 0;
}

long sys_prlimit64(long pid, long which, long from, long to) {
    struct process *p = current_task()->process;
    struct rlimit64 old, new;

    which = (uint32_t)which;
    if (from && copy_from_user(&new, (const void *)from, sizeof(new)))
        return -EFAULT;
    if ((int)pid != 0 && (int)pid != p->pid)
        return -ESRCH;
    if ((unsigned long)which >= RLIMIT_COUNT)
        return -EINVAL;
    old.rlim_cur = p->limits.of[which].soft;
    old.rlim_max = p->limits.of[which].hard;
    if (from) {
        long err = limit_set(p, (unsigned)which, &new);

        if (err)
            return err;
    }
    return to ? copy_to_user((void *)to, &old, sizeof(old)) : 0;
}

long sys_getrlimit(long which, long to) {
    if (!to)
        return (uint32_t)which >= RLIMIT_COUNT ? -EINVAL : -EFAULT;
    return sys_prlimit64(0, which, 0, to);
}

long sys_setrlimit(long which, long from) {
    if (!from)
        return -EFAULT;
    return sys_prlimit64(0, which, from, 0);
}

/* ---- identity: one process, user and group 0 ---- */

long sys_getpid(void) {
    return current_task()->process->pid;
}

long sys_getppid(void) {
    return 0;
}

long sys_getpgrp(void) {
    return 1;
}

static long of_this_process(int pid) {
    return pid == 0 || pid == current_task()->process->pid ? 1 : pid < 0 ? -EINVAL : -ESRCH;
}

long sys_getpgid(long pid) {
    long result = of_this_process((int)pid);

    return result == -EINVAL ? -ESRCH : result;
}

long sys_getsid(long pid) {
    return sys_getpgid(pid);
}

long sys_setsid(void) {
    return -EPERM; /* it leads its process group, as Linux's first process does */
}

long sys_setpgid(long pid, long group) {
    if ((int)group < 0)
        return -EINVAL;
    return of_this_process((int)pid) < 0 ? -ESRCH : -EPERM;
}

long sys_getuid(void) {
    return 0;
}

long sys_geteuid(void) {
    return 0;
}

long sys_getgid(void) {
    return 0;
}

long sys_getegid(void) {
    return 0;
}

/* There is no user but 0: 0, or "no change" where the call has that. */
static long set_id(long a, bool may_keep) {
    return (uint32_t)a == 0 || (may_keep && (uint32_t)a == UINT32_MAX) ? 0 : -EINVAL;
}

static long set_ids(long a, long b, long c) {
    return set_id(a, true) || set_id(b, true) || set_id(c, true) ? -EINVAL : 0;
}

long sys_setuid(long id) {
    return set_id(id, false);
}

long sys_setgid(long id) {
    return set_id(id, false);
}

long sys_setreuid(long real, long effective) {
    return set_ids(real, effective, 0);
}

long sys_setregid(long real, long effective) {
    return set_ids(real, effective, 0);
}

long sys_setresuid(long real, long effective, long saved) {
    return set_ids(real, effective, saved);
}

long sys_setresgid(long real, long effective, long saved) {
    return set_ids(real, effective, saved);
}

long sys_setfsuid(long id) {
    (void)id;
    return 0; /* the old one */
}

long sys_setfsgid(long id) {
    (void)id;
    return 0;
}

static long put_ids(long real, long effective, long saved) {
    if (user_write_u32((uint32_t *)real, 0) || user_write_u32((uint32_t *)effective, 0) ||
        user_write_u32((uint32_t *)saved, 0))
        return -EFAULT;
    return 0;
}

long sys_getresuid(long real, long effective, long saved) {
    return put_ids(real, effective, saved);
}

long sys_getresgid(long real, long effective, long saved) {
    return put_ids(real, effective, saved);
}

long sys_getgroups(long size, long to) {
    (void)to;
    return (int)size < 0 ? -EINVAL : 0;
}

long sys_setgroups(long size, long from) {
    (void)from;
    return (int)size == 0 ? 0 : (uint32_t)size > 65536 ? -EINVAL : -EPERM;
}

/* Words of capability data that a header's version has; 0 for an unknown one. */
static unsigned capability_words(uint32_t version) {
    switch (version) {
    case _LINUX_CAPABILITY_VERSION_1:
        return _LINUX_CAPABILITY_U32S_1;
    case _LINUX_CAPABILITY_VERSION_2:
    case _LINUX_CAPABILITY_VERSION_3:
        return _LINUX_CAPABILITY_U32S_3;
    default:
        return 0;
    }
}

/* Checks the header that both calls begin with: words, or -errno (preferred version written). */
static long capability_header(long header) {
    struct __user_cap_header_struct h;
    unsigned words;

    if (copy_from_user(&h, (const void *)header, sizeof(h)))
        return -EFAULT;
    words = capability_words(h.version);
    if (!words)
        return user_write_u32((uint32_t *)header, _LINUX_CAPABILITY_VERSION_3) ? -EFAULT : -EINVAL;
    if (h.pid < 0)
        return -EINVAL;
    if (h.pid != 0 && h.pid != current_task()->process->pid)
        return -ESRCH;
    return words;
}

long sys_capget(long header, long to) {
    static const struct __user_cap_data_struct all[2] = {
        { .effective = UINT32_MAX, .permitted = UINT32_MAX },
        { .effective = 0x1ff, .permitted = 0x1ff },
    };
    long words = capability_header(header);

    if (!to)
        return words == -EINVAL || words > 0 ? 0 : words;
    return words < 0 ? words : copy_to_user((void *)to, all, (size_t)words * sizeof(all[0]));
}

long sys_capset(long header, long from) {
    struct __user_cap_data_struct data[2];
    long words = capability_header(header);

    if (words < 0)
        return words;
    return copy_from_user(data, (const void *)from, (size_t)words * sizeof(data[0]));
}

long sys_personality(long persona) {
    (void)persona;
    return 0; /* PER_LINUX */
}

/* ---- scheduling classes: all alike ---- */

#define SCHED_RESET_ON_FORK 0x40000000
#define POLICY_OTHER        0
#define POLICY_FIFO         1
#define POLICY_RR           2
#define POLICY_BATCH        3
#define POLICY_IDLE         5
#define POLICY_DEADLINE     6

/* 0 where `tid` is the caller (0) or one of its tasks. */
static long check_tid(int tid) {
    struct process *p = current_task()->process;
    uint64_t flags;
    bool found;

    if (tid < 0)
        return -EINVAL;
    flags = spin_lock_irqsave(&p->lock);
    found = tid == 0 || process_find_task(p, tid);
    spin_unlock_irqrestore(&p->lock, flags);
    return found ? 0 : -ESRCH;
}

static long read_priority(long from, int32_t *priority) {
    if (!from)
        return -EINVAL;
    return copy_from_user(priority, (const void *)from, sizeof(*priority));
}

long sys_sched_setscheduler(long tid, long policy, long param) {
    int32_t priority;
    long err;

    if ((int)tid < 0 || (int)policy < 0)
        return -EINVAL;
    err = read_priority(param, &priority);
    if (!err)
        err = check_tid((int)tid);
    if (err)
        return err;
    switch ((int)policy & ~SCHED_RESET_ON_FORK) {
    case POLICY_OTHER:
    case POLICY_BATCH:
    case POLICY_IDLE:
        return priority == 0 ? 0 : -EINVAL;
    case POLICY_FIFO:
    case POLICY_RR:
        return priority >= 1 && priority <= 99 ? -EPERM : -EINVAL;
    default:
        return -EINVAL;
    }
}

long sys_sched_setparam(long tid, long param) {
    return sys_sched_setscheduler(tid, POLICY_OTHER, param);
}

long sys_sched_getscheduler(long tid) {
    return check_tid((int)tid);
}

long sys_sched_getparam(long tid, long to) {
    long err = !to ? -EINVAL : check_tid((int)tid);

    return err ? err : user_write_u32((uint32_t *)to, 0);
}

long sys_sched_get_priority_max(long policy) {
    switch ((int)policy) {
    case POLICY_FIFO:
    case POLICY_RR:
        return 99;
    case POLICY_OTHER:
    case POLICY_BATCH:
    case POLICY_IDLE:
    case POLICY_DEADLINE:
        return 0;
    default:
        return -EINVAL;
    }
}

long sys_sched_get_priority_min(long policy) {
    long max = sys_sched_get_priority_max(policy);

    return max == 99 ? 1 : max;
}

long sys_sched_rr_get_interval(long tid, long to) {
    long err = check_tid((int)tid);

    return err ? err : timespec_to_user((void *)to, 4 * NS_PER_MS);
}

long sys_getpriority(long which, long who) {
    which = (int)which, who = (int)who;
    if (which < PRIO_PROCESS || which > PRIO_USER)
        return -EINVAL;
    if (which == PRIO_PROCESS)
        return check_tid((int)who) ? -ESRCH : 20; /* 20 minus a nice value of 0 */
    return who == 0 || (which == PRIO_PGRP && who == 1) ? 20 : -ESRCH;
}

long sys_setpriority(long which, long who, long value) {
    long current_value = sys_getpriority(which, who);

    (void)value;
    return current_value < 0 ? current_value : 0;
}

/* ---- others ---- */

long sys_wait4(long pid, long status, long options, long usage) {
    (void)status, (void)usage;
    if ((int)options & ~(int)(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
        return -EINVAL;
    return (int)pid == INT32_MIN ? -ESRCH : -ECHILD;
}

long sys_waitid(long which, long id, long info, long options, long usage) {
    (void)info, (void)usage;
    if ((int)options & ~(int)(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD |
                              __WCLONE | __WALL))
        return -EINVAL;
    if (!(options & (WEXITED | WSTOPPED | WCONTINUED)))
        return -EINVAL;
    switch ((int)which) {
    case P_ALL:
        return -ECHILD;
    case P_PID:
        return (int)id <= 0 ? -EINVAL : -ECHILD;
    case P_PGID:
        return (int)id < 0 ? -EINVAL : -ECHILD;
    case P_PIDFD:
        return (int)id < 0 ? -EINVAL : -EBADF;
    default:
        return -EINVAL;
    }
}

long sys_reboot(long magic, long magic2, long command, long argument) {
    (void)argument;
    if ((uint32_t)magic != LINUX_REBOOT_MAGIC1 ||
        ((uint32_t)magic2 != LINUX_REBOOT_MAGIC2 && (uint32_t)magic2 != LINUX_REBOOT_MAGIC2A &&
         (uint32_t)magic2 != LINUX_REBOOT_MAGIC2B && (uint32_t)magic2 != LINUX_REBOOT_MAGIC2C))
        return -EINVAL;
    switch ((uint32_t)command) {
    case LINUX_REBOOT_CMD_RESTART:
    case LINUX_REBOOT_CMD_HALT:
    case LINUX_REBOOT_CMD_POWER_OFF:
        process_exit_group(0, 0);
    case LINUX_REBOOT_CMD_CAD_ON:
    case LINUX_REBOOT_CMD_CAD_OFF:
        return 0;
    default:
        return -EINVAL;
    }
}

long sys_membarrier(long command, long flags, long cpu) {
    const long known = MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |
                       MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED |
                       MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;

    (void)cpu;
    if ((uint32_t)flags)
        return -EINVAL;
    switch ((int)command) {
    case MEMBARRIER_CMD_QUERY:
        return known;
    case MEMBARRIER_CMD_GLOBAL:
    case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
        aspace_barrier(current->aspace);
        return 0;
    case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
        return 0;
    default:
        return -EINVAL;
    }
}
