/* SPDX-License-Identifier: MIT */
/* System calls of epoll. */
#include <asm-generic/errno.h>
#include <linux/eventpoll.h>
#include "arch/x86_64/uaccess.h"
#include "fs/epoll.h"
#include "linux/sys_file.h"
#include "linux/syscalls.h"
#include "linux/time_user.h"

#define EVENTS_MAX (INT32_MAX / (int)sizeof(struct epoll_event))

long sys_epoll_create1(long flags) {
    struct file *f;
    if ((int)flags & ~EPOLL_CLOEXEC)
        return -EINVAL;
    int err = epoll_create(&f);
    return err ? err : our_file_enter(f, flags & EPOLL_CLOEXEC);
}

long sys_epoll_create(long size) {
    return (int)size <= 0 ? -EINVAL : sys_epoll_create1(0);
}

static long control(struct file *epoll, int op, struct file *f, int fd,
                    const struct epoll_event *event) {
    /* Nothing here is suspended that a wake-up would have to keep away. */
    uint32_t events = event->events & ~EPOLLWAKEUP;
    int err = epoll_check(epoll, f);
    if (err)
        return err;
    switch (op) {
    case EPOLL_CTL_ADD:
        return epoll_add(epoll, f, fd, events, event->data);
    case EPOLL_CTL_MOD:
        return epoll_modify(epoll, f, fd, events, event->data);
    case EPOLL_CTL_DEL:
        return epoll_delete(epoll, f, fd);
    default:
        return -EINVAL;
    }
}

long sys_epoll_ctl(long epoll_fd, long op, long fd, long user) {
    struct epoll_event event = { 0 };
    long r = -EBADF;
    if ((int)op != EPOLL_CTL_DEL && copy_from_user(&event, (const void *)user, sizeof event))
        return -EFAULT;
    struct file *epoll = our_real_file(epoll_fd), *f = our_real_file(fd);
    if (epoll && f)
        r = control(epoll, (int)op, f, (int)fd, &event);
    if (epoll)
        file_put(epoll);
    if (f)
        file_put(f);
    return r;
}

static long wait(long fd, long user, long max, uint64_t deadline_ns) {
    if ((int)max <= 0 || (int)max > EVENTS_MAX)
        return -EINVAL;
    if (!user_range_ok((const void *)user, (size_t)(int)max * sizeof(struct epoll_event)))
        return -EFAULT;
    struct file *f = our_real_file(fd);
    if (!f)
        return -EBADF;
    long r = epoll_is_file(f) ? epoll_wait(f, (char *)user, (int)max, deadline_ns) : -EINVAL;
    file_put(f);
    return r;
}

/* Never repeated: an interrupted wait is EINTR, SA_RESTART or not. */
static long wait_with_mask(long fd, long user, long max, uint64_t deadline_ns, long mask,
                           long mask_size) {
    long r = signal_read_mask_for_call((const void *)mask, (size_t)mask_size);
    if (r)
        return r;
    r = wait(fd, user, max, deadline_ns);
    if (r != -EINTR) /* else when the handler has been entered */
        signal_restore_blocked();
    return r;
}

static uint64_t deadline_of_ms(long timeout_ms) {
    int ms = (int)timeout_ms;
    return ms < 0 ? TIME_NEVER : ms ? deadline_after((uint64_t)ms * NS_PER_MS) : 0;
}

long sys_epoll_wait(long fd, long user, long max, long timeout_ms) {
    return wait(fd, user, max, deadline_of_ms(timeout_ms));
}

long sys_epoll_pwait(long fd, long user, long max, long timeout_ms, long mask, long mask_size) {
    return wait_with_mask(fd, user, max, deadline_of_ms(timeout_ms), mask, mask_size);
}

long sys_epoll_pwait2(long fd, long user, long max, long timeout, long mask, long mask_size) {
    uint64_t ns, deadline_ns = TIME_NEVER;
    if (timeout) {
        int err = timespec_from_user((const void *)timeout, &ns);
        if (err)
            return err;
        deadline_ns = ns ? deadline_after(ns) : 0;
    }
    return wait_with_mask(fd, user, max, deadline_ns, mask, mask_size);
}
