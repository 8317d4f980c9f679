/* SPDX-License-Identifier: MIT */
/* The contract at its limits: too much, too little, fork, and misuse. */
#include "test/heaps/contract.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

const char *case_giant(void) {
    size_t gigabyte = (size_t)1 << 30;
    struct sysinfo info;

    if (!sysinfo(&info) && (uint64_t)info.totalram * info.mem_unit < 3 * (uint64_t)gigabyte / 2) {
        return "less than 1.5 GiB of memory";
    }
    for (int round = 0; round < 3; round++) {
        /* A byte more than a power of two must not take twice as much. */
        size_t bytes = gigabyte + (size_t)round;
        char *block = t_malloc(bytes);
        CHECK(block);
        /* Pages that were only promised prove little; on Linux they are not what is tested. */
        if (round == 0 && !access("/proc/mimosa", F_OK)) {
            block_fill(block, bytes, 1);
            CHECK(block_holds(block, bytes, 1));
        }
        block[0] = block[bytes / 2] = block[bytes - 1] = 1;
        CHECK(t_usable_size(block) >= bytes && t_usable_size(block) < bytes + ((size_t)64 << 20));
        t_free(block);
    }
    return PASSED;
}

/* ---- Exhaustion: the system gives pages up to a point, then none ---- */

enum { HOARD = 100000 };
static void *hoard[HOARD];

/*
 * How many blocks may be written to without a small machine's own memory
 * running out, which is not what is tested: a heap may have any amount mapped
 * that it never used.  A block counts double, and costs two pages at most.
 */
static unsigned hoard_limit(size_t bytes) {
    size_t cost = bytes < 4096 ? 2 * bytes : 8192;
    struct sysinfo info;

    if (sysinfo(&info)) {
        return HOARD;
    }
    uint64_t blocks = (uint64_t)info.freeram * info.mem_unit / cost;
    return blocks < HOARD ? (unsigned)blocks : HOARD;
}

/* Allocates until the heap says no, which it must to large blocks; how many it got. */
static unsigned hoard_fill(size_t bytes) {
    unsigned limit = hoard_limit(bytes);

    errno = 0;
    for (unsigned count = 0; count < limit; count++) {
        void *block = t_malloc(bytes);
        if (!block) {
            CHECK(errno == ENOMEM);
            return count;
        }
        block_fill(block, bytes < 64 ? bytes : 64, count);
        hoard[count] = block;
    }
    CHECK(bytes < 100000);
    return limit;
}

static void hoard_free(unsigned count, size_t bytes) {
    for (unsigned i = 0; i < count; i++) {
        CHECK(block_holds(hoard[i], bytes < 64 ? bytes : 64, i));
        t_free(hoard[i]);
    }
}

#ifdef CONTRACT_TABLE

/* heaps/pages.h's door, shut at the n-th knock (ld --wrap). */
void *__real_heap_map_pages(size_t bytes, size_t align);
void *__wrap_heap_map_pages(size_t bytes, size_t align);
static _Atomic long knocks_left = -1; /* -1: open for ever */

void *__wrap_heap_map_pages(size_t bytes, size_t align) {
    long left = atomic_load(&knocks_left);

    while (left > 0 && !atomic_compare_exchange_weak(&knocks_left, &left, left - 1)) {
    }
    return left ? __real_heap_map_pages(bytes, align) : NULL;
}

const char *case_exhaustion(void) {
    static const size_t sizes[] = { 16, 3000, 100000, 5000000, 30000000 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (long knocks = 0; knocks < 12; knocks++) {
            char *kept = t_malloc(200);
            CHECK(kept);
            block_fill(kept, 200, 9);
            atomic_store(&knocks_left, knocks);
            unsigned count = hoard_fill(sizes[i]);
            void *grown = t_realloc(kept, (size_t)60 << 20);
            kept = grown ? grown : kept;
            CHECK(block_holds(kept, 200, 9));
            hoard_free(count, sizes[i]);
            atomic_store(&knocks_left, -1);
            t_free(kept);
        }
    }
    return PASSED;
}

#else

static bool set_limit(rlim_t bytes) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit)) {
        return false;
    }
    limit.rlim_cur = bytes;
    return !setrlimit(RLIMIT_AS, &limit);
}

/* Sets how much more address space there is; false if that has no effect. */
static bool limit_space(size_t more) {
    char text[64] = "";
    int file = open("/proc/self/statm", O_RDONLY); /* stdio would ask the heap */
    unsigned long pages;

    if (file < 0 || read(file, text, sizeof(text) - 1) <= 0 || sscanf(text, "%lu", &pages) != 1) {
        return false;
    }
    close(file);
    if (!set_limit(pages * 4096 + more)) {
        return false;
    }
    void *probe = mmap(NULL, more + (1 << 20), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe != MAP_FAILED) {
        munmap(probe, more + (1 << 20));
        set_limit(RLIM_INFINITY);
        return false;
    }
    return true;
}

const char *case_exhaustion(void) {
    static const size_t room[] = { 0, 4096, 65536, 1 << 20, 3 << 20, 40 << 20, 100 << 20 };
    static const size_t sizes[] = { 16, 3000, 100000, 5000000, 30000000 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t j = 0; j < sizeof(room) / sizeof(room[0]); j++) {
            char *kept = t_malloc(200);
            CHECK(kept);
            block_fill(kept, 200, 9);
            if (!limit_space(room[j])) {
                t_free(kept);
                return "RLIMIT_AS limits nothing here";
            }
            unsigned count = hoard_fill(sizes[i]);
            errno = 0;
            char *grown = t_realloc(kept, (size_t)200 << 20);
            CHECK(grown || errno == ENOMEM);
            kept = grown ? grown : kept;
            CHECK(block_holds(kept, 200, 9));
            hoard_free(count, sizes[i]);
            CHECK(set_limit(RLIM_INFINITY));
            t_free(kept);
        }
    }
    /* And all is well again. */
    void *block = t_malloc((size_t)100 << 20);
    CHECK(block);
    t_free(block);
    return PASSED;
}

#endif

/* ---- fork while other threads are in the heap ---- */

static _Atomic bool stop;

static void *keep_busy(void *argument) {
    uint32_t random = (uint32_t)(intptr_t)argument + 1;

    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        void *block = t_malloc(random_next(&random) % 500);
        CHECK(block);
        t_free(block);
        sched_yield(); /* bump keeps every block, and fork copies them all */
    }
    return NULL;
}

/* In the child, whose only thread this is. */
static int child_work(void) {
    for (size_t i = 0; i < 200; i++) {
        char *block = t_malloc(i * 50);
        if (!block) {
            return 3;
        }
        block_fill(block, i * 50, 6);
        block = t_realloc(block, i * 100);
        if (!block || !block_holds(block, i * 50, 6)) {
            return 4;
        }
        t_free(block);
    }
    return 0;
}

const char *case_fork(void) {
    pthread_t threads[3];
    const char *result = PASSED;

#ifdef CONTRACT_TABLE
    const struct heap *heap = heap_choose();
    if (heap->fork_prepare) {
        CHECK(!pthread_atfork(heap->fork_prepare, heap->fork_parent, heap->fork_child));
    }
#endif
    atomic_store(&stop, false);
    for (intptr_t i = 0; i < 3; i++) {
        CHECK(!pthread_create(&threads[i], NULL, keep_busy, (void *)i));
    }
    for (int i = 0; i < 60; i++) {
        pid_t child = fork();
        if (child < 0 && errno == ENOSYS) {
            result = "no fork here";
            break;
        }
        CHECK(child >= 0);
        if (!child) {
            alarm(20); /* a lock held for ever ends by a signal, not never */
            _exit(child_work());
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        CHECK(!pthread_join(threads[i], NULL));
    }
    return result;
}

/* ---- Misuse ---- */

static void free_twice(size_t bytes) {
    char *volatile first = t_malloc(bytes);
    char *volatile second = t_malloc(bytes);
    char *volatile live = t_malloc(bytes); /* a heap does not give all of its page back */

    t_free(first);
    t_free(second);
    t_free(first);
    live[0] = 1;
}

int misuse(const char *name) {
    static char not_a_block[4096];

    if (!strcmp(name, "double-free")) {
        free_twice(48);
    } else if (!strcmp(name, "double-free-page")) {
        free_twice(9000);
    } else if (!strcmp(name, "double-free-large")) {
        free_twice((size_t)40 << 20);
    } else if (!strcmp(name, "wild-free")) {
        t_free(not_a_block + 64);
    } else if (!strcmp(name, "inner-free")) {
        char *volatile block = t_malloc(1000);
        t_free(block + 128);
    } else {
        fprintf(stderr, "contract: no misuse is called '%s'\n", name);
        return 2;
    }
    printf("%s: unnoticed\n", name);
    fflush(stdout);
    _exit(0); /* no exit handlers: in a damaged heap they may never end */
}
