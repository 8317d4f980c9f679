/* SPDX-License-Identifier: MIT */
/*
 * The descriptor table of a process.
 *
 * Looking a descriptor up takes a reference on its file, so that a close in
 * another thread never frees a file in use: the call in progress finishes and
 * the last reference releases.  Context: thread; release may sleep.
 */
#ifndef FS_FDTABLE_H
#define FS_FDTABLE_H

#include "base/types.h"
#include "fs/file.h"

struct fd_table;

#define FD_LIMIT_MAX (1u << 20) /* no table grows beyond, whatever the limit (Linux's nr_open) */

struct fd_table *fd_table_create(void);    /* empty; limit 1024; NULL without memory */
void fd_table_destroy(struct fd_table *t); /* closes all; nobody may use it any more */

/* RLIMIT_NOFILE: new descriptors stay below it. */
void fd_table_set_limit(struct fd_table *t, unsigned limit);
unsigned fd_table_limit(struct fd_table *t);

/* The file behind `fd` with a reference for the caller (file_put); NULL: -EBADF. */
struct file *fd_get(struct fd_table *t, int fd);

/*
 * Enters `f` at the lowest free descriptor not below `from`; takes over the
 * caller's reference on success.  Returns the descriptor, -EMFILE, -ENOMEM.
 */
int fd_install(struct fd_table *t, struct file *f, int from, bool cloexec);
/* Whether fd_install would find a free descriptor at this moment. */
bool fd_has_room(struct fd_table *t);
/* Two descriptors at once, both or none (pipe).  0, -EMFILE, -ENOMEM. */
int fd_install_pair(struct fd_table *t, struct file *a, struct file *b, bool cloexec, int out[2]);
/*
 * dup2 and dup3: makes `to` refer to the file of `from`, closing what was
 * there.  Returns `to`, -EBADF.  from == to is the caller's to handle.
 */
int fd_replace(struct fd_table *t, int from, int to, bool cloexec);
/* 0 or -EBADF. */
int fd_close(struct fd_table *t, int fd);
/* Closes, or marks close-on-exec, all of [first, last]. */
void fd_close_range(struct fd_table *t, unsigned first, unsigned last, bool cloexec_only);

int fd_get_cloexec(struct fd_table *t, int fd); /* 0, 1 or -EBADF */
int fd_set_cloexec(struct fd_table *t, int fd, bool cloexec);
/* The lowest open descriptor not below `from`, or -1: for /proc/self/fd. */
int fd_next_open(struct fd_table *t, int from);

/*
 * What mmap(2) with these Linux PROT_* and MAP_* bits may map of `fd`, with a
 * reference for the caller.  NULL with *err: -EBADF, -EACCES, -ENODEV, -ENOMEM.
 * NULL with *err 0: private anonymous memory (/dev/zero).
 */
struct vm_object *fd_vm_object(struct fd_table *t, int fd, int prot, int flags, int *err);

#endif
