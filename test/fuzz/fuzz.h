/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers share.  One is a function over bytes that a fuzzer chooses;
 * the bytes say what the other side does.  A check that fails ends the program.
 */
#ifndef TEST_FUZZ_FUZZ_H
#define TEST_FUZZ_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include "base/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct input {
    const uint8_t *at;
    size_t left;
};

/* The next bytes of the input; zeros behind its end. */
static inline uint8_t input_u8(struct input *in) {
    return in->left ? in->left--, *in->at++ : 0;
}

static inline uint16_t input_u16(struct input *in) {
    uint16_t low = input_u8(in);

    return (uint16_t)(low | input_u8(in) << 8);
}

static inline uint32_t input_u32(struct input *in) {
    uint32_t low = input_u16(in);

    return low | (uint32_t)input_u16(in) << 16;
}

#endif
