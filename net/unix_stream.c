/* SPDX-License-Identifier: MIT */
/*
 * AF_UNIX streams: bytes without boundaries, but for those where files travel:
 * a receive ends behind the bytes that carried some.
 *
 * A write that finds the queue shorter than the sender's SO_SNDBUF enters whole
 * up to CHUNK, though the queue grows beyond for it: so what two writers write
 * in small pieces is never torn.
 */
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include "net/unix_impl.h"

#define CHUNK KIB(32)

/* Bytes that entered; 0: no room, or a fault; -ENOMEM.  queue.lock held. */
static long put(struct unix_queue *q, size_t limit, struct socket_message *m) {
    size_t done = 0;
    while (m->data->left && !m->data->faulted && q->used < limit) {
        size_t n = MIN(m->data->left, CHUNK);
        if (!unix_queue_reserve(q, n))
            return done ? (long)done : -ENOMEM;
        n = unix_queue_write(q, q->head, m->data, n);
        if (m->files && n)
            unix_queue_attach(q, &m->files, q->head, q->head + n);
        unix_queue_commit(q, n);
        done += n;
    }
    return (long)done;
}

static long send_some(struct unix_socket *u, struct unix_socket *peer, struct socket_message *m) {
    mutex_lock(&peer->queue.lock);
    long n = u->shut & UNIX_SHUT_SEND ? -EPIPE : put(&peer->queue, u->socket.send_buffer, m);
    mutex_unlock(&peer->queue.lock);
    if (n > 0)
        wait_wake_events(&peer->socket.readable, POLLIN | POLLRDNORM);
    return n;
}

/* What makes a sleeping writer go on. */
static bool has_room(struct unix_socket *u, struct unix_socket *peer) {
    return peer->queue.used * 4 <= u->socket.send_buffer || u->shut & UNIX_SHUT_SEND;
}

long unix_stream_send(struct socket *s, struct socket_message *m) {
    struct unix_socket *u = unix_of(s), *peer = unix_peer(u);
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (m->address && m->address->length)
        return peer ? -EISCONN : -EOPNOTSUPP;
    if (!peer)
        return -ENOTCONN;
    uint64_t deadline = socket_deadline(m->nonblocking, s->send_timeout_ns);
    size_t done = 0;
    for (bool slept = false;; slept = true) {
        long n = send_some(u, peer, m);
        if (n > 0)
            done += (size_t)n;
        if (n == -EPIPE && slept && !done) { /* what happened meanwhile, and no signal */
            int err = socket_take_error(s);  /* unless a reader was told */
            return err ? err : n;
        }
        if (n < 0)
            return done ? (long)done : n;
        if (!m->data->left || m->data->faulted)
            return iter_result(m->data, done);
        int err = socket_wait(&s->writable, has_room(u, peer), deadline);
        if (err)
            return done ? (long)done : err;
    }
}

/* Bytes taken; *boundary: they end behind files.  queue.lock held. */
static size_t take(struct unix_queue *q, struct socket_message *m, bool *boundary) {
    struct socket_files *files = unix_queue_files(q);
    size_t n = MIN(m->data->left, q->used);
    if (unlikely(files))
        n = MIN(n, files->end - q->tail);
    n = unix_queue_read(q, q->tail, m->data, n);
    bool carries = files && n && q->tail + n > files->at;
    *boundary |= carries;
    if (m->flags & MSG_PEEK) {
        if (carries && m->wants_files)
            m->files = unix_files_copy(files);
        return n;
    }
    if (carries) {
        list_remove(&files->link);
        m->files = files;
    }
    unix_queue_consume(q, n);
    return n;
}

static size_t receive_some(struct unix_socket *u, struct socket_message *m, bool *boundary) {
    struct unix_queue *q = &u->queue;
    mutex_lock(&q->lock);
    size_t before = q->used, n = before ? take(q, m, boundary) : 0, after = q->used;
    mutex_unlock(&q->lock);
    struct unix_socket *peer = unix_peer(u);
    size_t limit = peer->socket.send_buffer;
    if (before * 4 > limit && after * 4 <= limit)
        wait_wake_all(&peer->socket.writable);
    return n;
}

/* The queue was found empty: 0 when there may be more, 1 at the end, or -errno. */
static int wait_for_more(struct unix_socket *u, uint64_t deadline) {
    /* In this order: what the peer sent before it ended comes first. */
    int error = u->socket.error;
    uint32_t shut = u->shut;
    if (u->queue.used)
        return 0;
    if (error) {
        int err = socket_take_error(&u->socket);
        if (err)
            return err;
    }
    if (shut & UNIX_SHUT_RECEIVE)
        return 1;
    return socket_wait(&u->socket.readable,
                       u->queue.used || u->shut & UNIX_SHUT_RECEIVE || u->socket.error, deadline);
}

long unix_stream_receive(struct socket *s, struct socket_message *m) {
    struct unix_socket *u = unix_of(s);
    if (u->state != UNIX_CONNECTED)
        return -EINVAL;
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    bool peek = m->flags & MSG_PEEK, boundary = false;
    size_t all = m->data->left, done = 0;
    size_t enough = peek ? 1 : m->flags & MSG_WAITALL ? all : MIN(all, s->receive_low);
    uint64_t deadline = socket_deadline(m->nonblocking, s->receive_timeout_ns);
    int err = 0;
    for (;;) {
        done += receive_some(u, m, &boundary);
        if ((done && done >= enough) || boundary || m->data->faulted)
            break;
        if (!all && u->queue.used) /* who wants nothing waits for something, as on Linux */
            break;
        err = wait_for_more(u, deadline);
        if (err)
            break;
    }
    if (m->address && done)
        unix_name_copy(unix_name_of(unix_peer(u)), 0, m->address);
    return done || err >= 0 ? iter_result(m->data, done) : err;
}
