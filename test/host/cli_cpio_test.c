/* SPDX-License-Identifier: MIT */
/* The cpio writer: what it writes reads back, page by page. */
/* tests: cli/cpio.c cli/util.c */
#include "cli/cpio.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct entry {
    char name[8192];
    unsigned mode, size, name_bytes;
    size_t contents; /* offset in the archive */
};

static uint8_t *archive;
static size_t archive_size;

static unsigned field(size_t at, unsigned index) {
    char text[9] = "";

    memcpy(text, archive + at + 6 + 8 * index, 8);
    return (unsigned)strtoul(text, NULL, 16);
}

/* Reads the entry at *at and moves on; 0 at the trailer. */
static int next_entry(size_t *at, struct entry *entry) {
    assert_true(*at % 4 == 0 && *at + 110 <= archive_size);
    assert_memory_equal(archive + *at, "070701", 6);
    entry->mode = field(*at, 1);
    entry->size = field(*at, 6);
    entry->name_bytes = field(*at, 11);
    assert_in_range(entry->name_bytes, 2, 4096);
    assert_true(*at + 110 + entry->name_bytes <= archive_size);
    memcpy(entry->name, archive + *at + 110, entry->name_bytes);
    assert_int_equal(entry->name[entry->name_bytes - 1], 0);
    entry->contents = (*at + 110 + entry->name_bytes + 3) & ~(size_t)3;
    *at = (entry->contents + entry->size + 3) & ~(size_t)3;
    assert_true(*at <= archive_size);
    return strcmp(entry->name, "TRAILER!!!") != 0;
}

static int find_entry(const char *name, struct entry *entry) {
    size_t at = 0;

    while (next_entry(&at, entry)) {
        if (!strcmp(entry->name, name)) {
            return 1;
        }
    }
    return 0;
}

static int begin(struct cpio *cpio) {
    int fd = memfd_create("test", 0);

    assert_true(fd >= 0);
    cpio_begin(cpio, fd);
    return fd;
}

static void finish(struct cpio *cpio, int fd) {
    assert_int_equal(cpio_finish(cpio, NULL), 0);
    archive_size = (size_t)lseek(fd, 0, SEEK_END);
    assert_int_equal(archive_size, cpio->offset);
    assert_int_equal(archive_size % CPIO_PAGE, 0);
    free(archive);
    archive = malloc(archive_size);
    assert_int_equal(pread(fd, archive, archive_size, 0), archive_size);
    close(fd);
}

static void test_small(void **state) {
    struct cpio cpio;
    struct entry entry;
    int fd = begin(&cpio);

    (void)state;
    cpio_add_directory(&cpio, "tmp");
    cpio_add_bytes(&cpio, "a/b/c", 0644, "hello", 5);
    cpio_add_bytes(&cpio, "a/b/link", S_IFLNK | 0777, "c", 1);
    cpio_add_bytes(&cpio, "empty", 0600, "", 0);
    finish(&cpio, fd);
    assert_true(find_entry("tmp", &entry));
    assert_int_equal(entry.mode, S_IFDIR | 01777);
    assert_true(find_entry("a", &entry));
    assert_true(find_entry("a/b", &entry));
    assert_int_equal(entry.mode, S_IFDIR | 0755);
    assert_true(find_entry("a/b/c", &entry));
    assert_int_equal(entry.mode, S_IFREG | 0644);
    assert_int_equal(entry.size, 5);
    assert_memory_equal(archive + entry.contents, "hello", 5);
    assert_true(find_entry("a/b/link", &entry));
    assert_true(S_ISLNK(entry.mode));
    assert_true(find_entry("empty", &entry));
    assert_int_equal(entry.size, 0);
    assert_false(find_entry("none", &entry));
}

/* Parents come before what lies in them, and once. */
static void test_parents(void **state) {
    struct cpio cpio;
    struct entry entry;
    size_t at = 0;
    int count = 0;
    int fd = begin(&cpio);

    (void)state;
    cpio_add_bytes(&cpio, "x/y/one", 0644, "1", 1);
    cpio_add_bytes(&cpio, "x/y/two", 0644, "2", 1);
    cpio_add_directory(&cpio, "x/y");
    finish(&cpio, fd);
    while (next_entry(&at, &entry)) {
        static const char *const names[] = { "x", "x/y", "x/y/one", "x/y/two" };
        assert_true(count < 4);
        assert_string_equal(entry.name, names[count++]);
    }
    assert_int_equal(count, 4);
}

/* Whatever came before, large contents start on a page, small ones need not. */
static void test_alignment(void **state) {
    static uint8_t bytes[3 * CPIO_PAGE];
    struct entry entry;
    struct cpio cpio;
    char name[64];
    int fd = begin(&cpio);

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "small%u", i);
        cpio_add_bytes(&cpio, name, 0644, bytes, i * 13 % CPIO_PAGE);
        snprintf(name, sizeof(name), "large%u", i);
        cpio_add_bytes(&cpio, name, 0644, bytes, CPIO_PAGE + i * 29 % (2 * CPIO_PAGE));
    }
    finish(&cpio, fd);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "large%u", i);
        assert_true(find_entry(name, &entry));
        assert_int_equal(entry.contents % CPIO_PAGE, 0);
        assert_memory_equal(archive + entry.contents, bytes, entry.size);
    }
}

static void test_tree(void **state) {
    char folder[] = "/tmp/cli_cpio_XXXXXX";
    char command[512];
    struct entry entry;
    struct cpio cpio;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof(command),
             "cd %s && mkdir -p d/e && echo text >d/e/f && chmod 750 d/e/f && ln -s e/f d/l && "
             "mkfifo d/pipe",
             folder);
    assert_int_equal(system(command), 0);
    int fd = begin(&cpio);
    cpio_add_tree(&cpio, "", folder);
    finish(&cpio, fd);
    assert_true(find_entry("d/e/f", &entry));
    assert_int_equal(entry.mode, S_IFREG | 0750);
    assert_memory_equal(archive + entry.contents, "text\n", 5);
    assert_true(find_entry("d/l", &entry));
    assert_memory_equal(archive + entry.contents, "e/f", 3);
    assert_false(find_entry("d/pipe", &entry));
    snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void test_errors(void **state) {
    struct cpio cpio;
    char *culprit;
    int fd = begin(&cpio);

    (void)state;
    cpio_add_file(&cpio, "a", "/nonexistent/file");
    cpio_add_file(&cpio, "b", "/also/not/there");
    assert_int_equal(cpio_finish(&cpio, &culprit), -ENOENT);
    assert_string_equal(culprit, "/nonexistent/file");
    free(culprit);
    close(fd);
    fd = begin(&cpio);
    cpio_add_file(&cpio, "a", "/tmp");
    assert_int_equal(cpio_finish(&cpio, NULL), -EISDIR);
    close(fd);
    cpio_begin(&cpio, -1);
    assert_int_equal(cpio_finish(&cpio, NULL), -EBADF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),     cmocka_unit_test(test_parents),
        cmocka_unit_test(test_alignment), cmocka_unit_test(test_tree),
        cmocka_unit_test(test_errors),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    free(archive);
    return failed;
}
