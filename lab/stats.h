/* SPDX-License-Identifier: MIT */
/*
 * Statistics for a handful of noisy samples: medians, intervals that assume
 * no distribution, and ratios of runs that were interleaved.
 *
 * Pure: no state, no allocation; arrays belong to the caller and are not
 * changed.  Samples are doubles in any unit; NaN must not be among them.
 * Every function needs count >= 1 and count <= STATS_MAX unless it says
 * otherwise.
 */
#ifndef LAB_STATS_H
#define LAB_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATS_MAX 1024u

/* A median and where the true one lies. */
struct stats_interval {
    double median;
    double low, high;
    double confidence; /* of [low, high], 0 to 1; 0 when count is 1 */
};

/* The middle value; the mean of the two middle ones when count is even. */
double stats_median(const double *samples, size_t count);

/* The quantile q (0 to 1), linear between neighbours (Hyndman and Fan's type 7). */
double stats_quantile(const double *samples, size_t count, double q);

/*
 * The sign-test interval of the median: the narrowest pair of order statistics
 * (from both ends alike) that holds it with at least `confidence`, or else the
 * smallest and the largest sample; the result says which confidence that has.
 * Five samples: smallest to largest, 94 %.
 */
struct stats_interval stats_sign_interval(const double *samples, size_t count, double confidence);

/*
 * The percentile bootstrap interval of the median, 2,000 resamples; the same
 * seed gives the same answer.
 */
struct stats_interval stats_bootstrap_interval(const double *samples, size_t count,
                                               double confidence, uint64_t seed);

/*
 * The ratio of `samples` to `baseline`, taken pair by pair: samples[i] and
 * baseline[i] must be of the same round, so that what the machine did to both
 * cancels.  Baselines must not be 0.  The interval is the sign test's.
 */
struct stats_interval stats_ratio_paired(const double *samples, const double *baseline,
                                         size_t count, double confidence);

/*
 * The ratio of two medians whose samples do not belong together; bootstrap
 * interval, as above.
 */
struct stats_interval stats_ratio_medians(const double *samples, size_t count,
                                          const double *baseline, size_t baseline_count,
                                          double confidence, uint64_t seed);

/*
 * Whether a ratio cannot be told from 1: its interval holds 1, or it has no
 * confidence at all (a single pair).
 */
bool stats_within_noise(const struct stats_interval *ratio);

/*
 * The spread beside a median: half the width of the interval, relative to the
 * median (0.03 reads as plus or minus 3 %).  0 when the median is 0.
 */
double stats_spread(const struct stats_interval *interval);

#endif
