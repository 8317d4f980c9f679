/* SPDX-License-Identifier: MIT */
/* As the paper has it, for little-endian machines. */
#include "base/siphash.h"
#include "base/string.h"

#define ROUNDS_WORD 2
#define ROUNDS_END  4

static uint64_t rotate(uint64_t v, unsigned by) {
    return v << by | v >> (64 - by);
}

static void rounds(uint64_t v[4], unsigned count) {
    while (count--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static void take_word(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    rounds(v, ROUNDS_WORD);
    v[0] ^= word;
}

uint64_t siphash(const uint64_t key[2], const void *data, size_t size) {
    /* "somepseudorandomlygeneratedbytes", as big-endian words */
    uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                      key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
    const char *bytes = data;
    uint64_t word = 0;
    size_t at = 0;

    for (; at + sizeof word <= size; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        take_word(v, word);
    }
    word = 0;
    memcpy(&word, bytes + at, size - at);
    take_word(v, word | (uint64_t)size << 56);
    v[2] ^= 0xff;
    rounds(v, ROUNDS_END);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
