/* SPDX-License-Identifier: MIT */
#include "net/udp_info.h"
#include <asm-generic/errno.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include "base/string.h"
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "net/net_impl.h"

#define NO_INTERFACE 255 /* an index that none has */

static void put_ipv4(const struct udp_info *at, struct socket_control *out) {
    struct in_pktinfo info = { .ipi_ifindex = at->interface };
    ip_addr_t local = at->address;

    net_lock(); /* what was sent to many came to the interface's own address */
    struct netif *n = netif_get_by_index(at->interface);
    if (n && !inet_address_is_ours(&local))
        ip_addr_copy_from_ip4(local, *netif_ip4_addr(n));
    net_unlock();
    info.ipi_spec_dst.s_addr = ip_2_ip4(&local)->addr;
    info.ipi_addr.s_addr = ip_2_ip4(&at->address)->addr;
    *out = (struct socket_control){ .level = IPPROTO_IP, .type = IP_PKTINFO, .size = sizeof info };
    memcpy(out->bytes, &info, sizeof info);
}

static void put_ipv6(const struct udp_info *at, struct socket_control *out) {
    struct in6_pktinfo info = { .ipi6_ifindex = at->interface };
    struct socket_address a; /* IPv4 is written as IPv6 there */

    inet_address_put(&a, AF_INET6, &at->address, 0);
    info.ipi6_addr = ((const struct sockaddr_in6 *)(const void *)a.bytes)->sin6_addr;
    *out =
        (struct socket_control){ .level = IPPROTO_IPV6, .type = IPV6_PKTINFO, .size = sizeof info };
    memcpy(out->bytes, &info, sizeof info);
}

void udp_info_put(const struct ip_options *options, const struct udp_info *at,
                  struct socket_control *out) {
    if (options->wants_info6)
        put_ipv6(at, out);
    else if (options->wants_info && IP_IS_V4_VAL(at->address))
        put_ipv4(at, out);
}

/* An address as the program has it: lwIP's. */
static int read_address(uint16_t family, const void *bytes, ip_addr_t *out) {
    struct socket_address a = { .length = sizeof(struct sockaddr_in6) };
    struct sockaddr_in *in = (void *)a.bytes;
    struct sockaddr_in6 *in6 = (void *)a.bytes;
    uint16_t port;

    a.family = family;
    if (family == AF_INET)
        memcpy(&in->sin_addr, bytes, sizeof in->sin_addr);
    else
        memcpy(&in6->sin6_addr, bytes, sizeof in6->sin6_addr);
    return inet_address_get(&a, family, out, &port);
}

int udp_info_get(const struct socket_control *c, struct udp_info *from) {
    struct in_pktinfo info;
    struct in6_pktinfo info6;
    int index;

    if (c->level == IPPROTO_IP && c->type == IP_PKTINFO && c->size == sizeof info) {
        memcpy(&info, c->bytes, sizeof info);
        index = info.ipi_ifindex;
        if (read_address(AF_INET, &info.ipi_spec_dst, &from->address))
            return -EINVAL;
    } else if (c->level == IPPROTO_IPV6 && c->type == IPV6_PKTINFO && c->size == sizeof info6) {
        memcpy(&info6, c->bytes, sizeof info6);
        index = info6.ipi6_ifindex;
        if (read_address(AF_INET6, &info6.ipi6_addr, &from->address))
            return -EINVAL;
    } else {
        return -EINVAL;
    }
    from->interface = (u8_t)(index < 0 || index >= NO_INTERFACE ? NO_INTERFACE : index);
    return 0;
}

int udp_info_route(const struct udp_info *from, const ip_addr_t *bound, const ip_addr_t *to,
                   struct netif **out, const ip_addr_t **source) {
    bool named = !ip_addr_isany(&from->address);
    struct netif *n;

    if (named &&
        (IP_IS_V6(to) != IP_IS_V6_VAL(from->address) || !inet_address_is_ours(&from->address)))
        return -EINVAL;
    n = from->interface ? netif_get_by_index(from->interface)
                        : inet_route(named ? &from->address : bound, to);
    if (!n)
        return from->interface ? -ENODEV : -ENETUNREACH;
    *out = n;
    *source = named ? &from->address : ip_addr_isany(bound) ? ip_netif_get_local_ip(n, to) : bound;
    return *source ? 0 : -ENETUNREACH;
}
