/* SPDX-License-Identifier: MIT */
/* tests: fs/cpio.c base/string.c */
/* The archive reader: what it finds and refuses, and that no broken archive leads it astray. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/string.h"
#include "fs/cpio.h"

struct archive {
    char bytes[8192];
    size_t size;
};

/* Appends an entry; `name_pad`: further NUL bytes behind the name, as `mimosa` writes them. */
static void add(struct archive *a, const char *name, unsigned mode, const char *data,
                size_t name_pad) {
    char header[256];
    size_t name_size = strlen(name) + 1 + name_pad, size = strlen(data);
    snprintf(header, sizeof header, "070701%08x%08x%08x%08x%08x%08x%08zX%08x%08x%08x%08x%08zx%08x",
             1u, mode, 0u, 0u, 1u, 77u, size, 0u, 0u, 5u, 1u, name_size, 0u);
    memcpy(a->bytes + a->size, header, 110);
    memcpy(a->bytes + a->size + 110, name, strlen(name));
    a->size = (a->size + 110 + name_size + 3) / 4 * 4;
    memcpy(a->bytes + a->size, data, size);
    a->size = (a->size + size + 3) / 4 * 4;
}

static void reads_entries(void **state) {
    struct archive a = { 0 };
    struct cpio_reader r;
    struct cpio_entry e;
    (void)state;
    add(&a, ".", 040755, "", 0);
    add(&a, "./bin", 040755, "", 3);
    add(&a, "/bin/hello", 0100755, "contents", 5);
    add(&a, "link", 0120777, "bin/hello", 0);
    add(&a, "TRAILER!!!", 0, "", 0);
    add(&a, "behind", 0, "", 0);
    cpio_start(&r, a.bytes, a.size);
    assert_int_equal(cpio_next(&r, &e), 1);
    assert_string_equal(e.name, "");
    assert_int_equal(cpio_next(&r, &e), 1);
    assert_string_equal(e.name, "bin");
    assert_int_equal(e.mode, 040755);
    assert_int_equal(cpio_next(&r, &e), 1);
    assert_string_equal(e.name, "bin/hello");
    assert_int_equal(e.size, 8);
    assert_memory_equal(e.data, "contents", 8);
    assert_int_equal(e.mtime, 77);
    assert_int_equal(e.rdev_major, 5);
    assert_int_equal(e.rdev_minor, 1);
    assert_int_equal(cpio_next(&r, &e), 1);
    assert_memory_equal(e.data, "bin/hello", 9);
    assert_int_equal(cpio_next(&r, &e), 0);
}

static void refuses_bad_names(void **state) {
    static const char *const names[] = { "..", "a/../b", "a/..", "../x", "a//b" };
    char longest[300];
    struct cpio_reader r;
    struct cpio_entry e;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct archive a = { 0 };
        add(&a, names[i], 0100644, "", 0);
        cpio_start(&r, a.bytes, a.size);
        assert_int_equal(cpio_next(&r, &e), -EINVAL);
    }
    for (size_t length = 255; length < 257; length++) {
        struct archive a = { 0 };
        memset(longest, 'x', length);
        longest[length] = '\0';
        add(&a, longest, 0100644, "", 0);
        cpio_start(&r, a.bytes, a.size);
        assert_int_equal(cpio_next(&r, &e), length == 255 ? 1 : -EINVAL);
    }
}

/* Every prefix of an archive ends in -EINVAL, and nothing behind it is read (ASan watches). */
static void notices_the_cut(void **state) {
    struct archive a = { 0 };
    (void)state;
    add(&a, "file", 0100644, "some contents", 0);
    add(&a, "TRAILER!!!", 0, "", 0);
    for (size_t size = 0; size < a.size; size++) {
        struct cpio_reader r;
        struct cpio_entry e;
        char *copy = malloc(size ? size : 1);
        int more;
        memcpy(copy, a.bytes, size);
        cpio_start(&r, copy, size);
        while ((more = cpio_next(&r, &e)) > 0)
            ;
        /* The padding behind the trailer's name may be missing. */
        assert_true(more == -EINVAL || (more == 0 && size >= a.size - 3));
        free(copy);
    }
}

static void survives_noise(void **state) {
    struct archive good = { 0 };
    unsigned long seed = 4711;
    (void)state;
    add(&good, "directory", 040755, "", 2);
    add(&good, "directory/file", 0100644, "0123456789", 0);
    add(&good, "TRAILER!!!", 0, "", 0);
    char *copy = malloc(good.size);
    for (int round = 0; round < 200000; round++) {
        struct cpio_reader r;
        struct cpio_entry e;
        int entries = 0;
        memcpy(copy, good.bytes, good.size);
        for (int changes = 0; changes < 4; changes++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            copy[seed % good.size] =
                (seed >> 32) % 3 ? "0123456789abcdefF/."[(seed >> 40) % 19] : (char)(seed >> 48);
        }
        cpio_start(&r, copy, good.size);
        while (cpio_next(&r, &e) > 0) {
            assert_true(++entries < 10);
            assert_true(e.data >= copy && e.data + e.size <= copy + good.size);
            assert_true(strlen(e.name) < 4096);
            for (size_t i = 0; i < e.size; i++)
                seed += (unsigned char)e.data[i];
        }
    }
    free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_entries),
        cmocka_unit_test(refuses_bad_names),
        cmocka_unit_test(notices_the_cut),
        cmocka_unit_test(survives_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
