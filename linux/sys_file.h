/* SPDX-License-Identifier: MIT */
/* What the system calls on files share. */
#ifndef LINUX_SYS_FILE_H
#define LINUX_SYS_FILE_H

#include "base/types.h"
#include "fs/fdtable.h"
#include "fs/vfs.h"
#include "linux/process.h"

/* The current program's descriptor table. */
static inline struct fd_table *our_files(void) {
    return current_task()->process->files;
}

static inline struct fs_context *our_fs(void) {
    return current_task()->process->fs;
}

/* The file behind `fd` with a reference (file_put), or NULL: -EBADF.  O_PATH descriptors too. */
static inline struct file *our_file(long fd) {
    return fd_get(our_files(), (int)fd);
}

/* As above, but O_PATH descriptors are no files either. */
struct file *our_real_file(long fd);

/* Enters `f` at the lowest free descriptor, which takes over the reference; drops it where there is
 * none.  The descriptor, -EMFILE, -ENOMEM. */
long our_file_enter(struct file *f, bool cloexec);

/* A path of the program and where it starts from. */
struct path_arg {
    struct entry *base; /* held */
    char *path;         /* kernel copy */
};

/*
 * Fetches the path at `user`, relative to `dirfd` (a descriptor or AT_FDCWD);
 * `empty_ok`: AT_EMPTY_PATH was given.  Returns 0, -EFAULT, -ENAMETOOLONG,
 * -ENOENT (empty), -EBADF, -ENOTDIR, -ENOMEM.  path_arg_put() after success.
 */
must_check int path_arg_get(struct path_arg *a, long dirfd, long user, bool empty_ok);
void path_arg_put(struct path_arg *a);

/*
 * Walks a path of the program to an entry with a reference; `flags` are Linux's
 * AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW and AT_EMPTY_PATH; `follow`: what holds
 * without the first two.
 */
must_check int path_walk_user(long dirfd, long user, long flags, bool follow, struct entry **out);

/* What a call returns whose op returned `n`: an interrupted one is repeated, a broken pipe raises
 * SIGPIPE, and a file that would pass RLIMIT_FSIZE SIGXFSZ. */
long io_result(long n);
/* The same for any file: sockets have rules of their own for SIGPIPE and for what is repeated. */
enum direction { INTO_PROGRAM, FROM_PROGRAM };
long file_result(struct file *f, long n, enum direction d);

#define IO_COUNT_MAX   0x7ffff000ul /* bytes that one call moves at most */
#define IO_PARTS_MAX   1024ul       /* IOV_MAX */
#define IO_PARTS_SMALL 8

/* Fetches and checks a vector; *parts is `small` (IO_PARTS_SMALL of them) or kmalloc'ed.  Returns
 * the total, -EINVAL, -EFAULT, -ENOMEM. */
must_check long io_parts_get(long user, unsigned long count, struct iter_part *small,
                             struct iter_part **parts);

#endif
