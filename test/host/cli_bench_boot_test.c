/* SPDX-License-Identifier: MIT */
/* tests: cli/bench_boot.c cli/util.c lab/results.c lab/stats.c */
/* What one boot makes of the lines that come from it: a script in place of `mimosa`. */
#include "cli/bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

uint64_t bench_operations(const struct bench *bench, unsigned system, unsigned load) {
    (void)bench, (void)system, (void)load;
    return 1000;
}

/* The error of a boot that prints this and ends with this status; NULL without one. */
static char *boot_error(const char *lines, int status) {
    char path[] = "/tmp/bench_boot_XXXXXX", name[] = "./workloads";
    struct bench bench = { .memory = "512M", .timeout_s = 20, .program = name, .mimosa = path };
    struct results *r = &bench.results;
    struct boot_cell cell = { 0, 0, 0 };
    const struct boot boot = { .cpus = 1, .heap = 0, .cells = &cell, .cell_count = 1 };
    double wall_s, cells_s;
    char *error;
    int fd = mkstemp(path);
    FILE *script = fdopen(fd, "w");

    assert_non_null(script);
    fprintf(script, "#!/bin/sh\ncat <<'end'\n%s\nend\necho bad luck >&2\nexit %d\n", lines, status);
    assert_int_equal(fchmod(fd, 0700), 0);
    assert_int_equal(fclose(script), 0);

    r->systems[r->system_count++] = strdup("mimosa");
    r->heaps[r->heap_count++] = strdup("buddy");
    r->loads[r->load_count++] = strdup("compute");
    r->shapes[r->shape_count++] = (struct shape){ 1, 1 };
    r->rounds = 1;
    results_make_cells(r);
    int result = boot_run(&bench, &boot, 0, &wall_s, &cells_s, &error);
    assert_int_equal(result, error ? -1 : 0);
    double rate = results_cell(r, 0, 0, 0, 0)->samples[0].rate;
    assert_true(error ? rate == 0 : rate == 2000);
    results_free(r);
    unlink(path);
    return error;
}

#define SAMPLE "\"threads\":1,\"operations\":1000,\"ns\":500000000"

static void expect(const char *lines, int status, const char *text) {
    char *error = boot_error(lines, status);

    if (text) {
        assert_non_null(error);
        assert_string_equal(error, text);
    } else {
        assert_null(error);
    }
    free(error);
}

static void test_sample(void **state) {
    (void)state;
    expect("hello\n{\"workload\":\"compute\",\"heap\":\"buddy\"," SAMPLE "}", 0, NULL);
}

static void test_other_samples(void **state) {
    (void)state;
    expect("{\"workload\":\"compute\",\"heap\":\"bump\"," SAMPLE "}", 0,
           "asked for heap buddy, got bump");
    expect("{\"workload\":\"compute\"," SAMPLE "}", 0,
           "unexpected sample: {\"workload\":\"compute\"," SAMPLE "}");
    expect("{\"workload\":\"larson\",\"heap\":\"buddy\"," SAMPLE "}", 0,
           "unexpected sample: {\"workload\":\"larson\",\"heap\":\"buddy\"," SAMPLE "}");
    expect("{\"workload\":\"compute\",\"heap\":\"buddy\",\"threads\":1,\"operations\":1000}", 0,
           "unexpected sample: "
           "{\"workload\":\"compute\",\"heap\":\"buddy\",\"threads\":1,\"operations\":1000}");
}

static void test_ends(void **state) {
    (void)state;
    expect("", 3, "status 3 after 0 of 1 cells: bad luck");
    expect("", 0, "status 0 after 0 of 1 cells: bad luck");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_other_samples),
        cmocka_unit_test(test_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
