/* SPDX-License-Identifier: MIT */
/*
 * The scheduler from all CPUs at once: threads that wake one another, sleep for
 * moments, yield and compute, while others change where they may run.
 *
 * guest: timeout=120 skips=idle_cpu_takes_work:1,no_cpu_is_forgotten:1:64
 */
#define _GNU_SOURCE
#include "test/guest/linux_abi.h"
#include "test/guest/threads.h"
#include <limits.h>
#include <stdatomic.h>

#define WORKERS 8
#define ROUNDS  400

static int cpus[CPUS_MAX], cpu_total;
static atomic_int stop, tids[WORKERS];
static atomic_uint turns[WORKERS], words[WORKERS];

static long futex(atomic_uint *word, int op, unsigned value, const struct timespec *limit) {
    return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, limit, NULL, 0);
}

static int bind_other(int tid, int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(tid, sizeof set, &set);
}

static int free_other(int tid) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < cpu_total; i++)
        CPU_SET(cpus[i], &set);
    return sched_setaffinity(tid, sizeof set, &set);
}

static void start(pthread_t *threads, void *(*run)(void *), int count) {
    stop = 0;
    cpu_total = cpus_list(cpus);
    memset(tids, 0, sizeof tids);
    memset(turns, 0, sizeof turns);
    memset(words, 0, sizeof words);
    for (int i = 0; i < count; i++)
        REQUIRE(thread_start(&threads[i], run, (void *)(long)i));
    for (int i = 0; i < count; i++)
        CHECK_SOON(tids[i] != 0);
}

static void finish(pthread_t *threads, int count) {
    stop = 1;
    for (int i = 0; i < count; i++) {
        words[i]++;
        futex(&words[i], FUTEX_WAKE, INT_MAX, NULL);
        thread_join(threads[i]);
    }
}

/* A bit of everything that makes the scheduler choose. */
static void *mixed_worker(void *arg) {
    int me = (int)(long)arg;
    unsigned long seed = 77 + (unsigned)me;
    tids[me] = (int)syscall(SYS_gettid);
    while (!stop) {
        unsigned seen = words[me];
        struct timespec nap = { 0, (long)(guest_random(&seed) % 300000) };
        int other = (int)(guest_random(&seed) % WORKERS);
        turns[me]++;
        switch (guest_random(&seed) % 5) {
        case 0:
            futex(&words[me], FUTEX_WAIT, seen, &nap);
            break;
        case 1:
            words[other]++;
            futex(&words[other], FUTEX_WAKE, 1, NULL);
            break;
        case 2:
            sched_yield();
            break;
        case 3:
            nanosleep(&nap, NULL);
            break;
        default:
            for (volatile int i = 0; i < 2000; i++)
                ;
        }
    }
    return NULL;
}

/* Nothing is lost or run twice while affinities change under the workers. */
static void affinity_changes_under_load(void) {
    pthread_t threads[WORKERS];
    unsigned long seed = 4711;
    start(threads, mixed_worker, WORKERS);
    for (int i = 0; i < ROUNDS; i++) {
        int tid = tids[guest_random(&seed) % WORKERS];
        int cpu = cpus[guest_random(&seed) % (unsigned)cpu_total];
        CHECK_EQ(guest_random(&seed) % 4 ? bind_other(tid, cpu) : free_other(tid), 0);
        if (i % 16 == 0)
            sched_yield();
    }
    for (int i = 0; i < WORKERS; i++) {
        unsigned before = turns[i];
        CHECK_SOON(turns[i] != before);
    }
    finish(threads, WORKERS);
}

static void *changing_worker(void *arg) {
    unsigned long seed = 1000 + (unsigned long)arg;
    int me = (int)(long)arg;
    tids[me] = (int)syscall(SYS_gettid);
    while (!stop) {
        int tid = tids[guest_random(&seed) % WORKERS];
        int cpu = cpus[guest_random(&seed) % (unsigned)cpu_total];
        if (tid && guest_random(&seed) % 2)
            CHECK(bind_other(tid, cpu) == 0 || (stop && errno == ESRCH));
        else
            sched_yield();
        turns[me]++;
    }
    return NULL;
}

/* Everybody binds everybody, queued, running or just being stolen. */
static void all_bind_all(void) {
    pthread_t threads[WORKERS];
    start(threads, changing_worker, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        CHECK_SOON(turns[i] >= ROUNDS);
    finish(threads, WORKERS);
}

static void *spinning_worker(void *arg) {
    int me = (int)(long)arg;
    tids[me] = (int)syscall(SYS_gettid);
    while (!stop) {
        turns[me]++;
        words[me] = (unsigned)sched_getcpu() + 1;
    }
    return NULL;
}

/* A thread that runs, and never calls the kernel for long, moves to where another binds it. */
static void running_thread_is_moved(void) {
    pthread_t thread;
    start(&thread, spinning_worker, 1);
    for (int i = 0; i < 3 * cpu_total; i++) {
        int cpu = cpus[i % cpu_total];
        CHECK_EQ(bind_other(tids[0], cpu), 0);
        CHECK_SOON(words[0] == (unsigned)cpu + 1);
    }
    finish(&thread, 1);
}

/* Two that compute on one CPU part when they may and another is idle. */
static void idle_cpu_takes_work(void) {
    pthread_t threads[2];
    cpu_total = cpus_list(cpus);
    if (cpu_total < 2)
        SKIP("one CPU");
    start(threads, spinning_worker, 2);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(bind_other(tids[0], cpus[0]), 0);
        CHECK_EQ(bind_other(tids[1], cpus[0]), 0);
        CHECK_SOON(words[0] == (unsigned)cpus[0] + 1 && words[1] == words[0]);
        CHECK_EQ(free_other(tids[0]), 0);
        CHECK_EQ(free_other(tids[1]), 0);
        CHECK_SOON(words[0] != words[1]);
    }
    finish(threads, 2);
}

static void *passing_worker(void *arg) {
    return arg;
}

/* The threads that spin are on as many CPUs as there are. */
static int all_apart(void) {
    for (int i = 0; i < cpu_total; i++)
        for (int j = 0; j < i; j++)
            if (words[i] == words[j])
                return 0;
    return 1;
}

/* Threads come, are stolen and go until each CPU has fallen asleep in every way it can; then
 * every one still gets work. */
static void no_cpu_is_forgotten(void) {
    pthread_t threads[WORKERS];
    cpu_total = cpus_list(cpus);
    if (cpu_total < 2 || cpu_total > WORKERS)
        SKIP("fewer than 2 CPUs or more than this test has threads");
    for (int i = 0; i < 8; i++) {
        for (int round = 0; round < ROUNDS; round++) {
            REQUIRE(thread_start(&threads[0], passing_worker, NULL));
            REQUIRE(thread_start(&threads[1], passing_worker, NULL));
            thread_join(threads[0]);
            thread_join(threads[1]);
        }
        start(threads, spinning_worker, cpu_total);
        CHECK_SOON(all_apart());
        finish(threads, cpu_total);
    }
}

static void *pair_worker(void *arg) {
    int me = (int)(long)arg, other = me ^ 1;
    struct timespec limit = { 0, 50000 };
    tids[me] = (int)syscall(SYS_gettid);
    while (!stop) {
        unsigned seen = words[me];
        words[other]++;
        futex(&words[other], FUTEX_WAKE, 1, NULL);
        /* Every other time without limit: a lost wake-up would hang. */
        if (words[me] == seen && !stop)
            futex(&words[me], FUTEX_WAIT, seen, turns[me] % 2 ? &limit : NULL);
        turns[me]++;
    }
    words[other]++;
    futex(&words[other], FUTEX_WAKE, 1, NULL);
    return NULL;
}

/* Wake-ups race with time limits and with migration. */
static void wakes_race_with_limits(void) {
    pthread_t threads[WORKERS];
    unsigned long seed = 99;
    start(threads, pair_worker, WORKERS);
    for (int i = 0; i < ROUNDS; i++)
        CHECK_EQ(bind_other(tids[guest_random(&seed) % WORKERS],
                            cpus[guest_random(&seed) % (unsigned)cpu_total]),
                 0);
    for (int i = 0; i < WORKERS; i++)
        CHECK_SOON(turns[i] >= ROUNDS);
    finish(threads, WORKERS);
}

#define MEMBARRIER_PRIVATE          8
#define MEMBARRIER_REGISTER_PRIVATE 16
#define BARRIER_ROUNDS              300

static volatile int fast_flag[BARRIER_ROUNDS], slow_flag[BARRIER_ROUNDS], fast_saw;
static atomic_int round_begun, round_done;

/* Stores, then loads, with nothing between that the CPU knows of. */
static void *fast_side(void *unused) {
    for (int i = 0; i < BARRIER_ROUNDS; i++) {
        while (round_begun <= i)
            sched_yield();
        fast_flag[i] = 1;
        __asm__ volatile("" ::: "memory");
        fast_saw = slow_flag[i];
        round_done = i + 1;
    }
    return unused;
}

/* The other side's membarrier stands for both: not both may miss the other's store. */
static void membarrier_is_a_barrier(void) {
    pthread_t thread;
    int bad = 0;
    if (syscall(SYS_membarrier, MEMBARRIER_REGISTER_PRIVATE, 0, 0))
        SKIP("no membarrier");
    REQUIRE(thread_start(&thread, fast_side, NULL));
    for (int i = 0; i < BARRIER_ROUNDS; i++) {
        round_begun = i + 1;
        slow_flag[i] = 1;
        if (syscall(SYS_membarrier, MEMBARRIER_PRIVATE, 0, 0))
            bad++;
        int saw = fast_flag[i];
        while (round_done <= i)
            sched_yield();
        bad += !saw && !fast_saw;
    }
    thread_join(thread);
    CHECK_EQ(bad, 0);
}

GUEST_MAIN(CASE(affinity_changes_under_load), CASE(all_bind_all), CASE(running_thread_is_moved),
           CASE(idle_cpu_takes_work), CASE(no_cpu_is_forgotten), CASE(wakes_race_with_limits),
           CASE(membarrier_is_a_barrier))
