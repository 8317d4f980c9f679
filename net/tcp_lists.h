/* SPDX-License-Identifier: MIT */
/*
 * lwIP's lists of TCP connections, hashed.
 *
 * lwIP keeps its connections on two lists, the active ones and those in
 * TIME_WAIT, and searches them from the front for every segment: 10,000
 * connections would be 10,000 steps.  Here each hash of (addresses, ports) has
 * two lists of its own, and lwIP's variables hold those of the hash at work:
 * tcp_lists_select() before any call of lwIP's that may look a connection up,
 * enter it or take it off.  Segments that come in are selected for by
 * tcp_input(), which stands in front of lwIP's.
 *
 * Context of everything here: under net_lock.
 */
#ifndef NET_TCP_LISTS_H
#define NET_TCP_LISTS_H

#include "lwip/tcp.h"

must_check int tcp_lists_init(void); /* once; 0 or -ENOMEM */

/* Selects the lists on which `pcb` is, or, once it has addresses and ports, will be. */
void tcp_lists_select(const struct tcp_pcb *pcb);
/*
 * All connections on lwIP's two lists, for what looks at every one (a bind, a
 * listener's end); tcp_lists_scatter() puts them back.
 */
void tcp_lists_gather(void);
void tcp_lists_scatter(void);

/*
 * A local port for a connection of `pcb` (whose remote side and local address
 * are set) that no other connection between these has: 0 where all are taken.
 */
uint16_t tcp_lists_port(struct tcp_pcb *pcb);

/* lwIP's TCP clock, every TCP_TMR_INTERVAL.  Whether there are connections left. */
bool tcp_lists_tick(void);

/* Whether a connection still has something to send, or to hear an answer to. */
bool tcp_lists_unsent(void);
/* Sends what the card had no room for. */
void tcp_lists_send_refused(void);

/* For /proc/mimosa. */
struct tcp_counts {
    uint64_t active, waiting; /* at the last tick */
    uint64_t waiting_dropped; /* from TIME_WAIT early, for want of room */
};
void tcp_lists_count(struct tcp_counts *out);

#endif
