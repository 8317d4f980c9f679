/* SPDX-License-Identifier: MIT */
/* The contract between threads. */
#include "test/heaps/contract.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4 };

static void run_threads(void *(*body)(void *), int count) {
    pthread_t threads[64];

    for (int i = 0; i < count; i++) {
        CHECK(!pthread_create(&threads[i], NULL, body, (void *)(intptr_t)i));
    }
    for (int i = 0; i < count; i++) {
        CHECK(!pthread_join(threads[i], NULL));
    }
}

/* ---- Blocks made here, freed there: a ring of one-block mailboxes ---- */

static _Atomic(uint32_t *) mailbox[THREADS];

static void *pass_on(void *argument) {
    int me = (int)(intptr_t)argument;
    uint32_t random = (uint32_t)me + 99;

    for (unsigned i = 0; i < contract_work(20000); i++) {
        size_t words = 2 + random_next(&random) % (i % 100 ? 100 : 20000);
        uint32_t *block = t_malloc(words * sizeof(*block));
        CHECK(block);
        block[0] = (uint32_t)words;
        block_fill(block + 1, (words - 1) * sizeof(*block), (uint32_t)words);
        /* acq_rel: the contents go with the pointer, both ways */
        block = atomic_exchange_explicit(&mailbox[(me + 1) % THREADS], block, memory_order_acq_rel);
        if (block) {
            CHECK(block_holds(block + 1, (block[0] - 1) * sizeof(*block), block[0]));
            t_free(block);
        }
    }
    return NULL;
}

const char *case_cross_thread(void) {
    run_threads(pass_on, THREADS);
    for (int i = 0; i < THREADS; i++) {
        t_free(atomic_exchange(&mailbox[i], NULL));
    }
    return PASSED;
}

/* ---- A thread's blocks outlive it ---- */

enum { LEFT = 200, LEAVERS = 32 };
static char *left[LEAVERS][LEFT];

static void *leave_blocks(void *argument) {
    intptr_t me = (intptr_t)argument;

    for (uint32_t i = 0; i < LEFT; i++) {
        left[me][i] = t_malloc(i * 13);
        CHECK(left[me][i]);
        block_fill(left[me][i], i * 13, i);
    }
    return NULL;
}

const char *case_thread_exit(void) {
    for (int round = 0; round < 3; round++) {
        run_threads(leave_blocks, LEAVERS);
        for (int thread = 0; thread < LEAVERS; thread++) {
            for (uint32_t i = 0; i < LEFT; i++) {
                CHECK(block_holds(left[thread][i], i * 13, i));
                left[thread][i] = t_realloc(left[thread][i], i * 13 + 1);
                t_free(left[thread][i]);
            }
        }
    }
    return PASSED;
}

/* ---- malloc and free in the last moments of a thread ---- */

static pthread_key_t early_key, late_key;
static _Atomic int destroyed;
static __thread int rounds;
#ifdef CONTRACT_TABLE
enum { ROUNDS = 2 }; /* ThreadSanitizer forgets a thread in the last round */
#else
enum { ROUNDS = 9 }; /* until the library has had enough */
#endif

static void destroy(void *block) {
    char *fresh;

    CHECK(block_holds(block, 300, 5));
    t_free(block);
    fresh = t_malloc(5000);
    CHECK(fresh);
    memset(fresh, 1, 5000);
    t_free(fresh);
    atomic_fetch_add(&destroyed, 1);
    if (rounds++ < ROUNDS) { /* come again */
        fresh = t_malloc(300);
        CHECK(fresh);
        block_fill(fresh, 300, 5);
        CHECK(!pthread_setspecific(early_key, fresh));
    }
}

static void *use_keys(void *argument) {
    char *early = t_malloc(300), *late = t_malloc(300);

    (void)argument;
    CHECK(early && late);
    block_fill(early, 300, 5);
    block_fill(late, 300, 5);
    CHECK(!pthread_setspecific(early_key, early));
    CHECK(!pthread_setspecific(late_key, late));
    return NULL;
}

const char *case_tls_destructor(void) {
    CHECK(!pthread_key_create(&early_key, destroy));
    CHECK(!pthread_key_create(&late_key, destroy));
    for (int round = 0; round < 20; round++) {
        run_threads(use_keys, 8);
    }
    CHECK(destroyed >= 320);
    pthread_key_delete(early_key);
    pthread_key_delete(late_key);
    return PASSED;
}

/* ---- The first act of a thread is malloc, on each CPU but the first ---- */

struct newborn {
    int cpu;    /* where it is born, or to which it moves first */
    bool moves; /* there, before its first act */
};

static void pin(int cpu) {
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    CHECK(!sched_setaffinity(0, sizeof(set), &set));
}

static void *act_first(void *argument) {
    const struct newborn *me = argument;

    if (me->moves) {
        pin(me->cpu);
    }
    char *small = t_malloc(24), *large = t_malloc(300000);
    CHECK(small && large);
    CHECK(sched_getcpu() == me->cpu);
    block_fill(small, 24, 1);
    block_fill(large, 300000, 2);
    CHECK(block_holds(small, 24, 1));
    t_free(small);
    return large;
}

/* Begins with the CPU that CONTRACT_CPU names: there the process makes its first malloc of all. */
static const char *act_everywhere(bool moves) {
    const char *first = getenv("CONTRACT_CPU");
    cpu_set_t all;
    int cpus[CPU_SETSIZE], count = 0;

    CHECK(!sched_getaffinity(0, sizeof(all), &all));
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            cpus[count++] = cpu;
        }
    }
    int others = count > 1 ? count - 1 : 1, begin = first ? atoi(first) - 1 : 0;
    for (int i = 0; i < others; i++) {
        struct newborn newborn = { cpus[count > 1 ? 1 + (begin + i) % others : 0], moves };
        pthread_t thread;
        void *large = NULL;
        pin(moves ? cpus[0] : newborn.cpu);
        CHECK(!pthread_create(&thread, NULL, act_first, &newborn));
        pin(cpus[0]);
        CHECK(!pthread_join(thread, &large));
        CHECK(block_holds(large, 300000, 2));
        t_free(large);
    }
    CHECK(!sched_setaffinity(0, sizeof(all), &all));
    return PASSED;
}

const char *case_first_act_born(void) {
    return act_everywhere(false);
}

const char *case_first_act_moved(void) {
    return act_everywhere(true);
}

/* ---- Everything at once ---- */

enum { SHARED = 256 };
static _Atomic(uint32_t *) shared[SHARED];

static void *hammer(void *argument) {
    uint32_t random = (uint32_t)(intptr_t)argument * 7919 + 1;

    for (unsigned i = 0; i < contract_work(100000); i++) {
        uint32_t kind = random_next(&random) % 1000;
        size_t bytes = 8 + random_next(&random) % (kind < 990 ? 400 : kind < 999 ? 20000 : 1000000);
        uint32_t *block;
        switch (kind % 4) {
        case 0:
            block = t_calloc(1, bytes);
            CHECK(block && !block[0] && !((char *)block)[bytes - 1]);
            break;
        case 1:
            block = t_aligned_alloc((size_t)16 << (kind % 8), bytes);
            break;
        default:
            block = t_malloc(bytes);
        }
        CHECK(block);
        if (kind % 5 == 0) {
            bytes = 8 + random_next(&random) % 3000;
            block = t_realloc(block, bytes);
            CHECK(block);
        }
        block[0] = (uint32_t)bytes;
        block_fill(block + 1, bytes - 4, (uint32_t)bytes);
        block = atomic_exchange_explicit(&shared[random_next(&random) % SHARED], block,
                                         memory_order_acq_rel);
        if (block) {
            CHECK(block_holds(block + 1, block[0] - 4, block[0]));
            t_free(block);
        }
    }
    return NULL;
}

const char *case_hammer(void) {
    run_threads(hammer, THREADS);
    for (int i = 0; i < SHARED; i++) {
        t_free(atomic_exchange(&shared[i], NULL));
    }
    return PASSED;
}

/* ---- 100,000 threads, one after another, leave memory where it was ---- */

static void *touch_heap(void *argument) {
    char *block = t_malloc(16);

    (void)argument;
    CHECK(block);
    block[0] = 1;
    t_free(block);
    return NULL;
}

/* Resident pages, from /proc/self/statm; 0 where there is none. */
static long resident_pages(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    long size = 0, resident = 0;

    if (file) {
        if (fscanf(file, "%ld %ld", &size, &resident) != 2) {
            resident = 0;
        }
        fclose(file);
    }
    return resident;
}

/* KiB that the machine has free, where it is the program's own; else 0. */
static long machine_free_kib(void) {
    FILE *file = access("/proc/mimosa", F_OK) ? NULL : fopen("/proc/meminfo", "r");
    char line[128];
    long free_kib = 0;

    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "MemFree: %ld", &free_kib) == 1) {
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    return free_kib;
}

const char *case_many_threads(void) {
    /* Some first, for what is kept for ever: shards, caches, stacks. */
    for (int i = 0; i < 200; i++) {
        run_threads(touch_heap, THREADS);
    }
    long before = resident_pages(), free_before = machine_free_kib();
    for (int i = 0; i < 100000 / THREADS; i++) {
        run_threads(touch_heap, THREADS);
    }
    long after = resident_pages(), free_after = machine_free_kib();
    printf("     pages %ld, then %ld; free KiB %ld, then %ld\n", before, after, free_before,
           free_after);
    /* A forgotten block of 16 bytes a thread would be 390 pages; bump forgets 32 each: 782. */
    CHECK(after - before < 64 + (strcmp(t_heap_name(), "bump") ? 0 : 782));
    /* The kernel's share of a thread is back as well: of 64 bytes each, 6250 KiB would be gone. */
    CHECK(free_before - free_after < 1024 + (after - before) * 4);
    return before ? PASSED : "no /proc/self/statm";
}
