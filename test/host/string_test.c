/* SPDX-License-Identifier: MIT */
/* base/string.c against the host's C library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The kernel's functions beside the library's: under names of their own. */
#undef HOST_TEST
#define memcpy  k_memcpy
#define memmove k_memmove
#define memset  k_memset
#define memcmp  k_memcmp
#define memchr  k_memchr
#define strlen  k_strlen
#define strnlen k_strnlen
#define strcmp  k_strcmp
#define strncmp k_strncmp
#define strchr  k_strchr
#define strrchr k_strrchr
#include "base/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr

#define AREA      300
#define MAX_SHIFT 9

static void fill_random(uint8_t *to, size_t n) {
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)rand();
}

static int sign(int v) {
    return (v > 0) - (v < 0);
}

static void copies_every_size_and_shift(void **state) {
    uint8_t from[AREA], mine[AREA], theirs[AREA];

    (void)state;
    for (size_t n = 0; n < AREA - 2 * MAX_SHIFT; n++) {
        for (size_t shift = 0; shift < MAX_SHIFT; shift++) {
            fill_random(from, AREA);
            memset(mine, 0xee, AREA);
            memset(theirs, 0xee, AREA);
            assert_ptr_equal(k_memcpy(mine + shift, from + n % MAX_SHIFT, n), mine + shift);
            memcpy(theirs + shift, from + n % MAX_SHIFT, n);
            assert_memory_equal(mine, theirs, AREA);
            assert_ptr_equal(k_memset(mine + shift, (int)n, n), mine + shift);
            memset(theirs + shift, (int)n, n);
            assert_memory_equal(mine, theirs, AREA);
        }
    }
}

static void moves_with_any_overlap(void **state) {
    uint8_t mine[AREA], theirs[AREA];

    (void)state;
    for (size_t n = 0; n <= 150; n++) {
        for (size_t from = 0; from < 80; from += 3) {
            for (size_t to = 0; to < 80; to += 7) {
                fill_random(mine, AREA);
                memcpy(theirs, mine, AREA);
                assert_ptr_equal(k_memmove(mine + to, mine + from, n), mine + to);
                memmove(theirs + to, theirs + from, n);
                assert_memory_equal(mine, theirs, AREA);
            }
        }
    }
}

static void compares_as_the_library(void **state) {
    uint8_t a[64], b[64];

    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t n = (size_t)rand() % sizeof a;

        fill_random(a, sizeof a);
        memcpy(b, a, sizeof b);
        if (rand() % 4)
            b[(size_t)rand() % sizeof b] = (uint8_t)rand();
        assert_int_equal(sign(k_memcmp(a, b, n)), sign(memcmp(a, b, n)));
        assert_ptr_equal(k_memchr(a, b[0], n), memchr(a, b[0], n));
    }
}

static void strings_as_the_library(void **state) {
    static const char *const words[] = { "",
                                         "a",
                                         "b",
                                         "ab",
                                         "abc",
                                         "abcab",
                                         "abd",
                                         "\xff\x01",
                                         "a\x80"
                                         "b",
                                         "abcdefgh" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        const char *a = words[i];

        assert_int_equal(k_strlen(a), strlen(a));
        for (size_t n = 0; n < 10; n++)
            assert_int_equal(k_strnlen(a, n), strnlen(a, n));
        for (int c = 0; c < 256; c++) {
            assert_ptr_equal(k_strchr(a, c), strchr(a, c));
            assert_ptr_equal(k_strrchr(a, c), strrchr(a, c));
        }
        for (size_t j = 0; j < ARRAY_SIZE(words); j++) {
            const char *b = words[j];

            assert_int_equal(sign(k_strcmp(a, b)), sign(strcmp(a, b)));
            for (size_t n = 0; n < 10; n++)
                assert_int_equal(sign(k_strncmp(a, b, n)), sign(strncmp(a, b, n)));
            assert_int_equal(string_starts(a, b), strncmp(a, b, strlen(b)) == 0);
        }
    }
}

static void bounded_copy_says_when_it_cut(void **state) {
    char to[8];

    (void)state;
    assert_int_equal(string_copy(to, "1234567", sizeof to), 7);
    assert_string_equal(to, "1234567");
    assert_int_equal(string_copy(to, "12345678", sizeof to), 8);
    assert_string_equal(to, "1234567");
    assert_int_equal(string_copy(to, "", 1), 0);
    assert_string_equal(to, "");
}

static void expect_number(const char *text, uint64_t value, const char *rest) {
    const char *p = text;
    uint64_t got = 99;

    assert_true(string_number(&p, &got));
    assert_int_equal(got, value);
    assert_string_equal(p, rest);
}

static void expect_none(const char *text) {
    const char *p = text;
    uint64_t got = 99;

    assert_false(string_number(&p, &got));
    assert_ptr_equal(p, text);
    assert_int_equal(got, 99);
}

static void numbers(void **state) {
    (void)state;
    expect_number("0", 0, "");
    expect_number("512@0xfeb00e00:12", 512, "@0xfeb00e00:12");
    expect_number("0xfeb00e00:12", 0xfeb00e00, ":12");
    expect_number("0X1fg", 0x1f, "g");
    expect_number("0x", 0, "x");
    expect_number("007a", 7, "a");
    expect_number("18446744073709551615", UINT64_MAX, "");
    expect_number("0xffffffffffffffff", UINT64_MAX, "");
    expect_none("");
    expect_none("-1");
    expect_none(" 1");
    expect_none("x1");
    expect_none("18446744073709551616");
    expect_none("0x10000000000000000");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_every_size_and_shift),   cmocka_unit_test(moves_with_any_overlap),
        cmocka_unit_test(compares_as_the_library),       cmocka_unit_test(strings_as_the_library),
        cmocka_unit_test(bounded_copy_says_when_it_cut), cmocka_unit_test(numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
