/* SPDX-License-Identifier: MIT */
/*
 * How long a packet of IPv6 may be on its way: what ICMPv6 says of it ("packet
 * too big"), which anybody may send.
 *
 * lwIP believes any value.  One that leaves no room for a byte behind the headers
 * has it cut pieces for ever, and small ones make more pieces of a datagram than a
 * pbuf can count.  No link is narrower than 1280 bytes (RFC 8200, 5).
 *
 * A connection that was made before is told by nobody: a segment that has become
 * too long is cut into pieces by IP, whose sum the card cannot make, and those
 * that follow are shorter.  One that the card cuts is cut into more of them.
 */
#include "lwip/inet_chksum.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"
#include "net/tcp_impl.h"

/* lwIP's own, renamed when it is compiled. */
u16_t lwip_nd6_get_destination_mtu(const ip6_addr_t *to, struct netif *n);

static u16_t path_mtu(const ip6_addr_t *to, struct netif *n) {
    u16_t most = n ? netif_mtu6(n) : IP6_MIN_MTU_LENGTH;
    u16_t heard = lwip_nd6_get_destination_mtu(to, n);
    return most ? MIN(most, MAX(heard, (u16_t)IP6_MIN_MTU_LENGTH)) : 0; /* the loopback has none */
}

/* Called by lwIP in the place of its own. */
u16_t nd6_get_destination_mtu(const ip6_addr_t *to, struct netif *n) {
    if (card_cuts_next())
        return UINT16_MAX;
    return path_mtu(to, n);
}

/* lwIP: `p`, TCP header and payload, is about to be sent.  Without payload, `pcb` may be a
 * listener's, which is shorter, or NULL. */
void path_mtu_see_segment(struct pbuf *p, struct tcp_hdr *header, const struct tcp_pcb *pcb) {
    if (p->tot_len + IP6_HLEN <= IP6_MIN_MTU_LENGTH || !IP_IS_V6_VAL(pcb->remote_ip))
        return;
    unsigned headers = IP6_HLEN + TCPH_HDRLEN_BYTES(header);
    struct netif *n = ip_route(&pcb->local_ip, &pcb->remote_ip);
    u16_t mtu = path_mtu(ip_2_ip6(&pcb->remote_ip), n);
    if (p->segment_bytes && mtu) {
        p->segment_bytes = (u16_t)MIN((unsigned)p->segment_bytes, mtu - headers);
        return;
    }
    if (!n || !mtu || p->tot_len + IP6_HLEN <= mtu)
        return;
    if (!(n->chksum_flags & NETIF_CHECKSUM_GEN_TCP)) /* else lwIP does it next */
        header->chksum =
            ip_chksum_pseudo(p, IP_PROTO_TCP, p->tot_len, &pcb->local_ip, &pcb->remote_ip);
    /* Another caller of the hook must not change it. */
    LWIP_CONST_CAST(struct tcp_pcb *, pcb)->mss = (u16_t)(mtu - IP6_HLEN - TCP_HLEN);
}
