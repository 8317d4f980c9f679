/* SPDX-License-Identifier: MIT */
/*
 * TCP sockets: their life, from socket() to close().
 *
 * Locks: a pcb and everything about it is lwIP's and under net_lock.  lwIP
 * calls back with that lock held; a callback finds its socket by the pcb's
 * argument, which is cleared before the socket goes.  lwIP may free a pcb at
 * any time (a reset; TIME_WAIT is over): it then calls pcb_gone(), which clears
 * the socket's pointer.
 *
 * Before each call of lwIP's on a connected pcb, tcp_lists_select() has it find
 * its list.
 */
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include <linux/in.h>
#include "kernel/slab.h"
#include "net/tcp_impl.h"
#include "net/tcp_lists.h"

static const struct socket_ops tcp_ops;

static void pcb_gone(u8_t id, void *data) {
    struct tcp_socket *s = data;
    (void)id;
    if (s)
        s->pcb = NULL;
}

static const struct tcp_ext_arg_callbacks lifetime = { .destroy = pcb_gone,
                                                       .passive_open = tcp_see_syn };

static void wake_all(struct tcp_socket *s) {
    wait_wake_all(&s->socket.readable);
    wait_wake_all(&s->socket.writable);
}

/* Of what a reset is an error: what we sent after the peer's regular end went nowhere. */
static int reset_errno(const struct tcp_socket *s) {
    if (s->state == TCP_CONNECTING)
        return ECONNREFUSED;
    return s->peer_ended && !s->no_more ? EPIPE : ECONNRESET;
}

/* No connection any more, and no attempt: as bind() has left it, if that was called. */
static void make_fresh(struct tcp_socket *s) {
    s->local_ip = s->bound_ip;
    s->local_port = s->bound_port;
    s->state = TCP_FRESH;
}

/* lwIP: the connection is no more, and the pcb is freed already. */
static void see_error(void *arg, err_t err) {
    struct tcp_socket *s = arg;
    if (!s)
        return;
    if (err != ERR_CLSD) /* that is a regular end */
        s->socket.error = err == ERR_ABRT ? ETIMEDOUT : reset_errno(s);
    s->pcb = NULL;
    if (s->state == TCP_CONNECTING) { /* the program may try again */
        make_fresh(s);
    } else {
        s->state = TCP_CLOSED;
    }
    s->no_more = s->ended = true;
    wake_all(s);
}

void tcp_see_established(struct tcp_socket *s, struct tcp_pcb *pcb) {
    tcp_limit_peer(pcb);
    card_lengthen_segments(pcb);
    tcp_window_begin(s, pcb);
    tcp_update_room(s);
}

static err_t see_connected(void *arg, struct tcp_pcb *pcb, err_t err) {
    struct tcp_socket *s = arg;
    (void)err;
    if (!s)
        return ERR_OK;
    s->local_ip = pcb->local_ip;
    tcp_begin_timers(pcb); /* anew, however often it had to ask */
    pcb->nrtx = 0;
    tcp_see_established(s, pcb);
    s->state = TCP_CONNECTED; /* publishes `window` */
    wake_all(s);
    return ERR_OK;
}

void tcp_attach(struct tcp_socket *s, struct tcp_pcb *pcb) {
    s->pcb = pcb;
    tcp_arg(pcb, s);
    tcp_ext_arg_set_callbacks(pcb, PCB_LIFETIME, &lifetime);
    tcp_ext_arg_set(pcb, PCB_LIFETIME, s);
    if (pcb->state == LISTEN)
        return;
    tcp_recv(pcb, tcp_see_data);
    tcp_sent(pcb, tcp_see_sent);
    tcp_err(pcb, see_error);
    s->local_ip = pcb->local_ip;
    s->local_port = pcb->local_port;
    s->remote_ip = pcb->remote_ip;
    s->remote_port = pcb->remote_port;
    tcp_apply_options(s);
}

void tcp_detach(struct tcp_socket *s) {
    struct tcp_pcb *pcb = s->pcb;
    s->pcb = NULL;
    tcp_arg(pcb, NULL);
    tcp_ext_arg_set(pcb, PCB_LIFETIME, NULL);
    if (pcb->state == LISTEN)
        return;
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
}

struct tcp_socket *tcp_socket_new(uint16_t family) {
    struct tcp_socket *s = kmalloc(sizeof *s);
    if (!s)
        return NULL;
    socket_init(&s->socket, &tcp_ops, family, SOCK_STREAM, IPPROTO_TCP);
    spin_init(&s->inbox_lock, RANK_PIPE);
    mutex_init(&s->reading);
    list_init(&s->finished);
    list_init(&s->owed);
    ip_options_init(&s->ip);
    return s;
}

int tcp_socket_create(uint16_t family, struct socket **out) {
    struct tcp_socket *s = tcp_socket_new(family);
    if (!s)
        return -ENOMEM;
    *out = &s->socket;
    return 0;
}

static int connect_locked(struct tcp_socket *s, const ip_addr_t *ip, uint16_t port) {
    static const int8_t busy[] = { [TCP_LISTENING] = EISCONN,
                                   [TCP_CONNECTING] = EALREADY,
                                   [TCP_CONNECTED] = EISCONN,
                                   [TCP_CLOSED] = EISCONN };
    if (s->state == TCP_CONNECTED && s->unreported) { /* what the first call could not say */
        s->unreported = false;
        return 0;
    }
    if (s->state != TCP_FRESH)
        return -busy[s->state];
    if (s->unreported) { /* a failed attempt is told once; SO_ERROR may have told why */
        s->unreported = false;
        int why = socket_take_error(&s->socket);
        return why ? why : -ECONNABORTED;
    }
    if ((s->v6_only && IP_IS_V4(ip)) || ip_addr_ismulticast(ip) || inet_address_is_broadcast(ip))
        return -ENETUNREACH;
    int err = tcp_need_pcb(s);
    if (err)
        return err;
    ip_addr_t bound = s->pcb->local_ip;
    s->pcb->remote_ip = *ip;
    s->pcb->remote_port = port;
    err = tcp_choose_local(s->pcb);
    if (!err) {
        tcp_lists_select(s->pcb);
        tcp_apply_options(s); /* the peer's address says which */
        ip_addr_t zoned = s->pcb->remote_ip;
        err = net_errno_or_0(tcp_connect(s->pcb, &zoned, port, see_connected));
    }
    if (err) { /* as it was: the program may try again */
        s->pcb->local_ip = bound;
        s->pcb->local_port = s->local_port;
        return err == -EADDRINUSE ? -EADDRNOTAVAIL : err;
    }
    s->state = TCP_CONNECTING;
    s->unreported = true;
    s->no_more = s->ended = false;
    s->socket.error = 0;
    tcp_attach(s, s->pcb);
    return -EINPROGRESS;
}

/* No connection any more, no attempt and no listener; the port that bind() gave stays. */
static void abandon(struct tcp_socket *s) {
    if (s->state == TCP_LISTENING) {
        tcp_close_listener(s);
    } else if (s->pcb) {
        struct tcp_pcb *pcb = s->pcb;
        tcp_detach(s);
        tcp_lists_select(pcb);
        tcp_abort(pcb);
        s->socket.error = ECONNRESET;
    }
    make_fresh(s);
    s->unreported = false;
    s->no_more = s->ended = s->peer_ended = false;
    s->has_room = false;
    s->starved = s->small_sent = false;
    s->acked_at_once = 0;
    s->credit = 0;
}

/* connect(AF_UNSPEC): Linux's way to make a socket fresh again. */
static int disconnect(struct tcp_socket *s) {
    mutex_lock(&s->reading); /* what was received goes, too */
    net_lock();
    if (s->state != TCP_FRESH) {
        abandon(s);
        tcp_drop_received(s);
    }
    net_unlock();
    mutex_unlock(&s->reading);
    wake_all(s);
    return 0;
}

static int wait_connected(struct tcp_socket *s) {
    uint64_t deadline = socket_deadline(false, s->socket.send_timeout_ns);
    int err = socket_wait(&s->socket.writable, s->state != TCP_CONNECTING, deadline);
    if (err)
        return err == -EAGAIN ? -EINPROGRESS : err;
    s->unreported = false;
    err = socket_take_error(&s->socket);
    return err ? err : s->state == TCP_CONNECTED ? 0 : -ECONNABORTED;
}

static int tcp_socket_connect(struct socket *socket, const struct socket_address *a,
                              bool nonblocking) {
    struct tcp_socket *s = tcp_of(socket);
    ip_addr_t ip;
    uint16_t port;

    if (a->length >= sizeof a->family && a->family == AF_UNSPEC)
        return disconnect(s);
    int err = inet_address_get(a, socket->family, &ip, &port);
    if (err)
        return err;
    inet_address_fix_destination(&ip);
    if (!ip_addr_isloopback(&ip))
        net_wait_address();
    net_lock();
    err = connect_locked(s, &ip, port);
    net_unlock();
    return (err == -EINPROGRESS || err == -EALREADY) && !nonblocking ? wait_connected(s) : err;
}

static int tcp_socket_shutdown(struct socket *socket, enum socket_shutdown how) {
    struct tcp_socket *s = tcp_of(socket);
    int err = 0;

    net_lock();
    if (s->state == TCP_CONNECTING || (s->state == TCP_LISTENING && how != SOCKET_SHUT_WRITE)) {
        abandon(s);
    } else if (s->state != TCP_LISTENING) { /* which has nothing to write, and goes on */
        if (s->state != TCP_CONNECTED)
            err = -ENOTCONN; /* and it counts all the same, as on Linux */
        else if (how != SOCKET_SHUT_READ && !s->no_more && s->pcb) {
            tcp_lists_select(s->pcb);
            err = net_errno_or_0(tcp_shutdown(s->pcb, 0, 1));
        }
        if (how != SOCKET_SHUT_READ)
            s->no_more = true;
        if (how != SOCKET_SHUT_WRITE)
            s->ended = true; /* what comes in later may still be read */
    }
    net_unlock();
    wake_all(s);
    return err;
}

static int tcp_socket_name(struct socket *socket, bool of_peer, struct socket_address *a) {
    struct tcp_socket *s = tcp_of(socket);
    int err = 0;

    net_lock();
    if (!of_peer)
        inet_address_put(a, socket->family, &s->local_ip, s->local_port);
    else if (s->state == TCP_CONNECTED)
        inet_address_put(a, socket->family, &s->remote_ip, s->remote_port);
    else
        err = -ENOTCONN;
    net_unlock();
    return err;
}

static uint32_t tcp_socket_poll(struct socket *socket, struct file *f, struct poll_table *pt) {
    struct tcp_socket *s = tcp_of(socket);
    uint32_t events = 0;

    poll_wait(pt, f, &socket->readable);
    poll_wait(pt, f, &socket->writable);
    uint32_t state = s->state; /* after that: whoever changes it wakes */
    if (state == TCP_LISTENING)
        return s->finished_count ? POLLIN | POLLRDNORM : 0;
    if (state == TCP_FRESH)
        events |= POLLOUT | POLLWRNORM | POLLHUP;
    if (s->ended || s->available >= tcp_low_water(s))
        events |= POLLIN | POLLRDNORM;
    if (s->ended)
        events |= POLLRDHUP;
    if (s->ended && s->no_more)
        events |= POLLHUP;
    if (state != TCP_CONNECTING && (s->has_room || s->no_more))
        events |= POLLOUT | POLLWRNORM;
    return socket->error ? events | POLLERR : events;
}

static bool tcp_socket_listening(struct socket *socket) {
    return tcp_of(socket)->state == TCP_LISTENING;
}

/* The program has no descriptor for it any more; lwIP brings what was sent to its end alone. */
static void tcp_socket_close(struct socket *socket) {
    struct tcp_socket *s = tcp_of(socket);

    net_lock();
    if (s->state == TCP_LISTENING) {
        tcp_close_listener(s);
    } else if (s->pcb) {
        struct tcp_pcb *pcb = s->pcb;
        tcp_lists_select(pcb);
        tcp_give_credit(s); /* may end it: lwIP sends */
        if (s->pcb) {
            if (!s->available)
                tcp_window_all_read(pcb);
            tcp_detach(s);
            tcp_watch_closed(pcb);
            if ((socket->linger && !socket->linger_s) || tcp_close(pcb) != ERR_OK)
                tcp_abort(pcb);
        }
    }
    s->state = TCP_CLOSED;
    tcp_drop_received(s);
    net_unlock();
}

static void tcp_socket_destroy(struct socket *socket) {
    kfree(tcp_of(socket));
}

static const struct socket_ops tcp_ops = {
    .bind = tcp_socket_bind,
    .connect = tcp_socket_connect,
    .listen = tcp_socket_listen,
    .accept = tcp_socket_accept,
    .shutdown = tcp_socket_shutdown,
    .name = tcp_socket_name,
    .send = tcp_socket_send,
    .receive = tcp_socket_receive,
    .poll = tcp_socket_poll,
    .pending = tcp_socket_pending,
    .set_option = tcp_set_option,
    .get_option = tcp_get_option,
    .listening = tcp_socket_listening,
    .close = tcp_socket_close,
    .destroy = tcp_socket_destroy,
};
