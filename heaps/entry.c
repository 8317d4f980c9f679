/* SPDX-License-Identifier: MIT */
/*
 * The public malloc family, on top of one heap or of the dispatcher.
 *
 * Compiled with HEAP_DIRECT=heap_NAME, each entry is a jump to that heap's
 * function; without, a load of the dispatcher's pointer and a jump through the
 * table.  Everything that all heaps share is here.
 */
#include "heaps/heap.h"

#include <errno.h>
#include <pthread.h>

#ifdef HEAP_DIRECT
#define ENTRY_JOIN2(a, b) a##_##b
#define ENTRY_JOIN(a, b)  ENTRY_JOIN2(a, b)
#define HEAP(function)    ENTRY_JOIN(HEAP_DIRECT, function)
#define HEAP_TABLE()      (&HEAP_DIRECT)
#else
#include "heaps/dispatch/dispatch.h"
#define HEAP(function) heap_chosen()->function
#define HEAP_TABLE()   heap_choose()
#endif

/* libc's headers decorate some of these differently; ours are the definitions. */
void *malloc(size_t bytes);
void free(void *block);
void *calloc(size_t count, size_t bytes);
void *realloc(void *block, size_t bytes);
void *reallocarray(void *block, size_t count, size_t bytes);
void *aligned_alloc(size_t align, size_t bytes);
int posix_memalign(void **block, size_t align, size_t bytes);
void *memalign(size_t align, size_t bytes);
void *valloc(size_t bytes);
void *pvalloc(size_t bytes);
size_t malloc_usable_size(void *block);

void *malloc(size_t bytes) {
    return HEAP(malloc)(bytes);
}

void free(void *block) {
    HEAP(free)(block);
}

void *calloc(size_t count, size_t bytes) {
    return HEAP(calloc)(count, bytes);
}

void *realloc(void *block, size_t bytes) {
    return HEAP(realloc)(block, bytes);
}

void *reallocarray(void *block, size_t count, size_t bytes) {
    size_t total;

    if (__builtin_mul_overflow(count, bytes, &total)) {
        return heap_no_memory();
    }
    return HEAP(realloc)(block, total);
}

static bool is_power_of_two(size_t number) {
    return number && !(number & (number - 1));
}

void *aligned_alloc(size_t align, size_t bytes) {
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    /* Neither a heap's arithmetic nor an address space has room for these. */
    if (bytes > HEAP_MAX_REQUEST || align > HEAP_MAX_REQUEST / 2 ||
        bytes > HEAP_MAX_REQUEST - align) {
        return heap_no_memory();
    }
    return HEAP(aligned_alloc)(align, bytes);
}

void *memalign(size_t align, size_t bytes) {
    return aligned_alloc(align, bytes);
}

int posix_memalign(void **block, size_t align, size_t bytes) {
    int saved = errno;

    if (align < sizeof(void *) || !is_power_of_two(align)) {
        return EINVAL;
    }
    void *made = aligned_alloc(align, bytes);
    errno = saved; /* it answers by its result alone */
    if (!made) {
        return ENOMEM;
    }
    *block = made;
    return 0;
}

void *valloc(size_t bytes) {
    return aligned_alloc(HEAP_PAGE, bytes);
}

/* Whole pages; one at least. */
void *pvalloc(size_t bytes) {
    if (bytes > HEAP_MAX_REQUEST - HEAP_PAGE) {
        return heap_no_memory();
    }
    bytes = (bytes + HEAP_PAGE - 1) & ~(HEAP_PAGE - 1);
    return aligned_alloc(HEAP_PAGE, bytes ? bytes : HEAP_PAGE);
}

size_t malloc_usable_size(void *block) {
    return block ? HEAP(usable_size)(block) : 0;
}

const char *mimosa_heap_name(void) {
    return HEAP_TABLE()->name;
}

void mimosa_heap_stats(struct mimosa_heap_stats *stats) {
    HEAP_TABLE()->stats(stats);
}

/*
 * Before all other constructors, so that the heap's handler is the first to be
 * registered: fork then takes the heap's lock last and gives it back first, and
 * other handlers may use malloc.
 */
__attribute__((constructor(101))) static void register_fork(void) {
    const struct heap *heap = HEAP_TABLE();

    if (heap->fork_prepare) {
        /* Fails only without memory, at the very start: then fork goes unguarded. */
        (void)pthread_atfork(heap->fork_prepare, heap->fork_parent, heap->fork_child);
    }
}
