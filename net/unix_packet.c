/* SPDX-License-Identifier: MIT */
/*
 * AF_UNIX datagrams and seqpackets: a packet is a header and its bytes in the
 * receiver's queue.
 *
 * As on Linux a queue takes what its sender's SO_SNDBUF allows, and not more
 * than PACKETS_MOST packets from senders that it is not connected to.  An empty
 * queue takes any packet.
 */
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include "net/unix_impl.h"

#define PACKETS_MOST 11u /* Linux: max_dgram_qlen is 10, and one more */
#define SIZE_SPARE   32u /* what a packet must leave of SO_SNDBUF */

struct packet {
    struct unix_socket *from; /* held */
    size_t size;
};

static bool fits(struct unix_socket *u, struct unix_socket *to, size_t size) {
    size_t used = to->queue.used;
    if (!used)
        return true;
    /* Pointers are compared only. */
    bool mutual = to == u || unix_peer(to) == u;
    return used + sizeof(struct packet) + size <= u->socket.send_buffer &&
           (mutual || to->queue.packets < PACKETS_MOST);
}

bool unix_packet_has_room(struct unix_socket *u, struct unix_socket *peer) {
    return fits(u, peer, 0);
}

/* queue.lock held; 0 or -errno. */
static int put(struct unix_socket *u, struct unix_queue *q, struct socket_message *m) {
    struct packet p = { .from = u, .size = m->data->left };
    uint64_t at = q->head;
    if (!unix_queue_reserve(q, sizeof p + p.size))
        return -ENOBUFS;
    if (unix_queue_write(q, at + sizeof p, m->data, p.size) < p.size)
        return -EFAULT;
    struct iter header;
    unix_get(u);
    iter_init_kernel(&header, &p, sizeof p);
    (void)unix_queue_write(q, at, &header, sizeof p);
    if (m->files)
        unix_queue_attach(q, &m->files, at, at + sizeof p + p.size);
    unix_queue_commit(q, sizeof p + p.size);
    q->packets++;
    return 0;
}

/* 0, -errno, or 1: no room. */
static int try_send(struct unix_socket *u, struct unix_socket *to, struct socket_message *m) {
    mutex_lock(&to->queue.lock);
    int r = to->closed                     ? -ECONNREFUSED
            : to->shut & UNIX_SHUT_RECEIVE ? -EPIPE
            : !fits(u, to, m->data->left)  ? 1
                                           : put(u, &to->queue, m);
    mutex_unlock(&to->queue.lock);
    if (!r)
        wait_wake_events(&to->socket.readable, POLLIN | POLLRDNORM);
    return r;
}

/* Whom it is for, with a reference. */
static int receiver_of(struct unix_socket *u, const struct socket_message *m,
                       struct unix_socket **out) {
    if (unix_is_datagram(u) && m->address && m->address->length)
        return unix_find(m->address, SOCK_DGRAM, out);
    *out = unix_peer_get(u);
    return *out ? 0 : -ENOTCONN;
}

static int check_send(struct unix_socket *u, const struct socket_message *m) {
    struct socket *s = &u->socket;
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (!unix_is_datagram(u)) {
        int err = socket_take_error(s);
        if (err || u->state != UNIX_CONNECTED)
            return err ? err : -ENOTCONN;
    } else if (s->pass_credentials && !unix_name_of(u)) {
        return unix_name_self(u);
    }
    return 0;
}

/* The datagram's peer is gone: from now on it has none. */
static void forget(struct unix_socket *u, struct unix_socket *gone) {
    mutex_lock(&u->state_lock);
    if (unix_peer(u) == gone) {
        unix_leave_datagram(u);
        u->state = UNIX_FRESH;
    }
    mutex_unlock(&u->state_lock);
}

static int send_to(struct unix_socket *u, struct unix_socket *to, struct socket_message *m) {
    size_t size = m->data->left;
    struct unix_socket *theirs = unix_peer(to);
    if (size > u->socket.send_buffer - SIZE_SPARE)
        return -EMSGSIZE;
    if (u->shut & UNIX_SHUT_SEND)
        return -EPIPE;
    if (theirs && theirs != u)
        return -EPERM;
    uint64_t deadline = socket_deadline(m->nonblocking, u->socket.send_timeout_ns);
    int r;
    while ((r = try_send(u, to, m)) == 1) {
        r = socket_wait(&to->room, fits(u, to, size) || to->closed || to->shut & UNIX_SHUT_RECEIVE,
                        deadline);
        if (r)
            return r;
        if (u->shut & UNIX_SHUT_SEND)
            return -EPIPE;
    }
    return r;
}

long unix_packet_send(struct socket *s, struct socket_message *m) {
    struct unix_socket *u = unix_of(s), *to;
    size_t size = m->data->left;
    int err = check_send(u, m);
    if (!err)
        err = receiver_of(u, m, &to);
    if (err)
        return err;
    err = send_to(u, to, m);
    if (err == -ECONNREFUSED && unix_is_datagram(u))
        forget(u, to);
    else if (err == -ECONNREFUSED)
        err = -EPIPE;
    unix_put(to);
    return err ? err : (long)size;
}

/* The first packet's header; queue.lock held, and there is one. */
static struct packet first_of(struct unix_queue *q) {
    struct packet p;
    struct iter header;
    iter_init_kernel(&header, &p, sizeof p);
    (void)unix_queue_read(q, q->tail, &header, sizeof p);
    return p;
}

/* What recvmsg returns; queue.lock held, and there is a packet. */
static long take(struct unix_queue *q, struct socket_message *m) {
    struct packet p = first_of(q);
    struct socket_files *files = unix_queue_files(q);
    size_t n = MIN(m->data->left, p.size);
    bool peek = m->flags & MSG_PEEK;
    n = unix_queue_read(q, q->tail + sizeof p, m->data, n);
    if (m->address)
        unix_name_copy(unix_name_of(p.from), 0, m->address);
    if (files && files->at == q->tail) {
        if (!peek) {
            list_remove(&files->link);
            m->files = files;
        } else if (m->wants_files) {
            m->files = unix_files_copy(files);
        }
    }
    if (!peek) {
        unix_put(p.from);
        unix_queue_consume(q, sizeof p + p.size);
        q->packets--;
    }
    if (m->data->faulted)
        return -EFAULT;
    if (n < p.size)
        m->received |= MSG_TRUNC;
    return (long)(m->flags & MSG_TRUNC ? p.size : n);
}

/* Those who wait to send: in calls, and in poll. */
static void wake_senders(struct unix_socket *u) {
    struct unix_socket *sender;
    if (unix_is_datagram(u)) {
        list_for_each(sender, &u->senders, sender_link)
            wait_wake_all(&sender->socket.writable);
    } else {
        wait_wake_all(&unix_peer(u)->socket.writable);
    }
    wait_wake_all(&u->room);
}

/* The queue was found empty: 0 when there may be some, 1 at the end, or -errno. */
static int wait_for_packet(struct unix_socket *u, bool nonblocking, uint64_t deadline) {
    uint32_t shut = u->shut; /* before `used`: what came before the end is read before it */
    if (u->queue.used)
        return 0;
    if (shut & UNIX_SHUT_RECEIVE)
        return unix_is_datagram(u) && nonblocking ? -EAGAIN : 1;
    return socket_wait(&u->socket.readable,
                       u->queue.used || u->shut & UNIX_SHUT_RECEIVE || u->socket.error, deadline);
}

long unix_packet_receive(struct socket *s, struct socket_message *m) {
    struct unix_socket *u = unix_of(s);
    if (!unix_is_datagram(u) && u->state != UNIX_CONNECTED)
        return -ENOTCONN;
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    uint64_t deadline = socket_deadline(m->nonblocking, s->receive_timeout_ns);
    for (;;) {
        int err = socket_take_error(s);
        if (err)
            return err;
        mutex_lock(&u->queue.lock);
        bool some = u->queue.used > 0;
        long n = some ? take(&u->queue, m) : 0;
        if (some && !(m->flags & MSG_PEEK))
            wake_senders(u);
        mutex_unlock(&u->queue.lock);
        if (some)
            return n;
        err = wait_for_packet(u, m->nonblocking, deadline);
        if (err)
            return err == 1 ? 0 : err;
    }
}

void unix_packet_clear(struct unix_queue *q) {
    while (q->used) {
        struct packet p = first_of(q);
        unix_put(p.from);
        unix_queue_consume(q, sizeof p + p.size);
    }
    q->packets = 0;
}

long unix_packet_pending(struct unix_socket *u) {
    mutex_lock(&u->queue.lock);
    long n = (long)(u->queue.used - u->queue.packets * sizeof(struct packet));
    if (n && unix_is_datagram(u)) /* as Linux: of this type, not all of them */
        n = (long)first_of(&u->queue).size;
    mutex_unlock(&u->queue.lock);
    return n;
}
