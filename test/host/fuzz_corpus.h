/* SPDX-License-Identifier: MIT */
/* A cmocka program that runs a fuzzer over its kept corpus: what was found once stays found. */
#ifndef TEST_HOST_FUZZ_CORPUS_H
#define TEST_HOST_FUZZ_CORPUS_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* `directory` as seen from where the tests run. */
static inline unsigned corpus_replay(const char *directory) {
    DIR *d = opendir(directory);
    unsigned files = 0;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        static uint8_t bytes[65536];
        char path[512];
        FILE *f;

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
        f = fopen(path, "rb");
        assert_non_null(f);
        size_t size = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        /* Of exactly its size, so that the sanitizer sees who reads behind it. */
        uint8_t *copy = malloc(size);
        memcpy(copy, bytes, size);
        LLVMFuzzerTestOneInput(copy, size);
        free(copy);
        files++;
    }
    closedir(d);
    return files;
}

static void corpus_passes(void **state) {
    (void)state;
    assert_true(corpus_replay(CORPUS) > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(corpus_passes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
