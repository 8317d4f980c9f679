/* SPDX-License-Identifier: MIT */
/* A state machine over header and payload; stream data passes through without a copy. */
#include "dev/wire_parse.h"
#include <asm-generic/errno.h>
#include "base/string.h"

/* What the kernel may receive. */
static const struct {
    uint8_t type;
    uint8_t streams; /* bit per stream that the frame may name; 0: must be zero */
    uint8_t length;  /* payload bytes; of WIRE_DATA any number */
} allowed[] = {
    { WIRE_DATA, 1u << WIRE_STDIN, 0 },
    { WIRE_EOF, 1u << WIRE_STDIN, 0 },
    { WIRE_CREDIT, 1u << WIRE_STDOUT | 1u << WIRE_STDERR, sizeof(uint32_t) },
    { WIRE_CLOSED, 1u << WIRE_STDOUT | 1u << WIRE_STDERR, 0 },
    { WIRE_SIGNAL, 0, sizeof(uint32_t) },
    { WIRE_WINSIZE, 0, sizeof(struct wire_winsize) },
    { WIRE_DUMP, 0, 0 },
};

void wire_parse_init(struct wire_parser *p, const struct wire_receiver *receiver, void *arg) {
    *p = (struct wire_parser){ .receiver = receiver, .arg = arg };
}

static bool header_is_valid(const struct wire_header *h) {
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
        if (allowed[i].type != h->type)
            continue;
        if (h->zero != 0 || h->stream > WIRE_STDERR)
            return false;
        if (allowed[i].streams ? !(allowed[i].streams & 1u << h->stream) : h->stream != 0)
            return false;
        return h->type == WIRE_DATA ? h->length <= WIRE_MAX_PAYLOAD
                                    : h->length == allowed[i].length;
    }
    return false;
}

/* Moves up to `want` bytes of *from to `to`; returns how many. */
static size_t collect(uint8_t *to, const uint8_t **from, size_t *size, size_t want) {
    size_t n = MIN(want, *size);

    memcpy(to, *from, n);
    *from += n;
    *size -= n;
    return n;
}

static int end_frame(struct wire_parser *p) {
    p->in_payload = false;
    p->have = 0;
    if (p->header.type == WIRE_DATA)
        return 0;
    return p->receiver->control(p->arg, (enum wire_type)p->header.type,
                                (enum wire_stream)p->header.stream, p->payload);
}

static int parse_header(struct wire_parser *p, const uint8_t **at, size_t *size) {
    p->have += collect((uint8_t *)&p->header + p->have, at, size, sizeof p->header - p->have);
    if (p->have < sizeof p->header)
        return 0;
    if (!header_is_valid(&p->header))
        return -EPROTO;
    p->in_payload = true;
    p->have = 0;
    p->left = p->header.length;
    return p->left ? 0 : end_frame(p);
}

static int parse_payload(struct wire_parser *p, const uint8_t **at, size_t *size) {
    size_t n;
    int err;

    if (p->header.type == WIRE_DATA) {
        n = MIN((size_t)p->left, *size);
        err = p->receiver->data(p->arg, *at, n);
        if (err)
            return err;
        *at += n;
        *size -= n;
    } else {
        n = collect(p->payload + p->have, at, size, p->left);
        p->have += n;
    }
    p->left -= (uint32_t)n;
    return p->left ? 0 : end_frame(p);
}

int wire_parse(struct wire_parser *p, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    int err = p->broken ? -EPROTO : 0;

    while (size && !err)
        err = p->in_payload ? parse_payload(p, &at, &size) : parse_header(p, &at, &size);
    p->broken = err != 0;
    return err;
}
