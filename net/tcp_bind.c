/* SPDX-License-Identifier: MIT */
/*
 * The local side of a TCP socket: what bind() gave it, or else what connect()
 * and listen() choose.
 *
 * With SO_REUSEADDR lwIP lets any two sockets have a port.  Here, as on Linux, a
 * listener shares its port only with sockets at other addresses, or where all of
 * them have SO_REUSEPORT.
 */
#include <asm-generic/errno.h>
#include "lwip/priv/tcp_priv.h"
#include "net/tcp_impl.h"
#include "net/tcp_lists.h"

bool tcp_may_listen(const struct tcp_socket *s, const ip_addr_t *ip, uint16_t port) {
    for (const struct tcp_pcb_listen *l = tcp_listen_pcbs.listen_pcbs; l; l = l->next) {
        const struct tcp_socket *other = l->callback_arg;
        if (l->local_port == port && tcp_addresses_overlap(&l->local_ip, ip) &&
            !(other && other->socket.reuse_port && s->socket.reuse_port))
            return false;
    }
    return true;
}

/* Whether those that are bound, and do not listen yet, let it have the port. */
static bool may_share(const struct tcp_socket *s, const ip_addr_t *ip, uint16_t port) {
    for (const struct tcp_pcb *p = tcp_bound_pcbs; p; p = p->next) {
        const struct tcp_socket *other = p->callback_arg;
        if (p->local_port == port && tcp_addresses_overlap(&p->local_ip, ip) && other &&
            !(other->socket.reuse_port && s->socket.reuse_port) &&
            !(other->socket.reuse_address && s->socket.reuse_address))
            return false;
    }
    return true;
}

int tcp_bind_pcb(struct tcp_socket *s, const ip_addr_t *ip, uint16_t port) {
    if (port && (!tcp_may_listen(s, ip, port) || !may_share(s, ip, port)))
        return -EADDRINUSE;
    tcp_lists_gather();
    int err = net_errno_or_0(tcp_bind(s->pcb, ip, port));
    tcp_lists_scatter();
    if (err)
        return err;
    s->local_ip = *ip;
    s->local_port = s->pcb->local_port;
    return 0;
}

int tcp_need_pcb(struct tcp_socket *s) {
    if (s->pcb)
        return 0;
    u8_t type = s->socket.family == AF_INET ? IPADDR_TYPE_V4
                : s->v6_only                ? IPADDR_TYPE_V6
                                            : IPADDR_TYPE_ANY;
    struct tcp_pcb *pcb = tcp_new_ip_type(type);
    if (!pcb)
        return -ENOMEM;
    tcp_begin_timers(pcb);
    if (s->bound)
        pcb->local_ip = s->bound_ip;
    tcp_attach(s, pcb);
    int err = s->bound_port ? tcp_bind_pcb(s, &s->bound_ip, s->bound_port) : 0;
    if (err) { /* since the last attempt somebody else has taken the port */
        tcp_detach(s);
        tcp_abort(pcb);
    }
    return err;
}

static int bind_locked(struct socket *socket, ip_addr_t *ip, uint16_t port) {
    struct tcp_socket *s = tcp_of(socket);
    if (s->state != TCP_FRESH || s->local_port)
        return -EINVAL;
    if ((s->v6_only && IP_IS_V4(ip)) || inet_address_lacks_scope(ip))
        return -EINVAL;
    if (!inet_address_is_ours(ip))
        return -EADDRNOTAVAIL;
    int err = tcp_need_pcb(s);
    if (err)
        return err;
    if (ip_addr_isany(ip) && s->socket.family == AF_INET6 && !s->v6_only)
        *ip = *IP_ANY_TYPE;
    if (port || !s->ip.port_later) {
        err = tcp_bind_pcb(s, ip, port);
        if (err)
            return err;
    } else { /* connect() finds one, of all that are free for that destination */
        s->local_ip = s->pcb->local_ip = *ip;
    }
    s->bound = true;
    s->bound_ip = *ip;
    s->bound_port = port;
    return 0;
}

int tcp_socket_bind(struct socket *socket, const struct socket_address *a) {
    return inet_bind(socket, a, bind_locked);
}

int tcp_choose_local(struct tcp_pcb *pcb) {
    struct netif *n = inet_route(&pcb->local_ip, &pcb->remote_ip);
    /* Of 127.0.0.0/8 lwIP's loopback has the first address only. */
    if (!n || (ip_addr_isloopback(&pcb->remote_ip) && !inet_address_is_ours(&pcb->remote_ip)))
        return -ENETUNREACH;
    if (ip_addr_isany(&pcb->local_ip)) {
        const ip_addr_t *ip = ip_netif_get_local_ip(n, &pcb->remote_ip);
        if (!ip || ip_addr_isany(ip))
            return -ENETUNREACH;
        pcb->local_ip = *ip;
    }
    if (IP_IS_V6_VAL(pcb->remote_ip) && ip6_addr_lacks_zone(ip_2_ip6(&pcb->remote_ip), IP6_UNICAST))
        ip6_addr_assign_zone(ip_2_ip6(&pcb->remote_ip), IP6_UNICAST, n);
    if (pcb->local_port == 0)
        pcb->local_port = tcp_lists_port(pcb);
    return pcb->local_port ? 0 : -EADDRNOTAVAIL;
}
