/* SPDX-License-Identifier: MIT */
/*
 * What all sockets share: how one is made, and how its open file leads to the
 * family's operations.
 *
 * Lifetime.  A socket begins with one reference on its inode.  socket_open
 * gives that to an entry ("socket:[N]") and its only open file; descriptors and
 * calls in progress hold the file.  When the last of them lets go, the family's
 * close ends the conversation, and when the last reference on the inode is gone
 * (a peer or a table of the family may hold more) its destroy frees the memory.
 * A socket cannot be opened again by way of /proc/self/fd, so close comes once.
 */
#include "net/socket.h"

#include <asm-generic/errno.h>
#include <asm-generic/ioctls.h>
#include <linux/stat.h>
#include "arch/x86_64/uaccess.h"
#include "base/format.h"
#include "kernel/slab.h"
#include "net/interface.h"
#include "net/netlink.h"

#define BUFFER_DEFAULT 212992u /* Linux's wmem_default and rmem_default */

static const struct file_ops socket_file_ops;

static struct socket *socket_of_inode(struct inode *i) {
    return container_of(i, struct socket, inode);
}

static void socket_destroy(struct inode *i) {
    struct socket *s = socket_of_inode(i);
    s->ops->destroy(s);
}

static int socket_reopen(struct file *f) {
    (void)f;
    return -ENXIO;
}

static const struct inode_ops socket_inode_ops = { .open = socket_reopen,
                                                   .destroy = socket_destroy };

void socket_init(struct socket *s, const struct socket_ops *ops, int family, int type,
                 int protocol) {
    inode_init(&s->inode, &socket_inode_ops, VFS_DEV_ANONYMOUS, S_IFSOCK | 0777);
    s->ops = ops;
    s->family = (uint16_t)family;
    s->type = (uint16_t)type;
    s->protocol = (uint16_t)protocol;
    s->send_buffer = s->receive_buffer = BUFFER_DEFAULT;
    s->receive_low = 1;
    s->incoming_cpu = -1;
    wait_init(&s->readable);
    wait_init(&s->writable);
}

void socket_inherit(struct socket *s, struct socket *from) {
    s->reuse_address = atomic_load(&from->reuse_address);
    s->reuse_port = atomic_load(&from->reuse_port);
    s->keep_alive = atomic_load(&from->keep_alive);
    s->broadcast = atomic_load(&from->broadcast);
    s->linger = atomic_load(&from->linger);
    s->linger_s = atomic_load(&from->linger_s);
    s->other_flags = atomic_load(&from->other_flags);
    s->mark = atomic_load(&from->mark);
    s->receive_low = atomic_load(&from->receive_low);
    s->send_buffer = atomic_load(&from->send_buffer);
    s->receive_buffer = atomic_load(&from->receive_buffer);
    s->send_limit = atomic_load(&from->send_limit);
    s->receive_limit = atomic_load(&from->receive_limit);
    s->send_timeout_ns = atomic_load(&from->send_timeout_ns);
    s->receive_timeout_ns = atomic_load(&from->receive_timeout_ns);
}

int socket_create(int family, int type, int protocol, struct socket **out) {
    if (family < 0 || family >= AF_MAX)
        return -EAFNOSUPPORT;
    if (type < 0 || type >= SOCK_MAX)
        return -EINVAL;
    switch (family) {
    case AF_UNIX:
        return unix_create(type, protocol, out);
    case AF_INET:
    case AF_INET6:
        return inet_create(family, type, protocol, out);
    case AF_NETLINK:
        return netlink_create(type, protocol, out);
    default:
        return -EAFNOSUPPORT;
    }
}

int socket_open(struct socket *s, uint32_t flags, struct file **out) {
    char name[32];
    format(name, sizeof name, "socket:[%lu]", s->inode.number);
    inode_get(&s->inode); /* for the end of this function */
    struct entry *e = entry_create_anonymous(name, &s->inode);
    *out = e ? file_create(&socket_file_ops, e, flags | 2) : NULL;
    if (e)
        entry_put(e);
    if (!*out)
        s->ops->close(s);
    inode_put(&s->inode);
    return *out ? 0 : -ENOMEM;
}

void socket_drop(struct socket *s) {
    s->ops->close(s);
    inode_put(&s->inode);
}

struct socket *socket_of(struct file *f) {
    return f->ops == &socket_file_ops ? socket_of_inode(f->inode) : NULL;
}

void socket_files_put(struct socket_files *files) {
    if (!files)
        return;
    for (unsigned i = 0; i < files->count; i++)
        file_put(files->files[i]);
    kfree(files);
}

int socket_take_error(struct socket *s) {
    return atomic_load_explicit(&s->error, memory_order_relaxed) ? -atomic_exchange(&s->error, 0)
                                                                 : 0;
}

long socket_read(struct socket *s, struct iter *to, bool nonblocking) {
    struct socket_message m = { .data = to, .nonblocking = nonblocking };
    if (!to->left)
        return 0;
    long n = s->ops->receive(s, &m);
    socket_files_put(m.files);
    return n;
}

static long socket_file_read(struct file *f, struct iter *to, uint64_t *pos) {
    (void)pos;
    return socket_read(socket_of_inode(f->inode), to, file_is_nonblocking(f));
}

static long socket_file_write(struct file *f, struct iter *from, uint64_t *pos) {
    struct socket *s = socket_of_inode(f->inode);
    struct socket_message m = { .data = from, .nonblocking = file_is_nonblocking(f) };
    (void)pos;
    return s->ops->send(s, &m);
}

static uint32_t socket_poll(struct file *f, struct poll_table *pt) {
    struct socket *s = socket_of_inode(f->inode);
    return s->ops->poll(s, f, pt);
}

/* FIONREAD and TIOCOUTQ are SIOCINQ and SIOCOUTQ. */
static long socket_ioctl(struct file *f, unsigned command, uintptr_t arg) {
    struct socket *s = socket_of_inode(f->inode);
    if (command != FIONREAD && command != TIOCOUTQ)
        return interface_ioctl(s->family, command, arg);
    if (!s->ops->pending)
        return -EOPNOTSUPP;
    long n = s->ops->pending(s, command == TIOCOUTQ);
    return n < 0 ? n : user_write_u32((uint32_t *)arg, (uint32_t)n);
}

static void socket_release(struct file *f) {
    struct socket *s = socket_of_inode(f->inode);
    s->ops->close(s);
}

static const struct file_ops socket_file_ops = {
    .read = socket_file_read,
    .write = socket_file_write,
    .ioctl = socket_ioctl,
    .poll = socket_poll,
    .release = socket_release,
};
