/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets.
 *
 * lwIP keeps half-open connections, at most 255 to a listener, and hands over
 * those that are complete; they wait in `finished` until accept() takes them.
 * While that is full the listener hears no further SYN, so that a client tries
 * again later, as it does with Linux.  All under net_lock.
 */
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include "base/string.h"
#include "kernel/slab.h"
#include "net/tcp_impl.h"
#include "net/tcp_lists.h"

#define HALF_OPEN_MOST 255

/* lwIP: a connection is complete. */
static err_t see_finished(void *arg, struct tcp_pcb *pcb, err_t err) {
    struct tcp_socket *listener = arg, *s;
    if (err != ERR_OK || !pcb)
        return ERR_VAL;
    if (!listener || !(s = tcp_socket_new(listener->socket.family)))
        return ERR_MEM; /* lwIP resets it */
    s->state = TCP_CONNECTED;
    s->no_delay = listener->no_delay;
    s->v6_only = listener->v6_only;
    s->corked = listener->corked;
    socket_inherit(&s->socket, &listener->socket);
    s->ip = listener->ip;
    memcpy(s->keep, listener->keep, sizeof s->keep);
    tcp_attach(s, pcb);
    tcp_see_established(s, pcb);
    list_add_tail(&listener->finished, &s->link);
    listener->finished_count++;
    wait_wake_events(&listener->socket.readable, POLLIN | POLLRDNORM);
    return ERR_OK;
}

static int listen_locked(struct tcp_socket *s) {
    err_t why = ERR_OK;
    int err = tcp_need_pcb(s);
    if (!err && !s->local_port) {
        ip_addr_t any = s->pcb->local_ip;
        err = tcp_bind_pcb(s, &any, 0);
    }
    if (!err && !tcp_may_listen(s, &s->local_ip, s->local_port))
        err = -EADDRINUSE;
    if (err)
        return err;
    ip_reset_option(s->pcb, SOF_REUSEADDR); /* lwIP would let no two listen */
    struct tcp_pcb *listener = tcp_listen_with_backlog_and_err(s->pcb, HALF_OPEN_MOST, &why);
    if (!listener) {
        tcp_apply_options(s);
        return net_errno_or_0(why);
    }
    tcp_attach(s, listener);
    tcp_apply_options(s);
    tcp_accept(listener, see_finished);
    return 0;
}

int tcp_socket_listen(struct socket *socket, int backlog) {
    struct tcp_socket *s = tcp_of(socket);
    int err = 0;

    net_lock();
    if (s->state == TCP_FRESH)
        err = listen_locked(s);
    else if (s->state != TCP_LISTENING)
        err = -EINVAL;
    if (!err) {
        s->backlog = (unsigned)MIN((unsigned)backlog, (unsigned)SOMAXCONN);
        s->state = TCP_LISTENING;
    }
    net_unlock();
    return err;
}

static struct tcp_socket *take_finished(struct tcp_socket *listener) {
    struct tcp_socket *s = NULL;
    net_lock();
    if (!list_is_empty(&listener->finished)) {
        s = list_first(&listener->finished, struct tcp_socket, link);
        list_remove(&s->link);
        listener->finished_count--;
    }
    net_unlock();
    return s;
}

int tcp_socket_accept(struct socket *socket, bool nonblocking, struct socket **out,
                      struct socket_address *peer) {
    struct tcp_socket *listener = tcp_of(socket), *s;
    uint64_t deadline = socket_deadline(nonblocking, socket->receive_timeout_ns);

    for (;;) {
        if (listener->state != TCP_LISTENING)
            return -EINVAL;
        s = listener->finished_count ? take_finished(listener) : NULL;
        if (s)
            break;
        if (nonblocking)
            return -EAGAIN;
        int err =
            socket_wait(&socket->readable,
                        listener->finished_count || listener->state != TCP_LISTENING, deadline);
        if (err)
            return err;
    }
    if (peer)
        inet_address_put(peer, s->socket.family, &s->remote_ip, s->remote_port);
    *out = &s->socket;
    return 0;
}

void tcp_close_listener(struct tcp_socket *s) {
    while (!list_is_empty(&s->finished)) {
        struct tcp_socket *child = list_first(&s->finished, struct tcp_socket, link);
        list_remove(&child->link);
        s->finished_count--;
        struct tcp_pcb *pcb = child->pcb;
        if (pcb) {
            tcp_detach(child);
            tcp_lists_select(pcb);
            tcp_abort(pcb);
        }
        tcp_drop_received(child);
        inode_put(&child->socket.inode);
    }
    struct tcp_pcb *listener = s->pcb;
    tcp_detach(s);
    tcp_lists_gather(); /* half-open connections forget their listener */
    tcp_close(listener);
    tcp_lists_scatter();
    wait_wake_all(&s->socket.readable);
}
