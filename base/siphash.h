/* SPDX-License-Identifier: MIT */
/* SipHash-2-4 (Aumasson and Bernstein, 2012): a hash that nobody foretells without the key. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include "base/types.h"

uint64_t siphash(const uint64_t key[2], const void *data, size_t size);

#endif
