/* SPDX-License-Identifier: MIT */
/*
 * Frames, made piece by piece: of 10.0.9.3, the evil neighbour, to 10.0.9.1, the
 * machine.  What does not fit is left out.
 */
#ifndef TEST_FUZZ_FRAME_H
#define TEST_FUZZ_FRAME_H

#include <string.h>
#include "base/types.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "test/fuzz/fuzz.h"

#define ETHERNET   14
#define FRAME_MOST 1514

static const u8_t our_ip6[16] = { 0xfe, 0x80, [8] = 2, [15] = 3 };
static const u8_t our_mac[] = { 2, 0, 0, 0, 0, 3 }, card_mac[] = { 2, 0, 0, 0, 0, 1 };

struct frame {
    u8_t bytes[FRAME_MOST];
    u16_t size;
};

static void put(struct frame *f, const void *from, size_t size) {
    size = MIN(size, (size_t)FRAME_MOST - f->size);
    memcpy(f->bytes + f->size, from, size);
    f->size = (u16_t)(f->size + size);
}

static void put16(struct frame *f, unsigned v) {
    u8_t b[] = { (u8_t)(v >> 8), (u8_t)v };
    put(f, b, 2);
}

static void put32(struct frame *f, u32_t v) {
    put16(f, v >> 16);
    put16(f, v & 0xffff);
}

/* What the input says. */
static void put_input(struct frame *f, struct input *in, size_t size) {
    while (size--)
        put(f, &(u8_t){ input_u8(in) }, 1);
}

/* One option in four bytes: an MSS, what nobody knows, nothing, or what the input says. */
static void put_option(struct frame *f, struct input *in) {
    u8_t kind = input_u8(in);

    switch (kind & 3) {
    case 0:
        put16(f, 0x0204);
        put16(f, kind & 4 ? input_u16(in) : kind >> 3);
        break;
    case 1:
        put32(f, 0xfe040000);
        break;
    case 2:
        put32(f, 0x01010101);
        break;
    case 3:
        put_input(f, in, 4);
        break;
    }
}

static void begin_frame(struct frame *f, unsigned type) {
    f->size = 0;
    put(f, card_mac, 6);
    put(f, our_mac, 6);
    put16(f, type);
}

static void begin_ip4(struct frame *f, unsigned protocol, unsigned fragment, unsigned payload) {
    begin_frame(f, 0x0800);
    put16(f, 0x4500);
    put16(f, IP_HLEN + payload);
    put16(f, 7);
    put16(f, fragment);
    put16(f, 64u << 8 | protocol);
    put16(f, 0);
    put32(f, 0x0a000903); /* 10.0.9.3 */
    put32(f, 0x0a000901);
}

/* Who has 10.0.9.1, says 10.0.9.3. */
static void put_arp(struct frame *f) {
    begin_frame(f, 0x0806);
    put32(f, 0x00010800);
    put32(f, 0x06040001);
    put(f, our_mac, 6);
    put32(f, 0x0a000903);
    put(f, card_mac, 6);
    put32(f, 0x0a000901);
}

static void begin_icmp6(struct frame *f, const void *to, unsigned type, unsigned size) {
    begin_frame(f, 0x86dd);
    put32(f, 0x60000000);
    put16(f, 8 + size);
    put16(f, IP6_NEXTH_ICMP6 << 8 | 255);
    put(f, our_ip6, 16);
    put(f, to, 16);
    put16(f, type << 8);
    put16(f, 0);
}

/* An answer of DHCP, but for its `size` bytes of options. */
static void begin_dhcp(struct frame *f, u32_t xid, u8_t overload, unsigned size) {
    begin_ip4(f, IP_PROTO_UDP, 0, 8 + 240 + size);
    put16(f, 67);
    put16(f, 68);
    put16(f, 8 + 240 + size);
    put16(f, 0);
    put32(f, 0x02010600);
    put32(f, xid);
    put32(f, 0);
    put32(f, 0);
    put32(f, 0x0a000909); /* yours */
    put32(f, 0);
    put32(f, 0);
    put(f, card_mac, 6);
    while (f->size < ETHERNET + IP_HLEN + 8 + 236)
        put(f, &overload, 1);
    put32(f, 0x63825363);
}

#endif
