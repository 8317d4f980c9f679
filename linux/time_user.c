/* SPDX-License-Identifier: MIT */
/* Linux's time structures in the program's memory, as nanoseconds. */
#include "linux/time_user.h"

#include <asm-generic/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/timer.h"

#define SECONDS_MAX (UINT64_MAX / NS_PER_SEC)

static uint64_t to_ns(uint64_t seconds, uint64_t fraction_ns) {
    return seconds >= SECONDS_MAX ? UINT64_MAX - 1 : seconds * NS_PER_SEC + fraction_ns;
}

int timespec_from_user(const void *user, uint64_t *ns) {
    int64_t t[2];

    if (copy_from_user(t, user, sizeof(t)))
        return -EFAULT;
    if (t[0] < 0 || t[1] < 0 || t[1] >= (int64_t)NS_PER_SEC)
        return -EINVAL;
    *ns = to_ns((uint64_t)t[0], (uint64_t)t[1]);
    return 0;
}

int timespec_to_user(void *user, uint64_t ns) {
    uint64_t t[2] = { ns / NS_PER_SEC, ns % NS_PER_SEC };

    return copy_to_user(user, t, sizeof(t));
}

int timeval_from_user(const void *user, uint64_t *ns) {
    int64_t t[2];

    if (copy_from_user(t, user, sizeof(t)))
        return -EFAULT;
    if (t[0] < 0 || t[1] < 0 || t[1] >= 1000000)
        return -EINVAL;
    *ns = to_ns((uint64_t)t[0], (uint64_t)t[1] * NS_PER_US);
    return 0;
}

int timeval_to_user(void *user, uint64_t ns) {
    uint64_t t[2] = { ns / NS_PER_SEC, ns % NS_PER_SEC / NS_PER_US };

    return copy_to_user(user, t, sizeof(t));
}

uint64_t deadline_after(uint64_t ns) {
    uint64_t now = clock_now_ns();

    return ns >= TIME_NEVER - now ? TIME_NEVER - 1 : now + ns;
}

uint64_t deadline_of_realtime(uint64_t realtime_ns) {
    uint64_t now = clock_realtime_ns();

    return realtime_ns <= now ? clock_now_ns() : deadline_after(realtime_ns - now);
}
