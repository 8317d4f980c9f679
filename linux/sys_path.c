/* SPDX-License-Identifier: MIT */
/* System calls on names: make, remove, rename, link, and what belongs to an inode. */
#include <asm-generic/errno.h>
#include <asm-generic/fcntl.h>
#include <linux/fcntl.h>
#include <linux/stat.h>
#include <linux/time_types.h>
#include "arch/x86_64/uaccess.h"
#include "kernel/slab.h"
#include "kernel/timer.h"
#include "linux/sys_file.h"
#include "linux/syscalls.h"

#define UTIME_NOW_NSEC  0x3fffffffl
#define UTIME_OMIT_NSEC 0x3ffffffel

static long create(long dirfd, long path, uint32_t mode, uint32_t rdev, const char *target) {
    struct path_arg a;
    long err = path_arg_get(&a, dirfd, path, false);
    if (err)
        return err;
    err = vfs_create(a.base, a.path, mode, rdev, target);
    path_arg_put(&a);
    return err;
}

long sys_mkdirat(long dirfd, long path, long mode) {
    return create(dirfd, path, S_IFDIR | ((uint32_t)mode & 01777 & ~our_fs()->umask), 0, NULL);
}

long sys_mkdir(long path, long mode) {
    return sys_mkdirat(AT_FDCWD, path, mode);
}

long sys_mknodat(long dirfd, long path, long mode, long dev) {
    uint32_t type = (uint32_t)mode & S_IFMT;
    uint32_t bits = (uint32_t)mode & 07777 & ~our_fs()->umask;
    uint32_t rdev = VFS_RDEV((unsigned long)dev >> 8 & 0xfff, dev & 0xff);
    switch (type) {
    case 0:
    case S_IFREG:
        return create(dirfd, path, S_IFREG | bits, 0, NULL);
    case S_IFCHR:
        return create(dirfd, path, S_IFCHR | bits, rdev, NULL);
    case S_IFDIR:
        return -EPERM;
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFBLK:
        return -EOPNOTSUPP;
    default:
        return -EINVAL;
    }
}

long sys_mknod(long path, long mode, long dev) {
    return sys_mknodat(AT_FDCWD, path, mode, dev);
}

long sys_symlinkat(long target, long dirfd, long path) {
    char *text = kmalloc(VFS_PATH_MAX);
    if (!text)
        return -ENOMEM;
    long err = string_from_user(text, (const char *)target, VFS_PATH_MAX);
    if (err >= 0)
        err = err == 0 ? -ENOENT : create(dirfd, path, S_IFLNK | 0777, 0, text);
    kfree(text);
    return err;
}

long sys_symlink(long target, long path) {
    return sys_symlinkat(target, AT_FDCWD, path);
}

long sys_unlinkat(long dirfd, long path, long flags) {
    struct path_arg a;
    if ((int)flags & ~AT_REMOVEDIR)
        return -EINVAL;
    long err = path_arg_get(&a, dirfd, path, false);
    if (err)
        return err;
    err = vfs_unlink(a.base, a.path, flags & AT_REMOVEDIR);
    path_arg_put(&a);
    return err;
}

long sys_unlink(long path) {
    return sys_unlinkat(AT_FDCWD, path, 0);
}

long sys_rmdir(long path) {
    return sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

long sys_renameat2(long old_dirfd, long old_path, long new_dirfd, long new_path, long flags) {
    struct path_arg a, b;
    long err = path_arg_get(&a, old_dirfd, old_path, false);
    if (err)
        return err;
    err = path_arg_get(&b, new_dirfd, new_path, false);
    if (!err) {
        err = vfs_rename(a.base, a.path, b.base, b.path, (unsigned)flags);
        path_arg_put(&b);
    }
    path_arg_put(&a);
    return err;
}

long sys_renameat(long old_dirfd, long old_path, long new_dirfd, long new_path) {
    return sys_renameat2(old_dirfd, old_path, new_dirfd, new_path, 0);
}

long sys_rename(long old_path, long new_path) {
    return sys_renameat2(AT_FDCWD, old_path, AT_FDCWD, new_path, 0);
}

long sys_linkat(long old_dirfd, long old_path, long new_dirfd, long new_path, long flags) {
    struct entry *source;
    struct path_arg a;
    if ((int)flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    long err = path_walk_user(old_dirfd, old_path, flags, false, &source);
    if (err)
        return err;
    err = path_arg_get(&a, new_dirfd, new_path, false);
    if (!err) {
        err = vfs_link(source, a.base, a.path);
        path_arg_put(&a);
    }
    entry_put(source);
    return err;
}

long sys_link(long old_path, long new_path) {
    return sys_linkat(AT_FDCWD, old_path, AT_FDCWD, new_path, 0);
}

long sys_readlinkat(long dirfd, long path, long buffer, long size) {
    struct path_arg a;
    if ((int)size <= 0)
        return -EINVAL;
    long n = path_arg_get(&a, dirfd, path, true);
    if (n)
        return n;
    size_t most = MIN((size_t)(int)size, (size_t)VFS_PATH_MAX);
    char *text = kmalloc(most);
    n = text ? vfs_readlink(a.base, a.path, text, most) : -ENOMEM;
    if (n > 0 && copy_to_user((void *)buffer, text, (size_t)n))
        n = -EFAULT;
    kfree(text);
    path_arg_put(&a);
    return n;
}

long sys_readlink(long path, long buffer, long size) {
    return sys_readlinkat(AT_FDCWD, path, buffer, size);
}

static long set_cwd(struct entry *e) {
    if (inode_type(e->inode) != S_IFDIR) {
        entry_put(e);
        return -ENOTDIR;
    }
    fs_context_set_cwd(our_fs(), e);
    return 0;
}

long sys_chdir(long path) {
    struct entry *e;
    long err = path_walk_user(AT_FDCWD, path, 0, true, &e);
    return err ? err : set_cwd(e);
}

long sys_fchdir(long fd) {
    struct file *f = our_file(fd);
    if (!f)
        return -EBADF;
    long err = set_cwd(entry_get(f->entry));
    file_put(f);
    return err;
}

long sys_getcwd(long buffer, long size) {
    char *path = kmalloc(VFS_PATH_MAX);
    if (!path)
        return -ENOMEM;
    struct entry *cwd = fs_context_cwd(our_fs());
    long n = entry_cwd_path(cwd, path, VFS_PATH_MAX);
    entry_put(cwd);
    if (n >= 0) {
        n++; /* with the NUL */
        if ((unsigned long)n > (unsigned long)size)
            n = -ERANGE;
        else if (copy_to_user((void *)buffer, path, (size_t)n))
            n = -EFAULT;
    }
    kfree(path);
    return n;
}

long sys_truncate(long path, long size) {
    struct entry *e;
    if (size < 0)
        return -EINVAL;
    long err = path_walk_user(AT_FDCWD, path, 0, true, &e);
    if (err)
        return err;
    struct inode *i = e->inode;
    if (inode_type(i) == S_IFDIR)
        err = -EISDIR;
    else if (inode_type(i) != S_IFREG || !i->ops->truncate)
        err = -EINVAL;
    else
        err = i->ops->truncate(i, (uint64_t)size);
    entry_put(e);
    return io_result(err);
}

static long change_mode(struct inode *i, long mode) {
    if (inode_type(i) == S_IFLNK)
        return -EOPNOTSUPP;
    i->mode = (i->mode & S_IFMT) | ((uint32_t)mode & 07777);
    i->changed_ns = clock_realtime_ns();
    return 0;
}

long sys_fchmodat(long dirfd, long path, long mode) {
    struct entry *e;
    long err = path_walk_user(dirfd, path, 0, true, &e);
    if (err)
        return err;
    err = change_mode(e->inode, mode);
    entry_put(e);
    return err;
}

long sys_chmod(long path, long mode) {
    return sys_fchmodat(AT_FDCWD, path, mode);
}

long sys_fchmod(long fd, long mode) {
    struct file *f = our_real_file(fd);
    if (!f)
        return -EBADF;
    long err = change_mode(f->inode, mode);
    file_put(f);
    return err;
}

/* -1 leaves an id as it is.  A file that is executed by others loses its set-id bits. */
static long change_owner(struct inode *i, long uid, long gid) {
    if ((int)uid != -1)
        i->uid = (uint32_t)uid;
    if ((int)gid != -1)
        i->gid = (uint32_t)gid;
    if (inode_type(i) == S_IFREG)
        i->mode &= ~(uint32_t)(i->mode & S_IXGRP ? S_ISUID | S_ISGID : S_ISUID);
    i->changed_ns = clock_realtime_ns();
    return 0;
}

static long chown_path(long dirfd, long path, long uid, long gid, long flags) {
    struct entry *e;
    long err = path_walk_user(dirfd, path, flags, true, &e);
    if (err)
        return err;
    err = change_owner(e->inode, uid, gid);
    entry_put(e);
    return err;
}

long sys_fchownat(long dirfd, long path, long uid, long gid, long flags) {
    if ((int)flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    return chown_path(dirfd, path, uid, gid, flags);
}

long sys_chown(long path, long uid, long gid) {
    return chown_path(AT_FDCWD, path, uid, gid, 0);
}

long sys_lchown(long path, long uid, long gid) {
    return chown_path(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

long sys_fchown(long fd, long uid, long gid) {
    struct file *f = our_real_file(fd);
    if (!f)
        return -EBADF;
    long err = change_owner(f->inode, uid, gid);
    file_put(f);
    return err;
}

static bool time_is_valid(const struct __kernel_timespec *t) {
    return t->tv_nsec == UTIME_NOW_NSEC || t->tv_nsec == UTIME_OMIT_NSEC ||
           (t->tv_nsec >= 0 && t->tv_nsec < (long)NS_PER_SEC);
}

static void set_time(_Atomic(uint64_t) *to, const struct __kernel_timespec *t, uint64_t now) {
    if (t->tv_nsec == UTIME_OMIT_NSEC)
        return;
    *to = t->tv_nsec == UTIME_NOW_NSEC ? now
                                       : (uint64_t)t->tv_sec * NS_PER_SEC + (uint64_t)t->tv_nsec;
}

/* `times` NULL: now.  A NULL path with a descriptor: the file itself. */
static long change_times(long dirfd, long path, const struct __kernel_timespec *times, long flags) {
    static const struct __kernel_timespec both_now[2] = { { .tv_nsec = UTIME_NOW_NSEC },
                                                          { .tv_nsec = UTIME_NOW_NSEC } };
    const struct __kernel_timespec *t = times ? times : both_now;
    struct entry *e;
    if ((int)flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (!time_is_valid(&t[0]) || !time_is_valid(&t[1]))
        return -EINVAL;
    if (!path && (int)dirfd != AT_FDCWD) {
        struct file *f = our_real_file(dirfd);
        if (!f)
            return -EBADF;
        e = entry_get(f->entry);
        file_put(f);
    } else {
        long err = path_walk_user(dirfd, path, flags, true, &e);
        if (err)
            return err;
    }
    uint64_t now = clock_realtime_ns();
    set_time(&e->inode->accessed_ns, &t[0], now);
    set_time(&e->inode->modified_ns, &t[1], now);
    e->inode->changed_ns = now;
    entry_put(e);
    return 0;
}

long sys_utimensat(long dirfd, long path, long times, long flags) {
    struct __kernel_timespec t[2];
    if (times && copy_from_user(t, (const void *)times, sizeof t))
        return -EFAULT;
    if (times && t[0].tv_nsec == UTIME_OMIT_NSEC && t[1].tv_nsec == UTIME_OMIT_NSEC)
        return 0;
    return change_times(dirfd, path, times ? t : NULL, flags);
}

/* Two struct timeval at `times`. */
static long change_times_us(long dirfd, long path, long times) {
    struct __kernel_timespec t[2];
    if (times && copy_from_user(t, (const void *)times, sizeof t))
        return -EFAULT;
    for (unsigned i = 0; i < 2 && times; i++) {
        if (t[i].tv_nsec < 0 || t[i].tv_nsec >= 1000000)
            return -EINVAL;
        t[i].tv_nsec *= 1000;
    }
    return change_times(dirfd, path, times ? t : NULL, 0);
}

long sys_futimesat(long dirfd, long path, long times) {
    return change_times_us(dirfd, path, times);
}

long sys_utimes(long path, long times) {
    return path ? change_times_us(AT_FDCWD, path, times) : -EFAULT;
}

long sys_utime(long path, long times) {
    int64_t seconds[2];
    if (!times)
        return path ? change_times(AT_FDCWD, path, NULL, 0) : -EFAULT;
    if (copy_from_user(seconds, (const void *)times, sizeof seconds))
        return -EFAULT;
    const struct __kernel_timespec t[2] = { { .tv_sec = seconds[0] }, { .tv_sec = seconds[1] } };
    return change_times(AT_FDCWD, path, t, 0);
}
