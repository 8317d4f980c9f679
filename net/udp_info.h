/* SPDX-License-Identifier: MIT */
/* A datagram's packet information: IP_PKTINFO, IPV6_PKTINFO. */
#ifndef NET_UDP_INFO_H
#define NET_UDP_INFO_H

#include "net/inet_impl.h"
#include "net/ip_options.h"

/* At which of our addresses and interfaces one came in, or from which it is to go out. */
struct udp_info {
    ip_addr_t address; /* any: the interface's */
    u8_t interface;    /* lwIP's index, which is the program's, too; 0: whichever leads there */
};

/* What recvmsg tells of one that came to `at`, if `options` ask for it.  Context: thread, net_lock
 * not held. */
void udp_info_put(const struct ip_options *options, const struct udp_info *at,
                  struct socket_control *out);
/* What sendmsg was given.  0, or -EINVAL. */
must_check int udp_info_get(const struct socket_control *c, struct udp_info *from);
/* The interface and the source address that `from` means for a datagram to `to`; `bound`: the
 * socket's own.  0, -ENODEV, -ENETUNREACH, or -EINVAL for an address that is not ours.  Under
 * net_lock. */
must_check int udp_info_route(const struct udp_info *from, const ip_addr_t *bound,
                              const ip_addr_t *to, struct netif **out, const ip_addr_t **source);

#endif
