/* SPDX-License-Identifier: MIT */
/* tests: cli/bench_plan.c lab/results.c lab/stats.c cli/util.c */
/*
 * The plan of a comparison, on machines whose boots and operations take what
 * this file says, by a clock of its own.
 */
#include "cli/bench.h"
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MOST   4u /* of each dimension of the matrix */
#define ROUNDS 5u
#define BOOT_S 0.05

static double now_s, operation_s;
static double slower;       /* what an operation takes after the calibration, as a factor */
static int fails = -1;      /* a system whose boots do */
static int fails_later = 0; /* 1: only in the rounds */
static bool calibrated;
static unsigned times[ROUNDS][MOST][MOST][MOST][MOST]; /* a cell ran in a round */
static uint64_t work[ROUNDS][MOST][MOST];              /* operations, by system and load */
static char order[16384];

uint64_t bench_now_ns(void) {
    return (uint64_t)(now_s * 1e9);
}

bool bench_is_linux(const char *system) {
    return !strcmp(system, "linux-vm");
}

int size_parse(const char *text, uint64_t *bytes) {
    assert_string_equal(text, "512M");
    *bytes = 512u << 20;
    return 0;
}

static void remember(const char *format, ...) {
    size_t used = strlen(order);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(order + used, sizeof(order) - used, format, arguments);
    va_end(arguments);
}

static double run_cell(const struct bench *bench, const struct boot *boot, unsigned round,
                       const struct boot_cell *cell) {
    const struct results *r = &bench->results;
    uint64_t operations = bench_operations(bench, boot->system, cell->load);
    uint64_t *as_others = &work[round][boot->system][cell->load];
    double each_s = operation_s * (calibrated ? slower : 1);

    assert_int_equal(r->shapes[cell->shape].cpus, boot->cpus);
    assert_true(boot->heap < 0 ? bench_is_linux(r->systems[boot->system])
                               : boot->heap == (int)cell->heap);
    results_cell(r, boot->system, cell->heap, cell->load, cell->shape)->samples[round].rate =
        1 / each_s;
    if (calibrated) {
        times[round][boot->system][cell->heap][cell->load][cell->shape]++;
        assert_true(!*as_others || *as_others == operations);
        *as_others = operations;
        remember(" %u.%u.%u", cell->heap, cell->load, cell->shape);
    }
    return (double)operations * each_s;
}

int boot_run(struct bench *bench, const struct boot *boot, unsigned round, double *wall_s,
             double *cells_s, char **error) {
    calibrated = bench->results.fact_count > 0;
    if (calibrated) {
        remember("\n%u %u:", boot->system, boot->cpus);
    }
    *cells_s = 0;
    for (unsigned i = 0; i < boot->cell_count; i++) {
        *cells_s += run_cell(bench, boot, round, &boot->cells[i]);
    }
    *wall_s = *cells_s + BOOT_S;
    now_s += *wall_s;
    bool bad = (int)boot->system == fails && calibrated >= fails_later;
    *error = bad ? strdup("it burned down") : NULL;
    return bad ? -1 : 0;
}

static void name(char **names, unsigned *count, const char *text) {
    names[(*count)++] = strdup(text);
}

/* Two systems, two heaps, two loads, in three shapes. */
static int plan(struct bench *bench, uint64_t seed, double budget_s) {
    struct results *r = &bench->results;

    memset(bench, 0, sizeof(*bench));
    memset(times, 0, sizeof(times));
    memset(work, 0, sizeof(work));
    order[0] = '\0';
    now_s = 7;
    bench->memory = "512M";
    bench->started_ns = bench_now_ns();
    bench->budget_s = budget_s;
    bench->seed = seed;
    bench->random = seed * 2654435761u + 1; /* as cmd_bench does */
    name(r->systems, &r->system_count, "mimosa");
    name(r->systems, &r->system_count, "linux-vm");
    name(r->heaps, &r->heap_count, "buddy");
    name(r->heaps, &r->heap_count, "mimalloc");
    name(r->loads, &r->load_count, "compute");
    name(r->loads, &r->load_count, "larson");
    r->shapes[r->shape_count++] = (struct shape){ 1, 1 };
    r->shapes[r->shape_count++] = (struct shape){ 1, 2 };
    r->shapes[r->shape_count++] = (struct shape){ 2, 2 };
    r->rounds = ROUNDS;
    return plan_run(bench);
}

static double spent_s(void) {
    return now_s - 7;
}

static bool has_note(const struct results *r, const char *text) {
    for (size_t i = 0; i < r->note_count; i++) {
        if (strstr(r->notes[i], text)) {
            return true;
        }
    }
    return false;
}

static int setup(void **state) {
    (void)state;
    operation_s = 1e-6;
    slower = 1;
    fails = -1;
    fails_later = 0;
    return 0;
}

static void expect_rounds(const struct results *r, unsigned system, unsigned expected) {
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned heap = 0; heap < r->heap_count; heap++) {
            for (unsigned load = 0; load < r->load_count; load++) {
                for (unsigned shape = 0; shape < r->shape_count; shape++) {
                    assert_int_equal(times[round][system][heap][load][shape], expected);
                }
            }
        }
    }
}

static void test_every_cell(void **state) {
    struct bench bench;

    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_int_equal(plan(&bench, seed, 12), 0);
        assert_int_equal(bench.results.rounds_done, ROUNDS);
        expect_rounds(&bench.results, 0, 1);
        expect_rounds(&bench.results, 1, 1);
        results_free(&bench.results);
    }
}

static void test_order(void **state) {
    static char first[sizeof(order)];
    struct bench bench;

    (void)state;
    plan(&bench, 5, 12);
    results_free(&bench.results);
    memcpy(first, order, sizeof(first));
    plan(&bench, 5, 12);
    results_free(&bench.results);
    assert_string_equal(order, first);
    for (uint64_t seed = 6; seed < 16; seed++) {
        plan(&bench, seed, 12);
        results_free(&bench.results);
        assert_string_not_equal(order, first);
    }
}

/* A tenth is kept back for what the calibration did not see. */
static void test_budget(void **state) {
    static const double budgets_s[] = { 6, 12, 20 };
    struct bench bench;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        plan(&bench, 1, budgets_s[i]);
        assert_true(spent_s() <= budgets_s[i] && spent_s() >= 0.7 * budgets_s[i]);
        assert_int_equal(bench.results.note_count, 0);
        results_free(&bench.results);
    }
    /* More time than the longest cells want is left over. */
    plan(&bench, 1, 1000);
    assert_int_equal(work[0][0][0], 500000);
    assert_true(spent_s() < 100);
    results_free(&bench.results);
}

static void test_budget_too_short(void **state) {
    struct bench bench;

    (void)state;
    plan(&bench, 1, 3);
    assert_true(has_note(&bench.results, "the budget of 3 s is too short for this matrix"));
    assert_int_equal(work[0][0][0], 20000);
    expect_rounds(&bench.results, 0, 1);
    results_free(&bench.results);
}

/* The rounds that are left get less work, each the same in all its cells. */
static void test_budget_of_slow_machine(void **state) {
    struct bench bench;

    (void)state;
    slower = 2;
    plan(&bench, 1, 12);
    assert_true(spent_s() <= 12 && spent_s() >= 8);
    for (unsigned system = 0; system < 2; system++) {
        assert_true(work[1][system][0] < work[0][system][0]);
        assert_true(work[ROUNDS - 1][system][0] > 0);
    }
    results_free(&bench.results);
}

static void test_system_dropped(void **state) {
    struct bench bench;

    (void)state;
    fails = 1;
    assert_int_equal(plan(&bench, 1, 12), 0);
    assert_true(bench.results.system_dropped[1] && !bench.results.system_dropped[0]);
    assert_true(has_note(&bench.results, "linux-vm is left out: it burned down"));
    assert_int_equal(bench.results.failures, 0);
    expect_rounds(&bench.results, 0, 1);
    expect_rounds(&bench.results, 1, 0);
    results_free(&bench.results);
}

static void test_boots_fail(void **state) {
    struct bench bench;

    (void)state;
    fails = 0;
    fails_later = 1;
    assert_int_equal(plan(&bench, 1, 12), 0);
    /* Two heaps, on one CPU and on two. */
    assert_int_equal(bench.results.failures, ROUNDS * 4);
    assert_true(has_note(&bench.results, "round 5, mimosa, 2 CPUs, buddy: it burned down"));
    expect_rounds(&bench.results, 1, 1);
    results_free(&bench.results);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_cell, setup),
        cmocka_unit_test_setup(test_order, setup),
        cmocka_unit_test_setup(test_budget, setup),
        cmocka_unit_test_setup(test_budget_too_short, setup),
        cmocka_unit_test_setup(test_budget_of_slow_machine, setup),
        cmocka_unit_test_setup(test_system_dropped, setup),
        cmocka_unit_test_setup(test_boots_fail, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
