/* SPDX-License-Identifier: MIT */
/* tests: dev/wire_parse.c cli/frame.c cli/util.c */
/* The wire's fuzzer over its kept corpus. */
#include "test/fuzz/wire_fuzz.c"
#define CORPUS "test/fuzz/corpus/wire"
#include "test/host/fuzz_corpus.h"
