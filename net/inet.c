/* SPDX-License-Identifier: MIT */
/* AF_INET and AF_INET6: which protocols there are, and their addresses. */
#include <asm-generic/errno.h>
#include <linux/in.h>
#include <linux/in6.h>
#include "base/string.h"
#include "lwip/ip.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "net/inet_impl.h"
#include "net/net_impl.h"

#define IPV6_SHORTEST 24 /* Linux takes a sockaddr_in6 without its scope: SIN6_LEN_RFC2133 */

#define LONGEST_WITH_BROADCAST 0xfffffffc /* netmask: on a /31 both addresses are machines */

int inet_create(int family, int type, int protocol, struct socket **out) {
    if (type == SOCK_STREAM)
        return protocol && protocol != IPPROTO_TCP ? -EPROTONOSUPPORT
                                                   : tcp_socket_create((uint16_t)family, out);
    if (type == SOCK_DGRAM)
        return protocol && protocol != IPPROTO_UDP ? -EPROTONOSUPPORT
                                                   : udp_socket_create((uint16_t)family, out);
    return type == SOCK_RAW ? -EPROTONOSUPPORT : -ESOCKTNOSUPPORT;
}

static void from_ipv6(const struct sockaddr_in6 *in6, ip_addr_t *ip) {
    const uint32_t *words = (const void *)&in6->sin6_addr;
    if (words[0] == 0 && words[1] == 0 && words[2] == lwip_htonl(0xffff)) {
        ip_addr_set_ip4_u32_val(*ip, words[3]);
        return;
    }
    IP_ADDR6(ip, words[0], words[1], words[2], words[3]);
    if (ip6_addr_has_scope(ip_2_ip6(ip), IP6_UNKNOWN) && in6->sin6_scope_id)
        ip6_addr_set_zone(ip_2_ip6(ip), (u8_t)in6->sin6_scope_id);
}

int inet_address_get(const struct socket_address *a, uint16_t family, ip_addr_t *ip,
                     uint16_t *port) {
    int err = inet_address_read(a, family, ip, port);
    return err ? err : a->family == family ? 0 : -EAFNOSUPPORT;
}

int inet_address_read(const struct socket_address *a, uint16_t family, ip_addr_t *ip,
                      uint16_t *port) {
    const struct sockaddr_in *in = (const void *)a->bytes;
    const struct sockaddr_in6 *in6 = (const void *)a->bytes;

    if (a->length < (family == AF_INET ? sizeof *in : IPV6_SHORTEST))
        return -EINVAL;
    *port = lwip_ntohs(in->sin_port);
    if (family == AF_INET) {
        memset(ip, 0, sizeof *ip);
        ip_addr_set_ip4_u32_val(*ip, in->sin_addr.s_addr);
        return 0;
    }
    struct sockaddr_in6 whole = { .sin6_scope_id = 0 };
    memcpy(&whole, in6, MIN((size_t)a->length, sizeof whole));
    memset(ip, 0, sizeof *ip);
    from_ipv6(&whole, ip);
    return 0;
}

void inet_address_put(struct socket_address *a, uint16_t family, const ip_addr_t *ip,
                      uint16_t port) {
    memset(a, 0, sizeof *a);
    if (family == AF_INET) {
        struct sockaddr_in *in = (void *)a->bytes;
        in->sin_family = AF_INET;
        in->sin_port = lwip_htons(port);
        in->sin_addr.s_addr = IP_IS_V4_VAL(*ip) ? ip_2_ip4(ip)->addr : 0;
        a->length = sizeof *in;
        return;
    }
    struct sockaddr_in6 *in6 = (void *)a->bytes;
    uint32_t *words = (void *)&in6->sin6_addr;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = lwip_htons(port);
    a->length = sizeof *in6;
    if (IP_IS_V6_VAL(*ip)) {
        memcpy(words, ip_2_ip6(ip)->addr, 16);
        in6->sin6_scope_id = ip6_addr_zone(ip_2_ip6(ip));
    } else if (IP_IS_V4_VAL(*ip) && !ip4_addr_isany(ip_2_ip4(ip))) {
        words[2] = lwip_htonl(0xffff);
        words[3] = ip_2_ip4(ip)->addr;
    }
}

int inet_bind(struct socket *s, const struct socket_address *a, inet_binder *bind) {
    ip_addr_t ip;
    uint16_t port;
    int err = inet_address_read(a, s->family, &ip, &port);
    if (err)
        return err;
    /* Old programs leave the family out where they mean any address. */
    bool is_left_out = s->family == AF_INET && a->family == AF_UNSPEC && ip_addr_isany(&ip);
    if (a->family != s->family && !is_left_out)
        return -EAFNOSUPPORT;
    if (!ip_addr_isany(&ip) && !ip_addr_isloopback(&ip))
        net_wait_address(); /* it may be the one that is on its way */
    net_lock();
    err = bind(s, &ip, port);
    net_unlock();
    return err;
}

bool inet_address_is_ours(const ip_addr_t *ip) {
    struct netif *n;
    if (ip_addr_isany(ip))
        return true;
    NETIF_FOREACH(n) {
        if (IP_IS_V4(ip) && ip4_addr_cmp(netif_ip4_addr(n), ip_2_ip4(ip)))
            return true;
        if (IP_IS_V6(ip) && netif_get_ip6_addr_match(n, ip_2_ip6(ip)) >= 0)
            return true;
    }
    return false;
}

bool inet_address_is_broadcast(const ip_addr_t *ip) {
    struct netif *n;
    if (!IP_IS_V4(ip))
        return false;
    if (ip_2_ip4(ip)->addr == IPADDR_BROADCAST)
        return true;
    NETIF_FOREACH(n) {
        bool has_one = lwip_ntohl(netif_ip4_netmask(n)->addr) <= LONGEST_WITH_BROADCAST;
        if (has_one && !ip4_addr_isany(netif_ip4_addr(n)) && ip4_addr_isbroadcast(ip_2_ip4(ip), n))
            return true;
    }
    return false;
}

struct netif *inet_route(const ip_addr_t *from, const ip_addr_t *to) {
    struct netif *n = ip_route(from, to);
    if (!n || ip_addr_isloopback(to) || ip_addr_ismulticast(to) || inet_address_is_ours(to))
        return n;
    if (IP_IS_V6(to))
        return ip6_addr_has_scope(ip_2_ip6(to), IP6_UNICAST) || nd6_find_route(ip_2_ip6(to)) ? n
                                                                                             : NULL;
    bool is_near = ip4_addr_netcmp(ip_2_ip4(to), netif_ip4_addr(n), netif_ip4_netmask(n)) ||
                   ip4_addr_islinklocal(ip_2_ip4(to)) || ip_2_ip4(to)->addr == IPADDR_BROADCAST;
    return is_near || !ip4_addr_isany(netif_ip4_gw(n)) ? n : NULL;
}

void inet_address_fix_destination(ip_addr_t *ip) {
    if (!ip_addr_isany(ip))
        return;
    if (IP_IS_V6(ip))
        ip_addr_set_loopback(true, ip);
    else
        ip_addr_set_loopback(false, ip);
}

int inet_option_read(int level, const void *value, uint32_t size, int *out) {
    if (level == IPPROTO_IP && size < sizeof *out) {
        *out = size ? *(const uint8_t *)value : 0;
        return 0;
    }
    if (size < sizeof *out)
        return -EINVAL;
    memcpy(out, value, sizeof *out);
    return 0;
}

int inet_option_write(int level, void *value, uint32_t *size, int v) {
    uint32_t whole = sizeof v;
    *size = level == IPPROTO_IP && *size > 0 && *size < whole ? 1 : MIN(*size, whole);
    memcpy(value, &v, *size);
    return 0;
}
