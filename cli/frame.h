/* SPDX-License-Identifier: MIT */
/*
 * Frames of base/wire.h in byte streams that arrive in pieces.
 *
 * Reading: get room with frame_reader_room, receive into it, tell how much
 * with frame_reader_filled, and take frames with frame_reader_next until it
 * returns 0.  A frame's payload points into the reader and is valid until the
 * next frame_reader_room.
 *
 * Writing: frame_writer_put queues a frame; the caller sends what lies between
 * `start` and `end` and calls frame_writer_sent.
 */
#ifndef CLI_FRAME_H
#define CLI_FRAME_H

#include "base/wire.h"

#include <stddef.h>

/* Room for one frame of the largest size behind a partial one. */
#define FRAME_BUFFER (4u * (WIRE_MAX_PAYLOAD + 8u))

struct frame {
    uint8_t type;
    uint8_t stream;
    uint32_t length;
    const uint8_t *payload;
};

struct frame_reader {
    size_t start, end; /* unread bytes */
    uint8_t buffer[FRAME_BUFFER];
};

/* Where to receive to, and (in *room) how many bytes; never 0 after frame_reader_next gave 0. */
uint8_t *frame_reader_room(struct frame_reader *reader, size_t *room);
void frame_reader_filled(struct frame_reader *reader, size_t bytes);

/*
 * Takes the next whole frame: 1, or 0 when more bytes are needed, or -EPROTO
 * when the peer breaks the rules of the wire (then *frame says where).
 */
int frame_reader_next(struct frame_reader *reader, struct frame *frame);

struct frame_writer {
    uint8_t *bytes;
    size_t start, end, capacity;
};

/* Queues one frame; `length` is at most WIRE_MAX_PAYLOAD. */
void frame_writer_put(struct frame_writer *writer, unsigned type, unsigned stream,
                      const void *payload, size_t length);
void frame_writer_sent(struct frame_writer *writer, size_t bytes);
void frame_writer_free(struct frame_writer *writer);

static inline size_t frame_writer_pending(const struct frame_writer *writer) {
    return writer->end - writer->start;
}

#endif
