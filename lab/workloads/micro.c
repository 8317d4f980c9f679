/* SPDX-License-Identifier: MIT */
/*
 * micro: what single operations cost, one line of JSON for each.
 *
 * Made for --icount, where CLOCK_MONOTONIC counts instructions: a nanosecond
 * is an instruction, and a run repeats to a fraction of a percent whatever
 * else the machine does.  Everything runs on one CPU (the thread that measures
 * binds itself), and is repeated so often that the loop and the reading of the
 * clock vanish.
 *
 *   first-touch     first write to a 4 KiB page of fresh memory, clearing included
 *   sparse-touch    the same for every sixteenth page
 *   munmap          per touched page
 *   thread          pthread_create and pthread_join of a thread that returns
 *   getppid         the cheapest system call that libc does not cache
 *   clock           clock_gettime(CLOCK_MONOTONIC) through libc
 *   futex-wake      FUTEX_WAKE until the woken thread runs: half a round trip of
 *                   two threads that wake one another and wait
 *   yield           sched_yield to the other of two runnable threads
 */
#include "lab/harness/harness.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE        4096u
#define PAGE_PASSES 32u

/* Linux's numbers; its header is not part of a libc. */
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129

static const struct parameter parameters[] = {
    { "pages", 4096, "pages touched" },
    { "threads_made", 64, "threads created and joined" },
    { "calls", 20000, "system calls, clock readings, wake-ups and yields" },
    { NULL, 0, NULL },
};

static void report(const char *measure, uint64_t count, uint64_t ns, long faults) {
    printf("{\"workload\":\"micro\",\"measure\":\"%s\",\"count\":%" PRIu64 ",\"ns\":%" PRIu64
           ",\"each\":%.2f,\"faults\":%ld}\n",
           measure, count, ns, (double)ns / (double)count, faults);
    fflush(stdout);
}

static long faults_so_far(void) {
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

struct page_costs {
    uint64_t touch_ns, unmap_ns;
    long faults;
};

/* Maps fresh memory, writes to every `stride`th page of it, and unmaps it. */
static int touch_and_unmap(uint64_t pages, unsigned stride, struct page_costs *sum) {
    size_t bytes = pages * stride * PAGE;
    volatile unsigned char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        return -errno;
    }
    madvise((void *)(uintptr_t)memory, bytes, MADV_NOHUGEPAGE);

    long faults = faults_so_far();
    uint64_t begin = clock_ns();
    for (size_t at = 0; at < bytes; at += (size_t)stride * PAGE) {
        memory[at] = 1;
    }
    uint64_t touched = clock_ns();
    sum->faults += faults_so_far() - faults;
    sum->touch_ns += touched - begin;
    begin = clock_ns();
    munmap((void *)(uintptr_t)memory, bytes);
    sum->unmap_ns += clock_ns() - begin;
    return 0;
}

/* The mean of some passes: where the frames of one lie decides what freeing them costs. */
static int measure_pages(const char *measure, uint64_t pages, unsigned stride) {
    struct page_costs sum = { 0 };
    int error = 0;

    for (unsigned pass = 0; pass < PAGE_PASSES && !error; pass++) {
        error = touch_and_unmap(pages, stride, &sum);
    }
    report(measure, PAGE_PASSES * pages, sum.touch_ns, sum.faults);
    if (stride == 1) {
        report("munmap", PAGE_PASSES * pages, sum.unmap_ns, 0);
    }
    return error;
}

static void *thread_nothing(void *argument) {
    return argument;
}

static int measure_threads(uint64_t count) {
    /* Once before the clock starts: libc and kernel may keep the stack. */
    for (unsigned warm = 0; warm < 2; warm++) {
        uint64_t begin = clock_ns();
        for (uint64_t i = 0; i < count; i++) {
            pthread_t thread;
            int error = pthread_create(&thread, NULL, thread_nothing, NULL);
            if (error) {
                return -error;
            }
            pthread_join(thread, NULL);
        }
        if (warm) {
            report("thread", count, clock_ns() - begin, 0);
        }
    }
    return 0;
}

static void measure_calls(uint64_t count) {
    uint64_t sum = 0;
    uint64_t begin = clock_ns();

    for (uint64_t i = 0; i < count; i++) {
        sum += (uint64_t)getppid();
    }
    report("getppid", count, clock_ns() - begin + (sum == UINT64_MAX), 0);

    begin = clock_ns();
    for (uint64_t i = 0; i < count; i++) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        sum += (uint64_t)now.tv_nsec;
    }
    report("clock", count, clock_ns() - begin + (sum == UINT64_MAX), 0);
}

/* Two threads that wake one another; `turn` says whose turn it is. */
struct pair {
    _Atomic uint32_t turn; /* the futex word */
    uint64_t count;
    _Atomic int ready; /* the partner runs */
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Takes `count` turns as player 0 or 1. */
static void pair_play(struct pair *pair, uint32_t me) {
    for (uint64_t i = 0; i < pair->count; i++) {
        while (atomic_load(&pair->turn) != me) {
            futex_wait(&pair->turn, 1 - me);
        }
        atomic_store(&pair->turn, 1 - me);
        futex_wake(&pair->turn);
    }
}

static void *futex_partner(void *argument) {
    struct pair *pair = argument;

    atomic_store(&pair->ready, 1);
    pair_play(pair, 1);
    return NULL;
}

static void *yield_partner(void *argument) {
    struct pair *pair = argument;

    atomic_store(&pair->ready, 1);
    for (uint64_t i = 0; i < pair->count; i++) {
        sched_yield();
    }
    return NULL;
}

static int measure_futex(uint64_t count) {
    struct pair pair = { .count = count };
    pthread_t thread;
    int error = pthread_create(&thread, NULL, futex_partner, &pair);

    if (error) {
        return -error;
    }
    while (!atomic_load(&pair.ready)) {
        sched_yield();
    }
    uint64_t begin = clock_ns();
    pair_play(&pair, 0);
    uint64_t end = clock_ns();
    pthread_join(thread, NULL);
    report("futex-wake", 2 * count, end - begin, 0);
    return 0;
}

static int measure_yield(uint64_t count) {
    struct pair pair = { .count = count };
    pthread_t thread;
    int error = pthread_create(&thread, NULL, yield_partner, &pair);

    if (error) {
        return -error;
    }
    while (!atomic_load(&pair.ready)) {
        sched_yield();
    }
    uint64_t begin = clock_ns();
    for (uint64_t i = 0; i < count; i++) {
        sched_yield();
    }
    uint64_t end = clock_ns();
    pthread_join(thread, NULL);
    report("yield", 2 * count, end - begin, 0);
    return 0;
}

static int run(struct job *job) {
    uint64_t pages = job_value(job, "pages"), calls = job_value(job, "calls");
    cpu_set_t before, one;
    int error;

    sched_getaffinity(0, sizeof(before), &before);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one);

    error = measure_pages("first-touch", pages, 1);
    error = error ? error : measure_pages("sparse-touch", pages / 16, 16);
    error = error ? error : measure_threads(job_value(job, "threads_made"));
    if (!error) {
        measure_calls(calls);
        error = measure_futex(calls / 4);
    }
    error = error ? error : measure_yield(calls / 4);
    sched_setaffinity(0, sizeof(before), &before);
    return error;
}

const struct workload workload_micro = {
    .name = "micro",
    .summary = "what single operations cost; under --icount in instructions",
    .parameters = parameters,
    .operations = 1,
    .run = run,
};
