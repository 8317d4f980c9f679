/* SPDX-License-Identifier: MIT */
/* The kernel's text: what is shown, what is kept, and the names of addresses. */
/* tests: cli/log.c cli/elf.c cli/initrd.c cli/cpio.c cli/options.c cli/net.c cli/util.c */
#include "cli/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char shown[1 << 16];

static void show(void *context, const char *text, size_t length) {
    (void)context;
    assert_true(strlen(shown) + length < sizeof(shown));
    strncat(shown, text, length);
}

static struct symbol kernel_symbols[] = { { 0xffffffff80001000, 0x100, "panic" },
                                          { 0xffffffff80002000, 0x100, "thread_wake" } };
static struct symbol program_symbols[] = { { 0x401000, 0x80, "main" },
                                           { 0x402000, 0x80, "walk.isra.0" } };
static const struct log_names names = { .kernel = { kernel_symbols, 2 },
                                        .program = { program_symbols, 2 } };

static void check_symbolize(const char *text, const char *expected) {
    char *got = log_symbolize(&names, text, strlen(text));

    assert_string_equal(got, expected);
    free(got);
}

static void test_symbolize(void **state) {
    (void)state;
    check_symbolize("no address", "no address");
    check_symbolize("at <k:ffffffff80002010>.", "at thread_wake+0x10.");
    check_symbolize("<u:0000000000401005><k:ffffffff80001000>", "main+0x5panic+0x0");
    check_symbolize("<u:402008>", "walk+0x8");
    check_symbolize("<u:1>", "0x1");
    check_symbolize("<k:FFFFFFFF80001000>", "panic+0x0");
    check_symbolize("<k:> <k:xyz> <k:1 <z:12> <k", "<k:> <k:xyz> <k:1 <z:12> <k");
    check_symbolize("<k:ffffffff800010001>", "<k:ffffffff800010001>");
    check_symbolize("<", "<");
}

static void feed(struct log *log, const char *text) {
    log_feed(log, text, strlen(text));
}

static void test_panic(void **state) {
    struct log log = { .names = &names, .show = show };

    (void)state;
    shown[0] = '\0';
    feed(&log, "[0.1 0] quiet\r\n[0.2 0] also qui");
    feed(&log, "et\nmimosa: pan");
    assert_string_equal(shown, "");
    feed(&log, "ic: at <k:ffffffff80002001>\r\n  more\n");
    assert_string_equal(shown,
                        "[0.1 0] quiet\n[0.2 0] also quiet\nmimosa: panic: at thread_wake+0x1\n"
                        "  more\n");
    assert_true(log.panicked);
    feed(&log, "unfinished");
    log_flush(&log);
    assert_non_null(strstr(shown, "unfinished\n"));
    log_free(&log);
}

static void test_last(void **state) {
    struct log log = { .names = &names, .show = show };
    char line[32];

    (void)state;
    shown[0] = '\0';
    log_show_last(&log, 10);
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof(line), "line %d\n", i);
        feed(&log, line);
    }
    assert_string_equal(shown, "");
    log_show_last(&log, 2);
    assert_string_equal(shown, "line 998\nline 999\n");
    shown[0] = '\0';
    log_show_last(&log, 100000);
    assert_true(!strncmp(shown, "line 936\n", 9));
    assert_null(strstr(shown, "line 998")); /* shown before */
    log_free(&log);
}

/* Neither a line without end nor control characters reach the terminal as they are. */
static void test_hostile(void **state) {
    static char text[10000];
    struct log log = { .names = &names, .show = show, .live = true };

    (void)state;
    shown[0] = '\0';
    memset(text, 'x', sizeof(text));
    text[1] = '\033';
    text[2] = '\0';
    log_feed(&log, text, sizeof(text));
    log_flush(&log);
    assert_true(!strncmp(shown, "x??x", 4));
    assert_true(strlen(shown) >= sizeof(text));
    log_free(&log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_symbolize),
        cmocka_unit_test(test_panic),
        cmocka_unit_test(test_last),
        cmocka_unit_test(test_hostile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
