/* SPDX-License-Identifier: MIT */
/* System calls on descriptors: open, close, dup, fcntl, ioctl, pipe, eventfd. */
#include <asm-generic/errno.h>
#include <asm-generic/fcntl.h>
#include <asm-generic/ioctls.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/stat.h>
#include "arch/x86_64/uaccess.h"
#include "fs/pipe.h"
#include "kernel/slab.h"
#include "linux/sys_file.h"
#include "linux/syscalls.h"

#define O_KNOWN                                                                                    \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | FASYNC | \
     O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH |          \
     O_TMPFILE)
#define SETFL_MASK (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | FASYNC)

static int path_base(long dirfd, struct entry **base) {
    if ((int)dirfd == AT_FDCWD) {
        *base = fs_context_cwd(our_fs());
        return 0;
    }
    struct file *f = our_file(dirfd);
    if (!f)
        return -EBADF;
    *base = entry_get(f->entry);
    file_put(f);
    return 0;
}

int path_arg_get(struct path_arg *a, long dirfd, long user, bool empty_ok) {
    a->path = kmalloc(VFS_PATH_MAX);
    if (!a->path)
        return -ENOMEM;
    long length = string_from_user(a->path, (const char *)user, VFS_PATH_MAX);
    int err = length < 0 ? (int)length : length == 0 && !empty_ok ? -ENOENT : 0;
    if (!err && *a->path == '/')
        a->base = entry_get(vfs_root); /* a wrong dirfd does not matter then */
    else if (!err)
        err = path_base(dirfd, &a->base);
    if (!err && *a->path && inode_type(a->base->inode) != S_IFDIR) {
        entry_put(a->base);
        err = -ENOTDIR;
    }
    if (err)
        kfree(a->path);
    return err;
}

void path_arg_put(struct path_arg *a) {
    entry_put(a->base);
    kfree(a->path);
}

int path_walk_user(long dirfd, long user, long flags, bool follow, struct entry **out) {
    struct path_arg a;
    int err = path_arg_get(&a, dirfd, user, flags & AT_EMPTY_PATH);
    if (err)
        return err;
    if (flags & AT_SYMLINK_NOFOLLOW)
        follow = false;
    else if (flags & AT_SYMLINK_FOLLOW)
        follow = true;
    err = vfs_walk(a.base, a.path,
                   (follow ? WALK_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0), out);
    path_arg_put(&a);
    return err;
}

long sys_openat(long dirfd, long path, long flags, long mode) {
    struct path_arg a;
    struct file *f;
    uint32_t how = ((uint32_t)flags & O_KNOWN) | O_LARGEFILE;
    if (how & O_CREAT && how & O_DIRECTORY && (how & O_TMPFILE) != O_TMPFILE)
        return -EINVAL;
    if (flags & __O_TMPFILE && (how & O_TMPFILE) != O_TMPFILE)
        return -EINVAL;
    long err = path_arg_get(&a, dirfd, path, false);
    if (err)
        return err;
    err = vfs_open(a.base, a.path, how, (uint32_t)mode & 07777 & ~our_fs()->umask, &f);
    path_arg_put(&a);
    return err ? err : our_file_enter(f, flags & O_CLOEXEC);
}

long sys_open(long path, long flags, long mode) {
    return sys_openat(AT_FDCWD, path, flags, mode);
}

long sys_creat(long path, long mode) {
    return sys_openat(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

long sys_close(long fd) {
    return fd_close(our_files(), (int)fd);
}

long sys_close_range(long first, long last, long flags) {
    if ((int)flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) ||
        (uint32_t)first > (uint32_t)last)
        return -EINVAL;
    fd_close_range(our_files(), (uint32_t)first, (uint32_t)last, flags & CLOSE_RANGE_CLOEXEC);
    return 0;
}

static long dup_from(long fd, long from, bool cloexec) {
    struct file *f = our_file(fd);
    if (!f)
        return -EBADF;
    long r = fd_install(our_files(), f, (int)from, cloexec);
    if (r < 0)
        file_put(f);
    return r;
}

long sys_dup(long fd) {
    return dup_from(fd, 0, false);
}

long sys_dup3(long from, long to, long flags) {
    if ((int)flags & ~O_CLOEXEC || (int)from == (int)to)
        return -EINVAL;
    return fd_replace(our_files(), (int)from, (int)to, flags & O_CLOEXEC);
}

long sys_dup2(long from, long to) {
    if ((int)from == (int)to) {
        int err = fd_get_cloexec(our_files(), (int)from);
        return err < 0 ? err : (int)to;
    }
    return fd_replace(our_files(), (int)from, (int)to, false);
}

static long set_flags(struct file *f, long flags) {
    uint32_t now = f->flags;
    /* Nobody else's change may be lost between the look and the store. */
    while (!atomic_compare_exchange_weak(
        &f->flags, &now, (now & ~(uint32_t)SETFL_MASK) | ((uint32_t)flags & SETFL_MASK)))
        ;
    return 0;
}

/* One process: no lock ever conflicts, but the descriptor must allow it. */
static long record_lock(struct file *f, long command, long user) {
    struct flock lock;
    if (copy_from_user(&lock, (const void *)user, sizeof lock))
        return -EFAULT;
    if (lock.l_type != F_RDLCK && lock.l_type != F_WRLCK && lock.l_type != F_UNLCK)
        return -EINVAL;
    if (lock.l_whence < 0 || lock.l_whence > 2)
        return -EINVAL;
    if (command == F_GETLK || command == F_OFD_GETLK) {
        lock.l_type = F_UNLCK;
        return copy_to_user((void *)user, &lock, sizeof lock);
    }
    if ((lock.l_type == F_RDLCK && !file_is_readable(f)) ||
        (lock.l_type == F_WRLCK && !file_is_writable(f)))
        return -EBADF;
    return 0;
}

static long fcntl_file(struct file *f, long fd, long command, long arg) {
    switch (command) {
    case F_GETFL:
        return f->flags;
    case F_GETFD:
        return fd_get_cloexec(our_files(), (int)fd);
    case F_SETFD:
        return fd_set_cloexec(our_files(), (int)fd, arg & FD_CLOEXEC);
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if ((uint32_t)arg >= fd_table_limit(our_files()))
            return -EINVAL;
        return dup_from(fd, (uint32_t)arg, command == F_DUPFD_CLOEXEC);
    default:
        break;
    }
    if (f->flags & O_PATH)
        return -EBADF;
    switch (command) {
    case F_SETFL:
        return set_flags(f, arg);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return record_lock(f, command, arg);
    case F_GETPIPE_SZ:
        return pipe_capacity(f);
    case F_SETPIPE_SZ:
        return arg < 0 ? -EINVAL : pipe_set_capacity(f, (uint32_t)arg);
    case F_GETOWN:
    case F_GETSIG:
        return 0;
    default:
        return -EINVAL;
    }
}

long sys_fcntl(long fd, long command, long arg) {
    struct file *f = our_file(fd);
    if (!f)
        return -EBADF;
    long r = fcntl_file(f, fd, (int)command, arg);
    file_put(f);
    return r;
}

long sys_flock(long fd, long operation) {
    struct file *f = our_real_file(fd);
    if (!f)
        return -EBADF;
    file_put(f);
    int what = (int)operation & ~4; /* without LOCK_NB */
    return what == 1 || what == 2 || what == 8 ? 0 : -EINVAL;
}

long sys_ioctl(long fd, long command, long arg) {
    struct file *f = our_real_file(fd);
    if (!f)
        return -EBADF;
    long r = 0;
    uint32_t on = 0;
    switch ((unsigned)command) {
    case FIOCLEX:
    case FIONCLEX:
        r = fd_set_cloexec(our_files(), (int)fd, (unsigned)command == FIOCLEX);
        break;
    case FIONBIO:
        r = user_read_u32(&on, (const uint32_t *)arg);
        if (!r)
            r = set_flags(f, on ? f->flags | O_NONBLOCK : f->flags & ~(uint32_t)O_NONBLOCK);
        break;
    default:
        if ((unsigned)command == FIONREAD && inode_type(f->inode) == S_IFREG) {
            int left = (int)(f->inode->size - f->pos);
            r = copy_to_user((void *)arg, &left, sizeof left);
        } else {
            r = file_ioctl(f, (unsigned)command, (uintptr_t)arg);
        }
        break;
    }
    file_put(f);
    return io_result(r);
}

long sys_pipe2(long user, long flags) {
    struct file *ends[2];
    int fds[2];
    if ((int)flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    if (flags & O_DIRECT)
        return -EINVAL; /* packet mode */
    long err = pipe_create((uint32_t)flags & O_NONBLOCK, &ends[0], &ends[1]);
    if (err)
        return err;
    err = fd_install_pair(our_files(), ends[0], ends[1], flags & O_CLOEXEC, fds);
    if (err) {
        file_put(ends[0]);
        file_put(ends[1]);
        return err;
    }
    if (copy_to_user((void *)user, fds, sizeof fds)) {
        (void)fd_close(our_files(), fds[0]);
        (void)fd_close(our_files(), fds[1]);
        return -EFAULT;
    }
    return 0;
}

long sys_pipe(long user) {
    return sys_pipe2(user, 0);
}

long sys_eventfd2(long value, long flags) {
    struct file *f;
    if ((int)flags & ~(1 | O_CLOEXEC | O_NONBLOCK)) /* 1: EFD_SEMAPHORE */
        return -EINVAL;
    long err = eventfd_create((uint32_t)value, flags & 1, (uint32_t)flags & O_NONBLOCK, &f);
    return err ? err : our_file_enter(f, flags & O_CLOEXEC);
}

long sys_eventfd(long value) {
    return sys_eventfd2(value, 0);
}

long sys_umask(long mask) {
    return atomic_exchange(&our_fs()->umask, (uint32_t)mask & 0777);
}
