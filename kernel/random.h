/* SPDX-License-Identifier: MIT */
/* Random bytes for the kernel and getrandom. Context: any. */
#ifndef KERNEL_RANDOM_H
#define KERNEL_RANDOM_H

#include "base/types.h"

/* Seeded from RDRAND and the TSC at first use, unless random_seed() came before. */
void random_bytes(void *to, size_t size);
uint64_t random_u64(void);
/* --seed: everything random repeats. */
void random_seed(uint64_t seed);
/*
 * Adds bytes of unknown worth to the state, which is at least as unpredictable
 * afterwards as before, whoever chose them.  False, and nothing done, where
 * random_seed() has been called.
 */
bool random_mix(const void *bytes, size_t size);

#endif
