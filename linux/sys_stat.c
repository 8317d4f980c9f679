/* SPDX-License-Identifier: MIT */
/* System calls that describe files: stat in all forms, access, getdents, statfs. */
#include <asm-generic/errno.h>
#include <asm-generic/fcntl.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include "arch/x86_64/uaccess.h"
#include "base/string.h"
#include "fs/ramfs.h"
#include "kernel/pages.h"
#include "linux/sys_file.h"
#include "linux/syscalls.h"

static void stat_fill(const struct inode *i, struct stat *s) {
    uint32_t type = inode_type(i);
    *s = (struct stat){ .st_dev = i->dev,
                        .st_ino = i->number,
                        .st_nlink = i->links,
                        .st_mode = i->mode,
                        .st_uid = i->uid,
                        .st_gid = i->gid,
                        .st_rdev = type == S_IFCHR || type == S_IFBLK ? i->rdev : 0,
                        .st_size = (long)i->size,
                        .st_blksize = PAGE_SIZE,
                        .st_blocks = (long)i->blocks,
                        .st_atime = i->accessed_ns / NS_PER_SEC,
                        .st_atime_nsec = i->accessed_ns % NS_PER_SEC,
                        .st_mtime = i->modified_ns / NS_PER_SEC,
                        .st_mtime_nsec = i->modified_ns % NS_PER_SEC,
                        .st_ctime = i->changed_ns / NS_PER_SEC,
                        .st_ctime_nsec = i->changed_ns % NS_PER_SEC };
}

static long stat_entry(struct entry *e, long to) {
    struct stat s;
    stat_fill(e->inode, &s);
    entry_put(e);
    return copy_to_user((void *)to, &s, sizeof s);
}

long sys_newfstatat(long dirfd, long path, long to, long flags) {
    struct entry *e;
    if ((int)flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
        return -EINVAL;
    long err = path_walk_user(dirfd, path, flags, true, &e);
    return err ? err : stat_entry(e, to);
}

long sys_stat(long path, long to) {
    return sys_newfstatat(AT_FDCWD, path, to, 0);
}

long sys_lstat(long path, long to) {
    return sys_newfstatat(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW);
}

long sys_fstat(long fd, long to) {
    struct file *f = our_file(fd);
    if (!f)
        return -EBADF;
    struct entry *e = entry_get(f->entry);
    file_put(f);
    return stat_entry(e, to);
}

static struct statx_timestamp statx_time(uint64_t ns) {
    return (struct statx_timestamp){ .tv_sec = (int64_t)(ns / NS_PER_SEC),
                                     .tv_nsec = (uint32_t)(ns % NS_PER_SEC) };
}

long sys_statx(long dirfd, long path, long flags, long mask, long to) {
    struct entry *e;
    if (mask & (long)STATX__RESERVED ||
        (int)flags &
            ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE) ||
        (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    long err = path_walk_user(dirfd, path, flags, true, &e);
    if (err)
        return err;
    struct stat s;
    const struct inode *i = e->inode;
    stat_fill(i, &s);
    struct statx x = { .stx_mask = STATX_BASIC_STATS | STATX_BTIME,
                       .stx_blksize = PAGE_SIZE,
                       .stx_nlink = (uint32_t)s.st_nlink,
                       .stx_uid = s.st_uid,
                       .stx_gid = s.st_gid,
                       .stx_mode = (uint16_t)s.st_mode,
                       .stx_ino = s.st_ino,
                       .stx_size = (uint64_t)s.st_size,
                       .stx_blocks = (uint64_t)s.st_blocks,
                       .stx_atime = statx_time(i->accessed_ns),
                       .stx_btime = statx_time(i->born_ns),
                       .stx_ctime = statx_time(i->changed_ns),
                       .stx_mtime = statx_time(i->modified_ns),
                       .stx_rdev_major = (uint32_t)s.st_rdev >> 8,
                       .stx_rdev_minor = s.st_rdev & 0xff,
                       .stx_dev_minor = i->dev };
    entry_put(e);
    return copy_to_user((void *)to, &x, sizeof x);
}

/* uid 0 may read and write everything, and execute what anyone may. */
long sys_faccessat2(long dirfd, long path, long mode, long flags) {
    struct entry *e;
    if ((int)mode & ~7 || (int)flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    long err = path_walk_user(dirfd, path, flags & ~(long)AT_EACCESS, true, &e);
    if (err)
        return err;
    if (mode & 1 && inode_type(e->inode) != S_IFDIR && !(e->inode->mode & 0111))
        err = -EACCES;
    entry_put(e);
    return err;
}

long sys_faccessat(long dirfd, long path, long mode) {
    return sys_faccessat2(dirfd, path, mode, 0);
}

long sys_access(long path, long mode) {
    return sys_faccessat2(AT_FDCWD, path, mode, 0);
}

/* Linux's struct linux_dirent64 and the older struct linux_dirent; the name follows. */
struct dirent_new {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
} __attribute__((packed));

struct dirent_old {
    uint64_t inode;
    uint64_t next;
    uint16_t length;
    char name[]; /* its NUL, padding, and the type in the record's last byte */
} __attribute__((packed));

struct getdents {
    struct lister lister;
    char *to; /* of the program */
    size_t room;
    uint64_t cursor;
    bool old, some;
    int err;
};

static bool getdents_emit(struct lister *l, const struct listed *e) {
    struct getdents *g = container_of(l, struct getdents, lister);
    size_t header = g->old ? sizeof(struct dirent_old) : sizeof(struct dirent_new);
    size_t length = ALIGN_UP(header + e->name_length + 1 + g->old, 8ul);
    char record[sizeof(struct dirent_new) + VFS_NAME_MAX + 16];
    if (length > g->room) {
        g->err = g->some ? 0 : -EINVAL;
        return false;
    }
    memset(record, 0, length);
    uint8_t type = (uint8_t)(e->mode >> 12);
    if (g->old) {
        struct dirent_old *d = (void *)record;
        *d = (struct dirent_old){ e->inode, e->next, (uint16_t)length };
        record[length - 1] = (char)type;
    } else {
        struct dirent_new *d = (void *)record;
        *d = (struct dirent_new){ e->inode, (int64_t)e->next, (uint16_t)length, type };
    }
    memcpy(record + header, e->name, e->name_length);
    if (copy_to_user(g->to, record, length)) {
        g->err = g->some ? 0 : -EFAULT;
        return false;
    }
    g->to += length;
    g->room -= length;
    g->cursor = e->next;
    g->some = true;
    return true;
}

static long getdents(long fd, long to, long size, bool old) {
    struct file *f = our_real_file(fd);
    if (!f)
        return -EBADF;
    size_t room = (uint32_t)size;
    struct getdents g = {
        .lister.emit = getdents_emit, .to = (char *)to, .room = room, .old = old
    };
    mutex_lock(&f->pos_lock);
    g.cursor = f->pos;
    int err = vfs_list(f->entry, f->pos, &g.lister);
    f->pos = g.cursor;
    mutex_unlock(&f->pos_lock);
    file_put(f);
    if (!err)
        err = g.err;
    return err ? err : (long)(room - g.room);
}

long sys_getdents(long fd, long to, long size) {
    return getdents(fd, to, size, true);
}

long sys_getdents64(long fd, long to, long size) {
    return getdents(fd, to, size, false);
}

static long statfs_entry(struct entry *e, long to) {
    struct pages_stats p;
    struct statfs s = { .f_bsize = PAGE_SIZE, .f_frsize = PAGE_SIZE, .f_namelen = VFS_NAME_MAX };
    pages_stats(&p);
    s.f_fsid.val[0] = (int)e->inode->dev;
    switch (e->inode->dev) {
    case VFS_DEV_ROOT:
        s.f_type = TMPFS_MAGIC;
        s.f_blocks = (long)p.total;
        s.f_bfree = s.f_bavail = (long)p.free;
        break;
    case VFS_DEV_PROC:
        s.f_type = PROC_SUPER_MAGIC;
        break;
    default:
        s.f_type = PIPEFS_MAGIC;
        break;
    }
    entry_put(e);
    return copy_to_user((void *)to, &s, sizeof s);
}

long sys_statfs(long path, long to) {
    struct entry *e;
    long err = path_walk_user(AT_FDCWD, path, 0, true, &e);
    return err ? err : statfs_entry(e, to);
}

long sys_fstatfs(long fd, long to) {
    struct file *f = our_file(fd);
    if (!f)
        return -EBADF;
    struct entry *e = entry_get(f->entry);
    file_put(f);
    return statfs_entry(e, to);
}
