/* SPDX-License-Identifier: MIT */
/* What forge puts on the cable and takes from it: frames, IPv4 and IPv6, ICMPv6, TCP. */
#ifndef TEST_NET_FORGE_WIRE_H
#define TEST_NET_FORGE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERVER_PORT 7777
#define NETWORK     0x0a000900u /* 10.0.9.0/24 */
#define OUR_HOST    3
#define SEGMENT     1460

#define ACK   0x10
#define PUSH  0x08
#define RESET 0x04
#define SYN   0x02
#define FIN   0x01

enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMP6 = 58 };
enum { ICMP6_TOO_BIG = 2, ICMP6_ECHO = 128, ICMP6_ECHO_REPLY = 129 };

/* One connection to the server. */
struct conversation {
    bool ipv6;
    uint16_t port;
    uint32_t seq;    /* our next byte */
    uint32_t ack;    /* its next */
    uint16_t window; /* that we offer */
    uint32_t acked;  /* of ours: the next that it expects */
    unsigned its_window;
    bool open, reset; /* it has answered our SYN; it has refused */
    bool ended;       /* it has said that there is no more than up to `end` */
    uint32_t end;
    unsigned probes;      /* of our window: segments without a byte from before its next */
    size_t longest;       /* packet of it, IP header included */
    unsigned hops, class; /* of its last packet */
    size_t size;          /* of what it said, in order */
    uint8_t said[4096];
};

/* A packet for us; one that came in pieces is put together. */
struct packet {
    bool ipv6;
    unsigned protocol, pieces;
    unsigned hops, class; /* time to live and type of service; of the first piece */
    size_t size;          /* of the payload */
    uint8_t payload[4096];
};

void put16(uint8_t *at, unsigned v);
void put32(uint8_t *at, uint32_t v);
unsigned get16(const uint8_t *at);
uint32_t get32(const uint8_t *at);

/* Says what is wrong, and ends with status 1.  `attack`: of what. */
_Noreturn void give_up(const char *what);
extern const char *attack;
long now_ms(void);

/* Waits for a machine at `port` (-netdev socket,connect=), and until it says who it is. */
void plug_in(int port);
/* The machine is 10.0.9.`host` (1 at first). */
void server_is(unsigned host);
/* Payload of at most 1500 bytes, headers not included. */
void send_packet(bool ipv6, unsigned protocol, uint8_t *payload, size_t size);
/* The same to 255.255.255.255. */
void send_to_all(unsigned protocol, uint8_t *payload, size_t size);
/* The next packet within `ms`, or false.  Answers who asks for our address, or one of his own,
 * meanwhile. */
bool take_packet(struct packet *p, long ms);
/* ICMPv6 of that type: `body` are its bytes behind the checksum. */
void send_icmp6(unsigned type, const uint8_t *body, size_t size);
/* "Packet too big", of a packet of the server's to us. */
void send_too_big(uint32_t mtu);
/* From a port of ours to the server's. */
void send_datagram(bool ipv6, uint16_t port, const void *data, size_t size);
/* `data` may be NULL where size is 0. */
void send_segment(const struct conversation *c, unsigned flags, uint32_t seq,
                  const uint8_t *options, size_t option_size, const void *data, size_t size);

#endif
