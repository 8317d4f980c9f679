/* SPDX-License-Identifier: MIT */
/*
 * One atomic pointer to a constant table.  It starts at `undecided`, each of
 * whose functions chooses a heap and passes the call on.  Threads that make
 * their first call at once read the same environment; the compare-and-swap
 * makes the first one's choice everybody's, even if one changed it meanwhile.
 *
 * The environment is read through `environ`, not getenv, which a program may
 * replace, and which need not be ready in the earliest calls.
 */
#include "heaps/dispatch/dispatch.h"

#include <string.h>
#include <unistd.h>

extern char **environ;

static void *first_malloc(size_t bytes) {
    return heap_choose()->malloc(bytes);
}

static void first_free(void *block) {
    heap_choose()->free(block);
}

static void *first_calloc(size_t count, size_t bytes) {
    return heap_choose()->calloc(count, bytes);
}

static void *first_realloc(void *block, size_t bytes) {
    return heap_choose()->realloc(block, bytes);
}

static void *first_aligned_alloc(size_t align, size_t bytes) {
    return heap_choose()->aligned_alloc(align, bytes);
}

static size_t first_usable_size(void *block) {
    return heap_choose()->usable_size(block);
}

static void first_stats(struct mimosa_heap_stats *stats) {
    heap_choose()->stats(stats);
}

static const struct heap undecided = {
    .malloc = first_malloc,
    .free = first_free,
    .calloc = first_calloc,
    .realloc = first_realloc,
    .aligned_alloc = first_aligned_alloc,
    .usable_size = first_usable_size,
    .stats = first_stats,
};

struct heap_choice heap_choice = { .table = &undecided };

static const char *wanted(void) {
    static const char variable[] = "MIMOSA_HEAP=";

    for (char **entry = environ; entry && *entry; entry++) {
        if (!strncmp(*entry, variable, sizeof(variable) - 1)) {
            const char *name = *entry + sizeof(variable) - 1;
            return *name ? name : HEAP_DEFAULT;
        }
    }
    return HEAP_DEFAULT;
}

static void append(char *line, size_t size, const char *text) {
    size_t used = strlen(line), length = strlen(text);

    if (length > size - 1 - used) {
        length = size - 1 - used;
    }
    memcpy(line + used, text, length);
    line[used + length] = '\0';
}

static _Noreturn void refuse(const char *name) {
    char line[256] = "mimosa: MIMOSA_HEAP=";

    append(line, 100, name); /* whatever it is, the list below must fit */
    append(line, sizeof(line) - 1, ": no such heap; there are:");
    for (const struct heap *const *heap = heap_known; *heap; heap++) {
        append(line, sizeof(line) - 1, " ");
        append(line, sizeof(line) - 1, (*heap)->name);
    }
    append(line, sizeof(line), "\n");
    ssize_t written = write(STDERR_FILENO, line, strlen(line));
    (void)written; /* nobody left to tell */
    _exit(125);
}

const struct heap *heap_choose(void) {
    const struct heap *chosen = heap_chosen();

    if (chosen != &undecided) {
        return chosen;
    }
    const char *name = wanted();
    for (const struct heap *const *heap = heap_known; *heap; heap++) {
        if (!strcmp((*heap)->name, name)) {
            /* release; pairs with the acquire in heap_chosen.  acquire: another's choice */
            if (atomic_compare_exchange_strong_explicit(&heap_choice.table, &chosen, *heap,
                                                        memory_order_acq_rel,
                                                        memory_order_acquire)) {
                return *heap;
            }
            return chosen; /* another thread's choice */
        }
    }
    refuse(name);
}
