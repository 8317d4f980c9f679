/* SPDX-License-Identifier: MIT */
/*
 * Takes the command's byte stream apart into frames (base/wire.h), however the
 * bytes are cut.  Pure; the command is not trusted: everything that the kernel
 * must not receive ends the conversation.
 */
#ifndef DEV_WIRE_PARSE_H
#define DEV_WIRE_PARSE_H

#include "base/types.h"
#include "base/wire.h"

#define WIRE_CONTROL_MAX 8 /* payload bytes of any control frame to the kernel */

/* Called by wire_parse(); 0, or a negative errno that ends the conversation. */
struct wire_receiver {
    /* Some bytes of standard input, in order; a frame's may come in parts. */
    int (*data)(void *arg, const void *bytes, size_t size);
    /* A whole control frame; type, stream and length are valid. */
    int (*control)(void *arg, enum wire_type type, enum wire_stream stream, const void *payload);
};

struct wire_parser {
    const struct wire_receiver *receiver;
    void *arg;
    size_t have;   /* bytes of the header, or of a control frame's payload, that have come */
    uint32_t left; /* payload bytes still to come */
    bool in_payload;
    bool broken;
    struct wire_header header;
    uint8_t payload[WIRE_CONTROL_MAX];
};

void wire_parse_init(struct wire_parser *p, const struct wire_receiver *receiver, void *arg);

/*
 * Parses `size` bytes.  Returns 0, -EPROTO for a frame that may not be, or what
 * a receiver returned; after an error it takes nothing more and returns -EPROTO.
 */
must_check int wire_parse(struct wire_parser *p, const void *bytes, size_t size);

#endif
