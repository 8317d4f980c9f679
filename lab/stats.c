/* SPDX-License-Identifier: MIT */
/*
 * Statistics for a handful of noisy samples.
 *
 * Benchmarks on a shared machine are skewed: now and then something else runs,
 * and a sample is slow.  So: medians instead of means, and intervals that
 * assume no distribution.
 *
 * The sign test.  Each sample lies below the true median with probability one
 * half.  With n samples sorted, the true median lies outside [x(k), x(n+1-k)]
 * only when fewer than k samples fell on one side; that has the probability
 * 2 * sum of C(n, i) / 2^n for i < k.  For n = 5 and k = 1: 2/32, so the range
 * of five samples holds the median with 93.75 %.
 *
 * Ratios.  Runs are interleaved in rounds, so that a pair of one round met the
 * same machine.  The median of the five ratios with its sign interval is
 * therefore steadier than the ratio of the medians, and is what the report
 * uses; the bootstrap (Efron 1979) serves where rounds do not pair up.
 */
#include "lab/stats.h"

#include <string.h>

#define RESAMPLES 2000u

static void sort(double *values, size_t count) {
    /* Insertion sort: counts are small, and no libc sort may allocate here. */
    for (size_t i = 1; i < count; i++) {
        double value = values[i];
        size_t at = i;

        for (; at > 0 && values[at - 1] > value; at--) {
            values[at] = values[at - 1];
        }
        values[at] = value;
    }
}

static double sorted_quantile(const double *sorted, size_t count, double q) {
    double position = q * (double)(count - 1);
    size_t below = (size_t)position;

    if (below + 1 >= count) {
        return sorted[count - 1];
    }
    return sorted[below] + (position - (double)below) * (sorted[below + 1] - sorted[below]);
}

/* Copies and sorts; returns the number kept. */
static size_t sorted_copy(double *to, const double *samples, size_t count) {
    count = count < STATS_MAX ? count : STATS_MAX;
    memcpy(to, samples, count * sizeof(*to));
    sort(to, count);
    return count;
}

double stats_quantile(const double *samples, size_t count, double q) {
    double sorted[STATS_MAX];

    count = sorted_copy(sorted, samples, count);
    return sorted_quantile(sorted, count, q);
}

double stats_median(const double *samples, size_t count) {
    return stats_quantile(samples, count, 0.5);
}

struct stats_interval stats_sign_interval(const double *samples, size_t count, double confidence) {
    double sorted[STATS_MAX];
    struct stats_interval result;
    double term = 1; /* C(n, i) / 2^n, from i = 0 */
    double tail;     /* the probability of one tail, i < k */
    size_t k = 1;

    count = sorted_copy(sorted, samples, count);
    for (size_t i = 0; i < count; i++) {
        term /= 2;
    }
    tail = term;
    while (2 * (k + 1) <= count) {
        double next = term * (double)(count - k + 1) / (double)k;

        if (1 - 2 * (tail + next) < confidence) {
            break;
        }
        term = next;
        tail += next;
        k++;
    }
    result.median = sorted_quantile(sorted, count, 0.5);
    result.low = sorted[k - 1];
    result.high = sorted[count - k];
    result.confidence = count > 1 ? 1 - 2 * tail : 0;
    return result;
}

static size_t random_below(uint64_t *state, size_t bound) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)((*state >> 33) % bound);
}

static double resampled_median(const double *samples, size_t count, uint64_t *state) {
    double drawn[STATS_MAX];

    for (size_t i = 0; i < count; i++) {
        drawn[i] = samples[random_below(state, count)];
    }
    sort(drawn, count);
    return sorted_quantile(drawn, count, 0.5);
}

static void interval_of(double *estimates, double confidence, struct stats_interval *result) {
    sort(estimates, RESAMPLES);
    result->low = sorted_quantile(estimates, RESAMPLES, (1 - confidence) / 2);
    result->high = sorted_quantile(estimates, RESAMPLES, (1 + confidence) / 2);
    result->confidence = confidence;
}

struct stats_interval stats_bootstrap_interval(const double *samples, size_t count,
                                               double confidence, uint64_t seed) {
    double estimates[RESAMPLES];
    struct stats_interval result = { 0 };
    uint64_t state = seed;

    for (size_t i = 0; i < RESAMPLES; i++) {
        estimates[i] = resampled_median(samples, count, &state);
    }
    result.median = stats_median(samples, count);
    interval_of(estimates, confidence, &result);
    result.confidence = count > 1 ? confidence : 0;
    return result;
}

struct stats_interval stats_ratio_paired(const double *samples, const double *baseline,
                                         size_t count, double confidence) {
    double ratios[STATS_MAX];

    count = count < STATS_MAX ? count : STATS_MAX;
    for (size_t i = 0; i < count; i++) {
        ratios[i] = samples[i] / baseline[i];
    }
    return stats_sign_interval(ratios, count, confidence);
}

struct stats_interval stats_ratio_medians(const double *samples, size_t count,
                                          const double *baseline, size_t baseline_count,
                                          double confidence, uint64_t seed) {
    double estimates[RESAMPLES];
    struct stats_interval result = { 0 };
    uint64_t state = seed;

    for (size_t i = 0; i < RESAMPLES; i++) {
        estimates[i] = resampled_median(samples, count, &state) /
                       resampled_median(baseline, baseline_count, &state);
    }
    result.median = stats_median(samples, count) / stats_median(baseline, baseline_count);
    interval_of(estimates, confidence, &result);
    if (count < 2 || baseline_count < 2) {
        result.confidence = 0;
    }
    return result;
}

bool stats_within_noise(const struct stats_interval *ratio) {
    return ratio->confidence <= 0 || (ratio->low <= 1 && ratio->high >= 1);
}

double stats_spread(const struct stats_interval *interval) {
    if (interval->median <= 0) {
        return 0;
    }
    return (interval->high - interval->low) / 2 / interval->median;
}
