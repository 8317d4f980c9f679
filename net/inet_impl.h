/* SPDX-License-Identifier: MIT */
/* What TCP and UDP sockets share: addresses, and the choice of an interface. */
#ifndef NET_INET_IMPL_H
#define NET_INET_IMPL_H

#include "lwip/ip_addr.h"
#include "net/socket.h"

#define IPV6_V6ONLY_OPTION 26 /* Linux's IPV6_V6ONLY */

/*
 * A program's address as lwIP's, for a socket of `family`: an IPv4 address that
 * is written as an IPv6 one becomes the former.  -EINVAL (too short),
 * -EAFNOSUPPORT.
 */
must_check int inet_address_get(const struct socket_address *a, uint16_t family, ip_addr_t *ip,
                                uint16_t *port);
/* The same for who looks at `a`'s own family himself.  -EINVAL. */
must_check int inet_address_read(const struct socket_address *a, uint16_t family, ip_addr_t *ip,
                                 uint16_t *port);
/* The other way round. */
void inet_address_put(struct socket_address *a, uint16_t family, const ip_addr_t *ip,
                      uint16_t port);
/* bind(): `bind` is called with the address as lwIP has it, under net_lock. */
typedef int inet_binder(struct socket *s, ip_addr_t *ip, uint16_t port);
must_check int inet_bind(struct socket *s, const struct socket_address *a, inet_binder *bind);
/* Whether it is one of some interface (link-local), and bind() is not told of which. */
static inline bool inet_address_lacks_scope(const ip_addr_t *ip) {
    return IP_IS_V6(ip) && ip6_addr_lacks_zone(ip_2_ip6(ip), IP6_UNICAST);
}
/* Whether one of our interfaces has the address.  Under net_lock. */
bool inet_address_is_ours(const ip_addr_t *ip);
/* Whether our network, or every network, takes it for all its machines.  Under net_lock. */
bool inet_address_is_broadcast(const ip_addr_t *ip);
/* The interface that leads to `to`; NULL: none does, where lwIP's ip_route() would try the card all
 * the same.  Under net_lock. */
struct netif *inet_route(const ip_addr_t *from, const ip_addr_t *to);
/* Linux takes "any" as a destination for the machine itself. */
void inet_address_fix_destination(ip_addr_t *ip);

must_check int tcp_socket_create(uint16_t family, struct socket **out);
must_check int udp_socket_create(uint16_t family, struct socket **out);
/* The card, which was full, may have room: those that it refused hear of it.  Under net_lock. */
void udp_sockets_see_room(void);

/* Options that are an int; at IPPROTO_IP they may be a byte, or none.  -EINVAL where `size` is too
 * small.  What is written is cut to it. */
must_check int inet_option_read(int level, const void *value, uint32_t size, int *out);
int inet_option_write(int level, void *value, uint32_t *size, int v);

#endif
