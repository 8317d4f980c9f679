/* SPDX-License-Identifier: MIT */
/*
 * The card as an interface of lwIP's: frames become pbufs without a copy, and
 * the other way round.
 *
 * In: a buffer of the driver's carries the struct pbuf_custom for itself.  Out:
 * the driver is given the pieces of a pbuf chain and holds a reference on it
 * until they are sent.  lwIP does not touch a segment that is still referenced
 * so.  All of it runs under net_lock, but for the freeing of received buffers.
 *
 * Checksums of TCP are the card's business where it can: what is sent carries
 * the sum of the pseudo header; what comes in is checked by lwIP only if the
 * card did not.
 */
#include <asm-generic/errno.h>
#include "arch/x86_64/percpu.h"
#include "base/checksum.h"
#include "base/string.h"
#include "dev/netdev.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "lwip/prot/tcp.h"
#include "lwip/tcp.h"
#include "netif/ethernet.h"
#include "net/net_impl.h"

#define CHECK_TRANSPORT (NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP)

#define BUFFER_BYTES         2048u /* about what a received buffer takes */
#define BUFFERS_SHARE        2     /* of memory, for received buffers */
#define FRAMES_BETWEEN_LOOKS 256u

#define SEGMENTS_AT_ONCE 10u  /* that the card makes of one */
#define HEADERS_MOST     120u /* of IP and TCP, with options: an IP packet has 16 bits of length */

static struct netif card;
static struct netdev *device;
static const struct netdev_features *features;
static uint64_t dropped;   /* frames that we had no memory for */
static bool refused;       /* a frame, for want of room; the queue's `ready` will come */
static uint64_t unflushed; /* bit per queue that has frames to tell the card of */

static void free_received(struct pbuf *p) {
    struct pbuf_custom *custom = container_of(p, struct pbuf_custom, pbuf);
    netdev_buffer_free(container_of((void *)custom, struct netdev_buffer, owner));
}

/* The pbuf that lies in a received buffer. */
static struct pbuf *wrap(struct netdev_buffer *b) {
    _Static_assert(sizeof(struct pbuf_custom) <= sizeof b->owner, "a pbuf fits into a buffer");
    struct pbuf_custom *custom = (void *)b->owner;
    custom->custom_free_function = free_received;
    return pbuf_alloced_custom(PBUF_RAW, (u16_t)b->length, PBUF_REF, custom, b->data,
                               (u16_t)b->length);
}

/* A whole frame; NULL where lwIP's 16-bit lengths do not hold it. */
static struct pbuf *wrap_frame(struct netdev_buffer *first) {
    struct pbuf *head = NULL, *last = NULL;
    size_t total = 0;
    for (struct netdev_buffer *b = first, *next; b; b = next) {
        next = b->next;
        total += b->length;
        struct pbuf *p = wrap(b);
        if (last)
            last->next = p;
        else
            head = p;
        last = p;
    }
    if (total > UINT16_MAX) {
        pbuf_free(head);
        return NULL;
    }
    for (struct pbuf *p = head; p; p = p->next) {
        p->tot_len = (u16_t)total;
        total -= p->len;
    }
    return head;
}

/* Whether what is received and not yet read takes more memory than it may.  A look now and then
 * will do: so few frames do not fill the rest. */
static bool is_overdrawn(void) {
    static unsigned frames;
    static bool overdrawn;
    struct netdev_counts counts;
    if (overdrawn || frames++ % FRAMES_BETWEEN_LOOKS == 0) {
        netdev_count(device, &counts);
        overdrawn = counts.buffers_out * BUFFER_BYTES > machine.memory_bytes / BUFFERS_SHARE;
    }
    return overdrawn;
}

static void drop(struct netdev_buffer *b) {
    for (struct netdev_buffer *next; b; b = next) {
        next = b->next;
        netdev_buffer_free(b);
    }
    dropped++;
}

bool card_receive(unsigned queue, unsigned most) {
    for (unsigned n = 0; n < most; n++) {
        struct netdev_buffer *b = netdev_receive(device, queue);
        if (!b)
            return false;
        if (is_overdrawn()) {
            drop(b);
            continue;
        }
        bool checked = b->offload.checksum_valid || b->offload.needs_checksum;
        struct pbuf *p = wrap_frame(b);
        if (!p)
            continue;
        card.chksum_flags =
            (u16_t)((card.chksum_flags & ~CHECK_TRANSPORT) | (checked ? 0 : CHECK_TRANSPORT));
        if (card.input(p, &card) != ERR_OK)
            pbuf_free(p);
    }
    return true;
}

static bool is_ours(const ip_addr_t *a) {
    return IP_IS_V4_VAL(*a) ? ip4_addr_cmp(ip_2_ip4(a), netif_ip4_addr(&card))
                            : netif_get_ip6_addr_match(&card, ip_2_ip6(a)) >= 0;
}

/*
 * Segments that the card cuts.  lwIP sends segments of pcb->mss, so that is made
 * a multiple of the peer's; each says on its first pbuf what to cut it to.  lwIP
 * would fragment an IP packet that is longer than the interface's MTU; this one
 * is raised just for that look, between card_see_segment() and output_ip4() or
 * output_ip6().
 */
void card_lengthen_segments(struct tcp_pcb *pcb) {
    if (!device ||
        !(IP_IS_V4_VAL(pcb->remote_ip) ? features->sends_segments
                                       : features->sends_segments_ipv6) ||
        !is_ours(&pcb->local_ip) || is_ours(&pcb->remote_ip))
        return;
    tcp_ext_arg_set(pcb, PCB_SEGMENT, (void *)(uintptr_t)pcb->mss);
    /* At least one: lwIP takes no MSS above TCP_MSS. */
    pcb->mss = (u16_t)(pcb->mss * MIN(SEGMENTS_AT_ONCE, (UINT16_MAX - HEADERS_MOST) / pcb->mss));
    pcb->cwnd = MAX(pcb->cwnd, (tcpwnd_size_t)pcb->mss); /* an initial window of ten: RFC 6928 */
}

unsigned card_segment_bytes(const struct tcp_pcb *pcb) {
    uintptr_t cut = (uintptr_t)tcp_ext_arg_get(pcb, PCB_SEGMENT);
    return cut ? (unsigned)cut : pcb->mss;
}

/* lwIP: `p`, TCP header and payload, is about to be sent. */
void card_see_segment(struct pbuf *p, const struct tcp_pcb *pcb) {
    p->segment_bytes = 0;
    /* With a payload: there is a pcb. */
    if (!device || p->tot_len <= features->mtu - IP6_HLEN ||
        p->tot_len + (IP_IS_V4_VAL(pcb->remote_ip) ? IP_HLEN : IP6_HLEN) <= features->mtu)
        return;
    p->segment_bytes = (uint16_t)(uintptr_t)tcp_ext_arg_get(pcb, PCB_SEGMENT);
    if (p->segment_bytes)
        card.mtu = UINT16_MAX;
}

bool card_cuts_next(void) {
    return device && card.mtu > features->mtu;
}

static err_t output_ip4(struct netif *n, struct pbuf *p, const ip4_addr_t *to) {
    n->mtu = features->mtu;
    return etharp_output(n, p, to);
}

static err_t output_ip6(struct netif *n, struct pbuf *p, const ip6_addr_t *to) {
    n->mtu = features->mtu;
    return ethip6_output(n, p, to);
}

/* The sum of TCP's pseudo header, where the card expects it. */
static void offload_checksum(struct tcp_hdr *tcp, const void *addresses, size_t size,
                             uint32_t length) {
    uint32_t rest = lwip_htonl(IP_PROTO_TCP + length);
    uint32_t sum = checksum_sum(addresses, size) + (rest & 0xffff) + (rest >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    tcp->chksum = (u16_t)((sum & 0xffff) + (sum >> 16));
}

/* What the card is to do to the frame whose headers are all in `p`. */
static void prepare_offload(const struct pbuf *p, struct netdev_offload *o) {
    char *frame = p->payload;
    const struct eth_hdr *eth = (void *)frame;
    const struct ip_hdr *ip4 = (void *)(frame + SIZEOF_ETH_HDR);
    const struct ip6_hdr *ip6 = (void *)(frame + SIZEOF_ETH_HDR);
    size_t at;

    *o = (struct netdev_offload){ .needs_checksum = false };
    if (!features->sends_checksum)
        return;
    if (eth->type == PP_HTONS(ETHTYPE_IP) && p->len >= SIZEOF_ETH_HDR + IP_HLEN &&
        IPH_PROTO(ip4) == IP_PROTO_TCP && !(IPH_OFFSET(ip4) & PP_HTONS(IP_OFFMASK | IP_MF)))
        at = SIZEOF_ETH_HDR + IPH_HL_BYTES(ip4);
    else if (eth->type == PP_HTONS(ETHTYPE_IPV6) && p->len >= SIZEOF_ETH_HDR + IP6_HLEN &&
             IP6H_NEXTH(ip6) == IP6_NEXTH_TCP)
        at = SIZEOF_ETH_HDR + IP6_HLEN;
    else
        return;
    if (p->len < at + TCP_HLEN)
        return;
    bool is_ipv6 = eth->type == PP_HTONS(ETHTYPE_IPV6);
    offload_checksum((struct tcp_hdr *)(void *)(frame + at),
                     is_ipv6 ? (const void *)&ip6->src : (const void *)&ip4->src, is_ipv6 ? 32 : 8,
                     (uint32_t)(p->tot_len - at));
    o->needs_checksum = true;
    o->checksum_start = (uint16_t)at;
    o->checksum_offset = offsetof(struct tcp_hdr, chksum);
    o->is_ipv6 = is_ipv6;
    if (p->tot_len <= SIZEOF_ETH_HDR + features->mtu)
        return;
    const struct tcp_hdr *tcp = (const void *)(frame + at);
    o->segment_bytes = p->segment_bytes;
    o->header_bytes = (uint16_t)(at + TCPH_HDRLEN_BYTES(tcp));
}

static void sent(void *token) {
    pbuf_free(token);
}

/* Takes the caller's reference over. */
static err_t send_frame(struct pbuf *p) {
    struct netdev_piece pieces[NETDEV_MAX_PIECES];
    struct netdev_offload offload;
    unsigned count = 0;

    prepare_offload(p, &offload);
    for (const struct pbuf *q = p; q && count < NETDEV_MAX_PIECES; q = q->next)
        if (q->len)
            pieces[count++] = (struct netdev_piece){ q->payload, q->len };
    unsigned queue = cpu_id() % features->queues; /* this CPU's, as far as there are so many */
    int err = netdev_send(device, queue, pieces, count, &offload, sent, p);
    if (err) {
        pbuf_free(p);
        refused |= err == -ENOSPC;
        return err == -ENOSPC ? ERR_MEM : ERR_IF;
    }
    unflushed |= 1ul << queue;
    return ERR_OK;
}

/* lwIP sends a frame; the pbufs stay the caller's. */
static err_t output(struct netif *n, struct pbuf *p) {
    (void)n;
    /* The driver's header goes in front, and a chain may be too long for it. */
    bool has_room = p->type_internal & PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS &&
                    (char *)p->payload - (char *)(p + 1) >= NETDEV_HEADER_BYTES;
    if (has_room && pbuf_clen(p) <= NETDEV_MAX_PIECES) {
        pbuf_ref(p);
        return send_frame(p);
    }
    struct pbuf *copy = pbuf_clone(PBUF_RAW_TX, PBUF_RAM, p);
    if (!copy)
        return ERR_MEM;
    copy->segment_bytes = p->segment_bytes;
    return send_frame(copy);
}

bool card_has_received(unsigned queue) {
    return netdev_has_received(device, queue);
}

bool card_rest(unsigned queue) {
    return netdev_rest(device, queue);
}

bool card_will_tell(unsigned queue) {
    return netdev_will_tell(device, queue);
}

void card_trust_loopback(void) {
    card.chksum_flags &= (u16_t)~CHECK_TRANSPORT;
}

void card_flush(void) {
    if (device)
        card.mtu = features->mtu; /* a segment that found no way out has left it raised */
    for (; unflushed; unflushed &= unflushed - 1)
        netdev_flush(device, (unsigned)__builtin_ctzl(unflushed));
}

void card_reclaim(void) {
    for (unsigned queue = 0; queue < card_queues(); queue++)
        netdev_reclaim(device, queue);
}

void card_remind(void) {
    for (unsigned queue = 0; queue < card_queues(); queue++)
        netdev_remind(device, queue);
}

bool card_is_full(void) {
    return refused;
}

bool card_refused(void) {
    bool was = refused;
    refused = false;
    return was;
}

void card_count(struct netdev_counts *out) {
    if (device)
        netdev_count(device, out);
    out->dropped += dropped;
}

unsigned card_queues(void) {
    return device ? features->queues : 0;
}

static err_t init(struct netif *n) {
    memcpy(n->name, "en", 2);
    n->hwaddr_len = ETH_HWADDR_LEN;
    memcpy(n->hwaddr, features->address, ETH_HWADDR_LEN);
    n->mtu = features->mtu;
    n->output = output_ip4;
    n->output_ip6 = output_ip6;
    n->linkoutput = output;
    n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP |
               NETIF_FLAG_MLD6;
    uint16_t off = features->sends_checksum ? NETIF_CHECKSUM_GEN_TCP : 0;
    NETIF_SET_CHECKSUM_CTRL(n, (u16_t)(NETIF_CHECKSUM_ENABLE_ALL & ~off));
    return ERR_OK;
}

struct netif *card_open(void) {
    device = netdev_open(net_wake_queue);
    if (!device)
        return NULL;
    features = netdev_features(device);
    if (!netif_add_noaddr(&card, NULL, init, ethernet_input))
        return NULL;
    netif_set_default(&card);
    if (features->mtu >= IP6_MIN_MTU_LENGTH) {
        netif_create_ip6_linklocal_address(&card, 1);
        card.ip6_autoconfig_enabled = 1;
    }
    netif_set_up(&card);
    return &card;
}
