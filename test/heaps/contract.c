/* SPDX-License-Identifier: MIT */
/* The contract's cases and the helpers they share: see contract.h. */
#include "test/heaps/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct named_case {
    const char *name;
    contract_case *run;
    bool apart; /* only when asked for: it is slow, or must be the first */
};

static const struct named_case cases[] = {
    { "fork", case_fork, false }, /* first: fork copies what the others leave */
    { "sizes", case_sizes, false },
    { "beyond", case_beyond, false },
    { "align", case_align, false },
    { "family", case_family, false },
    { "calloc", case_calloc, false },
    { "realloc", case_realloc, false },
    { "usable", case_usable, false },
    { "fuzz", case_fuzz, false },
    { "stats", case_stats, false },
    { "cross-thread", case_cross_thread, false },
    { "thread-exit", case_thread_exit, false },
    { "tls-destructor", case_tls_destructor, false },
    { "hammer", case_hammer, false },
    { "giant", case_giant, false },
    { "exhaustion", case_exhaustion, false },
    { "many-threads", case_many_threads, true },
    { "first-act-born", case_first_act_born, true },
    { "first-act-moved", case_first_act_moved, true },
};

static const char *current = "start";

void contract_fail(const char *file, int line, const char *what) {
    /* No stdio: the heap under test may be in no state to serve it. */
    char text[512];
    int length = snprintf(text, sizeof(text), "FAIL %s %s: %s:%d: %s\n", t_heap_name(), current,
                          file, line, what);
    ssize_t written = write(STDERR_FILENO, text, (size_t)length);
    (void)written; /* nobody left to tell */
    _exit(1);
}

static unsigned char pattern(size_t at, uint32_t seed) {
    return (unsigned char)((at * 31 + seed * 2654435761u) >> 3);
}

static size_t next_byte(size_t at, size_t bytes) {
    if (bytes <= 65536 || at < 64 || at + 64 >= bytes) {
        return at + 1;
    }
    return at + 4096 < bytes - 64 ? at + 4096 : bytes - 64;
}

void block_fill(void *block, size_t bytes, uint32_t seed) {
    for (size_t at = 0; at < bytes; at = next_byte(at, bytes)) {
        ((unsigned char *)block)[at] = pattern(at, seed);
    }
}

bool block_holds(const void *block, size_t bytes, uint32_t seed) {
    for (size_t at = 0; at < bytes; at = next_byte(at, bytes)) {
        if (((const unsigned char *)block)[at] != pattern(at, seed)) {
            return false;
        }
    }
    return true;
}

uint32_t random_next(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

unsigned contract_work(unsigned operations) {
    const char *factor = getenv("CONTRACT_WORK");

#ifdef CONTRACT_TABLE
    operations /= 10;
#endif
    if (factor && factor[0] == '/' && atoi(factor + 1) > 0) {
        return operations / (unsigned)atoi(factor + 1);
    }
    return factor ? operations * (unsigned)atoi(factor) : operations;
}

static void run_case(const struct named_case *named) {
    current = named->name;
    const char *skipped = named->run();
    if (skipped) {
        printf("skip %s %s: %s\n", t_heap_name(), named->name, skipped);
    } else {
        printf("ok   %s %s\n", t_heap_name(), named->name);
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    const size_t count = sizeof(cases) / sizeof(cases[0]);
    int named = 0;

    if (argc == 3 && !strcmp(argv[1], "--die")) {
        return misuse(argv[2]);
    }
    for (size_t i = 0; i < count; i++) {
        if (argc == 2 && !strcmp(argv[1], "--list")) {
            puts(cases[i].name);
        } else if (argc == 1 && !cases[i].apart) {
            run_case(&cases[i]);
        }
        for (int word = 1; word < argc; word++) {
            if (!strcmp(argv[word], cases[i].name)) {
                run_case(&cases[i]);
                named++;
            }
        }
    }
    if (argc > 1 && named != argc - 1 && strcmp(argv[1], "--list")) {
        fprintf(stderr, "contract: no such case; --list names them\n");
        return 2;
    }
    return 0;
}
