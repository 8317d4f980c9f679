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

#endif
