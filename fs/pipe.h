/* SPDX-License-Identifier: MIT */
/* Pipes, and counters that can be waited for (eventfd). Context: thread, may sleep. */
#ifndef FS_PIPE_H
#define FS_PIPE_H

#include "fs/file.h"

/* Both ends, one reference each; `flags`: O_NONBLOCK or 0.  0 or -ENOMEM. */
must_check int pipe_create(uint32_t flags, struct file **read_end, struct file **write_end);

/* F_GETPIPE_SZ and F_SETPIPE_SZ: bytes, -EBADF for no pipe, -EBUSY, -EINVAL, -ENOMEM. */
long pipe_capacity(struct file *f);
long pipe_set_capacity(struct file *f, size_t bytes);

/* eventfd(2); `semaphore`: EFD_SEMAPHORE.  0 or -ENOMEM. */
must_check int eventfd_create(uint64_t value, bool semaphore, uint32_t flags, struct file **out);

#endif
