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

static void put(struct socket_controls *out, int level, int type, const void *bytes,
                uint32_t size) {
    struct socket_control *c = &out->at[out->count++]; /* of two at most */
    *c = (struct socket_control){ .level = level, .type = type, .size = size };
    memcpy(c->bytes, bytes, size);
}

static void put_ipv4(const struct udp_info *at, struct socket_controls *out) {
    struct in_pktinfo info = { .ipi_ifindex = at->interface };
    ip_addr_t local = at->address;

    net_lock(); /* what was sent to many came to the interface's own address */
    struct netif *n = netif_get_by_index(at->interface);
    if (n && !inet_address_is_ours(&local))
        ip_addr_copy_from_ip4(local, *netif_ip4_addr(n));
    net_unlock();
    info.ipi_spec_dst.s_addr = ip_2_ip4(&local)->addr;
    info.ipi_addr.s_addr = ip_2_ip4(&at->address)->addr;
    put(out, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
}

static void put_ipv6(const struct udp_info *at, struct socket_controls *out) {
    struct in6_pktinfo info = { .ipi6_ifindex = at->interface };
    struct socket_address a; /* IPv4 is written as IPv6 there */

    inet_address_put(&a, AF_INET6, &at->address, 0);
    info.ipi6_addr = ((const struct sockaddr_in6 *)(const void *)a.bytes)->sin6_addr;
    put(out, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

void udp_info_put(const struct ip_options *options, const struct udp_info *at,
                  struct socket_controls *out) {
    if (!out)
        return;
    if (options->wants_info6)
        put_ipv6(at, out);
    if (options->wants_info && IP_IS_V4_VAL(at->address))
        put_ipv4(at, out);
}

/* An address as the program has it: lwIP's. */
static int read_address(uint16_t family, const void *bytes, ip_addr_t *out) {
    struct socket_address a = { .length = sizeof(struct sockaddr_in6) };
    struct sockaddr_in *in = (void *)a.bytes;
    struct sockaddr_in6 *in6 = (void *)a.bytes;
    uint16_t port;

    if (family == AF_INET)
        memcpy(&in->sin_addr, bytes, sizeof in->sin_addr);
    else
        memcpy(&in6->sin6_addr, bytes, sizeof in6->sin6_addr);
    return inet_address_read(&a, family, out, &port);
}

static int read_info(const struct socket_control *c, struct udp_control *out) {
    struct in_pktinfo info;
    struct in6_pktinfo info6;
    bool is_ipv6 = c->level == IPPROTO_IPV6;
    int index;

    if (c->size != (is_ipv6 ? sizeof info6 : sizeof info))
        return -EINVAL;
    if (is_ipv6) {
        memcpy(&info6, c->bytes, sizeof info6);
        index = info6.ipi6_ifindex;
    } else {
        memcpy(&info, c->bytes, sizeof info);
        index = info.ipi_ifindex;
    }
    out->has_info = true;
    out->info.interface = (u8_t)(index < 0 || index >= NO_INTERFACE ? NO_INTERFACE : index);
    return read_address(is_ipv6 ? AF_INET6 : AF_INET,
                        is_ipv6 ? (void *)&info6.ipi6_addr : (void *)&info.ipi_spec_dst,
                        &out->info.address);
}

/* A number from `least` to 255; -1, where that is in range, leaves things as they are. */
static int read_number(const struct socket_control *c, int least, int *out) {
    int v;
    if (c->size == 1 && c->level == IPPROTO_IP && c->type == IP_TOS)
        v = c->bytes[0];
    else if (c->size == sizeof v)
        memcpy(&v, c->bytes, sizeof v);
    else
        return -EINVAL;
    *out = v;
    return v < least || v > 255 ? -EINVAL : 0;
}

/* One over IPv4, where Linux looks at IPv6's information, too, if the socket is one for both. */
static int read_ipv4(const struct socket_control *c, uint16_t family, struct udp_control *out) {
    if (family == AF_INET6 && c->level == IPPROTO_IPV6 && c->type == IPV6_PKTINFO)
        return read_info(c, out);
    if (c->level != IPPROTO_IP)
        return 0;
    switch (c->type) {
    case IP_PKTINFO:
        return read_info(c, out);
    case IP_TOS:
        return read_number(c, 0, &out->class);
    case IP_TTL:
        return read_number(c, 1, &out->hops);
    default:
        return -EINVAL;
    }
}

static int read_ipv6(const struct socket_control *c, struct udp_control *out) {
    if (c->level != IPPROTO_IPV6)
        return 0;
    switch (c->type) {
    case IPV6_PKTINFO:
        return read_info(c, out);
    case IPV6_TCLASS:
        return read_number(c, -1, &out->class);
    case IPV6_HOPLIMIT:
        return read_number(c, -1, &out->hops);
    default:
        return -EINVAL;
    }
}

int udp_control_get(const struct socket_controls *all, uint16_t family, bool to_ipv6,
                    struct udp_control *out) {
    *out = (struct udp_control){ .class = -1, .hops = -1 };
    for (unsigned i = 0; i < all->count; i++) {
        const struct socket_control *c = &all->at[i];
        int err = c->level == IPPROTO_UDP ? -EINVAL /* UDP_SEGMENT */
                  : to_ipv6               ? read_ipv6(c, out)
                                          : read_ipv4(c, family, out);
        if (err)
            return err;
    }
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
