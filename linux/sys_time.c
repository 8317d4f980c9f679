/* SPDX-License-Identifier: MIT */
/* Clocks, sleeping, and what has been used of the CPUs. */
#include <asm-generic/errno.h>
#include <linux/resource.h>
#include <linux/time.h>
#include <linux/times.h>

#include "arch/x86_64/uaccess.h"
#include "base/string.h"
#include "kernel/timer.h"
#include "linux/process.h"
#include "linux/syscalls.h"
#include "linux/time_user.h"

#define TICKS_PER_SEC 100
#define NS_PER_TICK   (NS_PER_SEC / TICKS_PER_SEC)
#define COARSE_NS     (4 * NS_PER_MS) /* what Linux reports for the coarse clocks */

/* Fields of a clock id that names a task's or a process's CPU time (negative). */
#define CLOCK_KIND           3
#define CLOCK_KIND_SCHEDULER 2
#define CLOCK_OF_THREAD      4

int time_read_cpu_clock(int clock, uint64_t *ns) {
    struct process *p = the_process; /* also asked by interrupts of any thread */
    int id = ~(clock >> 3), err = 0;
    struct task *t;
    uint64_t flags;

    if ((clock & CLOCK_KIND) > CLOCK_KIND_SCHEDULER)
        return -EINVAL;
    if (!(clock & CLOCK_OF_THREAD)) {
        if (id != 0 && id != p->pid)
            return -EINVAL;
        *ns = process_runtime_ns(p);
        return 0;
    }
    flags = spin_lock_irqsave(&p->lock);
    t = id ? process_find_task(p, id) : current_task();
    if (t)
        *ns = thread_runtime_ns(&t->thread);
    else
        err = -EINVAL;
    spin_unlock_irqrestore(&p->lock, flags);
    return err;
}

static int clock_read(int clock, uint64_t *ns) {
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI:
        *ns = clock_realtime_ns();
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
        *ns = clock_now_ns();
        return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
        *ns = process_runtime_ns(current_task()->process);
        return 0;
    case CLOCK_THREAD_CPUTIME_ID:
        *ns = thread_runtime_ns(current);
        return 0;
    default:
        return clock < 0 ? time_read_cpu_clock(clock, ns) : -EINVAL;
    }
}

long sys_clock_gettime(long clock, long to) {
    uint64_t ns;
    int err = clock_read((int)clock, &ns);

    return err ? err : timespec_to_user((void *)to, ns);
}

long sys_clock_getres(long clock, long to) {
    uint64_t ns;
    int err = clock_read((int)clock, &ns);

    if (err || !to)
        return err;
    clock = (int)clock;
    ns = clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE ? COARSE_NS : 1;
    return timespec_to_user((void *)to, ns);
}

long sys_clock_settime(long clock, long from) {
    uint64_t ns;
    int err;

    if ((int)clock != CLOCK_REALTIME)
        return -EINVAL;
    err = timespec_from_user((const void *)from, &ns);
    if (!err)
        clock_set_realtime_ns(ns);
    return err;
}

long sys_gettimeofday(long to, long zone) {
    static const int32_t utc[2];

    if (to && timeval_to_user((void *)to, clock_realtime_ns()))
        return -EFAULT;
    return zone ? copy_to_user((void *)zone, utc, sizeof(utc)) : 0;
}

long sys_settimeofday(long from, long zone) {
    uint64_t ns;
    int err = 0;

    (void)zone;
    if (from)
        err = timeval_from_user((const void *)from, &ns);
    if (from && !err)
        clock_set_realtime_ns(ns);
    return err;
}

long sys_time(long to) {
    uint64_t seconds = clock_realtime_ns() / NS_PER_SEC;

    if (to && user_write_u64((uint64_t *)to, seconds))
        return -EFAULT;
    return (long)seconds;
}

/* 0 at the deadline, or -EINTR. */
static int sleep_until(uint64_t deadline_ns) {
    int err = 0;

    while (err != -EINTR) {
        thread_block_prepare(true);
        if (clock_now_ns() >= deadline_ns) {
            thread_block_cancel();
            return 0;
        }
        err = thread_block(deadline_ns);
    }
    return err;
}

/* 0 when the CPU time of `clock` has come to the deadline, -EINVAL or -EINTR.  There is no event to
 * wait for: looks when it could be at the earliest, with all CPUs at work. */
static int sleep_until_cpu_time(int clock, uint64_t deadline_ns) {
    uint64_t now;
    int err;

    for (;;) {
        err = clock_read(clock, &now);
        if (err || now >= deadline_ns)
            return err;
        thread_block_prepare(true);
        err = thread_block(deadline_after(MAX((deadline_ns - now) / cpu_count, COARSE_NS)));
        if (err == -EINTR)
            return err;
    }
}

static long sleep_relative_cpu_time(struct restart *r) {
    uint64_t now;
    int clock = (int)r->values[0], err = sleep_until_cpu_time(clock, r->deadline_ns);

    if (err != -EINTR)
        return err;
    if (r->addr && !clock_read(clock, &now) &&
        timespec_to_user((void *)r->addr, r->deadline_ns > now ? r->deadline_ns - now : 0))
        return -EFAULT;
    return -ERESTART_RESTARTBLOCK;
}

/* For clocks that count a task's or the process's CPU time. */
static long sleep_cpu_time(int clock, bool absolute, uint64_t ns, uint64_t now, long left) {
    struct restart *r = &current_task()->restart;

    if (absolute)
        return sleep_until_cpu_time(clock, ns) == -EINTR ? -ERESTARTNOHAND : 0;
    r->call = sleep_relative_cpu_time;
    r->deadline_ns = now + MIN(ns, TIME_NEVER - 1 - now);
    r->addr = (uintptr_t)left;
    r->values[0] = (uint64_t)(unsigned)clock;
    return sleep_relative_cpu_time(r);
}

/* Whose time stands still while it sleeps. */
static bool is_own_cpu_time(int clock) {
    int tid = ~(clock >> 3);

    return clock < 0 && (clock & CLOCK_OF_THREAD) && (tid == 0 || tid == current->tid);
}

static long sleep_relative(struct restart *r) {
    uint64_t now;

    if (sleep_until(r->deadline_ns) == 0)
        return 0;
    now = clock_now_ns();
    if (r->addr &&
        timespec_to_user((void *)r->addr, r->deadline_ns > now ? r->deadline_ns - now : 0))
        return -EFAULT;
    return -ERESTART_RESTARTBLOCK;
}

static long sleep_for(uint64_t ns, long left) {
    struct restart *r = &current_task()->restart;

    r->call = sleep_relative;
    r->deadline_ns = deadline_after(ns);
    r->addr = (uintptr_t)left;
    return sleep_relative(r);
}

long sys_nanosleep(long request, long left) {
    uint64_t ns;
    int err = timespec_from_user((const void *)request, &ns);

    return err ? err : sleep_for(ns, left);
}

long sys_clock_nanosleep(long clock, long flags, long request, long left) {
    bool realtime = (int)clock == CLOCK_REALTIME || (int)clock == CLOCK_TAI;
    bool cpu_time = (int)clock == CLOCK_PROCESS_CPUTIME_ID || (int)clock < 0;
    uint64_t ns, now;
    int err;

    if (clock_read((int)clock, &now))
        return -EINVAL;
    if (!realtime && !cpu_time && (int)clock != CLOCK_MONOTONIC && (int)clock != CLOCK_BOOTTIME)
        return -EOPNOTSUPP;
    err = timespec_from_user((const void *)request, &ns);
    if (!err && is_own_cpu_time((int)clock))
        err = -EINVAL;
    if (err)
        return err;
    if (cpu_time)
        return sleep_cpu_time((int)clock, flags & TIMER_ABSTIME, ns, now, left);
    if (!(flags & TIMER_ABSTIME))
        return sleep_for(ns, left);
    return sleep_until(realtime ? deadline_of_realtime(ns) : ns) ? -ERESTARTNOHAND : 0;
}

long sys_restart_syscall(void) {
    struct restart *r = &current_task()->restart;

    return r->call ? r->call(r) : -EINTR;
}

/* ---- what has been used ---- */

long sys_times(long to) {
    uint64_t t[4] = { process_runtime_ns(current_task()->process) / NS_PER_TICK, 0, 0, 0 };

    if (to && copy_to_user((void *)to, t, sizeof(t)))
        return -EFAULT;
    return (long)(clock_now_ns() / NS_PER_TICK);
}

static void count_switches(struct process *p, struct rusage *u) {
    uint64_t flags = spin_lock_irqsave(&p->lock);
    struct task *t;

    u->ru_nvcsw = (long)p->ended_switches_voluntary;
    u->ru_nivcsw = (long)p->ended_switches_preempted;
    list_for_each(t, &p->tasks, link) {
        u->ru_nvcsw += (long)t->thread.switches_voluntary;
        u->ru_nivcsw += (long)t->thread.switches_preempted;
    }
    spin_unlock_irqrestore(&p->lock, flags);
}

long sys_getrusage(long who, long to) {
    struct process *p = current_task()->process;
    struct rusage u = { 0 };
    struct aspace_stats stats;
    uint64_t used_ns = 0;

    who = (int)who;
    if (who == RUSAGE_SELF || who == RUSAGE_THREAD) {
        aspace_stats(p->aspace, &stats);
        u.ru_maxrss = (long)(stats.peak_resident_bytes / 1024);
    }
    if (who == RUSAGE_SELF) {
        used_ns = process_runtime_ns(p);
        u.ru_minflt = (long)stats.faults;
        count_switches(p, &u);
    } else if (who == RUSAGE_THREAD) {
        used_ns = thread_runtime_ns(current);
        u.ru_minflt = (long)current->faults;
        u.ru_nvcsw = (long)current->switches_voluntary;
        u.ru_nivcsw = (long)current->switches_preempted;
    } else if (who != RUSAGE_CHILDREN) {
        return -EINVAL;
    }
    u.ru_utime.tv_sec = (long)(used_ns / NS_PER_SEC);
    u.ru_utime.tv_usec = (long)(used_ns % NS_PER_SEC / NS_PER_US);
    return copy_to_user((void *)to, &u, sizeof(u));
}
