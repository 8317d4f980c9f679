/* SPDX-License-Identifier: MIT */
/*
 * Names of AF_UNIX: paths, abstract names, and how a socket is found by one.
 *
 * One table for both kinds, hashed by the inode that a path leads to or by an
 * abstract name's bytes and type; each bucket has a lock (RANK_FILE).  A socket
 * is in it from bind to the last close, so whoever finds it under the lock may
 * take a reference.  A path's inode is held by the socket that is bound to it
 * (`node`), so that no other inode can come to lie at its address.
 *
 * A name is set once, under the socket's state_lock, and never changes: readers
 * need an acquire load.  Order: state_lock, then the file system's tree lock or
 * a bucket's.
 */
#include <asm-generic/errno.h>
#include <linux/stat.h>
#include "base/format.h"
#include "base/string.h"
#include "kernel/slab.h"
#include "net/unix_impl.h"

#define BUCKETS     64u
#define PATH_AT     2u /* sun_path in sockaddr_un */
#define LENGTH_MAX  110u
#define AUTO_NAMES  0x100000u /* five hexadecimal digits */
#define AUTO_LENGTH (PATH_AT + 6)

static struct bucket {
    struct spinlock lock; /* RANK_FILE; guards `sockets` */
    struct list sockets;  /* struct unix_socket.bucket_link; next NULL: not yet used */
} buckets[BUCKETS] = { [0 ... BUCKETS - 1] = { .lock = SPINLOCK_INIT(RANK_FILE) } };

void unix_name_put(struct unix_name *n) {
    if (n && atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1)
        kfree(n);
}

void unix_name_copy(const struct unix_name *n, uint32_t none, struct socket_address *a) {
    a->family = AF_UNIX;
    a->length = n ? n->length : none;
    if (n)
        memcpy(a->bytes, n->bytes, n->length);
}

static struct unix_name *name_new(const char *path, size_t length) {
    struct unix_name *n = kmalloc(sizeof *n);
    if (!n)
        return NULL;
    n->refs = 1;
    n->family = AF_UNIX;
    n->length = (uint32_t)(PATH_AT + length);
    memcpy(n->bytes + PATH_AT, path, length);
    return n;
}

static struct bucket *bucket_of(uint32_t hash) {
    struct bucket *b = &buckets[(hash ^ hash >> 16) % BUCKETS];
    spin_lock(&b->lock);
    if (!b->sockets.next)
        list_init(&b->sockets);
    return b;
}

static struct bucket *bucket_of_inode(const struct inode *i) {
    return bucket_of((uint32_t)i->number);
}

static struct bucket *bucket_of_name(const char *bytes, size_t length) {
    return bucket_of(entry_hash(bytes, length));
}

/* Both with the bucket's lock held. */
static struct unix_socket *find_inode(struct bucket *b, const struct inode *i) {
    struct unix_socket *u;
    list_for_each(u, &b->sockets, bucket_link)
        if (u->node && u->node->inode == i)
            return u;
    return NULL;
}

static struct unix_socket *find_abstract(struct bucket *b, const char *bytes, uint32_t length,
                                         int type) {
    struct unix_socket *u;
    list_for_each(u, &b->sockets, bucket_link) {
        const struct unix_name *n = unix_name_of(u);
        if (!u->node && u->socket.type == type && n->length == length &&
            memcmp(n->bytes, bytes, length) == 0)
            return u;
    }
    return NULL;
}

static int check_address(const struct socket_address *a) {
    return a->length <= PATH_AT || a->length > LENGTH_MAX || a->family != AF_UNIX ? -EINVAL : 0;
}

static bool is_abstract(const struct socket_address *a) {
    return a->bytes[PATH_AT] == '\0';
}

static void path_of(const struct socket_address *a, char path[LENGTH_MAX]) {
    size_t length = strnlen(a->bytes + PATH_AT, a->length - PATH_AT);
    memcpy(path, a->bytes + PATH_AT, length);
    path[length] = '\0';
}

static int find_path(const struct socket_address *a, int type, struct unix_socket **out) {
    char path[LENGTH_MAX];
    path_of(a, path);
    struct entry *base = fs_context_cwd(socket_fs()), *e;
    int err = vfs_walk(base, path, WALK_FOLLOW, &e);
    entry_put(base);
    if (err)
        return err;
    struct bucket *b = bucket_of_inode(e->inode);
    *out = find_inode(b, e->inode);
    err = !*out ? -ECONNREFUSED : (*out)->socket.type != type ? -EPROTOTYPE : 0;
    if (!err)
        unix_get(*out);
    spin_unlock(&b->lock);
    entry_put(e);
    return err;
}

int unix_find(const struct socket_address *a, int type, struct unix_socket **out) {
    int err = check_address(a);
    if (err)
        return err;
    if (!is_abstract(a))
        return find_path(a, type, out);
    struct bucket *b = bucket_of_name(a->bytes, a->length);
    *out = find_abstract(b, a->bytes, a->length, type);
    if (*out)
        unix_get(*out);
    spin_unlock(&b->lock);
    return *out ? 0 : -ECONNREFUSED;
}

/* Release: the name and node are whole before they are seen. */
static void publish(struct unix_socket *u, struct unix_name *n) {
    atomic_store_explicit(&u->name, n, memory_order_release);
}

/* Enters `u` under the abstract name `n`, unless that is taken: false. */
static bool enter_abstract(struct unix_socket *u, struct unix_name *n) {
    struct bucket *b = bucket_of_name(n->bytes, n->length);
    bool is_free = !find_abstract(b, n->bytes, n->length, u->socket.type);
    if (is_free) {
        publish(u, n);
        list_add_tail(&b->sockets, &u->bucket_link);
    }
    spin_unlock(&b->lock);
    return is_free;
}

/* As Linux, which tries to make the inode before it looks whether there is a name already. */
static int bind_path(struct unix_socket *u, const struct socket_address *a) {
    char path[LENGTH_MAX];
    path_of(a, path);
    struct unix_name *n = name_new(path, strlen(path) + 1);
    if (!n)
        return -ENOMEM;
    struct fs_context *fs = socket_fs();
    struct entry *base = fs_context_cwd(fs), *e = NULL;
    int err;
    if (unix_name_of(u)) {
        err = vfs_walk(base, path, 0, &e);
        if (!err)
            entry_put(e);
        err = err ? -EINVAL : -EADDRINUSE;
    } else {
        err = vfs_create_entry(base, path, S_IFSOCK | (0777 & ~fs->umask), &e);
        err = err == -EEXIST ? -EADDRINUSE : err;
    }
    entry_put(base);
    if (err) {
        unix_name_put(n);
        return err;
    }
    struct bucket *b = bucket_of_inode(e->inode);
    u->node = e;
    publish(u, n);
    list_add_tail(&b->sockets, &u->bucket_link);
    spin_unlock(&b->lock);
    return 0;
}

static int bind_abstract(struct unix_socket *u, const struct socket_address *a) {
    if (unix_name_of(u))
        return -EINVAL;
    struct unix_name *n = name_new(a->bytes + PATH_AT, a->length - PATH_AT);
    if (!n)
        return -ENOMEM;
    if (enter_abstract(u, n))
        return 0;
    unix_name_put(n);
    return -EADDRINUSE;
}

/* A free abstract name of five digits; state_lock held. */
static int name_self_locked(struct unix_socket *u) {
    static _Atomic(uint32_t) next;
    if (unix_name_of(u))
        return 0;
    struct unix_name *n = name_new("", 0);
    if (!n)
        return -ENOMEM;
    n->length = AUTO_LENGTH;
    for (uint32_t i = 0; i < AUTO_NAMES; i++) {
        uint32_t number = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
        format(n->bytes + PATH_AT + 1, 6, "%05x", number % AUTO_NAMES);
        if (enter_abstract(u, n))
            return 0;
    }
    unix_name_put(n);
    return -ENOSPC;
}

int unix_name_self(struct unix_socket *u) {
    mutex_lock(&u->state_lock);
    int err = name_self_locked(u);
    mutex_unlock(&u->state_lock);
    return err;
}

int unix_bind(struct socket *s, const struct socket_address *a) {
    struct unix_socket *u = unix_of(s);
    if (a->length == PATH_AT && a->family == AF_UNIX)
        return unix_name_self(u);
    int err = check_address(a);
    if (err)
        return err;
    mutex_lock(&u->state_lock);
    err = is_abstract(a) ? bind_abstract(u, a) : bind_path(u, a);
    mutex_unlock(&u->state_lock);
    return err;
}

void unix_name_remove(struct unix_socket *u) {
    struct unix_name *n = unix_name_of(u);
    if (!n || list_is_empty(&u->bucket_link))
        return; /* none, or its listener's */
    struct bucket *b =
        u->node ? bucket_of_inode(u->node->inode) : bucket_of_name(n->bytes, n->length);
    list_remove(&u->bucket_link);
    spin_unlock(&b->lock);
    if (u->node)
        entry_put(u->node);
}
