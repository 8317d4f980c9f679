/* SPDX-License-Identifier: MIT */
/* Options at the levels of IP and IPv6: what goes into a packet's header, whether ICMP's errors are
 * queued, of which none comes to a socket here, and whether bind() without a port chooses one. */
#ifndef NET_IP_OPTIONS_H
#define NET_IP_OPTIONS_H

#include <stdatomic.h>
#include "base/types.h"

/* A socket's; under net_lock.  Over IPv4 it is `tos` and `ttl` that count, also those of an IPv6
 * socket that speaks to an IPv4 address. */
struct ip_options {
    uint8_t tos, traffic_class;
    int16_t ttl, hop_limit; /* -1: the default, which is what ip_options_init() gives */
    bool wants_errors, wants_errors6;
    bool port_later; /* IP_BIND_ADDRESS_NO_PORT; TCP */
    /* IP_PKTINFO, IPV6_RECVPKTINFO: net/udp_info.c.  A reader looks without net_lock. */
    atomic_bool wants_info, wants_info6;
};

void ip_options_init(struct ip_options *o);
/* `is_stream`: the two bits of ECN are TCP's.  0, -EINVAL, -ENOPROTOOPT for any other option. */
must_check int ip_options_set(struct ip_options *o, bool is_stream, int level, int name, int value);
/* The value; -ENOPROTOOPT. */
must_check int ip_options_get(const struct ip_options *o, int level, int name, int *value);
/* What lwIP is to send with, over IPv6 or IPv4. */
struct ip_pcb; /* lwIP's */
void ip_options_apply(const struct ip_options *o, struct ip_pcb *pcb, bool is_ipv6);

#endif
