/* SPDX-License-Identifier: MIT */
/*
 * A TCP socket.
 *
 *   FRESH -> BOUND -> LISTENING
 *     \________\-> CONNECTING -> CONNECTED -> CLOSED
 *
 * An attempt that fails leads back to FRESH.  LISTENING's children begin as
 * CONNECTED.  `pcb` is lwIP's side; it is NULL once lwIP has let go of it (a
 * reset, or the connection's regular end).
 */
#ifndef NET_TCP_IMPL_H
#define NET_TCP_IMPL_H

#include "kernel/lock.h"
#include "kernel/mutex.h"
#include "lwip/tcp.h"
#include "net/inet_impl.h"
#include "net/ip_options.h"
#include "net/net_impl.h"
#include "net/socket.h"

enum tcp_state_of_socket { TCP_FRESH, TCP_LISTENING, TCP_CONNECTING, TCP_CONNECTED, TCP_CLOSED };

struct tcp_socket {
    struct socket socket;

    /* net_lock; `state` is also read without it, which may be out of date at once. */
    _Atomic(uint32_t) state; /* enum tcp_state_of_socket */
    struct tcp_pcb *pcb;
    ip_addr_t local_ip, remote_ip; /* for getsockname and getpeername, whatever becomes of pcb */
    uint16_t local_port, remote_port;
    bool bound; /* by bind(), and to what; port 0: it named none */
    ip_addr_t bound_ip;
    uint16_t bound_port;
    bool v6_only, no_delay, corked;
    struct ip_options ip;
    uint32_t keep[3];     /* idle s, interval s, count; 0: the default.  tcp_options.c */
    bool unreported;      /* no connect() has said how the attempt ended */
    struct list link;     /* in a listener's `finished` */
    struct list finished; /* connections that nobody has accepted */
    unsigned backlog;     /* most in `finished` */
    _Atomic(unsigned) finished_count; /* written under net_lock; poll reads it */

    /* Sending.  Written under net_lock, read anywhere. */
    atomic_bool has_room; /* for a good part of the buffer */
    bool starved;         /* memory was short; net_lock */
    bool small_sent;      /* and not acknowledged: tcp_nagle.c; net_lock, as the next */
    uint32_t small_end;   /* behind the last such segment */
    atomic_bool no_more;  /* shut down for sending, or the connection is gone */

    /* Acknowledging: tcp_ack.c; net_lock. */
    struct list owed; /* empty: nothing is owed */
    uint8_t acked_at_once;

    /* Receiving: lwIP fills the inbox; a reader takes all of it over and copies from that. */
    struct spinlock inbox_lock; /* RANK_PIPE; guards the next three */
    struct pbuf *inbox, *inbox_last;
    uint32_t inbox_room;         /* bytes behind those in inbox_last */
    _Atomic(uint32_t) available; /* bytes in the inbox and with the reader */
    atomic_bool ended;           /* nothing more will come in */
    atomic_bool peer_ended;      /* since the peer has said so */
    struct mutex reading;        /* guards the next two; before inbox_lock and net_lock */
    struct pbuf *mine;           /* what the reader took over */
    uint32_t mine_offset;        /* bytes of its first that are read */
    _Atomic(uint32_t) credit;    /* bytes read that lwIP has not been told of */

    /* The receive window: tcp_window.c; written under net_lock. */
    _Atomic(uint32_t) window; /* bytes, of which the unread are a part; 0: not connected */
    uint32_t window_read;     /* since it grew */
};

static inline struct tcp_socket *tcp_of(struct socket *s) {
    return container_of(s, struct tcp_socket, socket);
}

/* tcp.c */
/* A socket without a pcb; NULL without memory. */
struct tcp_socket *tcp_socket_new(uint16_t family);
/* Makes lwIP's callbacks lead to `s`.  Under net_lock. */
void tcp_attach(struct tcp_socket *s, struct tcp_pcb *pcb);
/* The opposite: no callback of `pcb` leads anywhere. */
void tcp_detach(struct tcp_socket *s);
/* The handshake of `pcb` is complete.  Under net_lock. */
void tcp_see_established(struct tcp_socket *s, struct tcp_pcb *pcb);

/* tcp_bind.c.  All but tcp_socket_bind() under net_lock. */
int tcp_socket_bind(struct socket *s, const struct socket_address *a);
/* Has lwIP a pcb for it; makes one if need be, at the address of a bound socket.  -ENOMEM, and
 * -EADDRINUSE for a port that it had before. */
must_check int tcp_need_pcb(struct tcp_socket *s);
/* Binds s->pcb; port 0: any.  -EADDRINUSE. */
must_check int tcp_bind_pcb(struct tcp_socket *s, const ip_addr_t *ip, uint16_t port);
/* Whether no listener forbids it to listen there. */
bool tcp_may_listen(const struct tcp_socket *s, const ip_addr_t *ip, uint16_t port);
/* The local side of a connection to pcb's remote side, as far as it is not bound.  -ENETUNREACH,
 * -EADDRNOTAVAIL. */
must_check int tcp_choose_local(struct tcp_pcb *pcb);

/* tcp_spread.c.  Under net_lock. */
/* Whether a connection to one could be one to the other. */
bool tcp_addresses_overlap(const ip_addr_t *a, const ip_addr_t *b);
/* A SYN to that address: of several listeners (SO_REUSEPORT) the one that `hash` says gets it. */
void tcp_spread_syn(const ip_addr_t *to, uint16_t port, uint32_t hash);

/* tcp_timers.c.  Under net_lock. */
/* A new connection: how long lwIP waits before it repeats something. */
void tcp_begin_timers(struct tcp_pcb *pcb);
/* tcp_ext_arg_callbacks.passive_open of a listener: the same. */
err_t tcp_see_syn(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb);
/* The program closes it: what is left goes on while the peer takes it. */
void tcp_watch_closed(struct tcp_pcb *pcb);
/* lwIP's TCP clock, and ours.  All lists are gathered. */
void tcp_timers_tick(void);

/* tcp_refuse.c */
/*
 * Before the first byte of a connection: a least length for its segments, which
 * lwIP makes of the peer's MSS and of half the largest window that it has seen.
 * None at all would count as no limit, and a small one that follows as an error.
 */
void tcp_limit_peer(struct tcp_pcb *pcb);

/* tcp_accept.c */
int tcp_socket_listen(struct socket *s, int backlog);
int tcp_socket_accept(struct socket *s, bool nonblocking, struct socket **out,
                      struct socket_address *peer);
/* Ends the listener and all that nobody has accepted.  Under net_lock. */
void tcp_close_listener(struct tcp_socket *s);

/* tcp_data.c */
err_t tcp_see_data(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err);
err_t tcp_see_sent(void *arg, struct tcp_pcb *pcb, u16_t size);
long tcp_socket_send(struct socket *s, struct socket_message *m);
long tcp_socket_receive(struct socket *s, struct socket_message *m);
long tcp_socket_pending(struct socket *s, bool output);
/* Whether there is room to send; has_room is brought up to date.  Under net_lock. */
bool tcp_update_room(struct tcp_socket *s);
/* Bytes that a reader waits for (SO_RCVLOWAT), one at least.  Any context. */
size_t tcp_low_water(const struct tcp_socket *s);
/* Tells lwIP of what was read.  Under net_lock, pcb selected. */
void tcp_give_credit(struct tcp_socket *s);
/* Frees all that was received, and acknowledges it no more: nobody reads.  Under net_lock. */
void tcp_drop_received(struct tcp_socket *s);
/* Bytes that sockets hold and nobody has read. */
uint64_t tcp_received_bytes(void);

/* tcp_window.c.  Under net_lock. */
/* A SYN has come in: as much as its answer is to offer.  `listener` NULL: it is being closed. */
void tcp_window_offer(const struct tcp_socket *listener, struct tcp_pcb *pcb);
/* The connection is complete, and has no data yet. */
void tcp_window_begin(struct tcp_socket *s, struct tcp_pcb *pcb);
/* Nothing of it is kept, nor will be. */
void tcp_window_end(struct tcp_socket *s);
/* The program has read so many bytes more; may tell the peer.  s->pcb is there, and selected. */
void tcp_window_open(struct tcp_socket *s, uint32_t read);
/* Before lwIP's tcp_close(), which resets a connection whose bytes were not all read. */
void tcp_window_all_read(struct tcp_pcb *pcb);
/* Bytes that are worth a word to the peer; 0: not connected yet.  Any context. */
static inline uint32_t tcp_window_step(const struct tcp_socket *s) {
    return s->window / 4;
}
/* Bytes that peers may send, or that wait to be read, at most. */
uint64_t tcp_window_promised(void);

/* tcp_ack.c.  Boot. */
void tcp_ack_init(void);
/* A segment of data has come in, lwIP calls.  Under net_lock. */
void tcp_ack_owe(struct tcp_socket *s, struct tcp_pcb *pcb);
/* Something was sent, and the acknowledgement with it.  Under net_lock. */
void tcp_ack_answered(struct tcp_socket *s);
/* Sends what is due; the first queue's thread calls it whenever it wakes. */
void tcp_ack_tick(void);

/* tcp_nagle.c.  Under net_lock. */
/* Makes lwIP hold small segments back, or not, as they stand now.  Not for a listener. */
void tcp_nagle_apply(struct tcp_socket *s);
/* The peer has acknowledged something. */
void tcp_nagle_see_sent(struct tcp_socket *s);

/* tcp_options.c */
int tcp_set_option(struct socket *s, int level, int name, const void *value, uint32_t size);
int tcp_get_option(struct socket *s, int level, int name, void *value, uint32_t *size);
/* Options that were set before there was a pcb, or before it had a peer.  Under net_lock. */
void tcp_apply_options(struct tcp_socket *s);

#endif
