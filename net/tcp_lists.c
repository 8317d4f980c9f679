/* SPDX-License-Identifier: MIT */
/*
 * The hash is keyed, so that nobody outside can fill one list.
 *
 * Invariant: a connection is on the lists of its hash, or, if that is the
 * selected one, on lwIP's.  lwIP itself moves it between the two lists and
 * takes it off only in calls for which it was selected, or while all are
 * gathered.  Listening and merely bound ones are few, and stay on lwIP's own
 * lists.
 */
#include "net/tcp_lists.h"
#include <asm-generic/errno.h>
#include "base/siphash.h"
#include "base/string.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/random.h"
#include "kernel/slab.h"
#include "kernel/timer.h"
#include "lwip/priv/tcp_priv.h"
#include "net/tcp_impl.h"

#define LISTS_LEAST 64u
#define LISTS_MOST  16384u
/* Memory for connections in TIME_WAIT: a 32nd. */
#define WAITING_SHARE 32
#define PORT_FIRST    32768u /* Linux's ip_local_port_range */
#define PORT_COUNT    28232u

#define NONE UINT32_MAX

struct lists {
    struct tcp_pcb *active, *waiting;
};

static struct lists *table;
static uint32_t mask;            /* one less than their number */
static uint32_t selected = NONE; /* whose lists lwIP holds; NONE: all are gathered */
static uint64_t key;
static uint64_t sequence_key[2];
static uint64_t waiting_most;
static struct tcp_counts counts;

int tcp_lists_init(void) {
    uint64_t count = LISTS_LEAST;
    while (count < LISTS_MOST && count < machine.memory_bytes / KIB(256))
        count *= 2;
    table = kmalloc(count * sizeof *table);
    if (!table)
        return -ENOMEM;
    mask = (uint32_t)count - 1;
    selected = 0;
    key = random_u64() | 1;
    random_bytes(sequence_key, sizeof sequence_key);
    waiting_most = machine.memory_bytes / WAITING_SHARE / sizeof(struct tcp_pcb);
    return 0;
}

static uint64_t mix(uint64_t h, uint64_t v) {
    h = (h ^ v) * 0x9e3779b97f4a7c15ul; /* the golden ratio's bits, as Fibonacci hashing has it */
    return h ^ h >> 32;
}

static uint64_t mix_address(uint64_t h, const ip_addr_t *a) {
    if (!IP_IS_V6_VAL(*a))
        return mix(h, ip_2_ip4(a)->addr);
    const u32_t *words = ip_2_ip6(a)->addr;
    return mix(mix(h, words[0] | (uint64_t)words[1] << 32), words[2] | (uint64_t)words[3] << 32);
}

static uint32_t hash(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote,
                     uint16_t remote_port) {
    uint64_t h = mix_address(mix_address(key, local), remote);
    return (uint32_t)mix(h, (uint32_t)local_port << 16 | remote_port) & mask;
}

static uint32_t hash_of(const struct tcp_pcb *pcb) {
    return hash(&pcb->local_ip, pcb->local_port, &pcb->remote_ip, pcb->remote_port);
}

static void select(uint32_t which) {
    assert_slow(selected != NONE);
    if (which == selected)
        return;
    table[selected] = (struct lists){ tcp_active_pcbs, tcp_tw_pcbs };
    tcp_active_pcbs = table[which].active;
    tcp_tw_pcbs = table[which].waiting;
    selected = which;
}

void tcp_lists_select(const struct tcp_pcb *pcb) {
    select(hash_of(pcb));
}

/* Moves a whole list in front of another. */
static void prepend(struct tcp_pcb **to, struct tcp_pcb *list) {
    if (!list)
        return;
    struct tcp_pcb *last = list;
    while (last->next)
        last = last->next;
    last->next = *to;
    *to = list;
}

void tcp_lists_gather(void) {
    assert_slow(selected != NONE);
    table[selected] = (struct lists){ NULL, NULL };
    selected = NONE;
    for (uint32_t i = 0; i <= mask; i++) {
        prepend(&tcp_active_pcbs, table[i].active);
        prepend(&tcp_tw_pcbs, table[i].waiting);
        table[i] = (struct lists){ NULL, NULL };
    }
}

static uint64_t scatter(struct tcp_pcb *list, bool active) {
    uint64_t count = 0;
    for (struct tcp_pcb *next; list; list = next, count++) {
        struct lists *l = &table[hash_of(list)];
        struct tcp_pcb **to = active ? &l->active : &l->waiting;
        next = list->next;
        list->next = *to;
        *to = list;
    }
    return count;
}

void tcp_lists_scatter(void) {
    counts.active = scatter(tcp_active_pcbs, true);
    counts.waiting = scatter(tcp_tw_pcbs, false);
    selected = 0;
    tcp_active_pcbs = table[0].active;
    tcp_tw_pcbs = table[0].waiting;
}

static bool is_taken(const struct tcp_pcb *list, const struct tcp_pcb *pcb, uint16_t port) {
    for (; list; list = list->next)
        if (list->local_port == port && list->remote_port == pcb->remote_port &&
            ip_addr_cmp(&list->remote_ip, &pcb->remote_ip) &&
            ip_addr_cmp(&list->local_ip, &pcb->local_ip))
            return true;
    return false;
}

static bool is_bound(const struct tcp_pcb *list, uint16_t port) {
    for (; list; list = list->next)
        if (list->local_port == port)
            return true;
    return false;
}

uint16_t tcp_lists_port(struct tcp_pcb *pcb) {
    uint32_t start = (uint32_t)random_u64() % PORT_COUNT;
    for (uint32_t n = 0; n < PORT_COUNT; n++) {
        uint16_t port = (uint16_t)(PORT_FIRST + (start + n) % PORT_COUNT);
        if (is_bound(tcp_listen_pcbs.pcbs, port) || is_bound(tcp_bound_pcbs, port))
            continue;
        select(hash(&pcb->local_ip, port, &pcb->remote_ip, pcb->remote_port));
        if (!is_taken(tcp_active_pcbs, pcb, port) && !is_taken(tcp_tw_pcbs, pcb, port))
            return port;
    }
    return 0;
}

/* More in TIME_WAIT than memory is meant for: the eldest go. */
static void trim_waiting(void) {
    uint64_t count = 0;
    u32_t eldest = 0;
    for (struct tcp_pcb *p = tcp_tw_pcbs; p; p = p->next, count++)
        eldest = MAX(eldest, (u32_t)(tcp_ticks - p->tmr));
    /* By halves of the greatest age: a list is in no order. */
    for (u32_t age = eldest; count > waiting_most; age /= 2)
        for (struct tcp_pcb **link = &tcp_tw_pcbs; *link && count > waiting_most;) {
            struct tcp_pcb *p = *link;
            if ((u32_t)(tcp_ticks - p->tmr) < age) {
                link = &p->next;
                continue;
            }
            *link = p->next;
            tcp_pcb_purge(p);
            tcp_free(p);
            counts.waiting_dropped++;
            count--;
        }
}

bool tcp_lists_tick(void) {
    tcp_lists_gather();
    tcp_timers_tick();
    trim_waiting();
    bool some = tcp_active_pcbs || tcp_tw_pcbs;
    tcp_lists_scatter();
    return some;
}

static bool has_unsent(const struct tcp_pcb *list) {
    for (; list; list = list->next)
        if ((list->unsent || list->unacked) && list->state >= ESTABLISHED)
            return true;
    return false;
}

bool tcp_lists_unsent(void) {
    for (uint32_t i = 0; i <= mask; i++)
        if (has_unsent(i == selected ? tcp_active_pcbs : table[i].active))
            return true;
    return false;
}

void tcp_lists_send_refused(void) {
    tcp_lists_gather();
    tcp_txnow();
    tcp_lists_scatter();
}

/*
 * RFC 6528: a clock and a keyed hash of who talks to whom.  The clock, 64 ns as
 * Linux has it, is what makes a connection that comes again begin behind where
 * the last one ended; see end_waiting().
 */
uint32_t tcp_lists_sequence(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote,
                            uint16_t remote_port) {
    struct {
        ip_addr_t local, remote;
        uint32_t ports;
    } who;
    memset(&who, 0, sizeof who); /* padding is hashed too */
    ip_addr_set(&who.local, local);
    ip_addr_set(&who.remote, remote);
    who.ports = (uint32_t)local_port << 16 | remote_port;
    return (uint32_t)siphash(sequence_key, &who, sizeof who) + (uint32_t)(clock_now_ns() >> 6);
}

void tcp_lists_count(struct tcp_counts *out) {
    *out = counts;
}

/* lwIP's own, renamed when they are compiled. */
void lwip_tcp_input(struct pbuf *p, struct netif *from);
void lwip_tcp_netif_ip_addr_changed(const ip_addr_t *before, const ip_addr_t *now);

/* Called by lwIP: an interface has another address.  All connections of the old one end. */
void tcp_netif_ip_addr_changed(const ip_addr_t *before, const ip_addr_t *now) {
    tcp_lists_gather();
    lwip_tcp_netif_ip_addr_changed(before, now);
    tcp_lists_scatter();
}

/* Whoever begins anew has no use for what is left of the last connection (RFC 1122, 4.2.2.13);
 * lwIP would refuse it for a minute. */
static void end_waiting(const struct tcp_hdr *header) {
    for (struct tcp_pcb **link = &tcp_tw_pcbs; *link; link = &(*link)->next) {
        struct tcp_pcb *p = *link;
        if (p->local_port != lwip_ntohs(header->dest) ||
            p->remote_port != lwip_ntohs(header->src) ||
            !ip_addr_cmp(&p->local_ip, ip_current_dest_addr()) ||
            !ip_addr_cmp(&p->remote_ip, ip_current_src_addr()))
            continue;
        if (!TCP_SEQ_GT(lwip_ntohl(header->seqno), p->rcv_nxt))
            return;
        *link = p->next;
        tcp_pcb_purge(p);
        tcp_free(p);
        return;
    }
}

/* Called by lwIP's IP layers. */
void tcp_input(struct pbuf *p, struct netif *from) {
    const struct tcp_hdr *header = p->payload;
    if (p->len >= TCP_HLEN) {
        uint32_t which = hash(ip_current_dest_addr(), lwip_ntohs(header->dest),
                              ip_current_src_addr(), lwip_ntohs(header->src));
        select(which);
        if ((TCPH_FLAGS(header) & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN) {
            end_waiting(header);
            tcp_spread_syn(ip_current_dest_addr(), lwip_ntohs(header->dest), which);
        }
    }
    lwip_tcp_input(p, from);
}
