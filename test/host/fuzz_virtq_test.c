/* SPDX-License-Identifier: MIT */
/* tests: dev/virtq.c */
/* The virtqueue's fuzzer over its kept corpus. */
#include "test/fuzz/virtq_fuzz.c"
#define CORPUS "test/fuzz/corpus/virtq"
#include "test/host/fuzz_corpus.h"
