/* SPDX-License-Identifier: MIT */
/* Control messages of datagrams: IP_PKTINFO, IPV6_PKTINFO, and what goes into one header only. */
#ifndef NET_UDP_INFO_H
#define NET_UDP_INFO_H

#include "net/inet_impl.h"
#include "net/ip_options.h"

/* At which of our addresses and interfaces one came in, or from which it is to go out. */
struct udp_info {
    ip_addr_t address; /* any: the interface's */
    u8_t interface;    /* lwIP's index, which is the program's, too; 0: whichever leads there */
};

/* What recvmsg (`out` NULL: another call) tells of one that came to `at`, if `options` ask for it.
 * Context: thread, net_lock not held. */
void udp_info_put(const struct ip_options *options, const struct udp_info *at,
                  struct socket_controls *out);

/* What sendmsg was given. */
struct udp_control {
    bool has_info;
    struct udp_info info;
    int class, hops; /* -1: the socket's */
};

/* As Linux reads them for a datagram over IPv6 or IPv4.  0, or -EINVAL. */
must_check int udp_control_get(const struct socket_controls *all, uint16_t family, bool to_ipv6,
                               struct udp_control *out);
/* The interface and the source address that `from` means for a datagram to `to`; `bound`: the
 * socket's own.  0, -ENODEV, -ENETUNREACH, or -EINVAL for an address that is not ours.  Under
 * net_lock. */
must_check int udp_info_route(const struct udp_info *from, const ip_addr_t *bound,
                              const ip_addr_t *to, struct netif **out, const ip_addr_t **source);

#endif
