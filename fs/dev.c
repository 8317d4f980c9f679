/* SPDX-License-Identifier: MIT */
/* The devices of /dev that need no hardware; results as Linux's drivers/char/mem.c gives them. */
#include <asm-generic/errno.h>
#include <linux/stat.h>
#include "fs/dev_impl.h"
#include "kernel/machine.h"
#include "kernel/thread.h"

static long null_read(struct file *f, struct iter *to, uint64_t *pos) {
    (void)f, (void)to, (void)pos;
    return 0;
}

/* The bytes are not even looked at: a bad pointer is no error here, on Linux neither. */
static long null_write(struct file *f, struct iter *from, uint64_t *pos) {
    (void)f, (void)pos;
    return (long)iter_skip(from, from->left);
}

static long null_seek(struct file *f, int64_t offset, int whence) {
    (void)offset, (void)whence;
    f->pos = 0;
    return 0;
}

/* A read of gigabytes ends early where a signal waits, as any long read may. */
static bool is_interrupted(void) {
    return atomic_load_explicit(&current->work, memory_order_relaxed) & WORK_LINUX;
}

static long zero_read(struct file *f, struct iter *to, uint64_t *pos) {
    (void)f, (void)pos;
    size_t done = 0;
    while (to->left && !to->faulted && !(done && is_interrupted())) {
        done += iter_zero(to, MIB(1));
        thread_preempt_point();
    }
    return iter_result(to, done);
}

static long full_write(struct file *f, struct iter *from, uint64_t *pos) {
    (void)f, (void)from, (void)pos;
    return -ENOSPC;
}

static long random_read(struct file *f, struct iter *to, uint64_t *pos) {
    (void)f, (void)pos;
    char bytes[256];
    size_t done = 0;
    while (to->left && !to->faulted && !(done && is_interrupted())) {
        size_t n = MIN(to->left, sizeof bytes);
        random_bytes(bytes, n);
        done += iter_to(to, bytes, n);
        thread_preempt_point();
    }
    return iter_result(to, done);
}

static const struct file_ops null_ops = {
    .read = null_read, .write = null_write, .seek = null_seek, .positional = true
};
static const struct file_ops zero_ops = {
    .read = zero_read, .write = null_write, .seek = null_seek, .positional = true
};
static const struct file_ops full_ops = {
    .read = zero_read, .write = full_write, .seek = null_seek, .positional = true
};
static const struct file_ops random_ops = {
    .read = random_read, .write = null_write, .seek = null_seek, .positional = true
};

static const struct device {
    const char *path;
    uint32_t rdev;
    const struct file_ops *ops;
} devices[] = {
    { "/dev/null", VFS_RDEV(1, 3), &null_ops },
    { "/dev/zero", VFS_RDEV(1, 5), &zero_ops },
    { "/dev/full", VFS_RDEV(1, 7), &full_ops },
    { "/dev/random", VFS_RDEV(1, 8), &random_ops },
    { "/dev/urandom", VFS_RDEV(1, 9), &random_ops },
    { "/dev/tty", VFS_RDEV(5, 0), &tty_file_ops },
    { "/dev/console", VFS_RDEV(5, 1), &tty_file_ops },
};

static const struct {
    const char *path, *target;
} links[] = {
    { "/dev/fd", "/proc/self/fd" },
    { "/dev/stdin", "/proc/self/fd/0" },
    { "/dev/stdout", "/proc/self/fd/1" },
    { "/dev/stderr", "/proc/self/fd/2" },
};

void dev_attach(struct inode *i) {
    for (unsigned d = 0; d < ARRAY_SIZE(devices); d++)
        if (devices[d].rdev == i->rdev)
            i->file_ops = devices[d].ops;
}

int dev_open(struct file *f) {
    return f->ops == &tty_file_ops ? tty_open(f) : 0;
}

static int make(const char *path, uint32_t mode, uint32_t rdev, const char *target) {
    int err = vfs_create(vfs_root, path, mode, rdev, target);
    return err == -EEXIST ? 0 : err;
}

int dev_populate(void) {
    int err = make("/dev", S_IFDIR | 0755, 0, NULL);
    if (!err)
        err = make("/dev/shm", S_IFDIR | 01777, 0, NULL);
    if (!err)
        err = make("/tmp", S_IFDIR | 01777, 0, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(devices) && !err; i++)
        err = make(devices[i].path, S_IFCHR | 0666, devices[i].rdev, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(links) && !err; i++)
        err = make(links[i].path, S_IFLNK | 0777, 0, links[i].target);
    return err;
}
