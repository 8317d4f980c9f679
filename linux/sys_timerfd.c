/* SPDX-License-Identifier: MIT */
/* System calls of timerfd. */
#include <asm-generic/errno.h>
#include <linux/time.h>
#include <linux/timerfd.h>
#include "fs/timerfd.h"
#include "linux/sys_file.h"
#include "linux/syscalls.h"
#include "linux/time_user.h"

#define TIMESPEC_SIZE 16 /* of Linux's struct itimerspec: the interval, then the value */

long sys_timerfd_create(long clock, long flags) {
    struct file *f;
    if ((int)flags & ~(TFD_CLOEXEC | TFD_NONBLOCK))
        return -EINVAL;
    switch ((int)clock) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    /* Nothing sleeps here that these would have to wake. */
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
        break;
    default:
        return -EINVAL;
    }
    bool realtime = (int)clock == CLOCK_REALTIME || (int)clock == CLOCK_REALTIME_ALARM;
    int err = timerfd_create(realtime, (uint32_t)flags & TFD_NONBLOCK, &f);
    return err ? err : our_file_enter(f, flags & TFD_CLOEXEC);
}

/* The timer behind `fd` with a reference: 0, -EBADF, -EINVAL. */
static int timer_get(long fd, struct file **out) {
    *out = our_real_file(fd);
    if (!*out)
        return -EBADF;
    if (timerfd_is_file(*out))
        return 0;
    file_put(*out);
    return -EINVAL;
}

static long setting_put(long user, const struct timerfd_setting *s) {
    char *to = (char *)user;
    int err = timespec_to_user(to, s->interval_ns);
    return err ? err : timespec_to_user(to + TIMESPEC_SIZE, s->value_ns);
}

long sys_timerfd_settime(long fd, long flags, long from, long old) {
    const char *new = (const char *)from;
    struct timerfd_setting s, before;
    struct file *f;
    int err = timespec_from_user(new, &s.interval_ns);
    if (!err || err == -EINVAL) { /* an address that is none goes first, whatever lies at it */
        int second = timespec_from_user(new + TIMESPEC_SIZE, &s.value_ns);
        err = second == -EFAULT || !err ? second : err;
    }
    if (!err && (int)flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
        err = -EINVAL;
    if (!err)
        err = timer_get(fd, &f);
    if (err)
        return err;
    timerfd_set(f, &s, flags & TFD_TIMER_ABSTIME, &before);
    file_put(f);
    return old ? setting_put(old, &before) : 0;
}

long sys_timerfd_gettime(long fd, long to) {
    struct timerfd_setting s;
    struct file *f;
    int err = timer_get(fd, &f);
    if (err)
        return err;
    timerfd_get(f, &s);
    file_put(f);
    return setting_put(to, &s);
}
