/* SPDX-License-Identifier: MIT */
/* tests: kernel/lock.c test/host/shim/shim.c */
/* Random bytes: the generator itself, repetition, and what is mixed in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "arch/x86_64/percpu.h"
#include "kernel/random.c" /* for its state, which the tests set */
#include "test/host/shim/shim.h"

/* RFC 8439, A.1, test vector 1: the second half of the key stream's first block. */
static const uint8_t zero_key_stream[32] = {
    0xda, 0x41, 0x59, 0x7c, 0x51, 0x57, 0x48, 0x8d, 0x77, 0x24, 0xe0, 0x3f, 0xb8, 0xd8, 0x4a, 0x37,
    0x6a, 0x43, 0xb8, 0xf4, 0x15, 0x18, 0xa1, 0x1c, 0xc3, 0x87, 0xb6, 0x69, 0xb2, 0xee, 0x65, 0x86,
};

static int setup(void **state) {
    (void)state;
    host_cpu_start(0);
    memset(key, 0, sizeof(key));
    keyed = true;
    seeded = false;
    return 0;
}

static void is_chacha20(void **state) {
    uint8_t got[32];

    (void)state;
    random_bytes(got, sizeof(got));
    assert_memory_equal(got, zero_key_stream, sizeof(got));
    random_bytes(got, sizeof(got)); /* the key is another one */
    assert_memory_not_equal(got, zero_key_stream, sizeof(got));
}

static void seed_repeats(void **state) {
    static uint8_t first[1000], second[1000];

    (void)state;
    random_seed(7);
    random_bytes(first, sizeof(first));
    random_seed(7);
    random_bytes(second, sizeof(second));
    assert_memory_equal(first, second, sizeof(first));
    random_seed(8);
    random_bytes(second, sizeof(second));
    assert_memory_not_equal(first, second, sizeof(first));
}

/* What comes out after `bytes` were mixed into a key of zeros. */
static uint64_t after_mixing(const void *bytes, size_t size) {
    memset(key, 0, sizeof(key));
    assert_true(random_mix(bytes, size));
    return random_u64();
}

static void every_mixed_byte_counts(void **state) {
    uint8_t bytes[70] = { 0 };
    uint64_t plain, with_zeros;

    (void)state;
    plain = after_mixing(NULL, 0);
    with_zeros = after_mixing(bytes, sizeof(bytes));
    assert_true(plain != with_zeros);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = 1;
        assert_true(after_mixing(bytes, sizeof(bytes)) != with_zeros);
        bytes[i] = 0;
    }
    assert_true(after_mixing(bytes, sizeof(bytes)) == with_zeros);
}

/* Who chooses the bytes, but does not know the key, cannot choose the next one. */
static void mixing_does_not_set_the_key(void **state) {
    uint8_t bytes[32];
    uint64_t with_one_key, with_another;

    (void)state;
    memset(bytes, 0x5a, sizeof(bytes));
    with_one_key = after_mixing(bytes, sizeof(bytes));
    memset(key, 1, sizeof(key));
    assert_true(random_mix(bytes, sizeof(bytes)));
    with_another = random_u64();
    assert_true(with_one_key != with_another);
}

static void first_use_takes_the_hardware(void **state) {
    static const uint8_t zeros[sizeof(key)];

    (void)state;
    keyed = false;
    assert_true(random_mix(NULL, 0));
    assert_true(keyed);
    assert_memory_not_equal(key, zeros, sizeof(key));
}

static void nothing_is_mixed_into_a_seed(void **state) {
    uint64_t expected;

    (void)state;
    random_seed(7);
    expected = random_u64();
    random_seed(7);
    assert_false(random_mix("host", 4));
    assert_true(random_u64() == expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(is_chacha20, setup),
        cmocka_unit_test_setup(seed_repeats, setup),
        cmocka_unit_test_setup(every_mixed_byte_counts, setup),
        cmocka_unit_test_setup(mixing_does_not_set_the_key, setup),
        cmocka_unit_test_setup(first_use_takes_the_hardware, setup),
        cmocka_unit_test_setup(nothing_is_mixed_into_a_seed, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
