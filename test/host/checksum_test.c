/* SPDX-License-Identifier: MIT */
/* tests: base/checksum.c */
#include "base/checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* RFC 1071's own words: 16 bits at a time. */
static uint16_t by_the_book(const uint8_t *p, size_t size) {
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < size; i += 2) {
        sum += (uint32_t)(p[i] | p[i + 1] << 8);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    if (size & 1) {
        sum += p[size - 1];
    }
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static void example_of_the_rfc(void **state) {
    static const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
    (void)state;
    /* ddf2 in network order. */
    assert_int_equal(checksum_sum(bytes, sizeof(bytes)), 0xf2dd);
}

static void header_of_ip(void **state) {
    /* A header with its checksum in it sums up to ffff. */
    static const uint8_t header[] = { 0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                      0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7 };
    (void)state;
    assert_int_equal(checksum_sum(header, sizeof(header)), 0xffff);
}

static void every_length_and_alignment(void **state) {
    static uint8_t bytes[4096];
    (void)state;
    srand(1);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)rand();
    }
    for (size_t start = 0; start < 9; start++) {
        for (size_t size = 0; size < 200; size++) {
            assert_int_equal(checksum_sum(bytes + start, size), by_the_book(bytes + start, size));
        }
    }
    assert_int_equal(checksum_sum(bytes, sizeof(bytes)), by_the_book(bytes, sizeof(bytes)));
    memset(bytes, 0xff, sizeof(bytes)); /* as many carries as there can be */
    assert_int_equal(checksum_sum(bytes, sizeof(bytes)), 0xffff);
    assert_int_equal(checksum_sum(bytes, sizeof(bytes) - 1), by_the_book(bytes, sizeof(bytes) - 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_the_rfc),
        cmocka_unit_test(header_of_ip),
        cmocka_unit_test(every_length_and_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
