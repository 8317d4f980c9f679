/* SPDX-License-Identifier: MIT */
/*
 * The one's complement sum does not care how wide the words are that it is taken
 * of, as long as carries come back in at the end: 32 bits at a time into 64 have
 * room for 2^32 of them (RFC 1071, section 2).
 */
#include "base/checksum.h"

struct word64 {
    uint64_t v;
} __attribute__((packed, may_alias));
struct word32 {
    uint32_t v;
} __attribute__((packed, may_alias));
struct word16 {
    uint16_t v;
} __attribute__((packed, may_alias));

uint16_t checksum_sum(const void *data, size_t size) {
    const uint8_t *p = data;
    uint64_t sum = 0;

    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), p += sizeof(uint64_t)) {
        uint64_t v = ((const struct word64 *)p)->v;
        sum += (v & UINT32_MAX) + (v >> 32);
    }
    if (size & sizeof(uint32_t)) {
        sum += ((const struct word32 *)p)->v;
        p += sizeof(uint32_t);
    }
    if (size & sizeof(uint16_t)) {
        sum += ((const struct word16 *)p)->v;
        p += sizeof(uint16_t);
    }
    if (size & 1)
        sum += *p; /* little-endian: the byte that is missing is the upper one */
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)sum;
}
