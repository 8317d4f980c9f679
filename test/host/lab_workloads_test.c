/* SPDX-License-Identifier: MIT */
/* tests: lab/harness/job.c lab/harness/heap.c lab/workloads/cache_thrash.c */
/* tests: lab/workloads/cache_scratch.c lab/workloads/larson.c lab/workloads/compute.c */
/* tests: lab/workloads/faults.c lab/workloads/echo.c lab/workloads/micro.c */
/* Every workload on the host's malloc under sanitizers: no leak, no wild access, fixed work. */
#include "lab/harness/harness.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define OPERATIONS 1001u /* odd: two threads get different shares */

/* Runs a cell and returns what it printed, to be freed. */
static char *run(const struct workload *workload, unsigned threads, uint64_t seed) {
    struct job job = {
        .workload = workload, .threads = threads, .operations = OPERATIONS, .seed = seed, .warm = 2
    };
    char name[] = "/tmp/mimosa-lab-test-XXXXXX";
    int file = mkstemp(name), saved = dup(1);
    char *text = calloc(1, 65536);

    for (unsigned i = 0; workload->parameters[i].name; i++) {
        job.values[i] = workload->parameters[i].value;
    }
    fflush(stdout);
    dup2(file, 1);
    int error = job_run(&job);
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    assert_true(pread(file, text, 65535, 0) > 0);
    close(file);
    unlink(name);
    assert_int_equal(error, 0);
    return text;
}

static const char *checksum(const char *line) {
    return strstr(line, "\"checksum\"");
}

static void test_workload(void **state) {
    const struct workload *workload = *state;

    for (unsigned threads = 1; threads <= 3; threads++) {
        char *first = run(workload, threads, 7), *again = run(workload, threads, 7);

        assert_non_null(strstr(first, "\"operations\":1001,"));
        assert_non_null(checksum(first));
        assert_string_equal(checksum(first), checksum(again)); /* the same work */
        free(first);
        free(again);
    }
}

static void test_seed_matters(void **state) {
    char *one = run(&workload_larson, 2, 1), *two = run(&workload_larson, 2, 2);

    (void)state;
    assert_string_not_equal(checksum(one), checksum(two));
    free(one);
    free(two);
}

static void test_micro(void **state) {
    static const char *const measures[] = { "first-touch", "sparse-touch", "munmap",     "thread",
                                            "getppid",     "clock",        "futex-wake", "yield" };
    char *lines = run(&workload_micro, 1, 1);

    (void)state;
    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
        assert_non_null(strstr(lines, measures[i]));
    }
    free(lines);
}

#define WORKLOAD_TEST(name)                                                                        \
    cmocka_unit_test_prestate(test_workload, (void *)(uintptr_t)&workload_##name)

int main(void) {
    const struct CMUnitTest tests[] = {
        WORKLOAD_TEST(compute),
        WORKLOAD_TEST(cache_thrash),
        WORKLOAD_TEST(cache_scratch),
        WORKLOAD_TEST(larson),
        WORKLOAD_TEST(faults),
        WORKLOAD_TEST(echo),
        cmocka_unit_test(test_seed_matters),
        cmocka_unit_test(test_micro),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
