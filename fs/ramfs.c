/* SPDX-License-Identifier: MIT */
/*
 * The file system in memory: directories, links, devices.
 *
 * A directory finds names by a hash table that doubles when it is full, and
 * lists them in the order of their cookies: numbers that only rise, one for
 * each name entered.  The cursor of a listing is the smallest cookie not yet
 * shown, so that a listing during changes shows every name that stays exactly
 * once, whatever comes and goes (POSIX asks no more).  A name renamed within
 * its directory gets a new cookie, as one removed and added.
 *
 * All of it is guarded by vfs_tree_lock.  The directory holds a reference on
 * each of its entries; times and link counts are atomics that anyone may read.
 */
#include "fs/ramfs.h"

#include <asm-generic/errno.h>
#include <linux/stat.h>
#include "base/string.h"
#include "fs/dev_impl.h"
#include "fs/ramfs_impl.h"
#include "fs/vfs_impl.h"
#include "kernel/panic.h"
#include "kernel/slab.h"
#include "kernel/timer.h"

#define FIRST_BUCKETS 8u

static struct slab_cache *inode_cache;
static const struct inode_ops ramfs_inode_ops, ramfs_symlink_ops;

void ramfs_init(void) {
    inode_cache = slab_cache_create("ramfs inode", sizeof(struct ram_inode), 0);
    assert(inode_cache);
}

static void ramfs_destroy(struct inode *i) {
    struct ram_inode *r = ram_of(i);
    switch (inode_type(i)) {
    case S_IFREG:
        ramfs_free_contents(&r->file);
        break;
    case S_IFDIR:
        kfree(r->names.buckets);
        break;
    case S_IFLNK:
        kfree(r->target);
        break;
    default:
        break;
    }
    slab_free(inode_cache, r);
}

static struct inode *inode_create(uint32_t mode, uint32_t rdev, const char *target) {
    struct ram_inode *r = slab_alloc(inode_cache);
    if (!r)
        return NULL;
    inode_init(&r->inode, &ramfs_inode_ops, VFS_DEV_ROOT, mode);
    r->inode.rdev = rdev;
    switch (mode & S_IFMT) {
    case S_IFREG:
        r->inode.file_ops = &ramfs_file_ops;
        ramfs_init_contents(&r->file);
        break;
    case S_IFDIR:
        r->inode.links = 2;
        list_init(&r->names.order);
        r->names.next_cookie = 2;
        r->names.buckets = kmalloc(FIRST_BUCKETS * sizeof *r->names.buckets);
        r->names.mask = FIRST_BUCKETS - 1;
        if (!r->names.buckets)
            goto free_inode;
        break;
    case S_IFLNK: {
        size_t length = strlen(target);
        r->inode.ops = &ramfs_symlink_ops;
        r->inode.size = length;
        r->target = kmalloc(length + 1);
        if (!r->target)
            goto free_inode;
        memcpy(r->target, target, length + 1);
        break;
    }
    default:
        break;
    }
    return &r->inode;
free_inode:
    slab_free(inode_cache, r);
    return NULL;
}

struct entry *ramfs_create_root(void) {
    struct inode *i = inode_create(S_IFDIR | 0755, 0, NULL);
    if (!i)
        return NULL;
    struct entry *e = entry_create(NULL, "", 0, i);
    if (!e) {
        inode_put(i);
        return NULL;
    }
    e->parent = e; /* never freed, so the circle does no harm */
    return e;
}

static struct entry **bucket_of(struct ram_names *n, uint32_t hash) {
    return &n->buckets[(hash ^ hash >> 16) & n->mask];
}

/* Doubles the table; where there is no memory, longer chains serve as well. */
static void names_grow(struct ram_names *n) {
    uint32_t size = 2 * (n->mask + 1);
    struct entry **bigger = kmalloc(size * sizeof *bigger);
    if (!bigger)
        return;
    kfree(n->buckets);
    n->buckets = bigger;
    n->mask = size - 1;
    struct entry *e;
    list_for_each(e, &n->order, siblings) {
        struct entry **bucket = bucket_of(n, e->hash);
        e->next_in_bucket = *bucket;
        *bucket = e;
    }
}

/* Takes over the caller's reference on `e`. */
static void names_enter(struct entry *dir, struct entry *e) {
    struct ram_names *n = &ram_of(dir->inode)->names;
    if (n->count++ > n->mask)
        names_grow(n);
    e->cookie = n->next_cookie++;
    list_add_tail(&n->order, &e->siblings);
    struct entry **bucket = bucket_of(n, e->hash);
    e->next_in_bucket = *bucket;
    *bucket = e;
    if (inode_type(e->inode) == S_IFDIR)
        dir->inode->links++;
    dir->inode->modified_ns = dir->inode->changed_ns = clock_realtime_ns();
}

/* The reference that the directory held becomes the caller's. */
static void names_remove(struct entry *dir, struct entry *e) {
    struct ram_names *n = &ram_of(dir->inode)->names;
    struct entry **at = bucket_of(n, e->hash);
    while (*at != e)
        at = &(*at)->next_in_bucket;
    *at = e->next_in_bucket;
    if (n->shown_next == e)
        n->shown_next = NULL;
    list_remove(&e->siblings);
    n->count--;
    if (inode_type(e->inode) == S_IFDIR)
        dir->inode->links--;
    dir->inode->modified_ns = dir->inode->changed_ns = clock_realtime_ns();
}

static int ramfs_lookup(struct entry *dir, const char *name, size_t length, struct entry **out) {
    struct ram_names *n = &ram_of(dir->inode)->names;
    uint32_t hash = entry_hash(name, length);
    for (struct entry *e = *bucket_of(n, hash); e; e = e->next_in_bucket)
        if (e->hash == hash && e->name_length == length && memcmp(e->name, name, length) == 0) {
            *out = entry_get(e);
            return 0;
        }
    return -ENOENT;
}

/* A file without a name, whose entry still shows in /proc as Linux's "/#number (deleted)". */
static int create_nameless(struct entry *dir, struct inode *i, struct entry **out) {
    struct entry *e = entry_create(dir, "#tmpfile", 8, i);
    if (!e) {
        inode_put(i);
        return -ENOMEM;
    }
    i->links = 0;
    e->dead = true;
    *out = e;
    return 0;
}

int ramfs_create(struct entry *dir, const char *name, size_t length, uint32_t mode, uint32_t rdev,
                 const char *target, struct entry **out) {
    struct inode *i = inode_create(mode, rdev, target);
    if (!i)
        return -ENOSPC;
    if ((mode & S_IFMT) == S_IFCHR)
        dev_attach(i);
    if (!name)
        return create_nameless(dir, i, out);
    struct entry *e = entry_create(dir, name, length, i);
    if (!e) {
        inode_put(i);
        return -ENOSPC;
    }
    names_enter(dir, entry_get(e));
    *out = e;
    return 0;
}

void ramfs_attach(struct entry *dir, struct entry *e) {
    names_enter(dir, e);
}

static int ramfs_link(struct entry *dir, const char *name, size_t length, struct inode *i) {
    if (i->links == 0)
        return -ENOENT;
    inode_get(i);
    struct entry *e = entry_create(dir, name, length, i);
    if (!e) {
        inode_put(i);
        return -ENOSPC;
    }
    i->links++;
    i->changed_ns = clock_realtime_ns();
    names_enter(dir, e);
    return 0;
}

/* `e` lost its name for good. */
static void entry_died(struct entry *e) {
    struct inode *i = e->inode;
    if (inode_type(i) == S_IFDIR)
        i->links = 0;
    else
        i->links--;
    i->changed_ns = clock_realtime_ns();
    e->dead = true;
    entry_put(e); /* the directory's reference */
}

static int ramfs_unlink(struct entry *e) {
    if (inode_type(e->inode) == S_IFDIR && ram_of(e->inode)->names.count)
        return -ENOTEMPTY;
    names_remove(e->parent, e);
    entry_died(e);
    return 0;
}

static void move_entry(struct entry *e, struct entry *dir, char *name, uint32_t length) {
    struct entry *old = e->parent;
    e->parent = entry_get(dir);
    e->name = name;
    e->name_length = length;
    e->hash = entry_hash(name, length);
    e->inode->changed_ns = clock_realtime_ns();
    names_enter(dir, e);
    entry_put(old);
}

static int ramfs_exchange(struct entry *a, struct entry *b) {
    struct entry *dir_a = entry_get(a->parent), *dir_b = entry_get(b->parent);
    char *name_a = a->name, *name_b = b->name;
    uint32_t length_a = a->name_length, length_b = b->name_length;
    names_remove(dir_a, a);
    names_remove(dir_b, b);
    move_entry(a, dir_b, name_b, length_b);
    move_entry(b, dir_a, name_a, length_a);
    entry_put(dir_a);
    entry_put(dir_b);
    return 0;
}

static int ramfs_rename(struct entry *e, struct entry *dir, const char *name, size_t length,
                        struct entry *over, bool exchange) {
    if (exchange)
        return ramfs_exchange(e, over);
    if (over && inode_type(over->inode) == S_IFDIR && ram_of(over->inode)->names.count)
        return -ENOTEMPTY;
    char *copy = kmalloc(length + 1);
    if (!copy)
        return -ENOSPC;
    memcpy(copy, name, length);
    copy[length] = '\0';
    if (over) {
        names_remove(dir, over);
        entry_died(over);
    }
    names_remove(e->parent, e);
    char *old = e->name;
    move_entry(e, dir, copy, (uint32_t)length);
    kfree(old);
    return 0;
}

static int ramfs_list(struct entry *dir, uint64_t cursor, struct lister *l) {
    struct ram_names *n = &ram_of(dir->inode)->names;
    struct list *at = n->order.next;
    if (n->shown_next && n->shown_to == cursor)
        at = &n->shown_next->siblings; /* the next part of a long listing */
    n->shown_next = NULL;
    for (; at != &n->order; at = at->next) {
        struct entry *e = container_of(at, struct entry, siblings);
        if (e->cookie < cursor)
            continue;
        struct listed shown = { .name = e->name,
                                .name_length = e->name_length,
                                .inode = e->inode->number,
                                .next = e->cookie + 1,
                                .mode = inode_type(e->inode) };
        if (!l->emit(l, &shown)) {
            n->shown_next = e;
            n->shown_to = cursor;
            break;
        }
        cursor = shown.next;
    }
    return 0;
}

static int ramfs_open(struct file *f) {
    return inode_type(f->inode) == S_IFCHR ? dev_open(f) : 0;
}

static long ramfs_readlink(struct entry *e, char *to, size_t size) {
    size_t length = MIN(e->inode->size, size);
    memcpy(to, ram_of(e->inode)->target, length);
    return (long)length;
}

static const struct inode_ops ramfs_inode_ops = {
    .lookup = ramfs_lookup,
    .create = ramfs_create,
    .link = ramfs_link,
    .unlink = ramfs_unlink,
    .rename = ramfs_rename,
    .list = ramfs_list,
    .open = ramfs_open,
    .truncate = ramfs_truncate,
    .allocate = ramfs_allocate,
    .destroy = ramfs_destroy,
    .get_page = ramfs_get_page,
    .has_page = ramfs_has_page,
};

static const struct inode_ops ramfs_symlink_ops = {
    .unlink = ramfs_unlink,
    .rename = ramfs_rename,
    .readlink = ramfs_readlink,
    .destroy = ramfs_destroy,
};
