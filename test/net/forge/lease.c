/* SPDX-License-Identifier: MIT */
#include "test/net/forge/lease.h"
#include <string.h>
#include <unistd.h>

#define CLIENT_PORT   68
#define LEASE_SECONDS 120 /* it is to be renewed after 60 */
#define MAGIC         0x63825363u

enum { UDP_HEADER = 8, FIXED = 236, OPTIONS = UDP_HEADER + FIXED + 4 };
/* In the fixed part. */
enum { AT_OPERATION = 0, AT_CIADDR = 12, AT_YIADDR = 16, AT_CHADDR = 28 };
enum { REQUEST_OPERATION = 1, REPLY_OPERATION = 2 };
enum {
    OPTION_MASK = 1,
    OPTION_REQUESTED = 50,
    OPTION_SECONDS = 51,
    OPTION_TYPE = 53,
    OPTION_SERVER = 54,
    OPTION_END = 255
};
enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, AGREED, REFUSED };

struct lease lease = { .host = 1 };

/* The value of an option with at least `size` bytes, or NULL. */
static const uint8_t *option(const struct packet *p, unsigned code, size_t size) {
    for (size_t at = OPTIONS; at + 1 < p->size && p->payload[at] != OPTION_END;) {
        size_t length = p->payload[at + 1];
        if (p->payload[at] == 0) {
            at++;
            continue;
        }
        if (p->payload[at] == code && length >= size && at + 2 + length <= p->size)
            return p->payload + at + 2;
        at += 2 + length;
    }
    return NULL;
}

static uint8_t *add_option(uint8_t *at, unsigned code, uint32_t value) {
    at[0] = (uint8_t)code;
    at[1] = 4;
    put32(at + 2, value);
    return at + 6;
}

static void answer(const struct packet *p, unsigned type) {
    uint8_t out[OPTIONS + 64] = { 0 }, *fixed = out + UDP_HEADER, *at = out + OPTIONS;
    const uint8_t *asked = p->payload + UDP_HEADER;
    memcpy(fixed, asked, FIXED); /* hardware type, xid, its address */
    memset(fixed + AT_CIADDR, 0, AT_CHADDR - AT_CIADDR);
    fixed[AT_OPERATION] = REPLY_OPERATION;
    put32(fixed + FIXED, MAGIC);
    at[0] = OPTION_TYPE;
    at[1] = 1;
    at[2] = (uint8_t)type;
    at = add_option(at + 3, OPTION_SERVER, NETWORK | OUR_HOST);
    if (type != REFUSED) {
        put32(fixed + AT_YIADDR, NETWORK | lease.host);
        at = add_option(at, OPTION_SECONDS, LEASE_SECONDS);
        at = add_option(at, OPTION_MASK, 0xffffff00);
    }
    *at++ = OPTION_END;
    put16(out, DHCP_SERVER_PORT);
    put16(out + 2, CLIENT_PORT);
    put16(out + 4, (unsigned)(at - out));
    send_to_all(PROTOCOL_UDP, out, (size_t)(at - out));
}

static void see_request(const struct packet *p) {
    uint32_t has = get32(p->payload + UDP_HEADER + AT_CIADDR);
    const uint8_t *wanted = option(p, OPTION_REQUESTED, 4);
    uint32_t address = has ? has : wanted ? get32(wanted) : 0;
    if (address != (NETWORK | lease.host)) {
        lease.refused++;
        answer(p, REFUSED);
        return;
    }
    lease.renewed += has != 0;
    lease.given += has == 0;
    server_is(lease.host);
    answer(p, AGREED);
}

void see_dhcp(const struct packet *p) {
    const uint8_t *fixed = p->payload + UDP_HEADER, *type = option(p, OPTION_TYPE, 1);
    if (p->size < OPTIONS || fixed[AT_OPERATION] != REQUEST_OPERATION ||
        get32(fixed + FIXED) != MAGIC || !type)
        give_up("that is not what DHCP asks for");
    if (*type == DISCOVER) {
        usleep(lease.late_ms * 1000);
        lease.late_ms = 0;
        answer(p, OFFER);
    } else if (*type == REQUEST) {
        see_request(p);
    }
}
