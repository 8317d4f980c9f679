/* SPDX-License-Identifier: MIT */
/*
 * epoll: a file that tells which of many other files are ready.
 *
 * A file is registered under the pair (open file, descriptor number), as on
 * Linux, and holds no reference: it leaves every epoll when its last reference
 * goes.  What the functions below get as `epoll` must be one (epoll_is_file).
 * Context: thread, may sleep, no spinlock held.
 */
#ifndef FS_EPOLL_H
#define FS_EPOLL_H

#include "fs/file.h"

/* epoll_create1(2), one reference.  0 or -ENOMEM. */
must_check int epoll_create(struct file **out);
bool epoll_is_file(const struct file *f);

/* Whether `f` may be registered with `epoll`: 0, -EPERM where it cannot be polled, -EINVAL where
 * `epoll` is none, or is `f`. */
must_check int epoll_check(const struct file *epoll, const struct file *f);
/*
 * The operations of epoll_ctl(2): `events` are EPOLL* bits, `data` is the
 * program's, and epoll_check() has passed.  0, -EEXIST, -ENOENT, -EINVAL, -ELOOP,
 * -ENOMEM.
 */
must_check int epoll_add(struct file *epoll, struct file *f, int fd, uint32_t events,
                         uint64_t data);
must_check int epoll_modify(struct file *epoll, struct file *f, int fd, uint32_t events,
                            uint64_t data);
must_check int epoll_delete(struct file *epoll, struct file *f, int fd);

/*
 * Writes up to `max` struct epoll_event to the program at `user`, after waiting
 * for the first until `deadline_ns` (0: not at all).  Their number, 0 after the
 * deadline, -EFAULT, -EINTR.
 */
long epoll_wait(struct file *epoll, char *user, int max, uint64_t deadline_ns);

void epoll_init(void);
/* Takes `f`, whose last reference is gone, out of all epolls: file_put's. */
void epoll_forget(struct file *f);

#endif
