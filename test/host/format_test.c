/* SPDX-License-Identifier: MIT */
/* tests: base/format.c base/string.c */
/* Every flag, width, precision and size against the host's snprintf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/format.h"

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static const char *const widths[] = { "", "1", "5", "12", "30" };
static const char *const precisions[] = { "", ".", ".0", ".1", ".4", ".25" };
static const char flag_letters[] = "-0+# ";
#define FLAG_SETS 32

/* Puts together %[flags][width][precision][size]letter. */
static void build(char *to, unsigned flags, const char *width, const char *precision,
                  const char *size, char letter) {
    *to++ = '%';
    for (unsigned i = 0; i < 5; i++)
        if (flags & 1u << i)
            *to++ = flag_letters[i];
    to += sprintf(to, "%s%s%s", width, precision, size);
    *to++ = letter;
    *to = '\0';
}

#define COMPARE(fmt, ...)                                                                          \
    do {                                                                                           \
        char mine[128], theirs[128];                                                               \
        int m = format(mine, sizeof mine, fmt, __VA_ARGS__);                                       \
        int t = snprintf(theirs, sizeof theirs, fmt, __VA_ARGS__);                                 \
        if (m != t || strcmp(mine, theirs))                                                        \
            fail_msg("%s: \"%s\" (%d), expected \"%s\" (%d)", fmt, mine, m, theirs, t);            \
    } while (0)

static void each_spec(void (*check)(unsigned flags, const char *width, const char *precision)) {
    for (unsigned flags = 0; flags < FLAG_SETS; flags++)
        for (size_t w = 0; w < ARRAY_SIZE(widths); w++)
            for (size_t p = 0; p < ARRAY_SIZE(precisions); p++)
                check(flags, widths[w], precisions[p]);
}

static void check_integers(unsigned flags, const char *width, const char *precision) {
    static const uint64_t values[] = { 0,       1,          7,          8,          42,
                                       127,     128,        255,        65535,      65536,
                                       1000000, 2147483647, 2147483648, 4294967295, 1ul << 63,
                                       ~0ul,    -42ul,      1ul << 32 };
    static const char letters[] = "diuxXo";
    char fmt[32];

    for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
        for (const char *l = letters; *l; l++) {
            build(fmt, flags, width, precision, "", *l);
            COMPARE(fmt, (int)values[v]);
            build(fmt, flags, width, precision, "h", *l);
            COMPARE(fmt, (int)(short)values[v]);
            build(fmt, flags, width, precision, "hh", *l);
            COMPARE(fmt, (int)(signed char)values[v]);
            build(fmt, flags, width, precision, "l", *l);
            COMPARE(fmt, (long)values[v]);
            build(fmt, flags, width, precision, "ll", *l);
            COMPARE(fmt, (long long)values[v]);
            build(fmt, flags, width, precision, "z", *l);
            COMPARE(fmt, (size_t)values[v]);
            build(fmt, flags, width, precision, "t", *l);
            COMPARE(fmt, (ptrdiff_t)values[v]);
            build(fmt, flags, width, precision, "j", *l);
            COMPARE(fmt, (intmax_t)values[v]);
        }
    }
}

static void integers(void **state) {
    (void)state;
    each_spec(check_integers);
}

static void check_text(unsigned flags, const char *width, const char *precision) {
    char fmt[32];

    if (flags & ~1u) /* '-' alone is defined for text */
        return;
    build(fmt, flags, width, precision, "", 's');
    COMPARE(fmt, "");
    COMPARE(fmt, "abc");
    COMPARE(fmt, "a longer text than most");
    build(fmt, flags, width, "", "", 'c');
    COMPARE(fmt, 'x');
    build(fmt, flags, width, "", "", 'p');
    COMPARE(fmt, (void *)0x401234);
    COMPARE(fmt, (void *)0xffffffff80001234);
    COMPARE(fmt, NULL);
}

static void text(void **state) {
    (void)state;
    each_spec(check_text);
}

static void stars_and_mixtures(void **state) {
    (void)state;
    for (int width = -20; width <= 20; width += 5)
        for (int precision = -2; precision < 8; precision++) {
            COMPARE("[%*.*d]", width, precision, 4711);
            COMPARE("[%-*.*s]", width, precision, "some text");
        }
    COMPARE("%d%% of %s at %#lx\n", 7, "it", 0xfeb00000ul);
    COMPARE("%s: %5u.%06u [%02x:%02x.%x]", "t", 1u, 23u, 0, 31, 7);
}

static void cuts_where_the_buffer_ends(void **state) {
    (void)state;
    for (size_t size = 0; size < 16; size++) {
        char mine[16], theirs[16];

        memset(mine, 'z', sizeof mine);
        memset(theirs, 'z', sizeof theirs);
        assert_int_equal(format(mine, size, "%s-%05d", "abc", 42), 9);
        assert_int_equal(snprintf(theirs, size, "%s-%05d", "abc", 42), 9);
        assert_memory_equal(mine, theirs, sizeof mine);
    }
}

static void shows_what_it_does_not_know(void **state) {
    /* volatile: gcc refuses such formats where it sees them */
    const char *volatile unknown = "%q and %", *volatile end = "100%", *volatile none = NULL;
    char to[32];

    (void)state;
    format(to, sizeof to, unknown);
    assert_string_equal(to, "%q and %");
    format(to, sizeof to, end);
    assert_string_equal(to, "100%");
    format(to, sizeof to, "%s", none);
    assert_string_equal(to, "(null)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(text),
        cmocka_unit_test(stars_and_mixtures),
        cmocka_unit_test(cuts_where_the_buffer_ends),
        cmocka_unit_test(shows_what_it_does_not_know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
