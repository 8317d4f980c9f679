/* SPDX-License-Identifier: MIT */
/* What cache-scratch shares with cache-thrash: it differs in its beginning only. */
#ifndef LAB_WORKLOADS_CACHE_THRASH_H
#define LAB_WORKLOADS_CACHE_THRASH_H

#include "lab/harness/harness.h"

extern const struct parameter cache_thrash_parameters[];

/* Refuses parameters that make no sense; 0 or -EINVAL. */
int cache_thrash_prepare(struct job *job);

/* The worker's share of mallocs, passes and frees; adds to its checksum. */
void cache_thrash_work(struct worker *worker);

#endif
