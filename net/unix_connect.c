/* SPDX-License-Identifier: MIT */
/*
 * AF_UNIX: connect, listen, accept.
 *
 * connect makes the socket that accept will return, joins the two, and enters
 * it in the listener's list, all at once under the listener's queue.lock: from
 * then on the client can send.  A full list makes it wait in the listener's
 * `room`; it then looks the name up again, since the listener may be gone.
 */
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include "net/unix_impl.h"

void unix_join(struct unix_socket *a, struct unix_socket *b) {
    unix_get(a);
    unix_get(b);
    b->state = UNIX_CONNECTED;
    b->peer = a;
    /* Release: `b` is whole before it is seen; pairs with unix_peer. */
    atomic_store_explicit(&a->peer, b, memory_order_release);
    a->state = UNIX_CONNECTED;
}

/* What is against connecting `u` to `listener`, 0, or 1: no room.  Both locks held. */
static int check_connect(const struct unix_socket *u, const struct unix_socket *listener) {
    if (listener->state != UNIX_LISTENING || listener->shut & UNIX_SHUT_RECEIVE)
        return -ECONNREFUSED;
    if (listener->waiting > listener->backlog)
        return 1;
    return u->state == UNIX_CONNECTED ? -EISCONN : u->state == UNIX_LISTENING ? -EINVAL : 0;
}

/* One attempt; takes *fresh over and stores NULL on success. */
static int try_connect(struct unix_socket *u, struct unix_socket *listener,
                       struct unix_socket **fresh) {
    mutex_lock(&u->state_lock);
    mutex_lock(&listener->queue.lock);
    int err = check_connect(u, listener);
    if (!err) {
        struct unix_socket *b = *fresh;
        *fresh = NULL;
        b->name = unix_name_get(unix_name_of(listener));
        b->has_credentials = u->has_credentials = true;
        unix_join(u, b);
        list_add_tail(&listener->pending, &b->pending_link);
        listener->waiting++;
    }
    mutex_unlock(&listener->queue.lock);
    mutex_unlock(&u->state_lock);
    return err;
}

int unix_connect(struct socket *s, const struct socket_address *a, bool nonblocking) {
    struct unix_socket *u = unix_of(s), *listener, *fresh = unix_new(s->type);
    if (!fresh)
        return -ENOMEM;
    uint64_t deadline = socket_deadline(nonblocking, s->send_timeout_ns);
    int err = s->pass_credentials && !unix_name_of(u) ? unix_name_self(u) : 0;
    while (!err) {
        err = unix_find(a, s->type, &listener);
        if (err)
            break;
        err = try_connect(u, listener, &fresh);
        if (!err)
            wait_wake_events(&listener->socket.readable, POLLIN | POLLRDNORM);
        bool again = err == 1;
        if (again)
            err = socket_wait(&listener->room,
                              listener->waiting <= listener->backlog || listener->closed ||
                                  listener->shut & UNIX_SHUT_RECEIVE,
                              deadline);
        unix_put(listener);
        if (!again)
            break;
    }
    if (fresh)
        socket_drop(&fresh->socket);
    else
        wait_wake_all(&s->writable); /* it was POLLHUP */
    return err;
}

int unix_listen(struct socket *s, int backlog) {
    struct unix_socket *u = unix_of(s);
    int err = 0;
    mutex_lock(&u->state_lock);
    if (!unix_name_of(u) || u->state == UNIX_CONNECTED) {
        err = -EINVAL;
    } else {
        mutex_lock(&u->queue.lock);
        u->backlog = MIN((uint32_t)backlog, (uint32_t)SOMAXCONN);
        u->state = UNIX_LISTENING;
        u->has_credentials = true;
        mutex_unlock(&u->queue.lock);
    }
    mutex_unlock(&u->state_lock);
    wait_wake_all(&u->room);
    return err;
}

static struct unix_socket *take_pending(struct unix_socket *u) {
    struct unix_socket *first = NULL;
    mutex_lock(&u->queue.lock);
    if (u->waiting) {
        first = list_first(&u->pending, struct unix_socket, pending_link);
        list_remove(&first->pending_link);
        u->waiting--;
    }
    mutex_unlock(&u->queue.lock);
    return first;
}

int unix_accept(struct socket *s, bool nonblocking, struct socket **out,
                struct socket_address *peer) {
    struct unix_socket *u = unix_of(s), *taken;
    if (u->state != UNIX_LISTENING)
        return -EINVAL;
    uint64_t deadline = socket_deadline(nonblocking, s->receive_timeout_ns);
    while (!(taken = take_pending(u))) {
        if (u->shut & UNIX_SHUT_RECEIVE)
            return -EINVAL;
        int err = socket_wait(&s->readable, u->waiting || u->shut & UNIX_SHUT_RECEIVE, deadline);
        if (err)
            return err;
    }
    wait_wake_all(&u->room);
    if (peer)
        unix_name_copy(unix_name_of(unix_peer(taken)), sizeof peer->family, peer);
    taken->socket.pass_credentials = atomic_load(&s->pass_credentials);
    *out = &taken->socket;
    return 0;
}

struct unix_socket *unix_peer_get(struct unix_socket *u) {
    spin_lock(&u->peer_lock);
    struct unix_socket *peer = unix_peer(u);
    if (peer)
        unix_get(peer);
    spin_unlock(&u->peer_lock);
    return peer;
}

void unix_leave_datagram(struct unix_socket *u) {
    spin_lock(&u->peer_lock);
    struct unix_socket *old = u->peer;
    u->peer = NULL;
    spin_unlock(&u->peer_lock);
    if (!old)
        return;
    mutex_lock(&old->queue.lock);
    list_remove(&u->sender_link);
    mutex_unlock(&old->queue.lock);
    unix_put(old);
}

int unix_join_datagram(struct unix_socket *u, struct unix_socket *peer) {
    mutex_lock(&peer->queue.lock);
    bool closed = peer->closed;
    if (!closed)
        list_add_tail(&peer->senders, &u->sender_link);
    mutex_unlock(&peer->queue.lock);
    if (closed)
        return -ECONNREFUSED;
    unix_get(peer);
    spin_lock(&u->peer_lock);
    u->peer = peer;
    u->state = UNIX_CONNECTED;
    spin_unlock(&u->peer_lock);
    return 0;
}

/* Leaves its peer, and forgets what that one sent (which it learns, as on Linux). */
static void disconnect(struct unix_socket *u, struct list *files) {
    struct unix_socket *old = unix_peer_get(u);
    if (!old)
        return;
    unix_leave_datagram(u);
    u->state = UNIX_FRESH;
    mutex_lock(&u->queue.lock);
    bool unread = u->queue.used > 0;
    unix_packet_clear(&u->queue);
    unix_queue_clear(&u->queue, files);
    mutex_unlock(&u->queue.lock);
    if (unread && unix_peer(old) == u)
        old->socket.error = ECONNRESET;
    unix_wake(old);
    wait_wake_all(&u->room);
    unix_put(old);
}

int unix_connect_datagram(struct socket *s, const struct socket_address *a, bool nonblocking) {
    struct unix_socket *u = unix_of(s), *peer = NULL;
    (void)nonblocking;
    if (a->length < sizeof a->family)
        return -EINVAL;
    int err = 0;
    if (a->family != AF_UNSPEC) {
        err = s->pass_credentials && !unix_name_of(u) ? unix_name_self(u) : 0;
        if (!err)
            err = unix_find(a, s->type, &peer);
        if (err)
            return err;
        /* Whoever is connected takes packets from his peer alone. */
        struct unix_socket *theirs = unix_peer(peer);
        if (theirs && theirs != u) {
            unix_put(peer);
            return -EPERM;
        }
    }
    struct list files = LIST_INIT(files);
    mutex_lock(&u->state_lock);
    disconnect(u, &files);
    if (peer)
        err = unix_join_datagram(u, peer);
    mutex_unlock(&u->state_lock);
    if (peer)
        unix_put(peer);
    unix_files_drop(&files);
    unix_wake(u);
    return err;
}
