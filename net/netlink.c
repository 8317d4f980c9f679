/* SPDX-License-Identifier: MIT */
/*
 * Netlink sockets: a program sends requests to the kernel and reads what they
 * are answered with, a block for each send.  There is nobody else to talk to, and
 * no group to listen to.
 *
 * The mutex guards the queue of blocks; who waits for one looks at `waiting`.  It is
 * not held while a request is answered, which may wait for the card's address.
 */
#include "net/netlink.h"
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include <linux/netlink.h>
#include "base/list.h"
#include "base/string.h"
#include "kernel/mutex.h"
#include "kernel/slab.h"

#define REQUEST_MOST KIB(16)
#define PROCESS_PORT 1 /* the program's process number, as Linux gives it to the first socket */

struct block {
    struct list link;
    size_t size, cost; /* bytes of it, and that it takes */
    char *bytes;
};

struct netlink_socket {
    struct socket socket;
    struct mutex lock;         /* guards the next three */
    struct list blocks;        /* struct block */
    size_t queued;             /* bytes in them */
    uint32_t port;             /* 0: none so far */
    _Atomic(uint32_t) waiting; /* blocks; read without the lock */
};

/* Whether a socket has PROCESS_PORT, and the last number that another one got. */
static atomic_bool process_port_taken;
static _Atomic(uint32_t) other_port = 0xfffff000;

static const struct socket_ops netlink_ops;

static struct netlink_socket *netlink_of(struct socket *s) {
    return container_of(s, struct netlink_socket, socket);
}

int netlink_create(int type, int protocol, struct socket **out) {
    if (type != SOCK_RAW && type != SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    if (protocol != NETLINK_ROUTE)
        return -EPROTONOSUPPORT;
    struct netlink_socket *s = kmalloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    socket_init(&s->socket, &netlink_ops, AF_NETLINK, type, protocol);
    mutex_init(&s->lock);
    list_init(&s->blocks);
    *out = &s->socket;
    return 0;
}

/* Under the lock. */
static void need_port(struct netlink_socket *s) {
    if (s->port)
        return;
    s->port = atomic_exchange(&process_port_taken, true) ? atomic_fetch_sub(&other_port, 1)
                                                         : PROCESS_PORT;
}

/* The one that bind() names; 0: any.  Under the lock. */
static int take_port(struct netlink_socket *s, uint32_t port) {
    if (s->port)
        return port == s->port ? 0 : -EINVAL;
    if (port == PROCESS_PORT && atomic_exchange(&process_port_taken, true))
        return -EADDRINUSE;
    s->port = port; /* of others nobody keeps a list: no message is ever sent to one */
    if (!port)
        need_port(s);
    return 0;
}

static int address_get(const struct socket_address *a, struct sockaddr_nl *nl) {
    if (a->length < sizeof *nl || a->family != AF_NETLINK)
        return -EINVAL;
    memcpy(nl, a->bytes, sizeof *nl);
    return 0;
}

static void address_put(struct socket_address *a, uint32_t port) {
    struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_pid = port };
    memset(a, 0, sizeof *a);
    memcpy(a->bytes, &nl, sizeof nl);
    a->length = sizeof nl;
}

static int netlink_bind(struct socket *socket, const struct socket_address *a) {
    struct netlink_socket *s = netlink_of(socket);
    struct sockaddr_nl nl;
    int err = address_get(a, &nl);
    if (err)
        return err;
    if (nl.nl_groups)
        return -EOPNOTSUPP; /* nothing would ever come */
    mutex_lock(&s->lock);
    err = take_port(s, nl.nl_pid);
    mutex_unlock(&s->lock);
    return err;
}

static int netlink_connect(struct socket *socket, const struct socket_address *a,
                           bool nonblocking) {
    struct netlink_socket *s = netlink_of(socket);
    struct sockaddr_nl nl;
    (void)nonblocking;
    if (a->length >= sizeof a->family && a->family == AF_UNSPEC)
        return 0;
    int err = address_get(a, &nl);
    if (err)
        return err;
    if (nl.nl_pid || nl.nl_groups)
        return -ECONNREFUSED;
    mutex_lock(&s->lock);
    need_port(s);
    mutex_unlock(&s->lock);
    return 0;
}

static int netlink_name(struct socket *socket, bool of_peer, struct socket_address *a) {
    struct netlink_socket *s = netlink_of(socket);
    mutex_lock(&s->lock);
    address_put(a, of_peer ? 0 : s->port);
    mutex_unlock(&s->lock);
    return 0;
}

/* NLMSG_ERROR: what a request came to, and the request; of one that went well its header. */
static void put_error(struct netlink_reply *r, const char *request, size_t size, int err) {
    size_t copied = err ? size : sizeof(struct nlmsghdr);
    char *at = netlink_put(r, NLMSG_ERROR, err ? 0 : NLM_F_CAPPED, sizeof err + copied);
    if (!at)
        return;
    memcpy(at, &err, sizeof err);
    memcpy(at + sizeof err, request, copied);
}

/* All requests of one send. */
static void answer_all(const char *bytes, size_t size, struct netlink_reply *r) {
    struct nlmsghdr h;
    while (size >= sizeof h) {
        memcpy(&h, bytes, sizeof h);
        if (h.nlmsg_len < sizeof h || h.nlmsg_len > size)
            return;
        int err = 0;
        r->sequence = h.nlmsg_seq;
        if (h.nlmsg_flags & NLM_F_REQUEST && h.nlmsg_type >= NLMSG_MIN_TYPE)
            err = netlink_route_answer(bytes, h.nlmsg_len, r);
        if (err < 0 || (err == 0 && h.nlmsg_flags & NLM_F_ACK))
            put_error(r, bytes, h.nlmsg_len, err);
        size_t step = MIN((size_t)NLMSG_ALIGN(h.nlmsg_len), size);
        bytes += step;
        size -= step;
    }
}

static int enqueue(struct netlink_socket *s, const struct netlink_reply *r) {
    struct block *b = kmalloc(sizeof *b);
    if (!b)
        return -ENOBUFS;
    *b = (struct block){ .size = r->size, .cost = sizeof *b + r->capacity, .bytes = r->bytes };
    mutex_lock(&s->lock);
    list_add_tail(&s->blocks, &b->link);
    s->queued += b->cost;
    atomic_fetch_add(&s->waiting, 1);
    mutex_unlock(&s->lock);
    return 0;
}

static long netlink_send(struct socket *socket, struct socket_message *m) {
    struct netlink_socket *s = netlink_of(socket);
    struct netlink_reply r = { .port = 0 };
    struct sockaddr_nl nl;
    size_t size = m->data->left;
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    int err = m->address && m->address->length ? address_get(m->address, &nl) : 0;
    if (err)
        return err;
    if (m->address && m->address->length && (nl.nl_pid || nl.nl_groups))
        return -ECONNREFUSED; /* nobody but the kernel is there */
    if (size > REQUEST_MOST)
        return -EMSGSIZE;
    if (!size)
        return -ENODATA;
    char *bytes = kmalloc(size);
    if (!bytes)
        return -ENOBUFS;
    if (iter_from(m->data, bytes, size) < size) {
        kfree(bytes);
        return -EFAULT;
    }
    mutex_lock(&s->lock);
    need_port(s);
    r.port = s->port;
    bool is_full = s->queued >= socket->receive_buffer; /* he does not read them */
    mutex_unlock(&s->lock);
    if (!is_full)
        answer_all(bytes, size, &r); /* may wait for an address */
    kfree(bytes);
    err = is_full || r.failed ? -ENOBUFS : 0;
    if (!err && r.size)
        err = enqueue(s, &r);
    if (err || !r.size)
        kfree(r.bytes);
    else
        wait_wake_events(&socket->readable, POLLIN | POLLRDNORM);
    return err ? err : (long)size;
}

/* The first block, if there is one: bytes, or -EAGAIN. */
static long take(struct netlink_socket *s, struct socket_message *m) {
    if (list_is_empty(&s->blocks))
        return -EAGAIN;
    struct block *b = list_first(&s->blocks, struct block, link);
    size_t want = MIN(b->size, m->data->left), done = iter_to(m->data, b->bytes, want);
    if (done < want)
        return -EFAULT;
    long n = m->flags & MSG_TRUNC ? (long)b->size : (long)done;
    if (want < b->size)
        m->received |= MSG_TRUNC;
    if (!(m->flags & MSG_PEEK)) {
        list_remove(&b->link);
        s->queued -= b->cost;
        atomic_fetch_sub(&s->waiting, 1);
        kfree(b->bytes);
        kfree(b);
    }
    return n;
}

static long netlink_receive(struct socket *socket, struct socket_message *m) {
    struct netlink_socket *s = netlink_of(socket);
    uint64_t deadline = socket_deadline(m->nonblocking, socket->receive_timeout_ns);
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    for (;;) {
        mutex_lock(&s->lock);
        long n = take(s, m);
        mutex_unlock(&s->lock);
        if (n >= 0 && m->address)
            address_put(m->address, 0);
        if (n != -EAGAIN || m->nonblocking)
            return n;
        int err = socket_wait(&socket->readable, s->waiting, deadline);
        if (err)
            return err;
    }
}

static uint32_t netlink_poll(struct socket *socket, struct file *f, struct poll_table *pt) {
    poll_wait(pt, f, &socket->readable);
    return POLLOUT | POLLWRNORM | (netlink_of(socket)->waiting ? POLLIN | POLLRDNORM : 0);
}

static int netlink_set_option(struct socket *s, int level, int name, const void *value,
                              uint32_t size) {
    (void)s, (void)level, (void)name, (void)value, (void)size;
    return -ENOPROTOOPT;
}

static int netlink_get_option(struct socket *s, int level, int name, void *value, uint32_t *size) {
    (void)s, (void)level, (void)name, (void)value, (void)size;
    return -ENOPROTOOPT;
}

static void netlink_close(struct socket *socket) {
    struct netlink_socket *s = netlink_of(socket);
    struct iter nowhere;
    struct socket_message m = { .data = &nowhere };
    iter_init_kernel(&nowhere, NULL, 0);
    while (take(s, &m) >= 0)
        ;
    if (s->port == PROCESS_PORT)
        process_port_taken = false;
}

static void netlink_destroy(struct socket *socket) {
    kfree(netlink_of(socket));
}

static const struct socket_ops netlink_ops = {
    .bind = netlink_bind,
    .connect = netlink_connect,
    .name = netlink_name,
    .send = netlink_send,
    .receive = netlink_receive,
    .poll = netlink_poll,
    .set_option = netlink_set_option,
    .get_option = netlink_get_option,
    .close = netlink_close,
    .destroy = netlink_destroy,
};
