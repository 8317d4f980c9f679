/* SPDX-License-Identifier: MIT */
/*
 * UDP sockets.
 *
 * lwIP's callback, under net_lock, puts each datagram with its sender into a
 * queue of at most `receive_buffer` bytes; what does not fit is lost, as
 * UDP has it.  A reader takes the first off and copies it without net_lock.
 *
 * A datagram for which the card has no room waits with its sender, or the socket
 * is not to be written to until there is some.  Parts of one above the MTU that
 * find no room are lost, and so is it: lwIP does not say.
 */
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include <asm-generic/socket.h>
#include <linux/in.h>
#include "base/list.h"
#include "kernel/lock.h"
#include "kernel/slab.h"
#include "lwip/udp.h"
#include "net/inet_impl.h"
#include "net/ip_options.h"
#include "net/net_impl.h"
#include "net/udp_info.h"

#define DATAGRAM_MOST 65507u /* payload over IPv4 */
#define OVERHEAD      256u   /* what a waiting datagram counts for besides its bytes */

struct datagram {
    struct list link;
    struct pbuf *data;
    ip_addr_t from;
    uint16_t port;
    struct udp_info to;
};

struct udp_socket {
    struct socket socket;
    struct udp_pcb *pcb;  /* net_lock */
    bool connected;       /* net_lock */
    bool bound;           /* by bind(), to a port that it named; net_lock */
    ip_addr_t bound_ip;   /* net_lock */
    bool v6_only;         /* net_lock */
    struct ip_options ip; /* net_lock */
    struct list refused;  /* net_lock; in the list of that name while `full` */
    atomic_bool full;     /* the card had no room for its datagram; set under net_lock */
    atomic_bool ended;    /* shut down for reading */
    atomic_bool no_more;  /* for sending */
    struct spinlock lock; /* RANK_PIPE; guards the queue */
    struct list queue;    /* struct datagram */
    _Atomic(uint32_t) queued_bytes;
    _Atomic(uint32_t) queued;
};

static const struct socket_ops udp_ops;
static struct list refused = LIST_INIT(refused); /* struct udp_socket; net_lock */

static struct udp_socket *udp_of(struct socket *s) {
    return container_of(s, struct udp_socket, socket);
}

static void datagram_free(struct datagram *d) {
    pbuf_free(d->data);
    kfree(d);
}

static uint32_t cost(const struct datagram *d) {
    return d->data->tot_len + OVERHEAD;
}

/* lwIP: a datagram. */
static void see_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from,
                         u16_t port) {
    struct udp_socket *s = arg;
    (void)pcb;
    struct datagram *d =
        s && !s->ended && s->queued_bytes < s->socket.receive_buffer ? kmalloc(sizeof *d) : NULL;
    if (!d) {
        pbuf_free(p);
        return;
    }
    *d = (struct datagram){ .data = p, .from = *from, .port = port };
    d->to.address = *ip_current_dest_addr();
    d->to.interface = netif_get_index(ip_current_input_netif());
    spin_lock(&s->lock);
    list_add_tail(&s->queue, &d->link);
    s->queued_bytes += cost(d);
    atomic_fetch_add(&s->queued, 1);
    spin_unlock(&s->lock);
    wait_wake_events(&s->socket.readable, POLLIN | POLLRDNORM);
}

int udp_socket_create(uint16_t family, struct socket **out) {
    struct udp_socket *s = kmalloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    socket_init(&s->socket, &udp_ops, family, SOCK_DGRAM, IPPROTO_UDP);
    spin_init(&s->lock, RANK_PIPE);
    list_init(&s->queue);
    ip_options_init(&s->ip);
    *out = &s->socket;
    return 0;
}

/* Under net_lock. */
static int need_pcb(struct udp_socket *s) {
    if (s->pcb)
        return 0;
    s->pcb = udp_new_ip_type(s->socket.family == AF_INET ? IPADDR_TYPE_V4
                             : s->v6_only                ? IPADDR_TYPE_V6
                                                         : IPADDR_TYPE_ANY);
    if (!s->pcb)
        return -ENOMEM;
    udp_recv(s->pcb, see_datagram, s);
    return 0;
}

static int bind_locked(struct socket *socket, ip_addr_t *ip, uint16_t port) {
    struct udp_socket *s = udp_of(socket);
    if ((s->pcb && s->pcb->local_port) || (s->v6_only && IP_IS_V4(ip)) ||
        inet_address_lacks_scope(ip))
        return -EINVAL;
    if (!inet_address_is_ours(ip) && !ip_addr_ismulticast(ip))
        return -EADDRNOTAVAIL;
    int err = need_pcb(s);
    if (err)
        return err;
    if (s->socket.reuse_address || s->socket.reuse_port)
        ip_set_option(s->pcb, SOF_REUSEADDR);
    if (ip_addr_isany(ip) && s->socket.family == AF_INET6 && !s->v6_only)
        *ip = *IP_ANY_TYPE;
    err = net_errno_or_0(udp_bind(s->pcb, ip, port));
    s->bound = !err && port;
    s->bound_ip = *ip;
    return err;
}

static int udp_socket_bind(struct socket *socket, const struct socket_address *a) {
    return inet_bind(socket, a, bind_locked);
}

/* Under net_lock: a port of its own, for a first act that is not bind. */
static int need_port(struct udp_socket *s) {
    int err = need_pcb(s);
    if (err || s->pcb->local_port)
        return err;
    ip_addr_t any = s->pcb->local_ip;
    return net_errno_or_0(udp_bind(s->pcb, &any, 0));
}

/* Under net_lock: whether the socket may send there at all. */
static int may_reach(const struct udp_socket *s, const ip_addr_t *ip) {
    if (s->v6_only && IP_IS_V4(ip))
        return -ENETUNREACH;
    if (!inet_address_is_broadcast(ip) || s->socket.broadcast)
        return 0;
    return inet_route(IP4_ADDR_ANY, ip) ? -EACCES : -ENETUNREACH;
}

/* connect(AF_UNSPEC).  A port that bind() did not name goes, too. */
static void disconnect(struct udp_socket *s) {
    net_lock();
    if (s->pcb && s->bound) {
        udp_disconnect(s->pcb);
        s->pcb->local_ip = s->bound_ip;
    } else if (s->pcb) {
        udp_remove(s->pcb);
        s->pcb = NULL;
    }
    s->connected = false;
    net_unlock();
}

/* Where to send, as Linux reads it: over IPv4 it need not say so, and over IPv6 it may be IPv4. */
static int destination_get(const struct socket *socket, const struct socket_address *a,
                           ip_addr_t *ip, uint16_t *port) {
    uint16_t said = a->length >= sizeof a->family ? a->family : AF_UNSPEC;
    uint16_t family = said == AF_INET ? AF_INET : socket->family;
    int err = inet_address_read(a, family, ip, port);
    if (!err && said != family && !(family == AF_INET && said == AF_UNSPEC))
        err = -EAFNOSUPPORT;
    if (!err)
        inet_address_fix_destination(ip);
    return err;
}

static int udp_socket_connect(struct socket *socket, const struct socket_address *a,
                              bool nonblocking) {
    struct udp_socket *s = udp_of(socket);
    ip_addr_t ip;
    uint16_t port;
    int err = 0;
    (void)nonblocking;

    if (a->length >= sizeof a->family && a->family == AF_UNSPEC) {
        disconnect(s);
        return 0;
    }
    err = destination_get(socket, a, &ip, &port);
    if (err)
        return err;
    if (!ip_addr_isloopback(&ip))
        net_wait_address();
    net_lock();
    err = may_reach(s, &ip);
    if (!err)
        err = need_port(s);
    struct netif *n = err ? NULL : inet_route(&s->pcb->local_ip, &ip);
    if (!err && !n)
        err = -ENETUNREACH;
    if (!err) {
        err = net_errno_or_0(udp_connect(s->pcb, &ip, port));
        const ip_addr_t *local = ip_netif_get_local_ip(n, &ip);
        if (!err && local && ip_addr_isany(&s->pcb->local_ip))
            s->pcb->local_ip = *local;
        s->connected = !err;
    }
    net_unlock();
    return err;
}

static int udp_socket_shutdown(struct socket *socket, enum socket_shutdown how) {
    struct udp_socket *s = udp_of(socket);
    if (how != SOCKET_SHUT_WRITE)
        s->ended = true;
    if (how != SOCKET_SHUT_READ)
        s->no_more = true;
    wait_wake_all(&socket->readable);
    return s->connected ? 0 : -ENOTCONN; /* it counts in any case, as on Linux */
}

static int udp_socket_name(struct socket *socket, bool of_peer, struct socket_address *a) {
    struct udp_socket *s = udp_of(socket);
    int err = 0;
    net_lock();
    if (of_peer && !s->connected)
        err = -ENOTCONN;
    else if (of_peer)
        inet_address_put(a, socket->family, &s->pcb->remote_ip, s->pcb->remote_port);
    else
        inet_address_put(a, socket->family, s->pcb ? &s->pcb->local_ip : IP_ANY_TYPE,
                         s->pcb ? s->pcb->local_port : 0);
    net_unlock();
    return err;
}

/* Under net_lock: POLLOUT goes, until there is room. */
static void see_full(struct udp_socket *s) {
    if (s->full)
        return;
    s->full = true;
    list_add_tail(&refused, &s->refused);
}

static void see_room(struct udp_socket *s) {
    list_remove(&s->refused);
    s->full = false;
}

void udp_sockets_see_room(void) {
    net_assert_locked();
    while (!list_is_empty(&refused)) {
        struct udp_socket *s = list_first(&refused, struct udp_socket, refused);
        see_room(s);
        wait_wake_events(&s->socket.writable, POLLOUT | POLLWRNORM);
    }
}

/* Where a datagram goes, and how. */
struct way {
    const ip_addr_t *ip; /* NULL: where the socket is connected */
    uint16_t port;
    const struct socket_controls *controls; /* NULL: none */
};

/* Under net_lock, as all that concerns lwIP's side. */
static int send_to(struct udp_socket *s, struct pbuf *p, const struct way *w) {
    const ip_addr_t *to = w->ip ? w->ip : &s->pcb->remote_ip, *source;
    uint16_t port = w->ip ? w->port : s->pcb->remote_port;
    struct udp_control c = { .class = -1, .hops = -1 };
    struct netif *n;

    int err = w->controls ? udp_control_get(w->controls, s->socket.family, IP_IS_V6(to), &c) : 0;
    if (err)
        return err;
    ip_options_apply(&s->ip, (struct ip_pcb *)s->pcb, IP_IS_V6(to));
    s->pcb->tos = c.class < 0 ? s->pcb->tos : (u8_t)c.class;
    s->pcb->ttl = c.hops < 0 ? s->pcb->ttl : (u8_t)c.hops;
    if (!c.has_info)
        return net_errno_or_0(udp_sendto(s->pcb, p, to, port));
    err = udp_info_route(&c.info, &s->pcb->local_ip, to, &n, &source);
    return err ? err : net_errno_or_0(udp_sendto_if_src(s->pcb, p, to, port, n, source));
}

/* Sends `p`, which is its own then.  -ENOSPC: the card is full, and `p` is as it was and the
 * caller's. */
static int send_pbuf(struct udp_socket *s, struct pbuf *p, const struct way *w) {
    char *data = p->payload;
    net_lock();
    int err = need_port(s);
    if (!err && !w->ip && !s->connected)
        err = -EDESTADDRREQ;
    if (!err && w->ip)
        err = may_reach(s, w->ip);
    if (!err)
        err = send_to(s, p, w);
    if (err == -ENOMEM && card_is_full()) {
        pbuf_remove_header(p, (size_t)(data - (char *)p->payload));
        err = -ENOSPC;
        see_full(s);
    } else {
        pbuf_free(p); /* the card may have it, too, and counts are under the lock */
    }
    net_unlock();
    return err;
}

/* The same, once the card has room. */
static int send_in_time(struct udp_socket *s, struct pbuf *p, const struct way *w,
                        bool nonblocking) {
    uint64_t deadline = socket_deadline(nonblocking, s->socket.send_timeout_ns);
    for (;;) {
        unsigned seen = atomic_load(&net_room_count);
        int err = send_pbuf(s, p, w);
        if (err != -ENOSPC)
            return err;
        err = nonblocking ? -EAGAIN
                          : socket_wait(&net_room, atomic_load(&net_room_count) != seen, deadline);
        if (err) {
            net_lock();
            pbuf_free(p);
            net_unlock();
            return err;
        }
    }
}

static long udp_socket_send(struct socket *socket, struct socket_message *m) {
    struct udp_socket *s = udp_of(socket);
    size_t size = m->data->left;
    ip_addr_t ip;
    struct way way = { 0 };
    bool named = m->address && m->address->length;

    if (m->flags & (MSG_OOB | MSG_MORE)) /* the latter, since two datagrams would be a lie */
        return -EOPNOTSUPP;
    if (s->no_more)
        return -EPIPE;
    if (size > DATAGRAM_MOST)
        return -EMSGSIZE;
    int err = named ? destination_get(socket, m->address, &ip, &way.port) : 0;
    if (err)
        return err;
    if (named && way.port == 0)
        return -EINVAL;
    if (named && !ip_addr_isloopback(&ip))
        net_wait_address();
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)size, PBUF_RAM);
    if (!p)
        return -ENOBUFS;
    if (iter_from(m->data, p->payload, size) < size) {
        pbuf_free(p);
        return -EFAULT;
    }
    way.ip = named ? &ip : NULL;
    way.controls = m->controls;
    err = send_in_time(s, p, &way, m->nonblocking);
    return err ? err : (long)size;
}

static struct datagram *take_first(struct udp_socket *s) {
    struct datagram *d = NULL;
    spin_lock(&s->lock);
    if (!list_is_empty(&s->queue)) {
        d = list_first(&s->queue, struct datagram, link);
        list_remove(&d->link);
        s->queued_bytes -= cost(d);
        atomic_fetch_sub(&s->queued, 1);
    }
    spin_unlock(&s->lock);
    return d;
}

static void put_back(struct udp_socket *s, struct datagram *d) {
    spin_lock(&s->lock);
    list_add_head(&s->queue, &d->link);
    s->queued_bytes += cost(d);
    atomic_fetch_add(&s->queued, 1);
    spin_unlock(&s->lock);
    wait_wake_all(&s->socket.readable);
}

static long copy_datagram(struct udp_socket *s, struct datagram *d, struct socket_message *m) {
    size_t done = 0, want = MIN((size_t)d->data->tot_len, m->data->left);
    for (const struct pbuf *p = d->data; p && m->data->left; p = p->next)
        done += iter_to(m->data, p->payload, p->len);
    if (m->address)
        inet_address_put(m->address, s->socket.family, &d->from, d->port);
    udp_info_put(&s->ip, &d->to, m->controls);
    if (want < d->data->tot_len)
        m->received |= MSG_TRUNC;
    if (done < want)
        return -EFAULT;
    return m->flags & MSG_TRUNC ? d->data->tot_len : (long)done;
}

static long udp_socket_receive(struct socket *socket, struct socket_message *m) {
    struct udp_socket *s = udp_of(socket);
    uint64_t deadline = socket_deadline(m->nonblocking, socket->receive_timeout_ns);
    bool peek = m->flags & MSG_PEEK;

    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (m->flags & MSG_ERRQUEUE)
        return -EAGAIN;
    for (;;) {
        struct datagram *d = take_first(s);
        if (d) {
            long n = copy_datagram(s, d, m);
            if (peek) /* it was off the queue meanwhile, so that nobody freed it */
                put_back(s, d);
            else
                datagram_free(d);
            return n;
        }
        int err = socket_take_error(socket);
        if (err)
            return err;
        if (m->nonblocking)
            return -EAGAIN;
        if (s->ended)
            return 0;
        err = socket_wait(&socket->readable, s->queued || s->ended || socket->error, deadline);
        if (err)
            return err;
    }
}

static uint32_t udp_socket_poll(struct socket *socket, struct file *f, struct poll_table *pt) {
    struct udp_socket *s = udp_of(socket);
    poll_wait(pt, f, &socket->readable);
    poll_wait(pt, f, &socket->writable);
    uint32_t events = s->full ? 0 : POLLOUT | POLLWRNORM;
    if (s->queued || s->ended)
        events |= POLLIN | POLLRDNORM;
    if (s->ended)
        events |= POLLRDHUP;
    if (s->ended && s->no_more)
        events |= POLLHUP;
    return socket->error ? events | POLLERR : events;
}

static long udp_socket_pending(struct socket *socket, bool output) {
    struct udp_socket *s = udp_of(socket);
    long size = 0;
    if (output)
        return 0;
    spin_lock(&s->lock);
    if (!list_is_empty(&s->queue))
        size = list_first(&s->queue, struct datagram, link)->data->tot_len;
    spin_unlock(&s->lock);
    return size;
}

static int set_v6_only(struct udp_socket *s, int v) {
    if (s->pcb)
        return -EINVAL;
    s->v6_only = v != 0;
    return 0;
}

static int udp_set_option(struct socket *socket, int level, int name, const void *value,
                          uint32_t size) {
    struct udp_socket *s = udp_of(socket);
    int v, err = inet_option_read(level, value, size, &v);
    if (level == SOL_SOCKET)
        return 0;
    if (level == IPPROTO_IPV6 && socket->family != AF_INET6)
        return -ENOPROTOOPT;
    if (err)
        return err;
    net_lock();
    err = level == IPPROTO_IPV6 && name == IPV6_V6ONLY_OPTION
              ? set_v6_only(s, v)
              : ip_options_set(&s->ip, false, level, name, v);
    net_unlock();
    return err;
}

static int udp_get_option(struct socket *socket, int level, int name, void *value, uint32_t *size) {
    struct udp_socket *s = udp_of(socket);
    int v = 0, err = 0;
    if (level == SOL_SOCKET)
        return -ENOPROTOOPT;
    if (level != IPPROTO_IP && level != IPPROTO_UDP && socket->family != AF_INET6)
        return -EOPNOTSUPP;
    net_lock();
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY_OPTION)
        v = s->v6_only;
    else
        err = ip_options_get(&s->ip, level, name, &v);
    net_unlock();
    return err ? err : inet_option_write(level, value, size, v);
}

static void udp_socket_close(struct socket *socket) {
    struct udp_socket *s = udp_of(socket);
    net_lock();
    if (s->pcb)
        udp_remove(s->pcb);
    s->pcb = NULL;
    if (s->full)
        see_room(s);
    net_unlock();
    for (struct datagram *d; (d = take_first(s));)
        datagram_free(d);
}

static void udp_socket_destroy(struct socket *socket) {
    kfree(udp_of(socket));
}

static const struct socket_ops udp_ops = {
    .bind = udp_socket_bind,
    .connect = udp_socket_connect,
    .shutdown = udp_socket_shutdown,
    .name = udp_socket_name,
    .send = udp_socket_send,
    .receive = udp_socket_receive,
    .poll = udp_socket_poll,
    .pending = udp_socket_pending,
    .set_option = udp_set_option,
    .get_option = udp_get_option,
    .close = udp_socket_close,
    .destroy = udp_socket_destroy,
};
