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

/* Whether it is an end of a pipe, which the rest needs.  Any context. */
bool file_is_pipe(const struct file *f);

/*
 * splice(2), tee(2) and vmsplice(2) through a kernel buffer.  The other side may
 * keep them waiting, and neither side may lose a byte: room is promised before
 * there is something to put in, and what was taken goes back if it is not
 * written.  `nonblocking`: -EAGAIN in place of a wait.
 */
/* Room for up to `most` bytes, at least `least` (a page at most), which is the caller's until
 * pipe_keep(); waits for it, and for other splices.  Bytes, -EPIPE, -EAGAIN, -EINTR, -ENOMEM. */
long pipe_promise(struct file *write_end, size_t least, size_t most, bool nonblocking);
/* Puts `n` bytes there, no more than were promised, and gives the rest back. */
void pipe_keep(struct file *write_end, void *bytes, size_t n);
/* Takes up to `most` bytes; waits for the first, and for other splices.  Bytes, which need
 * pipe_settle(), 0 at the end, -EAGAIN, -EINTR. */
long pipe_take(struct file *read_end, void *to, size_t most, bool nonblocking);
/* Of the `size` bytes that pipe_take() gave, `done` are gone; the others come next again. */
void pipe_settle(struct file *read_end, const char *taken, size_t size, size_t done);
/* As pipe_take(), but the bytes stay. */
long pipe_look(struct file *read_end, void *to, size_t most, bool nonblocking);

/* eventfd(2); `semaphore`: EFD_SEMAPHORE.  0 or -ENOMEM. */
must_check int eventfd_create(uint64_t value, bool semaphore, uint32_t flags, struct file **out);

#endif
