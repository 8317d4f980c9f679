/* SPDX-License-Identifier: MIT */
/* tests: net/tcp_refuse.c net/tcp_lists.c net/tcp_timers.c net/tcp_window.c net/path_mtu.c */
/* tests: net/tcp_spread.c net/ip_options.c test/fuzz/frame_net.c */
/* tests: base/string.c base/siphash.c base/checksum.c kernel/random.c kernel/lock.c */
/* tests: test/host/shim/shim.c test/host/shim/memory.c */
/* with: lwip */
/*
 * An evil neighbour on the Ethernet: frames of every kind, as the input says,
 * against lwIP with our options and what stands in front of it, and a server
 * that reads, writes and closes meanwhile.  Checksums are not looked at, so that
 * the input need not find them; the clock goes when the input says so.
 *
 * lwIP's assertions are the first thing to find, memory that is not given back
 * the second: at the end of an input all is closed, a minute goes by, and not
 * a block may be left.
 */
#include <string.h>
#include "arch/x86_64/percpu.h"
#include "kernel/machine.h"
#include "kernel/slab.h"
#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/icmp6.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mem.h"
#include "lwip/memp.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/dhcp.h"
#include "lwip/udp.h"
#include "netif/ethernet.h"
#include "net/tcp_impl.h"
#include "net/tcp_lists.h"
#include "test/fuzz/frame.h"
#include "test/fuzz/frame_net.h"
#include "test/fuzz/fuzz.h"
#include "test/host/shim/memory.h"
#include "test/host/shim/shim.h"

#define CONVERSATIONS 4
#define LISTENERS     3 /* at one port: tcp_spread.c */
#define SERVER_PORT   7777
#define SEGMENT_MOST  1460
#define SLACK         64

struct conversation {
    u16_t port;
    u32_t seq, ack;      /* our next byte; the server's next */
    struct tcp_pcb *pcb; /* the server's side; NULL: none */
    u32_t unread;
    struct tcp_socket socket; /* for tcp_window.c */
};

uint32_t net_tcp_window, net_tcp_send_buffer;
static bool reads;
static struct netif card;
static struct conversation conversations[CONVERSATIONS];
static struct tcp_socket listening; /* for tcp_refuse.c */

/* ---- the server ---- */

/* lwIP: the pcb is no more. */
static void forget(u8_t id, void *data) {
    struct conversation *c = data;
    (void)id;
    if (c)
        c->pcb = c->socket.pcb = NULL;
}

static const struct tcp_ext_arg_callbacks lifetime = { .destroy = forget,
                                                       .passive_open = tcp_see_syn };

/* More is never on its way, or unread, than was promised: bytes, and an end. */
static void see_window(const struct conversation *c) {
    must(!c->pcb || c->pcb->rcv_wnd + c->unread <= c->socket.window + 1);
    must(c->socket.window <= net_tcp_window);
}

static void read_some(struct conversation *c, u32_t bytes) {
    c->unread -= bytes;
    if (bytes)
        tcp_window_open(&c->socket, bytes);
    see_window(c);
}

static err_t see_data(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err) {
    struct conversation *c = arg;
    size_t bytes = 0;
    (void)err;
    if (!p)
        return ERR_OK;
    must(c && c->pcb == pcb);
    for (const struct pbuf *q = p; q; q = q->next) {
        unsigned sum = 0;
        for (u16_t i = 0; i < q->len; i++)
            sum += ((const u8_t *)q->payload)[i];
        must(sum <= 255u * q->len);
        bytes += q->len;
    }
    must(bytes == p->tot_len);
    c->unread += p->tot_len;
    see_window(c);
    if (reads)
        read_some(c, c->unread);
    pbuf_free(p);
    return ERR_OK;
}

/* As net/tcp.c does; net/card.c lengthens segments about so much. */
static void see_established(struct conversation *c, struct tcp_pcb *pcb) {
    c->pcb = c->socket.pcb = pcb;
    c->unread = 0;
    tcp_limit_peer(pcb);
    tcp_window_end(&c->socket); /* of the last one */
    tcp_window_begin(&c->socket, pcb);
    pcb->mss = (u16_t)MIN(pcb->mss * 10u, 65000u);
}

static err_t see_accepted(void *arg, struct tcp_pcb *pcb, err_t err) {
    (void)arg;
    if (err != ERR_OK || !pcb)
        return ERR_VAL;
    for (unsigned i = 0; i < CONVERSATIONS; i++)
        if (conversations[i].port == pcb->remote_port && !conversations[i].pcb) {
            tcp_arg(pcb, &conversations[i]);
            tcp_recv(pcb, see_data);
            tcp_ext_arg_set_callbacks(pcb, PCB_LIFETIME, &lifetime);
            tcp_ext_arg_set(pcb, PCB_LIFETIME, &conversations[i]);
            see_established(&conversations[i], pcb);
            return ERR_OK;
        }
    return ERR_MEM;
}

/* Looks at what lwIP sends: where the server's stream is now. */
static err_t output(struct netif *n, struct pbuf *p) {
    u8_t f[ETHERNET + IP_HLEN + TCP_HLEN];
    (void)n;
    must(p->tot_len >= ETHERNET && pbuf_copy_partial(p, f, sizeof f, 0) <= sizeof f);
    if (p->tot_len < sizeof f || f[12] != 8 || f[13] != 0 || f[23] != IP_PROTO_TCP)
        return ERR_OK;
    const u8_t *tcp = f + ETHERNET + IP_HLEN;
    u16_t port = (u16_t)(tcp[2] << 8 | tcp[3]);
    u32_t seq = (u32_t)tcp[4] << 24 | (u32_t)tcp[5] << 16 | (u32_t)tcp[6] << 8 | tcp[7];
    u32_t size = (u32_t)p->tot_len - ETHERNET - IP_HLEN - (tcp[12] >> 4) * 4u;
    size += tcp[13] & (TCP_SYN | TCP_FIN) ? 1 : 0;
    for (unsigned i = 0; i < CONVERSATIONS; i++)
        if (conversations[i].port == port)
            conversations[i].ack = seq + size;
    return ERR_OK;
}

static err_t init(struct netif *n) {
    n->hwaddr_len = ETH_HWADDR_LEN;
    memcpy(n->hwaddr, card_mac, ETH_HWADDR_LEN);
    n->mtu = 1500;
    n->output = etharp_output;
    n->output_ip6 = ethip6_output;
    n->linkoutput = output;
    n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP |
               NETIF_FLAG_MLD6;
    NETIF_SET_CHECKSUM_CTRL(n, NETIF_CHECKSUM_DISABLE_ALL);
    return ERR_OK;
}

/* ---- frames ---- */

/* A buffer with room behind: lwIP looks at an IPv6 header before it knows that it is there, and
 * the card's are always longer. */
static struct pbuf *buffer(size_t size) {
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)(size + SLACK), PBUF_RAM);
    if (p)
        pbuf_realloc(p, (u16_t)size);
    return p;
}

/* In one buffer or two: headers may be anywhere. */
static void deliver(const struct frame *f, unsigned cut) {
    u16_t first = cut ? (u16_t)MIN(cut, (unsigned)f->size) : f->size;
    struct pbuf *p = buffer(first), *rest = NULL;
    if (p && first < f->size)
        rest = buffer(f->size - first);
    if (!p || (first < f->size && !rest)) {
        if (p)
            pbuf_free(p);
        return;
    }
    memcpy(p->payload, f->bytes, first);
    if (rest) {
        memcpy(rest->payload, f->bytes + first, f->size - first);
        pbuf_cat(p, rest);
    }
    if (card.input(p, &card) != ERR_OK)
        pbuf_free(p);
    netif_poll_all();
}

/* The card asks nobody for our address then. */
static void say_where_we_are(void) {
    struct frame f;
    put_arp(&f);
    deliver(&f, 0);
}

/* How many bytes: a number, or what is left of the server's window. */
static unsigned choose_size(struct input *in, const struct conversation *c) {
    unsigned size = input_u16(in);

    if (size & 0x8000 && c->pcb)
        return MIN(c->pcb->rcv_wnd, (tcpwnd_size_t)SEGMENT_MOST);
    return size % (SEGMENT_MOST + 1);
}

static void segment(struct input *in) {
    static const u8_t nothing[SEGMENT_MOST];
    struct frame f;
    u8_t what = input_u8(in), flags = input_u8(in);
    struct conversation *c = &conversations[what & 3];
    u32_t seq = c->seq, ack = c->ack;
    unsigned window = what & 4 ? input_u16(in) : 65535;
    unsigned options = what & 8 ? input_u8(in) % 4u : 0;
    unsigned size = what & 16 ? choose_size(in, c) : 0;

    flags = flags & 0x80 ? flags & 0x3f : TCP_ACK | (flags & TCP_FIN);
    if (what & 32)
        seq += (u32_t)(int16_t)input_u16(in);
    if (what & 64)
        ack += (u32_t)(int16_t)input_u16(in);
    begin_ip4(&f, IP_PROTO_TCP, 0, TCP_HLEN + options * 4 + size);
    put16(&f, c->port);
    put16(&f, SERVER_PORT);
    put32(&f, seq);
    put32(&f, ack);
    put16(&f, (TCP_HLEN / 4 + options) << 12 | flags);
    put16(&f, window);
    put32(&f, 0);
    for (unsigned i = 0; i < options; i++)
        put_option(&f, in);
    put(&f, nothing, size);
    if (!(what & 32)) /* in order: as an honest peer counts */
        c->seq += size + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
    deliver(&f, what & 128 ? ETHERNET + IP_HLEN + TCP_HLEN + input_u8(in) % 8u : 0);
}

/* A whole handshake, that the input need not find. */
static void handshake(struct input *in) {
    struct conversation *c = &conversations[input_u8(in) & 3];
    unsigned window = input_u16(in);
    static const u8_t options[] = { 2, 4, 5, 180, 1, 3, 3, 4, 4, 2, 1, 1 };
    unsigned some = window & 1 ? sizeof options : 4;
    struct frame f;

    for (unsigned i = 0; i < 2; i++) {
        begin_ip4(&f, IP_PROTO_TCP, 0, TCP_HLEN + (i ? 0 : some));
        put16(&f, c->port);
        put16(&f, SERVER_PORT);
        put32(&f, c->seq);
        put32(&f, i ? c->ack : 0);
        put16(&f, (TCP_HLEN + (i ? 0 : some)) / 4 << 12 | (i ? TCP_ACK : TCP_SYN));
        put16(&f, window);
        put32(&f, 0);
        put(&f, options, i ? 0 : some);
        c->seq += i == 0;
        deliver(&f, 0);
    }
}

static void raw_frame(struct input *in) {
    struct frame f;
    u8_t kind = input_u8(in), size = input_u8(in);
    static const u16_t types[] = { 0x0800, 0x0806, 0x86dd, 0x8100 };

    begin_frame(&f, types[kind & 3]);
    put_input(&f, in, size);
    deliver(&f, kind & 4 ? input_u8(in) : 0);
}

static void ip4_packet(struct input *in) {
    struct frame f;
    unsigned protocol = input_u8(in), fragment = input_u16(in), size = input_u8(in);
    bool long_one = fragment & 0x8000; /* a bit that is reserved */

    begin_ip4(&f, protocol, fragment & 0x7fff, long_one ? size * 5u & ~7u : size);
    put_input(&f, in, size);
    while (long_one && f.size < ETHERNET + IP_HLEN + (size * 5u & ~7u))
        put(&f, "", 1);
    deliver(&f, 0);
}

/* Who we are over IPv6, how narrow the way to us is, and an echo that it may be too narrow for. */
static void narrow_path(struct input *in) {
    static const u8_t nothing[SEGMENT_MOST];
    u16_t mtu = input_u16(in), size = input_u16(in) % 1400u;
    struct frame f;

    begin_icmp6(&f, netif_ip6_addr(&card, 0)->addr, ICMP6_TYPE_NS, 24);
    put32(&f, 0);
    put(&f, netif_ip6_addr(&card, 0)->addr, 16);
    put16(&f, 0x0101); /* our link-layer address */
    put(&f, our_mac, 6);
    deliver(&f, 0);
    begin_icmp6(&f, netif_ip6_addr(&card, 0)->addr, ICMP6_TYPE_EREQ, 0);
    put32(&f, 0);
    deliver(&f, 0);
    begin_icmp6(&f, netif_ip6_addr(&card, 0)->addr, ICMP6_TYPE_PTB, 40);
    put32(&f, mtu);
    put(&f, nothing, 24);
    put(&f, our_ip6, 16);
    deliver(&f, 0);
    begin_icmp6(&f, netif_ip6_addr(&card, 0)->addr, ICMP6_TYPE_EREQ, size);
    put32(&f, 0);
    put(&f, nothing, size);
    deliver(&f, 0);
}

static void ip6_packet(struct input *in) {
    struct frame f;
    unsigned header = input_u8(in), where = input_u8(in), size = input_u8(in);
    u8_t from[16];
    memcpy(from, our_ip6, sizeof from);
    const u8_t all[16] = { 0xff, 2, [15] = 1 };
    bool hops = where & 4;

    begin_frame(&f, 0x86dd);
    put32(&f, 0x60000000);
    put16(&f, size);
    put16(&f, header << 8 | (hops ? 255 : input_u8(in)));
    if (where & 1)
        memset(from, 0, sizeof from);
    put(&f, from, 16);
    put(&f, where & 2 ? (const void *)all : netif_ip6_addr(&card, 0)->addr, 16);
    put_input(&f, in, size);
    deliver(&f, where & 8 ? input_u8(in) : 0);
}

/* To whom asked for it, with options from the input. */
static void dhcp_answer(struct input *in) {
    struct frame f;
    const struct dhcp *d = netif_dhcp_data(&card);
    unsigned size = input_u8(in);
    u8_t overload = input_u8(in);

    if (!d)
        return;
    begin_dhcp(&f, d->xid, overload, size);
    put_input(&f, in, size);
    deliver(&f, 0);
}

/* ---- the machine's own doing ---- */

/* What goes by the second. */
static void tick_second(void) {
    etharp_tmr();
    ip_reass_tmr();
    nd6_tmr();
    ip6_reass_tmr();
}

static void tick(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        host_now_ns += TCP_TMR_INTERVAL * NS_PER_MS;
        tcp_lists_tick();
        if (i % 2 == 0)
            dhcp_fine_tmr();
        mld6_tmr();
        if (i % 4 == 0)
            tick_second();
        netif_poll_all();
    }
}

static void server_acts(struct input *in) {
    static const u8_t text[65535];
    u8_t what = input_u8(in);
    struct conversation *c = &conversations[what & 3];

    if (!c->pcb)
        return;
    tcp_lists_select(c->pcb);
    switch (what >> 2 & 7) {
    case 0:
    case 1:
        tcp_write(c->pcb, text, MIN(input_u16(in), c->pcb->snd_buf), TCP_WRITE_FLAG_COPY);
        tcp_output(c->pcb);
        break;
    case 2:
        tcp_write(c->pcb, text, MIN((u16_t)input_u8(in), c->pcb->snd_buf),
                  TCP_WRITE_FLAG_COPY | TCP_WRITE_FLAG_MORE);
        break;
    case 3:
        read_some(c, c->unread);
        break;
    case 4:
        read_some(c, MIN(c->unread, (u32_t)input_u16(in)));
        break;
    case 5:
        tcp_shutdown(c->pcb, 0, 1);
        break;
    case 6:
    case 7: {
        struct tcp_pcb *pcb = c->pcb;
        if (!c->unread)
            tcp_window_all_read(pcb);
        c->pcb = c->socket.pcb = NULL;
        tcp_arg(pcb, NULL);
        tcp_recv(pcb, NULL);
        tcp_ext_arg_set(pcb, PCB_LIFETIME, NULL);
        tcp_watch_closed(pcb);
        if (what & 4 || tcp_close(pcb) != ERR_OK)
            tcp_abort(pcb);
        break;
    }
    }
    netif_poll_all();
}

static void step(struct input *in) {
    u8_t what = input_u8(in);

    switch (what & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
        segment(in);
        break;
    case 4:
        handshake(in);
        break;
    case 5:
    case 6:
    case 7:
        server_acts(in);
        break;
    case 8:
        tick(1 + (what >> 4));
        break;
    case 9:
        raw_frame(in);
        break;
    case 10:
        ip4_packet(in);
        break;
    case 11:
        ip6_packet(in);
        break;
    case 12:
        dhcp_answer(in);
        break;
    case 13:
        reads = what & 32;
        memory_is_short = what & 64;
        break;
    case 14:
        allocations_left = what & 128 ? 1u << 30 : what >> 4;
        break;
    case 15:
        if (what & 16)
            narrow_path(in);
        else
            tcp_lists_send_refused();
        break;
    }
}

static void listen_too(void) {
    struct tcp_pcb *pcb = tcp_new();
    must(pcb);
    ip_set_option(pcb, SOF_REUSEADDR);
    must(tcp_bind(pcb, IP4_ADDR_ANY, SERVER_PORT) == ERR_OK);
    ip_reset_option(pcb, SOF_REUSEADDR);
    pcb = tcp_listen_with_backlog(pcb, 255);
    must(pcb);
    ip_set_option(pcb, SOF_REUSEADDR);
    tcp_arg(pcb, &listening);
    tcp_accept(pcb, see_accepted);
}

static void begin(struct input *in) {
    u8_t options = input_u8(in);
    const ip4_addr_t ip = { PP_HTONL(0x0a000901) }, mask = { PP_HTONL(0xffffff00) },
                     gateway = { PP_HTONL(0x0a0009fe) };

    host_objects_create();
    host_cpu_start(0);
    random_seed(1);
    machine.memory_bytes = MIB(16);
    net_tcp_window = net_tcp_send_buffer = options & 4 ? KIB(4) : options & 1 ? KIB(512) : KIB(64);
    allocations_left = 1u << 30;
    memory_is_short = false;
    reads = true;
    must(tcp_lists_init() == 0);
    must(netif_add(&card, &ip, &mask, &gateway, NULL, init, ethernet_input));
    netif_set_default(&card);
    netif_create_ip6_linklocal_address(&card, 1);
    card.ip6_autoconfig_enabled = 1;
    netif_set_up(&card);
    if (options & 2)
        dhcp_start(&card);
    listening.backlog = 2;
    ip_options_init(&listening.ip);
    for (unsigned i = 0; i < LISTENERS; i++)
        listen_too();
    for (u16_t i = 0; i < CONVERSATIONS; i++)
        conversations[i] =
            (struct conversation){ .port = (u16_t)(20000 + i), .seq = 0x7ffffff0u * i };
    say_where_we_are();
}

static void abort_all(struct tcp_pcb **list) {
    while (*list) {
        tcp_arg(*list, NULL);
        tcp_abort(*list);
    }
}

static void end(void) {
    allocations_left = 1u << 30;
    for (unsigned i = 0; i < CONVERSATIONS; i++)
        tcp_window_end(&conversations[i].socket);
    must(tcp_window_promised() == 0);
    tcp_lists_gather();
    abort_all(&tcp_active_pcbs);
    abort_all(&tcp_tw_pcbs);
    for (unsigned i = 0; i < LISTENERS; i++)
        tcp_close((struct tcp_pcb *)tcp_listen_pcbs.listen_pcbs);
    must(!tcp_listen_pcbs.listen_pcbs);
    tcp_lists_scatter();
    dhcp_release_and_stop(&card);
    dhcp_cleanup(&card);
    for (unsigned second = 0; second < 70; second++)
        tick_second(); /* what waits for more fragments gives up */
    netif_remove(&card);
    netif_poll_all();
    must(!tcp_active_pcbs && !tcp_tw_pcbs && !tcp_bound_pcbs);
    must(host_objects_used == 1); /* the table of lists */
    host_objects_free();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = { data, size };
    static bool known;

    if (!known) {
        host_objects_create();
        host_cpu_start(0);
        random_seed(1);
        must(tcp_lists_init() == 0); /* an interface's address is theirs to look at */
        mem_init();
        memp_init();
        netif_init();
        udp_init();
        tcp_init();
        host_objects_free();
        known = true;
    }
    begin(&in);
    while (in.left)
        step(&in);
    end();
    return 0;
}
