/* SPDX-License-Identifier: MIT */
/*
 * The mimalloc heap: the real one (src/static.c of its sources), by its public
 * names alone, declared here so that any version from 1.6.3 to 3.x fits.
 *
 * mimalloc is compiled without its override of malloc.  It has a constructor
 * of its own, and one TLS key (its hook for a thread's end); both act
 * whichever heap a program with all heaps has chosen, and cost one page.
 *
 * Compiled twice: `mimalloc` for speed, which does not notice a double free,
 * and `mimalloc-secure` (MI_SECURE=4), which does; see heaps/README.md.
 */
#include "heaps/heap.h"

#include <errno.h>
#include <stdatomic.h>

#define MIMALLOC_JOIN2(a, b) a##b
#define MIMALLOC_JOIN(a, b)  MIMALLOC_JOIN2(a, b)
#define MIMALLOC_FN(verb)    MIMALLOC_JOIN(MIMALLOC_TABLE, _##verb)

void *mi_malloc(size_t bytes);
void mi_free(void *block);
void *mi_calloc(size_t count, size_t bytes);
void *mi_realloc(void *block, size_t bytes);
void *mi_malloc_aligned(size_t bytes, size_t align);
size_t mi_usable_size(const void *block);
void mi_register_error(void (*handler)(int error, void *context), void *context)
    __attribute__((weak));
void mi_process_info(size_t *elapsed, size_t *user, size_t *system, size_t *rss, size_t *peak_rss,
                     size_t *commit, size_t *peak_commit, size_t *faults) __attribute__((weak));

static void *checked(void *block) {
    return block ? block : heap_no_memory();
}

void *MIMALLOC_FN(malloc)(size_t bytes) {
    return checked(mi_malloc(bytes));
}

void MIMALLOC_FN(free)(void *block) {
    mi_free(block);
}

void *MIMALLOC_FN(calloc)(size_t count, size_t bytes) {
    return checked(mi_calloc(count, bytes));
}

void *MIMALLOC_FN(realloc)(void *block, size_t bytes) {
    return checked(mi_realloc(block, bytes));
}

void *MIMALLOC_FN(aligned_alloc)(size_t align, size_t bytes) {
    return checked(mi_malloc_aligned(bytes, align));
}

size_t MIMALLOC_FN(usable_size)(void *block) {
    return mi_usable_size(block);
}

/* The peak that any call of stats has told.  relaxed: a number by itself. */
static _Atomic uint64_t highest;

void MIMALLOC_FN(stats)(struct mimosa_heap_stats *stats) {
    size_t skip, commit, peak;

    stats->requested = stats->live = stats->committed = stats->peak = MIMOSA_HEAP_UNKNOWN;
    if (mi_process_info) {
        mi_process_info(&skip, &skip, &skip, &skip, &skip, &commit, &peak, &skip);
        /* Its peak lags behind: it merges a thread's counts when the thread ends. */
        uint64_t seen = atomic_load_explicit(&highest, memory_order_relaxed);
        uint64_t high = peak > commit ? peak : commit;
        while (high > seen &&
               !atomic_compare_exchange_weak_explicit(&highest, &seen, high, memory_order_relaxed,
                                                      memory_order_relaxed)) {
        }
        stats->committed = commit;
        stats->peak = high > seen ? high : seen;
    }
}

#ifdef MIMALLOC_SECURE
/* mimalloc reports and goes on; a program that frees twice is ended instead. */
static void on_error(int error, void *context) {
    (void)context;
    if (error == EAGAIN || error == EFAULT || error == EINVAL) {
        heap_misuse(
            "mimalloc-secure",
            error == EAGAIN ? "double free" : "damaged block, or a pointer that is no block", NULL);
    }
}

__attribute__((constructor)) static void watch_errors(void) {
    if (mi_register_error) {
        mi_register_error(on_error, NULL);
    }
}
#endif

const struct heap MIMALLOC_TABLE = {
    .name = MIMALLOC_NAME,
    .malloc = MIMALLOC_FN(malloc),
    .free = MIMALLOC_FN(free),
    .calloc = MIMALLOC_FN(calloc),
    .realloc = MIMALLOC_FN(realloc),
    .aligned_alloc = MIMALLOC_FN(aligned_alloc),
    .usable_size = MIMALLOC_FN(usable_size),
    .stats = MIMALLOC_FN(stats),
};
