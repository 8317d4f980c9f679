/* SPDX-License-Identifier: MIT */
/* What lwIP calls of ours; included before its own types are known. */
#ifndef NET_LWIP_HOOKS_H
#define NET_LWIP_HOOKS_H

#include "base/types.h"
#include "kernel/slab.h"

/* Bytes, by the size of memory (net/net.c); constant after net_init(). */
extern uint32_t net_tcp_window, net_tcp_send_buffer;

/* lwIP's memory: none where that is the machine's last (net/net.c). */
void *net_malloc(size_t size);
/* Memory is short: nothing is kept that will be sent again. */
bool net_memory_is_short(void);

/* Debug builds check that the current thread holds net_lock. */
void net_assert_locked(void);

/* Sequence numbers that nobody can guess, and that grow for who comes again: net/tcp_lists.c. */
struct ip_addr;
uint32_t tcp_lists_sequence(const struct ip_addr *local, uint16_t local_port,
                            const struct ip_addr *remote, uint16_t remote_port);
#define LWIP_HOOK_TCP_ISN tcp_lists_sequence

struct tcp_pcb;

/* Segments that the card cuts (net/card.c): how long those that it makes are. */
#define LWIP_PBUF_CUSTOM_DATA uint16_t segment_bytes;
struct pbuf;
void card_see_segment(struct pbuf *p, const struct tcp_pcb *pcb);
/* Segments that the path is too narrow for: net/path_mtu.c. */
struct tcp_hdr;
void path_mtu_see_segment(struct pbuf *p, struct tcp_hdr *header, const struct tcp_pcb *pcb);
/* Small segments that wait for the one before: net/tcp_nagle.c. */
void tcp_nagle_see_segment(const struct pbuf *p, const struct tcp_hdr *header,
                           const struct tcp_pcb *pcb);
#define LWIP_HOOK_TCP_OUT_TCPOPT_LENGTH(pcb, length) (length)
#define LWIP_HOOK_TCP_OUT_ADD_TCPOPTS(p, header, pcb, options)                                     \
    (card_see_segment(p, pcb), path_mtu_see_segment(p, header, pcb),                               \
     tcp_nagle_see_segment(p, header, pcb), (options))

/*
 * Segments that lwIP must not see: net/tcp_refuse.c.  0 to go on.  The options are
 * `option_length` bytes: `first_length` behind the header, the others at `second`; some
 * are blanked.
 */
int tcp_refuses_packet(struct tcp_pcb *pcb, struct tcp_hdr *header, uint16_t option_length,
                       uint16_t first_length, uint8_t *second, const struct pbuf *p);
#define LWIP_HOOK_TCP_INPACKET_PCB tcp_refuses_packet

#endif
