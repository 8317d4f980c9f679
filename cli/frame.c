/* SPDX-License-Identifier: MIT */
/* Takes frames out of a byte stream and puts them into one. */
#include "cli/frame.h"

#include "cli/commands.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint8_t *frame_reader_room(struct frame_reader *reader, size_t *room) {
    if (reader->start) {
        memmove(reader->buffer, reader->buffer + reader->start, reader->end - reader->start);
        reader->end -= reader->start;
        reader->start = 0;
    }
    *room = sizeof(reader->buffer) - reader->end;
    return reader->buffer + reader->end;
}

void frame_reader_filled(struct frame_reader *reader, size_t bytes) {
    assert(bytes <= sizeof(reader->buffer) - reader->end);
    reader->end += bytes;
}

int frame_reader_next(struct frame_reader *reader, struct frame *frame) {
    struct wire_header header;
    size_t have = reader->end - reader->start;

    if (have < sizeof(header)) {
        return 0;
    }
    memcpy(&header, reader->buffer + reader->start, sizeof(header));
    *frame = (struct frame){ header.type, header.stream, header.length,
                             reader->buffer + reader->start + sizeof(header) };
    if (header.zero || header.length > WIRE_MAX_PAYLOAD || header.stream > WIRE_STDERR) {
        return -EPROTO;
    }
    if (have - sizeof(header) < header.length) {
        return 0;
    }
    reader->start += sizeof(header) + header.length;
    return 1;
}

void frame_writer_put(struct frame_writer *writer, unsigned type, unsigned stream,
                      const void *payload, size_t length) {
    struct wire_header header = { (uint8_t)type, (uint8_t)stream, 0, (uint32_t)length };

    assert(length <= WIRE_MAX_PAYLOAD);
    if (writer->start == writer->end) {
        writer->start = writer->end = 0;
    }
    if (writer->capacity - writer->end < sizeof(header) + length) {
        writer->capacity = 2 * writer->capacity + sizeof(header) + length;
        writer->bytes = xrealloc(writer->bytes, writer->capacity);
    }
    memcpy(writer->bytes + writer->end, &header, sizeof(header));
    if (length) {
        memcpy(writer->bytes + writer->end + sizeof(header), payload, length);
    }
    writer->end += sizeof(header) + length;
}

void frame_writer_sent(struct frame_writer *writer, size_t bytes) {
    assert(bytes <= frame_writer_pending(writer));
    writer->start += bytes;
}

void frame_writer_free(struct frame_writer *writer) {
    free(writer->bytes);
    *writer = (struct frame_writer){ 0 };
}
