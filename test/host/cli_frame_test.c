/* SPDX-License-Identifier: MIT */
/* Frames survive being cut anywhere, and nonsense is refused. */
/* tests: cli/frame.c cli/util.c */
#include "cli/frame.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct frame_reader reader;

static size_t random_below(size_t limit) {
    return (size_t)rand() % limit;
}

/* A stream of frames of known contents, received in pieces of random size. */
static void test_pieces(void **state) {
    static uint8_t payload[WIRE_MAX_PAYLOAD];
    struct frame_writer writer = { 0 };
    struct frame frame;
    uint32_t lengths[200];
    unsigned got = 0;

    (void)state;
    srand(1);
    memset(&reader, 0, sizeof(reader));
    for (unsigned i = 0; i < 200; i++) {
        lengths[i] = (uint32_t)(i % 10 == 0 ? WIRE_MAX_PAYLOAD : random_below(5000));
        memset(payload, (int)i, lengths[i]);
        frame_writer_put(&writer, WIRE_DATA, i % 3, payload, lengths[i]);
    }
    while (frame_writer_pending(&writer) || got < 200) {
        size_t room;
        uint8_t *to = frame_reader_room(&reader, &room);
        size_t part = 1 + random_below(got % 2 ? 20 : 90000);
        assert_true(room >= WIRE_MAX_PAYLOAD);
        part = part < room ? part : room;
        part = part < frame_writer_pending(&writer) ? part : frame_writer_pending(&writer);
        memcpy(to, writer.bytes + writer.start, part);
        frame_writer_sent(&writer, part);
        frame_reader_filled(&reader, part);
        int result;
        while ((result = frame_reader_next(&reader, &frame)) > 0) {
            assert_int_equal(frame.type, WIRE_DATA);
            assert_int_equal(frame.stream, got % 3);
            assert_int_equal(frame.length, lengths[got]);
            for (uint32_t i = 0; i < frame.length; i++) {
                assert_int_equal(frame.payload[i], (uint8_t)got);
            }
            got++;
        }
        assert_int_equal(result, 0);
    }
    frame_writer_free(&writer);
}

static int feed(const void *bytes, size_t length, struct frame *frame) {
    size_t room;

    memset(&reader, 0, sizeof(reader));
    memcpy(frame_reader_room(&reader, &room), bytes, length);
    frame_reader_filled(&reader, length);
    return frame_reader_next(&reader, frame);
}

static void test_refused(void **state) {
    struct frame frame;
    struct wire_header header = { WIRE_DATA, WIRE_STDOUT, 0, 1 };

    (void)state;
    assert_int_equal(feed(&header, sizeof(header) - 1, &frame), 0);
    assert_int_equal(feed(&header, sizeof(header), &frame), 0);
    header.length = WIRE_MAX_PAYLOAD + 1;
    assert_int_equal(feed(&header, sizeof(header), &frame), -EPROTO);
    header.length = UINT32_MAX;
    assert_int_equal(feed(&header, sizeof(header), &frame), -EPROTO);
    header = (struct wire_header){ WIRE_DATA, WIRE_STDERR + 1, 0, 1 };
    assert_int_equal(feed(&header, sizeof(header), &frame), -EPROTO);
    header = (struct wire_header){ WIRE_DATA, WIRE_STDOUT, 1, 1 };
    assert_int_equal(feed(&header, sizeof(header), &frame), -EPROTO);
}

/* Random bytes end in a refusal or in frames that lie within the buffer. */
static void test_random(void **state) {
    struct frame frame;

    (void)state;
    srand(2);
    for (int round = 0; round < 2000; round++) {
        size_t room, total = 0;
        int result = 0;
        memset(&reader, 0, sizeof(reader));
        while (result >= 0 && total < 3 * FRAME_BUFFER) {
            uint8_t *to = frame_reader_room(&reader, &room);
            size_t part = 1 + random_below(64);
            assert_true(room > 0);
            part = part < room ? part : room;
            for (size_t i = 0; i < part; i++) {
                /* Mostly small numbers, so that some headers are good ones. */
                to[i] = (uint8_t)(rand() % 8 ? rand() % 3 : rand());
            }
            frame_reader_filled(&reader, part);
            total += part;
            while ((result = frame_reader_next(&reader, &frame)) > 0) {
                assert_true(frame.length <= WIRE_MAX_PAYLOAD);
                assert_true(frame.payload + frame.length <= reader.buffer + reader.end);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
