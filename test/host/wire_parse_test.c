/* SPDX-License-Identifier: MIT */
/* tests: dev/wire_parse.c */
/* Frames however they are cut; and everything that a command must not send. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "dev/wire_parse.h"

#define STREAM_MAX 200000

/* What the parser delivered, as text to compare. */
struct seen {
    uint8_t data[STREAM_MAX];
    size_t data_size;
    char controls[1000];
    size_t refuse_after; /* the data callback fails when this many bytes have come */
};

static int on_data(void *arg, const void *bytes, size_t size) {
    struct seen *s = arg;

    assert_true(size > 0);
    if (s->refuse_after && s->data_size + size > s->refuse_after)
        return -ENOBUFS;
    assert_true(s->data_size + size <= sizeof s->data);
    memcpy(s->data + s->data_size, bytes, size);
    s->data_size += size;
    return 0;
}

static int on_control(void *arg, enum wire_type type, enum wire_stream stream,
                      const void *payload) {
    struct seen *s = arg;
    uint32_t number = 0;

    if (type == WIRE_CREDIT || type == WIRE_SIGNAL)
        memcpy(&number, payload, sizeof number);
    if (type == WIRE_WINSIZE)
        number = ((const struct wire_winsize *)payload)->columns;
    sprintf(s->controls + strlen(s->controls), "%d/%d/%u ", (int)type, (int)stream, number);
    return 0;
}

static const struct wire_receiver receiver = { .data = on_data, .control = on_control };

static uint8_t *put_frame(uint8_t *to, unsigned type, unsigned stream, const void *payload,
                          uint32_t length) {
    struct wire_header h = { .type = (uint8_t)type, .stream = (uint8_t)stream, .length = length };

    memcpy(to, &h, sizeof h);
    memcpy(to + sizeof h, payload, length);
    return to + sizeof h + length;
}

static uint8_t *put_number(uint8_t *to, unsigned type, unsigned stream, uint32_t number) {
    return put_frame(to, type, stream, &number, sizeof number);
}

/* A conversation with one of each. */
static size_t build_stream(uint8_t *stream, uint8_t *big) {
    struct wire_winsize w = { 24, 80, 0, 0 };
    uint8_t *at = stream;

    for (size_t i = 0; i < WIRE_MAX_PAYLOAD; i++)
        big[i] = (uint8_t)(i * 7);
    at = put_frame(at, WIRE_DATA, WIRE_STDIN, "hello ", 6);
    at = put_number(at, WIRE_CREDIT, WIRE_STDOUT, 1000);
    at = put_frame(at, WIRE_DATA, WIRE_STDIN, "", 0);
    at = put_number(at, WIRE_CREDIT, WIRE_STDERR, 7);
    at = put_frame(at, WIRE_DATA, WIRE_STDIN, big, WIRE_MAX_PAYLOAD);
    at = put_number(at, WIRE_SIGNAL, 0, 15);
    at = put_frame(at, WIRE_WINSIZE, 0, &w, sizeof w);
    at = put_frame(at, WIRE_CLOSED, WIRE_STDOUT, "", 0);
    at = put_frame(at, WIRE_DUMP, 0, "", 0);
    at = put_frame(at, WIRE_EOF, WIRE_STDIN, "", 0);
    return (size_t)(at - stream);
}

static void any_cut_gives_the_same(void **state) {
    static uint8_t stream[STREAM_MAX], big[WIRE_MAX_PAYLOAD];
    static struct seen seen;
    size_t size = build_stream(stream, big);

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct wire_parser p;
        size_t at = 0, limit = round < 20 ? (size_t)round + 1 : 1 + (size_t)rand() % 9000;

        memset(&seen, 0, sizeof seen);
        wire_parse_init(&p, &receiver, &seen);
        while (at < size) {
            size_t n = round < 20 ? limit : 1 + (size_t)rand() % limit;
            /* A copy of exact size, so that the sanitizer sees any reading beyond. */
            uint8_t *piece;

            n = n < size - at ? n : size - at;
            piece = malloc(n);
            memcpy(piece, stream + at, n);
            assert_int_equal(wire_parse(&p, piece, n), 0);
            free(piece);
            at += n;
        }
        assert_int_equal(seen.data_size, 6 + WIRE_MAX_PAYLOAD);
        assert_memory_equal(seen.data, "hello ", 6);
        assert_memory_equal(seen.data + 6, big, WIRE_MAX_PAYLOAD);
        assert_string_equal(seen.controls, "2/1/1000 2/2/7 32/0/15 33/0/80 34/1/0 35/0/0 3/0/0 ");
    }
}

static void expect_refused(struct wire_header h) {
    static struct seen seen;
    static uint8_t payload[64];
    struct wire_parser p;
    uint8_t good[sizeof(struct wire_header)];

    memset(&seen, 0, sizeof seen);
    wire_parse_init(&p, &receiver, &seen);
    assert_int_equal(wire_parse(&p, &h, sizeof h), -EPROTO);
    /* For good: neither its payload nor a valid frame is looked at. */
    assert_int_equal(wire_parse(&p, payload, sizeof payload), -EPROTO);
    put_frame(good, WIRE_EOF, WIRE_STDIN, "", 0);
    assert_int_equal(wire_parse(&p, good, sizeof good), -EPROTO);
    assert_int_equal(seen.data_size, 0);
    assert_string_equal(seen.controls, "");
}

static bool may_come(unsigned type, unsigned stream, uint32_t length) {
    switch (type) {
    case WIRE_DATA:
        return stream == WIRE_STDIN && length <= WIRE_MAX_PAYLOAD;
    case WIRE_EOF:
        return stream == WIRE_STDIN && length == 0;
    case WIRE_CREDIT:
        return (stream == WIRE_STDOUT || stream == WIRE_STDERR) && length == 4;
    case WIRE_CLOSED:
        return (stream == WIRE_STDOUT || stream == WIRE_STDERR) && length == 0;
    case WIRE_SIGNAL:
        return stream == 0 && length == 4;
    case WIRE_WINSIZE:
        return stream == 0 && length == 8;
    case WIRE_DUMP:
        return stream == 0 && length == 0;
    default:
        return false;
    }
}

static void refuses_every_other_frame(void **state) {
    static const uint32_t lengths[] = { 0, 1,     3,      4,           5,        7,          8,
                                        9, 65536, 65537u, 0x7fffffffu, 1u << 31, 0xffffffffu };

    (void)state;
    for (unsigned type = 0; type < 256; type++)
        for (unsigned stream = 0; stream < 256; stream = stream < 4 ? stream + 1 : stream * 3)
            for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
                struct wire_header h = { (uint8_t)type, (uint8_t)stream, 0, lengths[l] };

                if (!may_come(type, stream, lengths[l]))
                    expect_refused(h);
                h.zero = (uint16_t)(1u << type % 16);
                expect_refused(h);
            }
}

static void receivers_error_ends_it(void **state) {
    static struct seen seen;
    struct wire_parser p;
    uint8_t stream[64];
    size_t size;

    (void)state;
    memset(&seen, 0, sizeof seen);
    seen.refuse_after = 3;
    wire_parse_init(&p, &receiver, &seen);
    size = (size_t)(put_frame(stream, WIRE_DATA, WIRE_STDIN, "abcdef", 6) - stream);
    assert_int_equal(wire_parse(&p, stream, size), -ENOBUFS);
    assert_int_equal(wire_parse(&p, stream, size), -EPROTO);
    assert_int_equal(seen.data_size, 0);
}

/* Random bytes, random cuts: the sanitizers are the judge. */
static void survives_noise(void **state) {
    static struct seen seen;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct wire_parser p;
        uint8_t noise[96];

        memset(&seen, 0, sizeof seen);
        wire_parse_init(&p, &receiver, &seen);
        for (int piece = 0; piece < 4; piece++) {
            size_t n = (size_t)rand() % sizeof noise;

            for (size_t i = 0; i < n; i++)
                noise[i] = rand() % 3 ? (uint8_t)(rand() % 4) : (uint8_t)rand();
            if (wire_parse(&p, noise, n))
                assert_int_equal(wire_parse(&p, noise, 0), -EPROTO);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_gives_the_same),
        cmocka_unit_test(refuses_every_other_frame),
        cmocka_unit_test(receivers_error_ends_it),
        cmocka_unit_test(survives_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
