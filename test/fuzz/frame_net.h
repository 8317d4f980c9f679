/* SPDX-License-Identifier: MIT */
/* What lwIP asks of net/, as the fuzzer of frames wants it to be. */
#ifndef TEST_FUZZ_FRAME_NET_H
#define TEST_FUZZ_FRAME_NET_H

#include "base/types.h"

extern bool memory_is_short; /* net_memory_is_short() */
extern bool clock_wanted;    /* lwIP has asked for TCP's clock */
extern unsigned allocations_left;

#endif
