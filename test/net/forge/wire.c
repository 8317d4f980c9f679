/* SPDX-License-Identifier: MIT */
#include "test/net/forge/lease.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define OUR_MAC   2, 0, 0, 0, 0, 3
#define OUR_IP    10, 0, 9, OUR_HOST
#define SERVER_IP 10, 0, 9, 1
#define OUR_IPV6  0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3
#define BOOT_MS   60000

enum { TYPE_IPV4 = 0x0800, TYPE_ARP = 0x0806, TYPE_IPV6 = 0x86dd };
enum { ICMP6_SOLICIT = 135, ICMP6_ADVERTISE = 136, NEXT_FRAGMENT = 44 };
enum { ETHERNET = 14, IPV4_HEADER = 20, IPV6_HEADER = 40, FRAGMENT_HEADER = 8 };
enum { TCP_HEADER = 20, UDP_HEADER = 8 };

struct frame {
    size_t size;
    uint8_t bytes[2048];
};

static const uint8_t our_mac[6] = { OUR_MAC }, our_ip[4] = { OUR_IP };
static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 };
static const uint8_t our_ipv6[16] = { OUR_IPV6 };
static uint8_t server_mac[6] = { 255, 255, 255, 255, 255, 255 }, server_ip[4] = { SERVER_IP };
static uint8_t server_ipv6[16] = { 0xfe, 0x80 };
static bool mac_known;
static int cable;

const char *attack = "nothing";

_Noreturn void give_up(const char *what) {
    printf("forge: %s: %s\n", attack, what);
    exit(1);
}

long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void put16(uint8_t *at, unsigned v) {
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

void put32(uint8_t *at, uint32_t v) {
    put16(at, v >> 16);
    put16(at + 2, v & 0xffff);
}

unsigned get16(const uint8_t *at) {
    return (unsigned)at[0] << 8 | at[1];
}

uint32_t get32(const uint8_t *at) {
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static uint32_t sum(const uint8_t *at, size_t size, uint32_t s) {
    for (size_t i = 0; i + 1 < size; i += 2)
        s += get16(at + i);
    return size & 1 ? s + ((uint32_t)at[size - 1] << 8) : s;
}

static unsigned fold(uint32_t s) {
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return ~s & 0xffff;
}

static void send_frame(struct frame *f, unsigned type) {
    uint8_t length[4];
    memcpy(f->bytes, server_mac, 6);
    memcpy(f->bytes + 6, our_mac, 6);
    put16(f->bytes + 12, type);
    if (f->size < 60)
        f->size = 60;
    put32(length, (uint32_t)f->size);
    if (send(cable, length, 4, MSG_NOSIGNAL | MSG_MORE) != 4 ||
        send(cable, f->bytes, f->size, MSG_NOSIGNAL) != (ssize_t)f->size)
        give_up("the machine is gone");
}

static bool take_frame(struct frame *f, long ms) {
    struct pollfd p = { cable, POLLIN, 0 };
    uint8_t length[4];
    if (poll(&p, 1, (int)(ms > 0 ? ms : 0)) != 1)
        return false;
    if (recv(cable, length, 4, MSG_WAITALL) != 4)
        give_up("the machine is gone");
    f->size = get32(length);
    if (f->size > sizeof f->bytes ||
        recv(cable, f->bytes, f->size, MSG_WAITALL) != (ssize_t)f->size)
        give_up("a frame that is too long");
    return true;
}

/* ---- who is where ---- */

static void arp(unsigned operation) {
    struct frame f = { .size = 60 };
    put16(f.bytes + 14, 1);
    put16(f.bytes + 16, TYPE_IPV4);
    put16(f.bytes + 18, 0x0604);
    put16(f.bytes + 20, operation);
    memcpy(f.bytes + 22, our_mac, 6);
    memcpy(f.bytes + 28, our_ip, 4);
    if (operation == 2)
        memcpy(f.bytes + 32, server_mac, 6);
    memcpy(f.bytes + 38, server_ip, 4);
    send_frame(&f, TYPE_ARP);
}

static void see_arp(const struct frame *f) {
    if (f->size < 42 || memcmp(f->bytes + 28, server_ip, 4))
        return;
    memcpy(server_mac, f->bytes + 22, 6);
    mac_known = true;
    /* Its link-local address: RFC 4291, appendix A. */
    memcpy(server_ipv6 + 8, server_mac, 3);
    server_ipv6[8] ^= 2;
    put16(server_ipv6 + 11, 0xfffe);
    memcpy(server_ipv6 + 13, server_mac + 3, 3);
    if (get16(f->bytes + 20) == 1 && !memcmp(f->bytes + 38, our_ip, 4))
        arp(2);
}

static void see_solicitation(const struct packet *p) {
    uint8_t answer[28] = { 0x60 }; /* solicited, and to be believed */
    if (p->size < 24 || memcmp(p->payload + 8, our_ipv6, 16))
        return;
    memcpy(answer + 4, our_ipv6, 16);
    put16(answer + 20, 0x0201); /* our link-layer address */
    memcpy(answer + 22, our_mac, 6);
    send_icmp6(ICMP6_ADVERTISE, answer, sizeof answer);
}

void server_is(unsigned host) {
    server_ip[3] = (uint8_t)host;
}

void plug_in(int port) {
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct packet p;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 1))
        give_up("cannot listen");
    puts("ready");
    cable = accept(listener, NULL, NULL);
    if (cable < 0 || setsockopt(cable, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))
        give_up("no machine");
    for (long end = now_ms() + BOOT_MS; !mac_known;) {
        if (now_ms() > end)
            give_up("the machine does not say where it is");
        arp(1);
        take_packet(&p, 200);
    }
}

/* ---- packets ---- */

static void send_ipv4(const uint8_t to[4], unsigned protocol, uint8_t *payload, size_t size) {
    struct frame f = { .size = ETHERNET + IPV4_HEADER + size };
    uint8_t *ip = f.bytes + ETHERNET;
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(IPV4_HEADER + size));
    ip[8] = 64;
    ip[9] = (uint8_t)protocol;
    memcpy(ip + 12, our_ip, 4);
    memcpy(ip + 16, to, 4);
    put16(ip + 10, fold(sum(ip, IPV4_HEADER, 0)));
    memcpy(ip + IPV4_HEADER, payload, size);
    send_frame(&f, TYPE_IPV4);
}

static void send_ipv6(unsigned protocol, uint8_t *payload, size_t size) {
    struct frame f = { .size = ETHERNET + IPV6_HEADER + size };
    uint8_t *ip = f.bytes + ETHERNET;
    ip[0] = 0x60;
    put16(ip + 4, (unsigned)size);
    ip[6] = (uint8_t)protocol;
    ip[7] = 255;
    memcpy(ip + 8, our_ipv6, 16);
    memcpy(ip + 24, server_ipv6, 16);
    memcpy(ip + IPV6_HEADER, payload, size);
    send_frame(&f, TYPE_IPV6);
}

void send_packet(bool ipv6, unsigned protocol, uint8_t *payload, size_t size) {
    if (ipv6)
        send_ipv6(protocol, payload, size);
    else
        send_ipv4(server_ip, protocol, payload, size);
}

void send_to_all(unsigned protocol, uint8_t *payload, size_t size) {
    send_ipv4(everybody, protocol, payload, size);
}

/* The sum of the pseudo header of a packet between the two. */
static uint32_t pseudo(bool ipv6, unsigned protocol, size_t size) {
    uint32_t s = protocol + (uint32_t)size;
    if (ipv6)
        return sum(server_ipv6, 16, sum(our_ipv6, 16, s));
    return sum(server_ip, 4, sum(our_ip, 4, s));
}

static bool see_ipv4(const struct frame *f, struct packet *p) {
    const uint8_t *ip = f->bytes + ETHERNET;
    if (f->size < ETHERNET + IPV4_HEADER || ip[0] != 0x45 ||
        (memcmp(ip + 16, our_ip, 4) && memcmp(ip + 16, everybody, 4)))
        return false;
    *p = (struct packet){ .protocol = ip[9], .pieces = 1, .size = get16(ip + 2) - IPV4_HEADER };
    p->hops = ip[8];
    p->class = ip[1];
    memcpy(p->payload, ip + IPV4_HEADER, p->size);
    return true;
}

/* Whether it is whole, or the last piece of one. */
static bool see_ipv6(const struct frame *f, struct packet *p) {
    static struct packet whole;
    const uint8_t *ip = f->bytes + ETHERNET, *at = ip + IPV6_HEADER;
    if (f->size < ETHERNET + IPV6_HEADER)
        return false;
    size_t size = get16(ip + 4);
    if (ip[6] != NEXT_FRAGMENT) {
        *p = (struct packet){ .ipv6 = true, .protocol = ip[6], .pieces = 1, .size = size };
        p->hops = ip[7];
        p->class = get16(ip) >> 4 & 0xff;
        memcpy(p->payload, at, size);
        return true;
    }
    size_t offset = get16(at + 2) & 0xfff8u;
    if (offset == 0)
        whole = (struct packet){ .ipv6 = true, .protocol = at[0] };
    size -= FRAGMENT_HEADER;
    if (offset != whole.size || offset + size > sizeof whole.payload)
        return false;
    memcpy(whole.payload + offset, at + FRAGMENT_HEADER, size);
    whole.size += size;
    whole.pieces++;
    *p = whole;
    return !(at[3] & 1);
}

static bool see_frame(const struct frame *f, struct packet *p) {
    switch (f->size >= ETHERNET ? get16(f->bytes + 12) : 0) {
    case TYPE_ARP:
        see_arp(f);
        return false;
    case TYPE_IPV4:
        return see_ipv4(f, p);
    case TYPE_IPV6:
        return see_ipv6(f, p);
    default:
        return false;
    }
}

/* Only datagrams over IPv4 may come without one, as 0. */
static bool has_sum(const struct packet *p) {
    return p->protocol == PROTOCOL_TCP ||
           (p->protocol == PROTOCOL_UDP && (p->ipv6 || get16(p->payload + 6)));
}

bool take_packet(struct packet *p, long ms) {
    struct frame f;
    for (long end = now_ms() + ms; take_frame(&f, end - now_ms());) {
        if (!see_frame(&f, p))
            continue;
        if (p->protocol == PROTOCOL_ICMP6 && p->payload[0] == ICMP6_SOLICIT) {
            see_solicitation(p);
            continue;
        }
        if (p->protocol == PROTOCOL_UDP && get16(p->payload + 2) == DHCP_SERVER_PORT) {
            see_dhcp(p);
            continue;
        }
        if (has_sum(p) && fold(sum(p->payload, p->size, pseudo(p->ipv6, p->protocol, p->size))))
            give_up("a segment or datagram whose checksum is wrong");
        return true;
    }
    return false;
}

void send_icmp6(unsigned type, const uint8_t *body, size_t size) {
    uint8_t message[1500] = { (uint8_t)type };
    memcpy(message + 4, body, size);
    size += 4;
    put16(message + 2, fold(sum(message, size, pseudo(true, PROTOCOL_ICMP6, size))));
    send_packet(true, PROTOCOL_ICMP6, message, size);
}

void send_too_big(uint32_t mtu) {
    uint8_t body[4 + IPV6_HEADER + 8] = { 0 }, *ip = body + 4;
    put32(body, mtu);
    ip[0] = 0x60;
    ip[6] = PROTOCOL_ICMP6;
    memcpy(ip + 8, server_ipv6, 16);
    memcpy(ip + 24, our_ipv6, 16);
    send_icmp6(ICMP6_TOO_BIG, body, sizeof body);
}

void send_datagram(bool ipv6, uint16_t port, const void *data, size_t size) {
    uint8_t udp[1500] = { 0 };
    size_t length = UDP_HEADER + size;
    put16(udp, port);
    put16(udp + 2, SERVER_PORT);
    put16(udp + 4, (unsigned)length);
    memcpy(udp + UDP_HEADER, data, size);
    unsigned check = fold(sum(udp, length, pseudo(ipv6, PROTOCOL_UDP, length)));
    put16(udp + 6, check ? check : 0xffff); /* 0: none */
    send_packet(ipv6, PROTOCOL_UDP, udp, length);
}

void send_segment(const struct conversation *c, unsigned flags, uint32_t seq,
                  const uint8_t *options, size_t option_size, const void *data, size_t size) {
    uint8_t tcp[1500] = { 0 };
    size_t length = TCP_HEADER + option_size + size;
    put16(tcp, c->port);
    put16(tcp + 2, SERVER_PORT);
    put32(tcp + 4, seq);
    put32(tcp + 8, flags & ACK ? c->ack : 0);
    tcp[12] = (uint8_t)((TCP_HEADER + option_size) / 4 << 4);
    tcp[13] = (uint8_t)flags;
    put16(tcp + 14, c->window);
    if (option_size)
        memcpy(tcp + TCP_HEADER, options, option_size);
    if (size)
        memcpy(tcp + TCP_HEADER + option_size, data, size);
    put16(tcp + 16, fold(sum(tcp, length, pseudo(c->ipv6, PROTOCOL_TCP, length))));
    send_packet(c->ipv6, PROTOCOL_TCP, tcp, length);
}
