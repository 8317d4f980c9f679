/* SPDX-License-Identifier: MIT */
/* The operations on names: open, create, unlink, rename, link, list, as Linux answers uid 0. */
#include "fs/vfs.h"

#include <asm-generic/errno.h>
#include <asm-generic/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include "fs/vfs_impl.h"
#include "kernel/timer.h"

const struct file_ops vfs_directory_ops = { .positional = true };
const struct file_ops vfs_path_ops = { .positional = true };

#define TYPE_OF(mode) ((mode)&S_IFMT)

static int create_locked(struct entry *dir, const char *name, size_t length, uint32_t mode,
                         uint32_t rdev, const char *target, struct entry **out) {
    if (length > VFS_NAME_MAX)
        return -ENAMETOOLONG;
    if (dir->dead || !dir->inode->ops->create) /* in /proc no name can even be missing */
        return -ENOENT;
    return dir->inode->ops->create(dir, name, length, mode, rdev, target, out);
}

/* What is wrong with opening `e` in this way, if anything; `slash`: a slash followed its name. */
static int open_check(const struct entry *e, uint32_t flags, bool slash) {
    uint32_t type = inode_type(e->inode);
    if ((flags & O_DIRECTORY || slash) && type != S_IFDIR)
        return -ENOTDIR;
    if (flags & O_PATH)
        return 0;
    switch (type) {
    case S_IFLNK:
        return -ELOOP;
    case S_IFDIR:
        return flags & (O_ACCMODE | O_TRUNC | O_CREAT) ? -EISDIR : 0;
    case S_IFSOCK:
        return -ENXIO;
    default:
        return 0;
    }
}

/* Finds or creates what open(2) shall open.  The tree lock is held. */
static int open_find(struct walk *w, uint32_t flags, uint32_t mode, struct entry **out) {
    for (;;) {
        int err = walk_parent(w);
        if (err)
            return err;
        if (flags & O_CREAT && (w->slash || walk_last_is_special(w)))
            return -EISDIR;
        err = walk_last(w, out);
        if (err == -ENOENT && flags & O_CREAT)
            return create_locked(w->at, w->last, w->last_length, S_IFREG | (mode & 07777), 0, NULL,
                                 out);
        if (err)
            return err;
        struct entry *e = *out;
        if (flags & O_CREAT && flags & O_EXCL)
            err = -EEXIST;
        else if (inode_type(e->inode) == S_IFLNK && (!(flags & O_NOFOLLOW) || w->slash))
            err = walk_link(w, e, out);
        else
            return 0;
        entry_put(e);
        if (err < 0)
            return err;
        if (err == 1)
            return 0;
    }
}

static int open_entry(struct entry *e, uint32_t flags, struct file **out) {
    struct inode *i = e->inode;
    uint32_t kept = flags & ~(uint32_t)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
    const struct file_ops *ops = flags & O_PATH             ? &vfs_path_ops
                                 : inode_type(i) == S_IFDIR ? &vfs_directory_ops
                                                            : i->file_ops;
    if (!ops)
        return -ENXIO; /* a FIFO, a socket, a device that we do not have */
    struct file *f = file_create(ops, e, kept);
    if (!f)
        return -ENOMEM;
    int err = !(flags & O_PATH) && i->ops->open ? i->ops->open(f) : 0;
    if (!err && flags & O_TRUNC && inode_type(i) == S_IFREG && i->ops->truncate)
        err = i->ops->truncate(i, 0);
    if (err) {
        static const struct file_ops never_opened = { .positional = false };
        f->ops = &never_opened; /* its release must not undo an open that did not happen */
        file_put(f);
        return err;
    }
    *out = f;
    return 0;
}

int vfs_open(struct entry *base, const char *path, uint32_t flags, uint32_t mode,
             struct file **out) {
    if (flags & O_PATH)
        flags &= O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;
    struct walk w;
    struct entry *e;
    bool temporary = (flags & O_TMPFILE) == O_TMPFILE;
    if (temporary && (flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    mutex_lock(&vfs_tree_lock);
    int err = walk_begin(&w, base, path);
    if (!err) {
        err = open_find(&w, temporary ? O_DIRECTORY : flags, mode, &e);
        bool slash = w.slash;
        walk_end(&w);
        if (!err && temporary) {
            struct entry *dir = e;
            err = inode_type(dir->inode) != S_IFDIR
                      ? -ENOTDIR
                      : create_locked(dir, NULL, 0, S_IFREG | (mode & 07777), 0, NULL, &e);
            entry_put(dir);
        } else if (!err) {
            /* A fresh entry passes every check but the one for O_DIRECTORY. */
            err = open_check(e, flags, slash);
            if (err)
                entry_put(e);
        }
    }
    mutex_unlock(&vfs_tree_lock);
    if (err)
        return err;
    err = open_entry(e, flags, out);
    entry_put(e);
    return err;
}

int vfs_open_file(const char *path, int flags, struct file **out) {
    return vfs_open(vfs_root, path, (uint32_t)flags, 0644, out);
}

static int create_entry(struct entry *base, const char *path, uint32_t mode, uint32_t rdev,
                        const char *target, struct entry **out) {
    struct walk w;
    mutex_lock(&vfs_tree_lock);
    int err = walk_begin(&w, base, path);
    if (err)
        goto unlock;
    err = walk_parent(&w);
    if (err)
        goto end;
    if (walk_last_is_special(&w)) {
        err = -EEXIST;
        goto end;
    }
    err = walk_last(&w, out);
    if (!err) {
        entry_put(*out);
        err = -EEXIST;
    } else if (err == -ENOENT) {
        err = w.slash && TYPE_OF(mode) != S_IFDIR
                  ? -ENOENT
                  : create_locked(w.at, w.last, w.last_length, mode, rdev, target, out);
    }
end:
    walk_end(&w);
unlock:
    mutex_unlock(&vfs_tree_lock);
    return err;
}

int vfs_create(struct entry *base, const char *path, uint32_t mode, uint32_t rdev,
               const char *target) {
    struct entry *e;
    int err = create_entry(base, path, mode, rdev, target, &e);
    if (!err)
        entry_put(e);
    return err;
}

int vfs_create_entry(struct entry *base, const char *path, uint32_t mode, struct entry **out) {
    return create_entry(base, path, mode, 0, NULL, out);
}

/* rmdir and unlink disagree about what is a special last component. */
static int unlink_special(const struct walk *w, bool directory) {
    if (w->last_length == 0)
        return directory ? -EBUSY : -EISDIR;
    if (!directory)
        return -EISDIR;
    return w->last_length == 1 ? -EINVAL : -ENOTEMPTY;
}

static int unlink_locked(struct walk *w, bool directory) {
    struct entry *e;
    int err = walk_parent(w);
    if (err)
        return err;
    if (walk_last_is_special(w))
        return unlink_special(w, directory);
    err = walk_last(w, &e);
    if (err)
        return err;
    bool is_directory = inode_type(e->inode) == S_IFDIR;
    if (directory && !is_directory)
        err = -ENOTDIR;
    else if (!directory && is_directory)
        err = -EISDIR;
    else if (!directory && w->slash)
        err = -ENOTDIR;
    else if (e->inode->dev != w->at->inode->dev)
        err = -EBUSY; /* a mount */
    else
        err = e->inode->ops->unlink ? e->inode->ops->unlink(e) : -EPERM;
    entry_put(e);
    return err;
}

int vfs_unlink(struct entry *base, const char *path, bool directory) {
    struct walk w;
    mutex_lock(&vfs_tree_lock);
    int err = walk_begin(&w, base, path);
    if (!err) {
        err = unlink_locked(&w, directory);
        walk_end(&w);
    }
    mutex_unlock(&vfs_tree_lock);
    return err;
}

static bool is_ancestor(const struct entry *maybe, const struct entry *e) {
    for (; e && e != vfs_root; e = e->parent)
        if (e == maybe)
            return true;
    return maybe == vfs_root;
}

/* Whether `e` may come in the place of `over`. */
static int rename_types(const struct entry *e, const struct entry *over) {
    bool from = inode_type(e->inode) == S_IFDIR, to = inode_type(over->inode) == S_IFDIR;
    if (from && !to)
        return -ENOTDIR;
    return !from && to ? -EISDIR : 0;
}

static int rename_found(struct walk *a, struct walk *b, struct entry *e, struct entry *over,
                        unsigned flags) {
    if (over && flags & RENAME_NOREPLACE)
        return -EEXIST;
    if (!over && flags & RENAME_EXCHANGE)
        return -ENOENT;
    bool directory = inode_type(e->inode) == S_IFDIR;
    if (!directory && (a->slash || (!(flags & RENAME_EXCHANGE) && b->slash)))
        return -ENOTDIR;
    if (over && flags & RENAME_EXCHANGE && b->slash && inode_type(over->inode) != S_IFDIR)
        return -ENOTDIR;
    if (is_ancestor(e, b->at))
        return -EINVAL;
    if (over && is_ancestor(over, a->at))
        return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
    if (e->inode->dev != a->at->inode->dev || (over && over->inode->dev != b->at->inode->dev))
        return -EBUSY; /* a mount */
    if (b->at->dead)
        return -ENOENT;
    if (over && over->inode == e->inode)
        return 0;
    int err = over && !(flags & RENAME_EXCHANGE) ? rename_types(e, over) : 0;
    if (err)
        return err;
    if (b->last_length > VFS_NAME_MAX)
        return -ENAMETOOLONG;
    if (!a->at->inode->ops->rename)
        return -EPERM;
    return a->at->inode->ops->rename(e, b->at, b->last, b->last_length, over,
                                     flags & RENAME_EXCHANGE);
}

static int rename_locked(struct walk *a, struct walk *b, unsigned flags) {
    int err = walk_parent(a);
    if (!err)
        err = walk_parent(b);
    if (err)
        return err;
    if (a->at->inode->dev != b->at->inode->dev)
        return -EXDEV;
    if (walk_last_is_special(a))
        return -EBUSY;
    if (walk_last_is_special(b))
        return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    struct entry *e, *over = NULL;
    err = walk_last(a, &e);
    if (err)
        return err;
    err = walk_last(b, &over);
    if (err == -ENOENT) {
        over = NULL;
        err = 0;
    }
    if (!err)
        err = rename_found(a, b, e, over, flags);
    if (over)
        entry_put(over);
    entry_put(e);
    return err;
}

int vfs_rename(struct entry *old_base, const char *old_path, struct entry *new_base,
               const char *new_path, unsigned flags) {
    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
        (flags & RENAME_NOREPLACE && flags & RENAME_EXCHANGE))
        return -EINVAL;
    struct walk a, b;
    mutex_lock(&vfs_tree_lock);
    int err = walk_begin(&a, old_base, old_path);
    if (err)
        goto unlock;
    err = walk_begin(&b, new_base, new_path);
    if (!err) {
        err = rename_locked(&a, &b, flags);
        walk_end(&b);
    }
    walk_end(&a);
unlock:
    mutex_unlock(&vfs_tree_lock);
    return err;
}

static int link_locked(struct walk *w, struct entry *source) {
    struct entry *e;
    int err = walk_parent(w);
    if (err)
        return err;
    if (walk_last_is_special(w))
        return -EEXIST;
    err = walk_last(w, &e);
    if (!err) {
        entry_put(e);
        return -EEXIST;
    }
    if (err != -ENOENT)
        return err;
    if (w->slash || w->at->dead)
        return -ENOENT;
    if (w->at->inode->dev != source->inode->dev)
        return -EXDEV;
    if (inode_type(source->inode) == S_IFDIR || !w->at->inode->ops->link)
        return -EPERM;
    if (w->last_length > VFS_NAME_MAX)
        return -ENAMETOOLONG;
    return w->at->inode->ops->link(w->at, w->last, w->last_length, source->inode);
}

int vfs_link(struct entry *source, struct entry *base, const char *path) {
    struct walk w;
    mutex_lock(&vfs_tree_lock);
    int err = walk_begin(&w, base, path);
    if (!err) {
        err = link_locked(&w, source);
        walk_end(&w);
    }
    mutex_unlock(&vfs_tree_lock);
    return err;
}

int vfs_list(struct entry *dir, uint64_t cursor, struct lister *l) {
    if (inode_type(dir->inode) != S_IFDIR)
        return -ENOTDIR;
    int err = 0;
    mutex_lock(&vfs_tree_lock);
    if (dir->dead) {
        err = -ENOENT;
        goto out;
    }
    struct inode *up = dir->parent ? dir->parent->inode : dir->inode;
    struct listed dots[2] = {
        { .name = ".", .name_length = 1, .inode = dir->inode->number, .next = 1, .mode = S_IFDIR },
        { .name = "..", .name_length = 2, .inode = up->number, .next = 2, .mode = S_IFDIR },
    };
    for (; cursor < 2; cursor++)
        if (!l->emit(l, &dots[cursor]))
            goto out;
    if (dir->inode->ops->list)
        err = dir->inode->ops->list(dir, cursor, l);
    dir->inode->accessed_ns = clock_realtime_ns();
out:
    mutex_unlock(&vfs_tree_lock);
    return err;
}
