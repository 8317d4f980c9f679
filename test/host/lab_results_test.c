/* SPDX-License-Identifier: MIT */
/* tests: lab/results.c lab/stats.c lab/findings.c */
/* tests: lab/report_text.c lab/report_json.c lab/report_html.c lab/html.c */
/* tests: lab/report_server.c lab/report_server_html.c */
/* The matrix of results, its ratios, and what the reports make of them. */
#include "lab/report.h"
#include "lab/report_server.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ROUNDS      5u
#define CLOSE(a, b) assert_true(fabs((a) - (b)) < 1e-9)

/* A factor of each round that hits everything alike: the machine's mood. */
static const double mood[ROUNDS] = { 1.0, 0.7, 1.2, 0.5, 0.9 };

static void fill(struct results *r, unsigned heap, unsigned load, unsigned shape, double rate) {
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct sample *sample = &results_cell(r, 0, heap, load, shape)->samples[round];

        sample->rate = rate * mood[round];
        sample->seconds = 1 / sample->rate;
        sample->line = strdup("{\"workload\":\"x\"}");
    }
}

/* buddy and mimalloc on compute and larson, in the three usual shapes. */
static void make(struct results *r) {
    memset(r, 0, sizeof(*r));
    r->systems[r->system_count++] = strdup("mimosa");
    r->heaps[r->heap_count++] = strdup("buddy");
    r->heaps[r->heap_count++] = strdup("mimalloc");
    r->loads[r->load_count++] = strdup("compute");
    r->loads[r->load_count++] = strdup("larson");
    r->shapes[r->shape_count++] = (struct shape){ 1, 1 };
    r->shapes[r->shape_count++] = (struct shape){ 1, 2 };
    r->shapes[r->shape_count++] = (struct shape){ 2, 2 };
    r->rounds = r->rounds_done = ROUNDS;
    results_make_cells(r);
    for (unsigned heap = 0; heap < 2; heap++) {
        fill(r, heap, 0, 0, 100);
        fill(r, heap, 0, 1, 100);
        fill(r, heap, 0, 2, 200);
    }
    fill(r, 0, 1, 0, 1e6);
    fill(r, 0, 1, 1, 0.9e6);
    fill(r, 0, 1, 2, 0.8e6);
    fill(r, 1, 1, 0, 2e6);
    fill(r, 1, 1, 1, 0.45e6);
    fill(r, 1, 1, 2, 3.6e6);
    results_fact(r, "cpu", "a \"quoted\" <name>");
    results_note(r, "something was left out");
}

static void test_lookups(void **state) {
    struct results r;

    (void)state;
    make(&r);
    assert_int_equal(results_find_heap(&r, "mimalloc"), 1);
    assert_int_equal(results_find_heap(&r, "tlsf"), -1);
    assert_int_equal(results_find_load(&r, "larson"), 1);
    assert_int_equal(results_find_shape(&r, 1, 2), 1);
    assert_int_equal(results_find_shape(&r, 2, 1), -1);
    results_free(&r);
}

static void test_ratios(void **state) {
    struct results r;
    struct stats_interval ratio;

    (void)state;
    make(&r);
    assert_true(
        results_ratio(&r, results_cell(&r, 0, 1, 1, 2), results_cell(&r, 0, 0, 1, 2), &ratio));
    CLOSE(ratio.median, 4.5);
    CLOSE(ratio.high - ratio.low, 0); /* the mood cancels */
    assert_true(results_ratio_of_ratios(&r, results_cell(&r, 0, 1, 1, 2),
                                        results_cell(&r, 0, 1, 1, 0), results_cell(&r, 0, 1, 0, 2),
                                        results_cell(&r, 0, 1, 0, 0), &ratio));
    CLOSE(ratio.median, 0.9);
    assert_true(results_rate(&r, results_cell(&r, 0, 0, 0, 0), &ratio));
    CLOSE(ratio.median, 90);
    CLOSE(ratio.low, 50);
    results_free(&r);
}

static void test_missing_samples(void **state) {
    struct results r;
    struct stats_interval ratio;
    struct cell *a, *b;

    (void)state;
    make(&r);
    a = results_cell(&r, 0, 0, 1, 0);
    b = results_cell(&r, 0, 1, 1, 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        (round < 2 ? a : b)->samples[round].rate = 0; /* no round has both */
    }
    assert_false(results_ratio(&r, a, b, &ratio));
    assert_true(results_rate(&r, a, &ratio));
    results_free(&r);
}

/* What a report says of the results that `fill_in` makes. */
static char *rendered(void (*fill_in)(struct results *),
                      void (*report)(const struct results *, FILE *)) {
    struct results r;
    char *text;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);

    fill_in(&r);
    report(&r, to);
    fclose(to);
    results_free(&r);
    return text;
}

static void test_text(void **state) {
    char *text = rendered(make, report_text);

    (void)state;
    assert_non_null(strstr(text, "2 threads, 2 CPUs"));
    assert_non_null(strstr(text, "94 % interval"));
    assert_non_null(strstr(text, "mimosa, 2 threads, 1 CPU: loses larson 0.50"));
    assert_non_null(strstr(text, "mimosa, 2 threads, 2 CPUs: wins larson 4.50"));
    assert_non_null(strstr(text, "mimosa, 2 threads, 2 CPUs, buddy: larson 0.40"));
    assert_non_null(strstr(text, "1.80 (0.90"));
    assert_non_null(strstr(text, "something was left out"));
    free(text);
}

static void test_json(void **state) {
    char *text = rendered(make, report_json);
    int depth = 0;
    bool quoted = false;

    (void)state;
    for (const char *at = text; *at; at++) {
        if (quoted && *at == '\\') {
            at++;
        } else if (*at == '"') {
            quoted = !quoted;
        } else if (!quoted) {
            depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
            assert_true(depth >= 0);
        }
    }
    assert_int_equal(depth, 0);
    assert_false(quoted);
    assert_non_null(strstr(text, "a \\\"quoted\\\" <name>"));
    assert_non_null(strstr(text, "\"ratio_to_baseline\": {\"median\": 4.5,"));
    free(text);
}

static void test_html(void **state) {
    char *text = rendered(make, report_html);

    (void)state;
    assert_non_null(strstr(text, "&lt;name&gt;"));
    assert_null(strstr(text, "<name>"));
    assert_null(strstr(text, "http"));
    assert_null(strstr(text, "nan"));
    free(text);
}

/*
 * A server on two systems, with two heaps: mimosa serves twice as much in half the
 * time, and so does mimalloc, but for GET without a pipeline, where it is the same.
 */
static void make_server(struct results *r) {
    *r = (struct results){ .is_server = true, .rounds = ROUNDS, .rounds_done = ROUNDS };
    r->systems[r->system_count++] = strdup("mimosa");
    r->systems[r->system_count++] = strdup("linux-lean");
    r->heaps[r->heap_count++] = strdup("buddy");
    r->heaps[r->heap_count++] = strdup("mimalloc");
    r->loads[r->load_count++] = strdup("get 3B P1");
    r->loads[r->load_count++] = strdup("get 3B P16");
    r->loads[r->load_count++] = strdup("first connection");
    r->loads[r->load_count++] = strdup("fill and churn");
    r->shapes[r->shape_count++] = (struct shape){ 1, 0 };
    r->peer = results_find_system(r, "linux-lean");
    results_make_cells(r);
    results_fact(r, "cpu", "a <name>");
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < 16; i++) {
            unsigned system = i / 8, heap = i / 4 % 2, load = i % 4;
            struct sample *sample = &results_cell(r, system, heap, load, 0)->samples[round];
            double share = system ? 1 : 2, worth = heap && load ? 2 : 1;

            sample->rate = 20000 * share * worth * mood[round];
            sample->p50_ns = load < 3 ? 1e6 : 0;
            sample->p99_ns = load < 2 && round != 2 ? 4e6 / share / worth / mood[round] : 0;
            sample->peak_rss_kib = load == 3 ? 2048 * share * worth : 0;
        }
    }
}

static void test_server_ratios(void **state) {
    struct results r;
    struct stats_interval ratio;

    (void)state;
    make_server(&r);
    assert_int_equal(r.peer, 1);
    assert_int_equal(results_find_system(&r, "linux"), -1);
    const struct cell *ours = results_cell(&r, 0, 0, 0, 0), *theirs = results_cell(&r, 1, 0, 0, 0);
    assert_true(results_ratio_of(&r, ours, theirs, offsetof(struct sample, p99_ns), &ratio));
    CLOSE(ratio.median, 0.5);
    assert_false(results_ratio_of(&r, ours, theirs, offsetof(struct sample, p999_ns), &ratio));
    assert_true(server_mean_ratio(&r, 0, (struct server_at){ 1, 1 }, (struct server_at){ 1, 0 },
                                  offsetof(struct sample, rate), &ratio));
    CLOSE(ratio.median, sqrt(2));
    CLOSE(ratio.high - ratio.low, 0); /* the mood cancels */
    results_free(&r);
}

static void test_server(void **state) {
    char *text = rendered(make_server, report_server);

    (void)state;
    assert_non_null(strstr(text, "ratios to linux-lean"));
    assert_non_null(strstr(text, "2.00"));
    assert_non_null(strstr(text, "resident 4.0 MiB 2.00"));
    assert_non_null(strstr(text, "mimosa, 1 CPU: what a heap is worth"));
    assert_non_null(strstr(text, "get 3B P16             36.0 k   2.00   0.50 "));
    assert_non_null(strstr(text, "fill and churn         36.0 k   2.00   2.00 "));
    assert_non_null(strstr(text, "  geometric mean                  1.41   0.71 "));
    free(text);
    text = rendered(make_server, report_json);
    assert_non_null(strstr(text, "\"p99_to_peer\": {\"median\": 0.5"));
    free(text);
}

/* How often `what` is in `text`. */
static unsigned times(const char *text, const char *what) {
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) {
        count++;
    }
    return count;
}

static void test_server_html(void **state) {
    char *text = rendered(make_server, report_server_html);

    (void)state;
    /* Requests and p99 in two pipelines, the start, keys and memory; on two systems. */
    assert_int_equal(times(text, "<svg"), (2 * 2 + 1 + 2) * 2);
    assert_int_equal(times(text, "</svg>"), times(text, "<svg"));
    assert_int_equal(times(text, "<rect"), (2 * 2 + 1 + 2) * 2 * 2);
    assert_non_null(strstr(text, "Values of 3 bytes, a pipeline of 16"));
    assert_non_null(strstr(text, "mimalloc, get: 3.6e+04 (2e+04 to 4.8e+04)"));
    assert_non_null(strstr(text, "what a heap is worth"));
    assert_null(strstr(text, "<name>"));
    assert_null(strstr(text, "nan"));
    free(text);
}

static void test_quantity(void **state) {
    char buffer[16];

    (void)state;
    assert_string_equal(report_quantity(0, buffer), "0.00");
    assert_string_equal(report_quantity(999, buffer), "999");
    assert_string_equal(report_quantity(12345, buffer), "12.3 k");
    assert_string_equal(report_quantity(1234567, buffer), "1.23 M");
    assert_string_equal(report_quantity(2e9, buffer), "2.00 G");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_ratios),
        cmocka_unit_test(test_missing_samples),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_html),
        cmocka_unit_test(test_server_ratios),
        cmocka_unit_test(test_server),
        cmocka_unit_test(test_server_html),
        cmocka_unit_test(test_quantity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
