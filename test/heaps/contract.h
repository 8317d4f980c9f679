/* SPDX-License-Identifier: MIT */
/*
 * The heap contract (heaps/heap.h) as a test program: one static program, run
 * once for each heap by MIMOSA_HEAP, on Linux and on Mimosa alike.
 *
 *   contract                 every case but those that run apart
 *   contract CASE...         these cases
 *   contract --list          their names
 *   contract --die MISUSE    misuse the heap; how it ends is the caller's to judge
 *
 * Status 0: all passed or were skipped (with a line that says why); 1: a check
 * failed, with a line that says which.
 *
 * With CONTRACT_TABLE the calls go to the heap's table rather than to the
 * public names: so a heap runs on the host, beside libc's malloc and under a
 * sanitizer, which needs that malloc for itself.
 */
#ifndef TEST_HEAPS_CONTRACT_H
#define TEST_HEAPS_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef CONTRACT_TABLE
#include "heaps/dispatch/dispatch.h"
#define t_malloc        heap_chosen()->malloc
#define t_free          heap_chosen()->free
#define t_calloc        heap_chosen()->calloc
#define t_realloc       heap_chosen()->realloc
#define t_aligned_alloc heap_chosen()->aligned_alloc
#define t_usable_size   heap_chosen()->usable_size
#define t_heap_name()   (heap_choose()->name)
#define t_heap_stats    heap_chosen()->stats
#else
#include <malloc.h>
#include <mimosa/heap.h>
#include <stdlib.h>
void *pvalloc(size_t bytes); /* musl declares none */
#define t_malloc        malloc
#define t_free          free
#define t_calloc        calloc
#define t_realloc       realloc
#define t_aligned_alloc aligned_alloc
#define t_usable_size   malloc_usable_size
#define t_heap_name     mimosa_heap_name
#define t_heap_stats    mimosa_heap_stats
#endif

/* Ends the program with status 1 and a line that names the check. */
_Noreturn void contract_fail(const char *file, int line, const char *what);
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            contract_fail(__FILE__, __LINE__, #condition);                                         \
        }                                                                                          \
    } while (0)

/* A case ends with these: passed, or "could not be tried here, because". */
#define PASSED NULL
typedef const char *contract_case(void);

/*
 * Fills a block with bytes that depend on `seed` and place, and checks that
 * they are still there.  Blocks above 64 KiB only at both ends and once a page.
 */
void block_fill(void *block, size_t bytes, uint32_t seed);
bool block_holds(const void *block, size_t bytes, uint32_t seed);

/* xorshift: small, seeded, without a lock. */
uint32_t random_next(uint32_t *state);

/* How much work: CONTRACT_WORK=N multiplies, CONTRACT_WORK=/N divides; with a sanitizer a tenth. */
unsigned contract_work(unsigned operations);

/* basic.c */
contract_case case_sizes, case_beyond, case_align, case_family, case_calloc, case_realloc,
    case_usable, case_fuzz, case_stats;
/* threads.c */
contract_case case_cross_thread, case_thread_exit, case_tls_destructor, case_hammer,
    case_first_act_born, case_first_act_moved, case_many_threads;
/* limits.c */
contract_case case_giant, case_exhaustion, case_fork;

/* limits.c: misuses the heap by name; says so and exits if that went unnoticed; 2: no such name. */
int misuse(const char *name);

#endif
