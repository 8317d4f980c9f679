/* SPDX-License-Identifier: MIT */
/* Output to slow and vanished readers: nothing blocks, nothing is lost or counted twice. */
/* tests: cli/output.c cli/util.c */
#include "cli/output.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TOTAL 1000000u

/* Writes TOTAL bytes of two streams, then reads them all from the other end. */
static void fill_and_drain(int write_end, int read_end) {
    static uint8_t part[1000], back[4096];
    struct output output;
    uint64_t consumed[3] = { 0 };
    size_t got = 0;
    uint8_t next = 0;

    output_open(&output, write_end);
    for (size_t sent = 0; sent < TOTAL; sent += sizeof(part)) {
        for (size_t i = 0; i < sizeof(part); i++) {
            part[i] = (uint8_t)(sent + i);
        }
        output_put(&output, 1 + sent / sizeof(part) % 2, part, sizeof(part));
    }
    assert_int_equal(output.waiting, TOTAL); /* few bytes wait for more */
    output_flush_now(&output);
    assert_in_range(output.waiting, 1, TOTAL - 1);
    while (got < TOTAL) {
        ssize_t length = read(read_end, back, sizeof(back));
        assert_true(length > 0);
        for (ssize_t i = 0; i < length; i++) {
            assert_int_equal(back[i], next++);
        }
        got += (size_t)length;
        output_flush(&output);
        consumed[1] += output_take_consumed(&output, 1);
        consumed[2] += output_take_consumed(&output, 2);
    }
    assert_int_equal(output.waiting, 0);
    assert_int_equal(consumed[1], TOTAL / 2);
    assert_int_equal(consumed[2], TOTAL / 2);
    output_close(&output);
}

static void test_pipe(void **state) {
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    fill_and_drain(ends[1], ends[0]);
    /* The pipe's own description stayed a blocking one. */
    assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
    close(ends[0]);
    close(ends[1]);
}

static void test_socket(void **state) {
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    fill_and_drain(ends[1], ends[0]);
    close(ends[0]);
    close(ends[1]);
}

static void test_broken(void **state) {
    static char bytes[200000];
    struct output output;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    output_open(&output, ends[1]);
    output_put(&output, 1, bytes, sizeof(bytes));
    assert_true(output.waiting > 0 && !output.broken);
    close(ends[0]);
    output_flush(&output);
    assert_true(output.broken);
    output_put(&output, 1, bytes, 10);
    assert_int_equal(output.waiting, 0);
    assert_int_equal(output_take_consumed(&output, 1), sizeof(bytes) + 10);
    output_close(&output);
    close(ends[1]);
}

static void test_same(void **state) {
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    int copy = dup(ends[1]);
    assert_true(output_is_same(ends[1], copy));
    int null = open("/dev/null", O_WRONLY);
    assert_false(output_is_same(ends[1], null));
    assert_false(output_is_same(null, -1));
    close(null);
    close(copy);
    close(ends[0]);
    close(ends[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_socket),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_same),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
