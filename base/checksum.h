/* SPDX-License-Identifier: MIT */
/* The Internet checksum (RFC 1071). */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include "base/types.h"

/*
 * The one's complement sum of `size` bytes as 16-bit words in memory order, not
 * yet complemented; an odd last byte counts as if a zero byte followed.
 */
uint16_t checksum_sum(const void *data, size_t size);

#endif
