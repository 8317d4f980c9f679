/* SPDX-License-Identifier: MIT */
/* tests: lab/stats.c */
/* lab/stats.c: medians, intervals, ratios, "within the noise". */
#include "lab/stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define CLOSE(a, b) assert_true(fabs((a) - (b)) < 1e-9)

static void test_median(void **state) {
    const double odd[] = { 5, 1, 3 }, even[] = { 4, 1, 3, 2 }, one[] = { 7 };

    (void)state;
    CLOSE(stats_median(odd, 3), 3);
    CLOSE(stats_median(even, 4), 2.5);
    CLOSE(stats_median(one, 1), 7);
    CLOSE(odd[0], 5); /* the input is left alone */
}

static void test_quantile(void **state) {
    const double samples[] = { 50, 10, 20, 40, 30 };

    (void)state;
    CLOSE(stats_quantile(samples, 5, 0), 10);
    CLOSE(stats_quantile(samples, 5, 1), 50);
    CLOSE(stats_quantile(samples, 5, 0.25), 20);
    CLOSE(stats_quantile(samples, 5, 0.1), 14);
}

static void test_sign_interval(void **state) {
    double samples[20];
    struct stats_interval five, ten, one;

    (void)state;
    for (int i = 0; i < 20; i++) {
        samples[i] = 20 - i;
    }
    /* Values of the binomial distribution, from the tables. */
    five = stats_sign_interval(samples, 5, 0.9);
    CLOSE(five.confidence, 0.9375);
    CLOSE(five.low, 16);
    CLOSE(five.high, 20);
    ten = stats_sign_interval(samples, 10, 0.95);
    CLOSE(ten.confidence, 1 - 2 * (1 + 10) / 1024.0);
    CLOSE(ten.low, 12);
    CLOSE(ten.high, 19);
    five = stats_sign_interval(samples, 5, 0.99); /* out of reach: the range, told so */
    CLOSE(five.confidence, 0.9375);
    one = stats_sign_interval(samples, 1, 0.9);
    CLOSE(one.confidence, 0);
    CLOSE(one.low, 20);
    CLOSE(one.high, 20);
}

static void test_sign_interval_of_many(void **state) {
    double samples[STATS_MAX];

    (void)state;
    for (unsigned i = 0; i < STATS_MAX; i++) {
        samples[i] = i;
    }
    struct stats_interval many = stats_sign_interval(samples, STATS_MAX, 0.95);
    assert_true(many.confidence >= 0.95 && many.confidence < 0.96);
    assert_true(many.low > 470 && many.low < 490);
    assert_true(many.high > 535 && many.high < 555);
}

static void test_bootstrap(void **state) {
    const double samples[] = { 10, 11, 9, 10.5, 9.5, 10, 10, 9.8, 10.2 };
    struct stats_interval a = stats_bootstrap_interval(samples, 9, 0.95, 1);
    struct stats_interval b = stats_bootstrap_interval(samples, 9, 0.95, 1);

    (void)state;
    CLOSE(a.low, b.low); /* repeatable */
    CLOSE(a.high, b.high);
    CLOSE(a.median, 10);
    assert_true(a.low <= 10 && a.low >= 9.5);
    assert_true(a.high >= 10 && a.high <= 10.5);
}

static void test_paired_ratio_cancels_drift(void **state) {
    /* The machine slows to a third; the ratio stays 2. */
    const double baseline[] = { 300, 250, 200, 150, 100 };
    const double samples[] = { 603, 500, 399, 301, 200 };
    struct stats_interval ratio = stats_ratio_paired(samples, baseline, 5, 0.9);

    (void)state;
    CLOSE(ratio.median, 2);
    assert_true(ratio.low > 1.99 && ratio.high < 2.02);
    assert_false(stats_within_noise(&ratio));
}

static void test_ratio_of_medians(void **state) {
    const double samples[] = { 20, 21, 19, 20 }, baseline[] = { 10, 10, 11, 9, 10 };
    struct stats_interval ratio = stats_ratio_medians(samples, 4, baseline, 5, 0.9, 3);

    (void)state;
    CLOSE(ratio.median, 2);
    assert_true(ratio.low > 1.6 && ratio.low <= 2 && ratio.high >= 2 && ratio.high < 2.4);
    ratio = stats_ratio_medians(samples, 1, baseline, 5, 0.9, 3);
    CLOSE(ratio.confidence, 0);
}

static void test_noise(void **state) {
    const double a[] = { 100, 102, 98, 101, 99 }, b[] = { 101, 99, 100, 98, 102 };
    const double fast[] = { 110, 111, 112, 109, 113 };
    struct stats_interval same = stats_ratio_paired(a, b, 5, 0.9);
    struct stats_interval differs = stats_ratio_paired(fast, b, 5, 0.9);
    struct stats_interval single = stats_ratio_paired(fast, b, 1, 0.9);

    (void)state;
    assert_true(stats_within_noise(&same));
    assert_false(stats_within_noise(&differs));
    assert_true(stats_within_noise(&single)); /* one pair proves nothing */
}

static void test_spread(void **state) {
    struct stats_interval interval = { .median = 100, .low = 97, .high = 105, .confidence = 0.9 };
    struct stats_interval zero = { 0 };

    (void)state;
    CLOSE(stats_spread(&interval), 0.04);
    CLOSE(stats_spread(&zero), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median),           cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_sign_interval),    cmocka_unit_test(test_sign_interval_of_many),
        cmocka_unit_test(test_bootstrap),        cmocka_unit_test(test_paired_ratio_cancels_drift),
        cmocka_unit_test(test_ratio_of_medians), cmocka_unit_test(test_noise),
        cmocka_unit_test(test_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
