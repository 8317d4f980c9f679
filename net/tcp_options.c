/* SPDX-License-Identifier: MIT */
/* Options of TCP sockets below SOL_SOCKET: TCP, IP and IPv6.  Those that are kept take effect. */
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include <asm-generic/socket.h>
#include <linux/in.h>
#include "lwip/priv/tcp_priv.h"
#include "net/tcp_impl.h"

/* Linux's <linux/tcp.h>, which lwIP's names clash with. */
enum {
    OPTION_NODELAY = 1,
    OPTION_MAXSEG = 2,
    OPTION_CORK = 3,
    OPTION_KEEPIDLE = 4,
    OPTION_KEEPINTVL = 5,
    OPTION_KEEPCNT = 6,
    OPTION_QUICKACK = 12,
};

#define MSS_BEFORE      536 /* what Linux tells before a connection */
#define KEEP_MOST_S     32767
#define KEEP_MOST_TRIES 127

void tcp_apply_options(struct tcp_socket *s) {
    struct tcp_pcb *pcb = s->pcb;
    if (s->socket.reuse_address || s->socket.reuse_port)
        ip_set_option(pcb, SOF_REUSEADDR);
    else
        ip_reset_option(pcb, SOF_REUSEADDR);
    if (s->socket.keep_alive)
        ip_set_option(pcb, SOF_KEEPALIVE);
    else
        ip_reset_option(pcb, SOF_KEEPALIVE);
    if (pcb->state == LISTEN)
        return;
    ip_options_apply(&s->ip, (struct ip_pcb *)pcb, IP_IS_V6_VAL(pcb->remote_ip));
    pcb->keep_idle = s->keep[0] ? s->keep[0] * 1000 : TCP_KEEPIDLE_DEFAULT;
    pcb->keep_intvl = s->keep[1] ? s->keep[1] * 1000 : TCP_KEEPINTVL_DEFAULT;
    pcb->keep_cnt = s->keep[2] ? s->keep[2] : TCP_KEEPCNT_DEFAULT;
    tcp_nagle_apply(s);
}

static int set_tcp(struct tcp_socket *s, int name, int v) {
    switch (name) {
    case OPTION_NODELAY:
        s->no_delay = v != 0;
        break;
    case OPTION_CORK:
        s->corked = v != 0;
        break;
    case OPTION_KEEPIDLE:
    case OPTION_KEEPINTVL:
    case OPTION_KEEPCNT:
        if (v < 1 || v > (name == OPTION_KEEPCNT ? KEEP_MOST_TRIES : KEEP_MOST_S))
            return -EINVAL;
        s->keep[name - OPTION_KEEPIDLE] = (uint32_t)v;
        break;
    case OPTION_QUICKACK: /* a hint */
        if (v && s->pcb && s->state == TCP_CONNECTED && (s->pcb->flags & TF_ACK_DELAY))
            tcp_ack_now(s->pcb);
        break;
    default:
        return -ENOPROTOOPT;
    }
    if (s->pcb)
        tcp_apply_options(s);
    if (s->pcb && s->state == TCP_CONNECTED)
        tcp_output(s->pcb); /* what was held back, and an acknowledgement that was asked for */
    return 0;
}

static int set_ip(struct tcp_socket *s, int level, int name, int v) {
    bool v6 = level == IPPROTO_IPV6;
    if (v6 && name == IPV6_V6ONLY_OPTION) {
        if (s->local_port || s->state != TCP_FRESH)
            return -EINVAL;
        if (s->pcb) { /* made for an option: another kind is needed */
            struct tcp_pcb *pcb = s->pcb;
            tcp_detach(s);
            tcp_close(pcb);
        }
        s->v6_only = v != 0;
        return 0;
    }
    int err = ip_options_set(&s->ip, true, level, name, v);
    if (!err && s->pcb)
        tcp_apply_options(s);
    return err;
}

int tcp_set_option(struct socket *socket, int level, int name, const void *value, uint32_t size) {
    struct tcp_socket *s = tcp_of(socket);
    int v, err;

    if (level == SOL_SOCKET) { /* net/socket_option.c has kept it: lwIP may have to know */
        net_lock();
        if (s->pcb)
            tcp_apply_options(s);
        /* By SO_SNDBUF there may be room where there was none. */
        if (s->state == TCP_CONNECTED && !s->has_room && tcp_update_room(s))
            wait_wake_events(&socket->writable, POLLOUT | POLLWRNORM);
        net_unlock();
        return 0;
    }
    if (level != IPPROTO_TCP && level != IPPROTO_IP && level != IPPROTO_IPV6)
        return -ENOPROTOOPT;
    if (level == IPPROTO_IPV6 && socket->family != AF_INET6)
        return -ENOPROTOOPT;
    err = inet_option_read(level, value, size, &v);
    if (err)
        return err;
    net_lock();
    err = level == IPPROTO_TCP ? set_tcp(s, name, v) : set_ip(s, level, name, v);
    net_unlock();
    return err;
}

static int get_tcp(struct tcp_socket *s, int name, int *v) {
    static const int keep_defaults[] = { TCP_KEEPIDLE_DEFAULT / 1000, TCP_KEEPINTVL_DEFAULT / 1000,
                                         TCP_KEEPCNT_DEFAULT };
    unsigned keep = (unsigned)(name - OPTION_KEEPIDLE);
    switch (name) {
    case OPTION_NODELAY:
        *v = s->no_delay;
        return 0;
    case OPTION_CORK:
        *v = s->corked;
        return 0;
    case OPTION_MAXSEG:
        *v = s->pcb && s->state == TCP_CONNECTED ? (int)card_segment_bytes(s->pcb) : MSS_BEFORE;
        return 0;
    case OPTION_KEEPIDLE:
    case OPTION_KEEPINTVL:
    case OPTION_KEEPCNT:
        *v = s->keep[keep] ? (int)s->keep[keep] : keep_defaults[keep];
        return 0;
    case OPTION_QUICKACK:
        *v = 1;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static int get_ip(struct tcp_socket *s, int level, int name, int *v) {
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY_OPTION) {
        *v = s->v6_only;
        return 0;
    }
    return ip_options_get(&s->ip, level, name, v);
}

int tcp_get_option(struct socket *socket, int level, int name, void *value, uint32_t *size) {
    struct tcp_socket *s = tcp_of(socket);
    int v = 0, err;

    if (level == SOL_SOCKET)
        return -ENOPROTOOPT;
    if (level != IPPROTO_TCP && level != IPPROTO_IP && socket->family != AF_INET6)
        return -EOPNOTSUPP;
    net_lock();
    err = level == IPPROTO_TCP ? get_tcp(s, name, &v) : get_ip(s, level, name, &v);
    net_unlock();
    return err ? err : inet_option_write(level, value, size, v);
}
