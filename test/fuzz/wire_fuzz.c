/* SPDX-License-Identifier: MIT */
/* tests: dev/wire_parse.c cli/frame.c cli/util.c */
/*
 * Both ends of the wire against a stream of frames, good and bad, that arrives in
 * pieces.  What each end makes of it is compared with a reading of the whole.
 */
#include "dev/wire_parse.h"
#include <errno.h>
#include <string.h>
#include "cli/frame.h"
#include "test/fuzz/fuzz.h"

#define STREAM_MAX (512u << 10)
#define EVENTS_MAX 4096

struct event {
    size_t before; /* bytes of data that came before it */
    uint32_t length;
    uint8_t type, stream;
    uint8_t payload[WIRE_CONTROL_MAX];
};

/* What an end of the wire has made of a stream. */
struct reading {
    uint8_t data[STREAM_MAX];
    size_t bytes, count;
    struct event events[EVENTS_MAX];
    int err;
};

static uint8_t stream[STREAM_MAX];
static size_t stream_bytes;
static struct reading whole, pieces;
static size_t refused_at; /* by the receiver: what reaches beyond so many bytes of data */
static uint32_t sizes;    /* the state of the generator of pieces */

static size_t piece(size_t most) {
    sizes = sizes * 1664525u + 1013904223u;
    size_t n = sizes >> 28 ? sizes >> 20 & 15 : sizes >> 10 & 0x3ffff;

    return MIN(n, most);
}

/* ---- the stream ---- */

static void add_bytes(const void *bytes, size_t n) {
    if (n > STREAM_MAX - stream_bytes)
        return;
    memcpy(stream + stream_bytes, bytes, n);
    stream_bytes += n;
}

/* Some of what waits in the writer goes out, in the end all of it. */
static void send_some(struct frame_writer *w, size_t n) {
    n = MIN(n, frame_writer_pending(w));
    if (n == 0)
        return;
    add_bytes(w->bytes + w->start, n);
    frame_writer_sent(w, n);
}

static void add_frame(struct frame_writer *w, struct input *in) {
    static uint8_t payload[WIRE_MAX_PAYLOAD];
    static const uint32_t lengths[] = { 0, 1, 4, 8, 20, 24, 4096, WIRE_MAX_PAYLOAD };
    uint8_t type = input_u8(in), which = input_u8(in), how = input_u8(in);
    uint32_t length = how & 8 ? input_u16(in) : lengths[how & 7];

    memset(payload, which, length);
    frame_writer_put(w, type % 40, which % 4, payload, length);
    if (how & 16)
        send_some(w, input_u16(in));
}

/* One that need not be valid, of a frame that need not follow. */
static void add_header(struct input *in) {
    uint8_t type = input_u8(in), how = input_u8(in);
    uint32_t length = how & 4 ? input_u8(in) : WIRE_MAX_PAYLOAD - 8 + (how >> 4);
    struct wire_header h = { type % 40, how & 3, how & 8 ? input_u8(in) : 0, length };

    add_bytes(&h, sizeof h);
}

static void make_stream(struct input *in) {
    struct frame_writer w = { 0 };

    stream_bytes = 0;
    while (in->left) {
        uint8_t what = input_u8(in), byte;

        switch (what % 8) {
        default:
            add_frame(&w, in);
            break;
        case 5:
            send_some(&w, frame_writer_pending(&w));
            add_header(in);
            break;
        case 6: /* any bytes */
            send_some(&w, frame_writer_pending(&w));
            for (unsigned i = 0; i < what / 8; i++) {
                byte = input_u8(in);
                add_bytes(&byte, 1);
            }
            break;
        case 7: /* the end of a frame is missing, or one of its bytes is another */
            if (what & 128)
                stream_bytes -= MIN((size_t)input_u8(in), stream_bytes);
            else if (stream_bytes)
                stream[stream_bytes - 1 - input_u16(in) % stream_bytes] ^=
                    (uint8_t)(1u << what / 16);
            break;
        }
    }
    send_some(&w, frame_writer_pending(&w));
    must(frame_writer_pending(&w) == 0);
    frame_writer_free(&w);
}

/* ---- a reading of the whole, as base/wire.h has it ---- */

static bool kernel_may_receive(const struct wire_header *h) {
    bool output = h->stream == WIRE_STDOUT || h->stream == WIRE_STDERR;

    switch (h->type) {
    case WIRE_DATA:
        return h->stream == WIRE_STDIN && h->length <= WIRE_MAX_PAYLOAD;
    case WIRE_EOF:
        return h->stream == WIRE_STDIN && h->length == 0;
    case WIRE_CREDIT:
        return output && h->length == 4;
    case WIRE_CLOSED:
        return output && h->length == 0;
    case WIRE_SIGNAL:
        return h->stream == 0 && h->length == 4;
    case WIRE_WINSIZE:
        return h->stream == 0 && h->length == 8;
    case WIRE_DUMP:
        return h->stream == 0 && h->length == 0;
    }
    return false;
}

/* Refuses a whole piece: how many bytes went through before it depends on the pieces. */
static int take_data(void *arg, const void *bytes, size_t n) {
    struct reading *r = arg;

    must(n > 0 && n <= WIRE_MAX_PAYLOAD);
    if (r->bytes + n > refused_at)
        return -ENOBUFS;
    memcpy(r->data + r->bytes, bytes, n);
    r->bytes += n;
    return 0;
}

static int take_control(void *arg, enum wire_type type, enum wire_stream s, const void *payload) {
    struct reading *r = arg;
    struct event *e = &r->events[r->count];

    if (r->count == EVENTS_MAX)
        return -ENOBUFS;
    *e = (struct event){ .before = r->bytes, .type = (uint8_t)type, .stream = (uint8_t)s };
    if (type == WIRE_CREDIT || type == WIRE_SIGNAL)
        e->length = 4;
    else if (type == WIRE_WINSIZE)
        e->length = 8;
    memcpy(e->payload, payload, e->length);
    r->count++;
    return 0;
}

static void read_whole(void) {
    size_t at = 0;

    whole.bytes = whole.count = 0;
    whole.err = 0;
    while (!whole.err && stream_bytes - at >= sizeof(struct wire_header)) {
        struct wire_header h;

        memcpy(&h, stream + at, sizeof h);
        at += sizeof h;
        size_t n = MIN((size_t)h.length, stream_bytes - at);
        if (h.zero || !kernel_may_receive(&h))
            whole.err = -EPROTO;
        else if (h.type == WIRE_DATA)
            whole.err = n ? take_data(&whole, stream + at, n) : 0;
        else if (n == h.length)
            whole.err = take_control(&whole, h.type, h.stream, stream + at);
        at += n;
    }
}

/* ---- the kernel's end ---- */

static void read_as_kernel(void) {
    static const struct wire_receiver receiver = { take_data, take_control };
    struct wire_parser p;

    pieces.bytes = pieces.count = 0;
    pieces.err = 0;
    wire_parse_init(&p, &receiver, &pieces);
    for (size_t at = 0, n; at < stream_bytes && !pieces.err; at += n) {
        n = piece(stream_bytes - at);
        /* Of exactly its size, so that the sanitizer sees who reads behind it. */
        uint8_t *copy = malloc(n);
        if (n)
            memcpy(copy, stream + at, n);
        pieces.err = wire_parse(&p, copy, n);
        free(copy);
    }
    must(pieces.err == whole.err);
    must(pieces.count == whole.count);
    must(!memcmp(pieces.events, whole.events, pieces.count * sizeof pieces.events[0]));
    /* Where the receiver refused a frame's data, smaller pieces of it went through. */
    must(pieces.err == -ENOBUFS ? pieces.bytes >= whole.bytes : pieces.bytes == whole.bytes);
    must(!memcmp(pieces.data, whole.data, whole.bytes));
    if (pieces.err) {
        size_t bytes = pieces.bytes, count = pieces.count;
        must(wire_parse(&p, stream, stream_bytes) == (stream_bytes ? -EPROTO : 0));
        must(pieces.bytes == bytes && pieces.count == count);
    }
}

/* ---- the command's end ---- */

/* The next frame of the stream from *at on, as frame_reader_next() has it. */
static int next_of_whole(size_t *at, struct frame *f) {
    struct wire_header h;

    if (stream_bytes - *at < sizeof h)
        return 0;
    memcpy(&h, stream + *at, sizeof h);
    if (h.zero || h.length > WIRE_MAX_PAYLOAD || h.stream > 2)
        return -EPROTO;
    if (stream_bytes - *at - sizeof h < h.length)
        return 0;
    *f = (struct frame){ h.type, h.stream, h.length, stream + *at + sizeof h };
    *at += sizeof h + h.length;
    return 1;
}

static void read_as_command(void) {
    struct frame_reader *r = malloc(sizeof *r);
    struct frame f, expected = { 0 };
    size_t at = 0, sent = 0, n, room;
    int got = 0;

    r->start = r->end = 0;
    while (sent < stream_bytes && !got) {
        uint8_t *to = frame_reader_room(r, &room);
        must(room > 0 && to >= r->buffer && to + room <= r->buffer + sizeof r->buffer);
        n = piece(MIN(room, stream_bytes - sent));
        memcpy(to, stream + sent, n);
        frame_reader_filled(r, n);
        sent += n;
        while ((got = frame_reader_next(r, &f)) == 1) {
            must(next_of_whole(&at, &expected) == 1);
            must(f.type == expected.type && f.stream == expected.stream);
            must(f.length == expected.length && !memcmp(f.payload, expected.payload, f.length));
            must(f.payload >= r->buffer && f.payload + f.length <= r->buffer + r->end);
        }
    }
    must(next_of_whole(&at, &expected) == got);
    free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    struct input in = { data, bytes };

    sizes = input_u8(&in);
    refused_at = input_u8(&in) % 4 ? STREAM_MAX : input_u16(&in);
    make_stream(&in);
    read_whole();
    read_as_kernel();
    read_as_command();
    return 0;
}
