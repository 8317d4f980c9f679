/* SPDX-License-Identifier: MIT */
/* Builds the tree at boot: the root from the initrd, then /dev and /proc. */
#include <asm-generic/errno.h>
#include <linux/stat.h>
#include "base/string.h"
#include "base/wire.h"
#include "fs/cpio.h"
#include "fs/dev_impl.h"
#include "fs/epoll.h"
#include "fs/proc.h"
#include "fs/ramfs.h"
#include "fs/vfs_impl.h"
#include "kernel/log.h"
#include "kernel/slab.h"
#include "kernel/timer.h"

#define MANIFEST_FOLDER ".mimosa"

/* Creates the directories above `path`, which the archive may leave out. */
static int make_parents(const char *path) {
    char *part = kmalloc(VFS_PATH_MAX);
    if (!part)
        return -ENOMEM;
    int err = 0;
    for (size_t i = 0; path[i] && !err; i++) {
        if (path[i] == '/' && i > 0) {
            part[i] = '\0';
            err = vfs_create(vfs_root, part, S_IFDIR | 0755, 0, NULL);
            if (err == -EEXIST)
                err = 0;
        }
        part[i] = path[i];
    }
    kfree(part);
    return err;
}

static int create_from(const char *path, const struct cpio_entry *c) {
    uint32_t mode = c->mode & (S_IFMT | 07777), rdev = VFS_RDEV(c->rdev_major, c->rdev_minor);
    char *target = NULL;
    if ((mode & S_IFMT) == S_IFLNK) {
        target = kmalloc(c->size + 1);
        if (!target)
            return -ENOMEM;
        memcpy(target, c->data, c->size);
    }
    int err = vfs_create(vfs_root, path, mode, rdev, target);
    if (err == -EEXIST && (mode & S_IFMT) != S_IFDIR) {
        err = vfs_unlink(vfs_root, path, false); /* the archive's later entry wins */
        if (!err)
            err = vfs_create(vfs_root, path, mode, rdev, target);
    }
    kfree(target);
    return err == -EEXIST ? 0 : err;
}

static int unpack_entry(const struct cpio_entry *c) {
    uint32_t type = c->mode & S_IFMT;
    if ((type != S_IFREG && type != S_IFDIR && type != S_IFLNK && type != S_IFCHR) ||
        (type == S_IFLNK && (c->size == 0 || c->size >= VFS_PATH_MAX))) {
        log_info("initrd: skipping %s (mode %o)", c->name, c->mode);
        return 0;
    }
    if (!*c->name)
        return 0;
    struct entry *e;
    int err = make_parents(c->name);
    if (!err)
        err = create_from(c->name, c);
    if (!err)
        err = vfs_walk(vfs_root, c->name, 0, &e);
    if (err)
        return err;
    if (inode_type(e->inode) != type) {
        entry_put(e);
        return -EINVAL; /* a directory where the archive had a file before */
    }
    e->inode->mode = c->mode & (S_IFMT | 07777);
    if (c->mtime)
        e->inode->modified_ns = (uint64_t)c->mtime * NS_PER_SEC;
    if (type == S_IFREG)
        err = ramfs_adopt(e->inode, c->data, c->size);
    entry_put(e);
    return err;
}

/* Sets the clock to the time that the manifest names, so that it is also that of the files. */
static void take_time(const char *text, size_t size) {
    const char *end = text + size;
    if (size == 0 || end[-1] != '\0')
        return;
    for (const char *p = text; p < end; p += strlen(p) + 1) {
        const char *number = p + 5;
        uint64_t ns;
        if (memcmp(p, "time=", MIN(strlen(p) + 1, 5ul)) == 0 && string_number(&number, &ns) && ns)
            clock_set_realtime_ns(ns);
    }
}

static void find_time(const void *initrd, size_t size) {
    struct cpio_reader r;
    struct cpio_entry c;
    cpio_start(&r, initrd, size);
    while (cpio_next(&r, &c) > 0)
        if (strcmp(c.name, WIRE_MANIFEST) == 0) {
            take_time(c.data, c.size);
            return;
        }
}

static int unpack(const void *initrd, size_t size, const char **manifest, size_t *manifest_size) {
    struct cpio_reader r;
    struct cpio_entry c;
    int more;
    cpio_start(&r, initrd, size);
    while ((more = cpio_next(&r, &c)) > 0) {
        if (strcmp(c.name, WIRE_MANIFEST) == 0) {
            *manifest = c.data;
            *manifest_size = c.size;
            continue;
        }
        if (strcmp(c.name, MANIFEST_FOLDER) == 0)
            continue;
        int err = unpack_entry(&c);
        if (err) {
            log_error("initrd: %s: error %d", c.name, -err);
            return err == -ENOSPC ? -ENOMEM : err;
        }
    }
    if (more < 0)
        log_error("initrd: broken or cut off at byte %zu of %zu", r.at, size);
    return more;
}

int fs_init(const void *initrd, size_t size, const char **manifest, size_t *manifest_size) {
    *manifest = NULL;
    *manifest_size = 0;
    mutex_init(&vfs_tree_lock);
    file_init();
    epoll_init();
    ramfs_init();
    if (initrd)
        find_time(initrd, size);
    vfs_root = ramfs_create_root();
    if (!vfs_root)
        return -ENOMEM;
    int err = initrd ? unpack(initrd, size, manifest, manifest_size) : 0;
    if (!err)
        err = dev_populate();
    if (!err)
        err = sysfs_populate();
    if (!err)
        err = proc_init();
    return err;
}
