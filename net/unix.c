/* SPDX-License-Identifier: MIT */
/*
 * AF_UNIX: how sockets come, talk and go.  unix_name.c finds them by names,
 * unix_connect.c brings them together, unix_stream.c and unix_packet.c move
 * bytes and packets, unix_queue.c keeps what is on its way.
 *
 * Data.  Every socket owns the queue of what was sent to it; a sender puts its
 * bytes into the receiver's queue, so that a message is copied in once and out
 * once and no lock but the receiver's queue.lock (a mutex: the copies may fault)
 * lies on the way.  The two directions of a conversation share nothing.
 *
 * Peers.  Of the connected types (stream, seqpacket) `peer` is set once, with a
 * release, before either end can be used, and stays until its owner's last
 * close: a call in progress reads it without a lock.  A datagram's peer may
 * change at any time; peer_lock guards the pointer and a user takes a reference.
 * Each holds a reference on its peer; the last closes break that circle.
 *
 * `shut` has two bits of its own for each direction.  RECEIVE of a socket and
 * SEND of its peer say that nothing more comes in that direction; both are set
 * under the receiver's queue.lock, so that nothing enters a queue afterwards.
 *
 * Close.  The last close of a socket ends both directions under their locks,
 * drops what waits in its queue (the peer learns ECONNRESET if there was some),
 * and gives up its name and its peer.  `closed` tells senders that found it by
 * name.  The structure stays until the last reference goes: those of its peer,
 * of calls that found it, of packets that it sent.
 *
 * Sleepers look at atomics that are written under queue.lock.  Readers wait in
 * socket.readable, a stream's writers in their own socket.writable, which the
 * reader wakes when his queue has become three quarters empty (as Linux); those
 * who send packets or connect wait in the receiver's `room`.
 *
 * Order: state_lock (mutex), queue.lock (mutex; one at a time), then spinlocks
 * of RANK_FILE (a bucket of names, peer_lock; one at a time), wait queues.
 */
#include "net/unix_impl.h"

#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include <asm-generic/socket.h>
#include "base/string.h"
#include "kernel/slab.h"

static const struct socket_ops unix_stream_ops, unix_datagram_ops, unix_packet_ops;

struct unix_socket *unix_new(int type) {
    struct unix_socket *u = kmalloc(sizeof *u);
    if (!u)
        return NULL;
    socket_init(&u->socket,
                type == SOCK_STREAM  ? &unix_stream_ops
                : type == SOCK_DGRAM ? &unix_datagram_ops
                                     : &unix_packet_ops,
                AF_UNIX, type, 0);
    unix_queue_init(&u->queue);
    mutex_init(&u->state_lock);
    spin_init(&u->peer_lock, RANK_FILE);
    wait_init(&u->room);
    list_init(&u->bucket_link);
    list_init(&u->senders);
    list_init(&u->sender_link);
    list_init(&u->pending);
    list_init(&u->pending_link);
    return u;
}

int unix_create(int type, int protocol, struct socket **out) {
    if (protocol && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    if (type == SOCK_RAW)
        type = SOCK_DGRAM; /* as Linux, which took it from BSD */
    if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
        return -ESOCKTNOSUPPORT;
    struct unix_socket *u = unix_new(type);
    *out = u ? &u->socket : NULL;
    return u ? 0 : -ENOMEM;
}

int unix_create_pair(int type, int protocol, struct socket *out[2]) {
    int err = unix_create(type, protocol, &out[0]);
    if (err)
        return err;
    err = unix_create(type, protocol, &out[1]);
    if (err) {
        socket_drop(out[0]);
        return err;
    }
    struct unix_socket *a = unix_of(out[0]), *b = unix_of(out[1]);
    if (unix_is_datagram(a)) {
        (void)unix_join_datagram(a, b); /* neither can be closed yet */
        (void)unix_join_datagram(b, a);
    } else {
        unix_join(a, b);
    }
    a->has_credentials = b->has_credentials = true;
    return 0;
}

void unix_wake(struct unix_socket *u) {
    wait_wake_all(&u->socket.readable);
    wait_wake_all(&u->socket.writable);
    wait_wake_all(&u->room);
}

/* Nothing more goes from `from` to `to`; what is on its way still arrives. */
static void end_direction(struct unix_socket *from, struct unix_socket *to) {
    mutex_lock(&to->queue.lock);
    atomic_fetch_or(&to->shut, UNIX_SHUT_RECEIVE);
    atomic_fetch_or(&from->shut, UNIX_SHUT_SEND);
    mutex_unlock(&to->queue.lock);
}

static int unix_shutdown(struct socket *s, enum socket_shutdown how) {
    struct unix_socket *u = unix_of(s), *peer = unix_is_datagram(u) ? NULL : unix_peer(u);
    if (peer) {
        if (how != SOCKET_SHUT_WRITE)
            end_direction(peer, u);
        if (how != SOCKET_SHUT_READ)
            end_direction(u, peer);
        unix_wake(peer);
    } else {
        mutex_lock(&u->queue.lock);
        atomic_fetch_or(&u->shut, how + 1u);
        mutex_unlock(&u->queue.lock);
    }
    unix_wake(u);
    return 0;
}

/* The last close: takes everything out of the queue.  The peer learns at once if it sent what
 * nobody read, or if it was not even `accepted`. */
static void close_queue(struct unix_socket *u, bool accepted, struct list *files,
                        struct list *pending) {
    mutex_lock(&u->queue.lock);
    u->closed = true;
    atomic_fetch_or(&u->shut, UNIX_SHUT_RECEIVE);
    struct unix_socket *peer = unix_is_datagram(u) ? NULL : unix_peer(u);
    if (peer && (u->queue.used > 0 || !accepted))
        peer->socket.error = ECONNRESET; /* before the end, which a reader or writer takes it for */
    if (peer)
        atomic_fetch_or(&peer->shut, UNIX_SHUT_SEND);
    if (u->socket.type != SOCK_STREAM)
        unix_packet_clear(&u->queue);
    unix_queue_clear(&u->queue, files);
    unix_queue_free(&u->queue);
    while (!list_is_empty(&u->pending)) {
        struct list *l = u->pending.next;
        list_remove(l);
        list_add_tail(pending, l);
    }
    u->waiting = 0;
    struct unix_socket *sender;
    list_for_each(sender, &u->senders, sender_link)
        wait_wake_all(&sender->socket.writable);
    mutex_unlock(&u->queue.lock);
}

/* Tells the peer and lets go of it. */
static void close_peer(struct unix_socket *u) {
    struct unix_socket *peer = unix_peer(u);
    if (!peer)
        return;
    mutex_lock(&peer->queue.lock);
    atomic_fetch_or(&peer->shut, UNIX_SHUT_RECEIVE);
    mutex_unlock(&peer->queue.lock);
    unix_wake(peer);
    unix_put(peer);
}

static void close_one(struct unix_socket *u, bool accepted, struct list *files,
                      struct list *pending) {
    unix_name_remove(u);
    close_queue(u, accepted, files, pending);
    if (unix_is_datagram(u))
        unix_leave_datagram(u);
    else
        close_peer(u);
    wait_wake_all(&u->room);
}

void unix_close(struct socket *s) {
    struct list files = LIST_INIT(files), pending = LIST_INIT(pending);
    close_one(unix_of(s), true, &files, &pending);
    while (!list_is_empty(&pending)) { /* a listener's, which nobody has accepted */
        struct unix_socket *u = list_first(&pending, struct unix_socket, pending_link);
        list_remove(&u->pending_link);
        close_one(u, false, &files, &pending);
        unix_put(u);
    }
    unix_files_drop(&files);
}

static void unix_destroy(struct socket *s) {
    struct unix_socket *u = unix_of(s);
    unix_name_put(unix_name_of(u));
    kfree(u);
}

static int unix_address(struct socket *s, bool of_peer, struct socket_address *a) {
    struct unix_socket *u = unix_of(s), *peer = NULL;
    if (of_peer) {
        peer = unix_peer_get(u);
        if (!peer)
            return -ENOTCONN;
    }
    unix_name_copy(unix_name_of(peer ? peer : u), sizeof a->family, a);
    if (peer)
        unix_put(peer);
    return 0;
}

/* Whether what was sent leaves room enough to make a writer go on. */
static bool is_writable(struct unix_socket *u) {
    struct unix_socket *peer = unix_peer_get(u);
    bool yes = u->state != UNIX_LISTENING;
    if (peer && yes) {
        yes = peer->queue.used * 4 <= u->socket.send_buffer;
        if (unix_is_datagram(u))
            yes = yes && unix_packet_has_room(u, peer);
    }
    if (peer)
        unix_put(peer);
    return yes;
}

static uint32_t unix_poll(struct socket *s, struct file *f, struct poll_table *pt) {
    struct unix_socket *u = unix_of(s);
    poll_wait(pt, f, &s->readable);
    poll_wait(pt, f, &s->writable);
    uint32_t shut = u->shut, state = u->state, events = 0;
    if (s->error)
        events |= POLLERR;
    if (shut == UNIX_SHUT_BOTH || (state == UNIX_FRESH && !unix_is_datagram(u)))
        events |= POLLHUP;
    if (shut & UNIX_SHUT_RECEIVE)
        events |= POLLRDHUP | POLLIN | POLLRDNORM;
    if (u->queue.used || u->waiting)
        events |= POLLIN | POLLRDNORM;
    if (is_writable(u))
        events |= POLLOUT | POLLWRNORM | POLLWRBAND;
    return events;
}

static long unix_pending(struct socket *s, bool output) {
    struct unix_socket *u = unix_of(s);
    if (u->state == UNIX_LISTENING)
        return -EINVAL;
    if (!output && s->type != SOCK_STREAM)
        return unix_packet_pending(u);
    if (!output)
        return (long)u->queue.used;
    struct unix_socket *peer = unix_peer_get(u);
    long n = peer ? (long)peer->queue.used : 0;
    if (peer)
        unix_put(peer);
    return n;
}

static int unix_get_option(struct socket *s, int level, int name, void *value, uint32_t *size) {
    struct socket_credentials c = { 1, 0, 0 }; /* the one process, uid 0 */
    if (level != SOL_SOCKET)
        return -EOPNOTSUPP;
    if (name != SO_PEERCRED || !unix_of(s)->has_credentials)
        return -ENOPROTOOPT;
    *size = MIN(*size, (uint32_t)sizeof c);
    memcpy(value, &c, *size);
    return 0;
}

static bool unix_listening(struct socket *s) {
    return unix_of(s)->state == UNIX_LISTENING;
}

static const struct socket_ops unix_stream_ops = {
    .bind = unix_bind,
    .connect = unix_connect,
    .listen = unix_listen,
    .accept = unix_accept,
    .shutdown = unix_shutdown,
    .name = unix_address,
    .send = unix_stream_send,
    .receive = unix_stream_receive,
    .poll = unix_poll,
    .pending = unix_pending,
    .get_option = unix_get_option,
    .listening = unix_listening,
    .close = unix_close,
    .destroy = unix_destroy,
};

static const struct socket_ops unix_packet_ops = {
    .bind = unix_bind,
    .connect = unix_connect,
    .listen = unix_listen,
    .accept = unix_accept,
    .shutdown = unix_shutdown,
    .name = unix_address,
    .send = unix_packet_send,
    .receive = unix_packet_receive,
    .poll = unix_poll,
    .pending = unix_pending,
    .get_option = unix_get_option,
    .listening = unix_listening,
    .close = unix_close,
    .destroy = unix_destroy,
};

static const struct socket_ops unix_datagram_ops = {
    .bind = unix_bind,
    .connect = unix_connect_datagram,
    .shutdown = unix_shutdown,
    .name = unix_address,
    .send = unix_packet_send,
    .receive = unix_packet_receive,
    .poll = unix_poll,
    .pending = unix_pending,
    .get_option = unix_get_option,
    .close = unix_close,
    .destroy = unix_destroy,
};
