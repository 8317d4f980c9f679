/* SPDX-License-Identifier: MIT */
/*
 * Inodes, entries and working directories.
 *
 * One mutex, vfs_tree_lock, guards the tree: names, parents, listings and the
 * `dead` mark of all file systems.  A walk holds it from its first component to
 * its last, so that no rename can come between.  Contents are not its business:
 * reading and writing open files never takes it.  Rejected: a lock per
 * directory with Linux's lock-free walk.  Programs here are not file servers,
 * and one lock makes rename and ".." plainly right.
 *
 * Lifetimes.  A name in a directory holds its entry; an entry holds its inode
 * and its parent; an open file and a working directory hold an entry.  So an
 * unlinked file lives while it is open, and an entry whose count falls to zero
 * is out of the tree already: it is freed without the tree lock.  An inode is a
 * vm_object, with one count for entries, files and mappings alike; it is
 * destroyed wherever the last of them ends, also in munmap: destroy never sleeps.
 *
 * Order: vfs_tree_lock (mutex), then spinlocks of RANK_FILE.
 */
#include "fs/vfs_impl.h"

#include <asm-generic/errno.h>
#include <linux/falloc.h>
#include <linux/stat.h>
#include "base/string.h"
#include "kernel/slab.h"
#include "kernel/timer.h"

struct mutex vfs_tree_lock;
struct entry *vfs_root;

static _Atomic(uint64_t) next_inode_number = 2;

static struct inode *inode_of(struct vm_object *o) {
    return container_of(o, struct inode, object);
}

static int inode_get_page(struct vm_object *o, uint64_t index, bool write, struct page **out) {
    struct inode *i = inode_of(o);
    return i->ops->get_page ? i->ops->get_page(i, index, write, out) : -EIO;
}

static bool inode_has_page(struct vm_object *o, uint64_t index) {
    struct inode *i = inode_of(o);
    return i->ops->has_page && i->ops->has_page(i, index);
}

static int inode_punch(struct vm_object *o, uint64_t offset, uint64_t length) {
    struct inode *i = inode_of(o);
    return i->ops->allocate
               ? i->ops->allocate(i, offset, length, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
               : -EOPNOTSUPP;
}

static void inode_release(struct vm_object *o) {
    struct inode *i = inode_of(o);
    kfree(atomic_load_explicit(&i->map_path, memory_order_relaxed));
    i->ops->destroy(i);
}

static uint64_t inode_object_name(struct vm_object *o, char *to, size_t size) {
    struct inode *i = inode_of(o);
    /* Acquire: pairs with the release in inode_name_mapping. */
    const char *path = atomic_load_explicit(&i->map_path, memory_order_acquire);
    string_copy(to, path ? path : "", size);
    return i->number;
}

static const struct vm_object_ops inode_object_ops = {
    .get_page = inode_get_page,
    .has_page = inode_has_page,
    .punch = inode_punch,
    .release = inode_release,
    .name = inode_object_name,
};

void inode_init(struct inode *i, const struct inode_ops *ops, uint32_t dev, uint32_t mode) {
    uint64_t now = clock_realtime_ns();
    i->object.ops = &inode_object_ops;
    atomic_init(&i->object.refs, 1);
    i->ops = ops;
    i->dev = dev;
    i->number = atomic_fetch_add_explicit(&next_inode_number, 1, memory_order_relaxed);
    atomic_init(&i->mode, mode);
    atomic_init(&i->links, 1);
    atomic_init(&i->accessed_ns, now);
    atomic_init(&i->modified_ns, now);
    atomic_init(&i->changed_ns, now);
    atomic_init(&i->born_ns, now);
}

void inode_name_mapping(struct inode *i, struct entry *e) {
    if (atomic_load_explicit(&i->map_path, memory_order_relaxed))
        return;
    char *path = kmalloc(VFS_PATH_MAX);
    if (!path)
        return;
    long length = entry_path(e, path, VFS_PATH_MAX);
    char *exact = length < 0 ? NULL : kmalloc((size_t)length + 1);
    if (exact) {
        memcpy(exact, path, (size_t)length + 1);
        char *none = NULL;
        /* Release: the text is there before the pointer; pairs with inode_object_name. */
        if (!atomic_compare_exchange_strong_explicit(&i->map_path, &none, exact,
                                                     memory_order_release, memory_order_relaxed))
            kfree(exact);
    }
    kfree(path);
}

/* FNV-1a: short names, and no one attacks a machine of one's own. */
uint32_t entry_hash(const char *name, size_t length) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < length; i++)
        h = (h ^ (uint8_t)name[i]) * 16777619u;
    return h;
}

struct entry *entry_create(struct entry *parent, const char *name, size_t length,
                           struct inode *inode) {
    struct entry *e = kmalloc(sizeof *e);
    char *copy = kmalloc(length + 1);
    if (!e || !copy) {
        kfree(e);
        kfree(copy);
        return NULL;
    }
    memcpy(copy, name, length);
    copy[length] = '\0';
    atomic_init(&e->refs, 1);
    e->inode = inode;
    e->name = copy;
    e->name_length = (uint32_t)length;
    e->hash = entry_hash(name, length);
    e->parent = parent ? entry_get(parent) : NULL;
    list_init(&e->siblings);
    return e;
}

struct entry *entry_create_anonymous(const char *name, struct inode *inode) {
    struct entry *e = entry_create(NULL, name, strlen(name), inode);
    if (!e)
        inode_put(inode);
    return e;
}

void entry_put(struct entry *e) {
    /* A loop, not recursion: the last child of a deep dead tree takes all its parents along. */
    while (e && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1) {
        struct entry *parent = e->parent;
        inode_put(e->inode);
        kfree(e->name);
        kfree(e);
        e = parent;
    }
}

/* Writes the path backwards from the end of `to`; returns where it starts, NULL: no room. */
static char *path_backwards(struct entry *e, char *to, size_t size) {
    char *at = to + size - 1;
    *at = '\0';
    if (e->dead) {
        static const char mark[] = " (deleted)";
        if ((size_t)(at - to) < sizeof mark - 1)
            return NULL;
        at -= sizeof mark - 1;
        memcpy(at, mark, sizeof mark - 1);
    }
    if (e == vfs_root)
        *--at = '/';
    for (; e != vfs_root; e = e->parent) {
        if ((size_t)(at - to) < e->name_length + 1u)
            return NULL;
        at -= e->name_length;
        memcpy(at, e->name, e->name_length);
        if (!e->parent)
            return at; /* anonymous: no slash, no root above */
        *--at = '/';
    }
    return at;
}

long entry_path(struct entry *e, char *to, size_t size) {
    if (size < 2)
        return -ENAMETOOLONG;
    mutex_lock(&vfs_tree_lock);
    char *start = path_backwards(e, to, size);
    mutex_unlock(&vfs_tree_lock);
    if (!start)
        return -ENAMETOOLONG;
    long length = to + size - 1 - start;
    memmove(to, start, (size_t)length + 1);
    return length;
}

long entry_cwd_path(struct entry *e, char *to, size_t size) {
    mutex_lock(&vfs_tree_lock);
    bool dead = e->dead;
    mutex_unlock(&vfs_tree_lock);
    return dead ? -ENOENT : entry_path(e, to, size);
}

struct fs_context *fs_context_create(void) {
    struct fs_context *c = kmalloc(sizeof *c);
    if (!c)
        return NULL;
    spin_init(&c->lock, RANK_FILE);
    c->cwd = entry_get(vfs_root);
    atomic_init(&c->umask, 022);
    return c;
}

struct entry *fs_context_cwd(struct fs_context *c) {
    spin_lock(&c->lock);
    struct entry *e = entry_get(c->cwd);
    spin_unlock(&c->lock);
    return e;
}

void fs_context_set_cwd(struct fs_context *c, struct entry *e) {
    spin_lock(&c->lock);
    struct entry *old = c->cwd;
    c->cwd = e;
    spin_unlock(&c->lock);
    entry_put(old);
}

int fs_context_chdir(struct fs_context *c, const char *path) {
    struct entry *e;
    int err = vfs_walk(vfs_root, path, WALK_FOLLOW | WALK_DIRECTORY, &e);
    if (!err)
        fs_context_set_cwd(c, e);
    return err;
}
