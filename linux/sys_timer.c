/* SPDX-License-Identifier: MIT */
/*
 * Timers that send signals: timer_create and its kin, setitimer, alarm.
 *
 * A timer with an interval does not go on by itself: it waits until its signal
 * is taken, and then counts how often it would have been due meanwhile (the
 * overrun).  So no interval, however short, keeps a CPU busy with interrupts
 * whose signals nobody takes; Linux does the same.
 *
 * Timers of CPU time have no event to wait for.  They look at the clock again
 * when the time that is missing could have passed at the earliest, with every
 * CPU working for the process, but not more often than each LOOK_NS.
 *
 * Locks.  timers_mutex serialises the calls.  What the interrupt and the taker
 * of the signal share is under process_signals.lock: whoever sets a timer first
 * marks it stopped, so that neither arms it, then waits until its callback has
 * run out (timer_cancel, without the lock), and only then changes it.  The
 * taker may arm under the lock although timer_cancel may wait for the callback
 * on another CPU: `waits` is set in the callback's last use of the lock.
 */
#include <asm-generic/errno.h>
#include <linux/time.h>

#include "arch/x86_64/uaccess.h"
#include "base/string.h"
#include "kernel/mutex.h"
#include "kernel/slab.h"
#include "linux/interval_timer.h"
#include "linux/process.h"
#include "linux/syscalls.h"
#include "linux/time_user.h"

#define LOOK_NS          (4 * NS_PER_MS)
#define RETRY_NS         (4 * NS_PER_MS) /* at least, until an ignored timer is due again */
#define NOTIFY_SIGNAL    0
#define NOTIFY_NONE      1
#define NOTIFY_THREAD    2
#define NOTIFY_THREAD_ID 4
#define CLOCK_OF_THREAD  4
#define CLOCK_SCHEDULER  2
#define CLOCK_OF_PROCESS ((int)(~0u << 3 | CLOCK_SCHEDULER))

/* Linux's struct sigevent. */
struct event {
    uint64_t value;
    int32_t signo, notify, tid;
    int32_t unused[11];
};

struct setting {
    uint64_t interval[2], value[2]; /* seconds and a fraction each: struct itimerspec, itimerval */
};

static struct mutex timers_mutex;
static struct list timers = LIST_INIT(timers); /* interval_timer.link; the mutex */
static int next_id;

static bool is_cpu_clock(int clock) {
    return clock < 0;
}

static struct process_signals *signals_of_timers(void) {
    return &the_process->signals;
}

/* Passes over the times at which `t` was due before `now`, on its clock; the lock is held. */
static void skip_missed(struct interval_timer *t, uint64_t now) {
    uint64_t missed = 0;

    if (t->interval_ns && now > t->deadline_ns)
        missed = (now - t->deadline_ns) / t->interval_ns;
    t->overrun += missed;
    t->deadline_ns += missed * t->interval_ns;
}

/* One interval on; very far times saturate. */
static void advance(struct interval_timer *t) {
    uint64_t most = TIME_NEVER - 1 - t->deadline_ns;

    t->deadline_ns += MIN(t->interval_ns, most);
}

/* Where a timer of CPU time is concerned, the callback finds out how long it will take: its clock
 * may not be read under the lock (process.lock comes first). */
static void arm(struct interval_timer *t) {
    timer_arm(&t->timer, is_cpu_clock(t->clock) ? clock_now_ns() + LOOK_NS : t->deadline_ns);
}

int interval_timer_taken_locked(struct interval_timer *t) {
    if (!t->waits || t->stopped)
        return 0;
    t->waits = false;
    if (!is_cpu_clock(t->clock))
        skip_missed(t, clock_now_ns());
    advance(t);
    t->last_overrun = MIN(t->overrun, (uint64_t)INT32_MAX);
    t->overrun = 0;
    arm(t);
    return (int)t->last_overrun;
}

/* A timer of CPU time: whether it is due; looks again later where it is not. */
static bool cpu_timer_is_due(struct interval_timer *t) {
    uint64_t cpus = t->clock & CLOCK_OF_THREAD ? 1 : cpu_count, now, flags, missing = 0;
    struct process_signals *s = signals_of_timers();

    if (time_read_cpu_clock(t->clock, &now))
        return false; /* its task has ended */
    flags = spin_lock_irqsave(&s->lock);
    if (now < t->deadline_ns)
        missing = t->deadline_ns - now;
    else
        skip_missed(t, now);
    spin_unlock_irqrestore(&s->lock, flags);
    if (missing)
        timer_arm(&t->timer, deadline_after(MAX(missing / cpus, LOOK_NS)));
    return !missing;
}

/* The signal is ignored, so nobody will take it: goes on at once, but not too fast. */
static void go_on_unheard(struct interval_timer *t) {
    struct process_signals *s = signals_of_timers();
    uint64_t now = clock_now_ns(), flags = spin_lock_irqsave(&s->lock), interval = t->interval_ns;
    uint64_t next = now + RETRY_NS;

    if (!is_cpu_clock(t->clock))
        skip_missed(t, now);
    t->overrun++;
    advance(t);
    if (!is_cpu_clock(t->clock))
        next = MAX(t->deadline_ns, next);
    spin_unlock_irqrestore(&s->lock, flags);
    if (interval)
        timer_arm(&t->timer, next);
}

/* Nobody else changes the timer meanwhile: setters wait for this to return, takers for `waits`. */
static void fire(struct timer *timer) {
    struct interval_timer *t = container_of(timer, struct interval_timer, timer);

    if (is_cpu_clock(t->clock) && !cpu_timer_is_due(t))
        return;
    if (signal_send_expired(the_process, t))
        go_on_unheard(t);
}

/* Takes the timer out of the hands of all others. */
static void stop(struct interval_timer *t) {
    struct process_signals *s = signals_of_timers();
    uint64_t flags = spin_lock_irqsave(&s->lock);

    t->stopped = true;
    t->waits = false;
    spin_unlock_irqrestore(&s->lock, flags);
    (void)timer_cancel(&t->timer);
}

static void start(struct interval_timer *t, uint64_t deadline_ns, uint64_t interval_ns) {
    struct process_signals *s = signals_of_timers();
    uint64_t flags = spin_lock_irqsave(&s->lock);

    t->stopped = false;
    t->overrun = t->last_overrun = 0;
    t->deadline_ns = deadline_ns;
    t->interval_ns = deadline_ns == TIME_NEVER ? 0 : interval_ns;
    spin_unlock_irqrestore(&s->lock, flags);
    if (deadline_ns == TIME_NEVER || !t->signo)
        return;
    /* The lock is not needed: until the timer fires, nobody arms it. */
    timer_arm(&t->timer, is_cpu_clock(t->clock) ? clock_now_ns() : deadline_ns);
}

/* The timer's clock, on the scale of its deadline. */
static uint64_t clock_of(const struct interval_timer *t) {
    uint64_t now = 0;

    if (!is_cpu_clock(t->clock))
        return clock_now_ns();
    return time_read_cpu_clock(t->clock, &now) ? 0 : now;
}

/* How long until it is due, and its interval. */
static void read_setting(struct interval_timer *t, uint64_t *left, uint64_t *interval) {
    struct process_signals *s = signals_of_timers();
    uint64_t now = clock_of(t), flags = spin_lock_irqsave(&s->lock), deadline = t->deadline_ns;

    *interval = t->interval_ns;
    if (deadline == TIME_NEVER) {
        *left = 0;
    } else if (deadline > now) {
        *left = deadline - now;
    } else if (t->interval_ns) { /* its signal has not been taken, or there is none */
        *left = t->interval_ns - (now - deadline) % t->interval_ns;
    } else {
        *left = 0;
    }
    spin_unlock_irqrestore(&s->lock, flags);
}

static void timer_setup(struct interval_timer *t, int clock, int signo) {
    t->clock = clock;
    t->signo = signo;
    t->deadline_ns = TIME_NEVER;
    list_init(&t->link);
    timer_init(&t->timer, fire);
}

/* ---- timer_create ---- */

static int clock_of_task(int tid) {
    return (int)(~(unsigned)tid << 3 | CLOCK_OF_THREAD | CLOCK_SCHEDULER);
}

/* The clock that a timer counts by: 0 or -errno. */
static int timer_clock(int clock, int *out) {
    uint64_t now;

    *out = clock;
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
        return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
        *out = CLOCK_OF_PROCESS;
        return 0;
    case CLOCK_THREAD_CPUTIME_ID:
        *out = clock_of_task(current->tid);
        return 0;
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
        return -EOPNOTSUPP;
    default:
        break;
    }
    if (clock >= 0)
        return -EINVAL;
    if ((clock & CLOCK_OF_THREAD) && ~(clock >> 3) == 0) /* the caller's, whoever asks later */
        *out = clock_of_task(current->tid);
    return time_read_cpu_clock(*out, &now);
}

/* What a sigevent of the program asks for; its defaults for NULL. */
static int check_event(const struct event *e) {
    bool known = true;
    uint64_t flags;

    switch (e->notify) {
    case NOTIFY_THREAD_ID:
        flags = spin_lock_irqsave(&the_process->lock);
        known = process_find_task(the_process, e->tid);
        spin_unlock_irqrestore(&the_process->lock, flags);
        break;
    case NOTIFY_SIGNAL:
    case NOTIFY_THREAD:
        break;
    case NOTIFY_NONE:
        return 0;
    default:
        return -EINVAL;
    }
    return known && e->signo >= 1 && e->signo <= SIGNAL_COUNT ? 0 : -EINVAL;
}

static void timer_free(struct interval_timer *t) {
    if (t->entry)
        signal_release(the_process, t->entry);
    kfree(t);
}

/* Gives the timer its id and its signal. */
static int timer_equip(struct interval_timer *t, const struct event *e) {
    siginfo_t info = { .si_code = SI_TIMER };

    if (e->notify == NOTIFY_NONE)
        return 0;
    info.si_signo = t->signo = e->signo;
    info.si_tid = t->id;
    info._sifields._timer._sigval.sival_ptr = (void *)e->value;
    t->tid = e->notify == NOTIFY_THREAD_ID ? e->tid : 0;
    t->entry = signal_reserve(the_process, t, &info);
    return t->entry ? 0 : -EAGAIN;
}

long sys_timer_create(long clock, long event, long id) {
    struct event e = { .signo = SIGALRM, .notify = NOTIFY_SIGNAL };
    struct interval_timer *t;
    int err, counts_by;

    if (event && copy_from_user(&e, (const void *)event, sizeof(e)))
        return -EFAULT;
    err = timer_clock((int)clock, &counts_by);
    if (err)
        return err;
    t = kmalloc(sizeof(*t));
    if (!t)
        return -EAGAIN;
    timer_setup(t, counts_by, 0);
    mutex_lock(&timers_mutex);
    t->id = next_id;
    if (!event)
        e.value = (uint32_t)t->id;
    err = check_event(&e);
    if (!err)
        err = timer_equip(t, &e);
    if (!err)
        err = user_write_u32((uint32_t *)id, (uint32_t)t->id);
    if (!err) {
        next_id = next_id == INT32_MAX ? 0 : next_id + 1;
        list_add_tail(&timers, &t->link);
    }
    mutex_unlock(&timers_mutex);
    if (err)
        timer_free(t);
    return err;
}

/* The mutex is held. */
static struct interval_timer *timer_find(long id) {
    struct interval_timer *t;

    list_for_each(t, &timers, link)
        if (t->id == (int)id)
            return t;
    return NULL;
}

/* When a timer set to `value_ns` (not 0) is due. */
static uint64_t due(const struct interval_timer *t, uint64_t value_ns, bool absolute) {
    uint64_t now = absolute ? 0 : clock_of(t);

    if (is_cpu_clock(t->clock))
        return now + MIN(value_ns, TIME_NEVER - 1 - now);
    if (!absolute)
        return deadline_after(value_ns);
    if (t->clock == CLOCK_REALTIME || t->clock == CLOCK_TAI)
        return deadline_of_realtime(value_ns);
    return MIN(value_ns, TIME_NEVER - 1);
}

static long put_timespecs(long to, uint64_t value_ns, uint64_t interval_ns) {
    struct setting s = {
        .interval = { interval_ns / NS_PER_SEC, interval_ns % NS_PER_SEC },
        .value = { value_ns / NS_PER_SEC, value_ns % NS_PER_SEC },
    };

    return copy_to_user((void *)to, &s, sizeof(s));
}

long sys_timer_settime(long id, long flags, long new, long old) {
    const char *from = (const char *)new; /* a struct setting, aligned or not */
    uint64_t value, interval, left = 0, before = 0;
    struct interval_timer *t;
    int err;

    if (!new)
        return -EINVAL;
    err = timespec_from_user(from + offsetof(struct setting, interval), &interval);
    if (!err)
        err = timespec_from_user(from + offsetof(struct setting, value), &value);
    if (err)
        return err;
    mutex_lock(&timers_mutex);
    t = timer_find(id);
    if (t) {
        read_setting(t, &left, &before);
        stop(t);
        start(t, value ? due(t, value, flags & TIMER_ABSTIME) : TIME_NEVER, interval);
    }
    mutex_unlock(&timers_mutex);
    if (!t)
        return -EINVAL;
    return old ? put_timespecs(old, left, before) : 0;
}

long sys_timer_gettime(long id, long to) {
    uint64_t left = 0, interval = 0;
    struct interval_timer *t;

    mutex_lock(&timers_mutex);
    t = timer_find(id);
    if (t)
        read_setting(t, &left, &interval);
    mutex_unlock(&timers_mutex);
    return t ? put_timespecs(to, left, interval) : -EINVAL;
}

long sys_timer_getoverrun(long id) {
    struct interval_timer *t;
    long overrun = -EINVAL;

    mutex_lock(&timers_mutex);
    t = timer_find(id);
    if (t)
        overrun = (long)t->last_overrun;
    mutex_unlock(&timers_mutex);
    return overrun;
}

long sys_timer_delete(long id) {
    struct interval_timer *t;

    mutex_lock(&timers_mutex);
    t = timer_find(id);
    if (t)
        list_remove(&t->link);
    mutex_unlock(&timers_mutex);
    if (!t)
        return -EINVAL;
    stop(t);
    timer_free(t);
    return 0;
}

/* ---- setitimer ---- */

void sys_timer_init(struct process *p) {
    mutex_init(&timers_mutex);
    timer_setup(&p->signals.itimers[0], CLOCK_MONOTONIC, SIGALRM);
    timer_setup(&p->signals.itimers[1], CLOCK_OF_PROCESS, SIGVTALRM);
    timer_setup(&p->signals.itimers[2], CLOCK_OF_PROCESS, SIGPROF);
}

/* What setitimer reports: a timer that is on has at least a microsecond left. */
static void read_itimer(struct interval_timer *t, uint64_t *left, uint64_t *interval) {
    read_setting(t, left, interval);
    if (*left)
        *left = MAX(*left, (uint64_t)NS_PER_US);
}

static void set_itimer(unsigned which, uint64_t value, uint64_t interval, uint64_t *left,
                       uint64_t *before) {
    struct interval_timer *t = &the_process->signals.itimers[which];

    mutex_lock(&timers_mutex);
    read_itimer(t, left, before);
    stop(t);
    start(t, value ? due(t, value, false) : TIME_NEVER, interval);
    mutex_unlock(&timers_mutex);
}

long sys_alarm(long seconds) {
    uint64_t left, interval;

    set_itimer(ITIMER_REAL, (uint64_t)(uint32_t)seconds * NS_PER_SEC, 0, &left, &interval);
    /* To the nearest second, but never 0 for an alarm that is set. */
    return left && left < NS_PER_SEC ? 1 : (long)((left + NS_PER_SEC / 2) / NS_PER_SEC);
}

static long put_timevals(long to, uint64_t value_ns, uint64_t interval_ns) {
    struct setting s = {
        .interval = { interval_ns / NS_PER_SEC, interval_ns % NS_PER_SEC / NS_PER_US },
        .value = { value_ns / NS_PER_SEC, value_ns % NS_PER_SEC / NS_PER_US },
    };

    return copy_to_user((void *)to, &s, sizeof(s));
}

long sys_getitimer(long which, long to) {
    uint64_t left, interval;

    if ((unsigned)which > ITIMER_PROF)
        return -EINVAL;
    mutex_lock(&timers_mutex);
    read_itimer(&the_process->signals.itimers[(unsigned)which], &left, &interval);
    mutex_unlock(&timers_mutex);
    return put_timevals(to, left, interval);
}

long sys_setitimer(long which, long from, long to) {
    const char *new = (const char *)from; /* a struct setting, aligned or not */
    uint64_t value = 0, interval = 0, left, before;
    int err;

    if (from) {
        err = timeval_from_user(new + offsetof(struct setting, interval), &interval);
        if (!err)
            err = timeval_from_user(new + offsetof(struct setting, value), &value);
        if (err)
            return err;
    }
    if ((unsigned)which > ITIMER_PROF)
        return -EINVAL;
    set_itimer((unsigned)which, value, interval, &left, &before);
    return to ? put_timevals(to, left, before) : 0;
}
