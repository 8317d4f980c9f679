/* SPDX-License-Identifier: MIT */
/*
 * From a path to an entry.
 *
 * A walk goes component by component and stops before the last one, because
 * the callers differ in what they do with it: stat follows it, unlink does not,
 * open may create it.  A symbolic link's target is written in front of what is
 * left of the path, into a buffer that fills from its end, so that the walk
 * needs neither recursion nor a stack of its own; what was consumed makes room.
 */
#include "fs/vfs_impl.h"

#include <asm-generic/errno.h>
#include <linux/stat.h>
#include "base/string.h"
#include "kernel/slab.h"

#define WALK_BUFFER (2 * VFS_PATH_MAX)

int walk_begin(struct walk *w, struct entry *base, const char *path) {
    *w = (struct walk){ .rest = path };
    if (!*path)
        return -ENOENT;
    w->at = entry_get(*path == '/' ? vfs_root : base);
    return 0;
}

void walk_end(struct walk *w) {
    entry_put(w->at);
    kfree(w->buffer);
}

static void walk_move(struct walk *w, struct entry *to) {
    entry_put(w->at);
    w->at = to;
}

static bool name_is(const char *name, size_t length, const char *what) {
    return length == strlen(what) && memcmp(name, what, length) == 0;
}

bool walk_last_is_special(const struct walk *w) {
    return w->last_length == 0 || name_is(w->last, w->last_length, ".") ||
           name_is(w->last, w->last_length, "..");
}

static int walk_lookup(struct walk *w, const char *name, size_t length, struct entry **out) {
    if (inode_type(w->at->inode) != S_IFDIR)
        return -ENOTDIR;
    if (name_is(name, length, ".")) {
        *out = entry_get(w->at);
        return 0;
    }
    if (name_is(name, length, "..")) {
        *out = entry_get(w->at->parent ? w->at->parent : w->at);
        return 0;
    }
    if (length > VFS_NAME_MAX)
        return -ENAMETOOLONG;
    return w->at->inode->ops->lookup(w->at, name, length, out);
}

/* Writes the target of `e` in front of the rest of the path. */
static int walk_prepend(struct walk *w, struct entry *e) {
    size_t left = strlen(w->rest) + 1;
    if (!w->buffer) {
        char *buffer = kmalloc(WALK_BUFFER);
        if (!buffer)
            return -ENOMEM;
        char *rest = buffer + WALK_BUFFER - left;
        memcpy(rest, w->rest, left);
        w->rest = rest;
        w->buffer = buffer;
    }
    char *target = kmalloc(VFS_PATH_MAX);
    if (!target)
        return -ENOMEM;
    long length = e->inode->ops->readlink(e, target, VFS_PATH_MAX - 1);
    if (length >= 0 && (size_t)length > WALK_BUFFER - left)
        length = -ENAMETOOLONG;
    if (length > 0) {
        char *start = w->buffer + WALK_BUFFER - left - (size_t)length;
        memcpy(start, target, (size_t)length);
        w->rest = start;
        if (*start == '/')
            walk_move(w, entry_get(vfs_root));
    }
    kfree(target);
    return length < 0 ? (int)length : length == 0 ? -ENOENT : 0;
}

int walk_link(struct walk *w, struct entry *e, struct entry **out) {
    if (++w->links > VFS_SYMLINKS_MAX)
        return -ELOOP;
    if (!e->inode->ops->follow)
        return walk_prepend(w, e);
    int err = e->inode->ops->follow(e, out);
    return err ? err : 1;
}

/* One component that is not the last. */
static int walk_step(struct walk *w, const char *name, size_t length) {
    struct entry *e, *direct;
    int err = walk_lookup(w, name, length, &e);
    if (err)
        return err;
    if (inode_type(e->inode) != S_IFLNK) {
        walk_move(w, e);
        return 0;
    }
    err = walk_link(w, e, &direct);
    entry_put(e);
    if (err == 1) {
        walk_move(w, direct);
        err = 0;
    }
    return err;
}

int walk_parent(struct walk *w) {
    for (;;) {
        const char *name = w->rest;
        while (*name == '/')
            name++;
        size_t length = 0;
        while (name[length] && name[length] != '/')
            length++;
        const char *after = name + length;
        while (*after == '/')
            after++;
        w->rest = name + length; /* with its slashes: a link's target must keep them */
        if (length && inode_type(w->at->inode) != S_IFDIR)
            return -ENOTDIR;
        if (!*after) {
            w->last = name;
            w->last_length = length;
            w->slash = name[length] == '/';
            return 0;
        }
        int err = walk_step(w, name, length);
        if (err)
            return err;
    }
}

int walk_last(struct walk *w, struct entry **out) {
    if (w->last_length == 0) {
        *out = entry_get(w->at);
        return 0;
    }
    return walk_lookup(w, w->last, w->last_length, out);
}

static int walk_to_end(struct walk *w, unsigned flags, struct entry **out) {
    for (;;) {
        int err = walk_parent(w);
        if (!err)
            err = walk_last(w, out);
        if (err)
            return err;
        if (inode_type((*out)->inode) != S_IFLNK || !(flags & WALK_FOLLOW || w->slash))
            break;
        struct entry *link = *out;
        err = walk_link(w, link, out);
        entry_put(link);
        if (err < 0)
            return err;
        if (err == 1)
            break;
    }
    if ((flags & WALK_DIRECTORY || w->slash) && inode_type((*out)->inode) != S_IFDIR) {
        entry_put(*out);
        return -ENOTDIR;
    }
    return 0;
}

int vfs_walk(struct entry *base, const char *path, unsigned flags, struct entry **out) {
    if (!*path && flags & WALK_EMPTY) {
        *out = entry_get(base);
        return 0;
    }
    struct walk w;
    mutex_lock(&vfs_tree_lock);
    int err = walk_begin(&w, base, path);
    if (!err) {
        err = walk_to_end(&w, flags, out);
        walk_end(&w);
    }
    mutex_unlock(&vfs_tree_lock);
    return err;
}

long vfs_readlink(struct entry *base, const char *path, char *to, size_t size) {
    struct entry *e;
    int err = vfs_walk(base, path, WALK_EMPTY, &e);
    if (err)
        return err;
    long length = inode_type(e->inode) != S_IFLNK ? (*path ? -EINVAL : -ENOENT)
                                                  : e->inode->ops->readlink(e, to, size);
    entry_put(e);
    return length;
}
