/* SPDX-License-Identifier: MIT */
#include "net/ip_options.h"
#include <asm-generic/errno.h>
#include <linux/in.h>
#include <linux/in6.h>
#include "lwip/ip.h"

#define ECN_BITS     3
#define DEFAULT_HOPS 64

void ip_options_init(struct ip_options *o) {
    *o = (struct ip_options){ .ttl = -1, .hop_limit = -1 };
}

/* The numbers of the two levels differ by name only. */
static int set_hops(int16_t *hops, int value, int least) {
    if (value != -1 && (value < least || value > 255))
        return -EINVAL;
    *hops = (int16_t)value;
    return 0;
}

static void set_class(uint8_t *class, bool is_stream, int value) {
    if (is_stream)
        value = (value & ~ECN_BITS) | (*class & ECN_BITS);
    *class = (uint8_t)value; /* Linux, too, looks at the lowest eight bits only */
}

int ip_options_set(struct ip_options *o, bool is_stream, int level, int name, int value) {
    if (level == IPPROTO_IP && name == IP_TTL)
        return set_hops(&o->ttl, value, 1);
    if (level == IPPROTO_IPV6 && name == IPV6_UNICAST_HOPS)
        return set_hops(&o->hop_limit, value, 0);
    if (level == IPPROTO_IP && name == IP_RECVERR) { /* glibc's resolver insists on both */
        o->wants_errors = value;
        return 0;
    }
    if (level == IPPROTO_IPV6 && name == IPV6_RECVERR) {
        o->wants_errors6 = value;
        return 0;
    }
    if (level == IPPROTO_IP && name == IP_PKTINFO) {
        o->wants_info = value != 0;
        return 0;
    }
    if (level == IPPROTO_IPV6 && name == IPV6_RECVPKTINFO) {
        o->wants_info6 = value != 0;
        return 0;
    }
    if (level == IPPROTO_IP && name == IP_BIND_ADDRESS_NO_PORT) {
        o->port_later = value;
        return 0;
    }
    if (level == IPPROTO_IP && name == IP_TOS) {
        set_class(&o->tos, is_stream, value);
        return 0;
    }
    if (level == IPPROTO_IPV6 && name == IPV6_TCLASS) {
        if (value < -1 || value > 255)
            return -EINVAL;
        set_class(&o->traffic_class, is_stream, value == -1 ? 0 : value);
        return 0;
    }
    return -ENOPROTOOPT;
}

int ip_options_get(const struct ip_options *o, int level, int name, int *value) {
    if (level == IPPROTO_IP && name == IP_TTL)
        *value = o->ttl < 0 ? DEFAULT_HOPS : o->ttl;
    else if (level == IPPROTO_IPV6 && name == IPV6_UNICAST_HOPS)
        *value = o->hop_limit < 0 ? DEFAULT_HOPS : o->hop_limit;
    else if (level == IPPROTO_IP && name == IP_TOS)
        *value = o->tos;
    else if (level == IPPROTO_IPV6 && name == IPV6_TCLASS)
        *value = o->traffic_class;
    else if (level == IPPROTO_IP && name == IP_RECVERR)
        *value = o->wants_errors;
    else if (level == IPPROTO_IPV6 && name == IPV6_RECVERR)
        *value = o->wants_errors6;
    else if (level == IPPROTO_IP && name == IP_PKTINFO)
        *value = o->wants_info;
    else if (level == IPPROTO_IPV6 && name == IPV6_RECVPKTINFO)
        *value = o->wants_info6;
    else if (level == IPPROTO_IP && name == IP_BIND_ADDRESS_NO_PORT)
        *value = o->port_later;
    else
        return -ENOPROTOOPT;
    return 0;
}

void ip_options_apply(const struct ip_options *o, struct ip_pcb *pcb, bool is_ipv6) {
    int hops = is_ipv6 ? o->hop_limit : o->ttl;
    pcb->ttl = (u8_t)(hops < 0 ? DEFAULT_HOPS : hops);
    pcb->tos = is_ipv6 ? o->traffic_class : o->tos;
}
