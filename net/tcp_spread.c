/* SPDX-License-Identifier: MIT */
/* Several listeners at one port (SO_REUSEPORT), and which of them gets a connection. */
#include "lwip/priv/tcp_priv.h"
#include "net/tcp_impl.h"

bool tcp_addresses_overlap(const ip_addr_t *a, const ip_addr_t *b) {
    if (IP_IS_ANY_TYPE_VAL(*a) || IP_IS_ANY_TYPE_VAL(*b))
        return true;
    if (IP_IS_V6_VAL(*a) != IP_IS_V6_VAL(*b))
        return false;
    return ip_addr_isany(a) || ip_addr_isany(b) || ip_addr_cmp(a, b);
}

/* How near a listener is to what is sent to `to`, an address of ours; 0: it does not hear it. */
static unsigned nearness(const struct tcp_pcb_listen *l, const ip_addr_t *to, uint16_t port) {
    if (l->local_port != port || !tcp_addresses_overlap(&l->local_ip, to))
        return 0;
    return IP_IS_ANY_TYPE_VAL(l->local_ip) ? 1 : ip_addr_isany(&l->local_ip) ? 2 : 3;
}

/*
 * lwIP takes the first listener that has the very address, else the last that has
 * any; among several the one whose turn it is by `hash` is put there.
 */
void tcp_spread_syn(const ip_addr_t *to, uint16_t port, uint32_t hash) {
    struct tcp_pcb_listen **link, *chosen;
    unsigned nearest = 0, count = 0, all = 0;

    for (chosen = tcp_listen_pcbs.listen_pcbs; chosen; chosen = chosen->next) {
        unsigned near = nearness(chosen, to, port);
        count = near > nearest ? 1 : count + (near && near == nearest);
        nearest = MAX(nearest, near);
        all += near > 0;
    }
    if (all < 2)
        return;
    unsigned left = hash % count;
    for (link = &tcp_listen_pcbs.listen_pcbs; (chosen = *link); link = &chosen->next)
        if (nearness(chosen, to, port) == nearest && left-- == 0)
            break;
    if (!chosen)
        return;
    *link = chosen->next;
    link = &tcp_listen_pcbs.listen_pcbs;
    while (nearest < 3 && *link)
        link = &(*link)->next;
    chosen->next = *link;
    *link = chosen;
}
