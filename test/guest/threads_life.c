/* SPDX-License-Identifier: MIT */
/*
 * The life of threads: created, cancelled, detached, a thousand at once, none
 * to be had, spinning; and what the system says of its CPUs.
 *
 * guest: mem=512M timeout=180
 */
#define _GNU_SOURCE
#include "test/guest/gate.h"
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

static void *thread_return(void *arg) {
    return arg;
}

static void create_and_join(void) {
    for (long i = 0; i < 200; i++) {
        pthread_t thread;
        REQUIRE(thread_start(&thread, thread_return, (void *)i));
        CHECK(thread_join(thread) == (void *)i);
    }
}

static pid_t worker_tid;

static void *report_tid(void *arg) {
    __atomic_store_n(&worker_tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
    CHECK(getpid() != worker_tid);
    return arg;
}

static void thread_ids(void) {
    pthread_t thread;
    CHECK_EQ(syscall(SYS_gettid), getpid());
    REQUIRE(thread_start(&thread, report_tid, NULL));
    thread_join(thread);
    CHECK(worker_tid > 0 && worker_tid != getpid());
}

static long cleanups;

static void count_cleanup(void *arg) {
    __atomic_fetch_add(&cleanups, (long)arg, __ATOMIC_RELAXED);
}

static int asleep;

static void *sleep_for_ever(void *arg) {
    pthread_cleanup_push(count_cleanup, arg);
    __atomic_store_n(&asleep, 1, __ATOMIC_RELEASE);
    for (;;)
        sleep(1000);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *compute_for_ever(void *arg) {
    pthread_cleanup_push(count_cleanup, arg);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    __atomic_store_n(&asleep, 1, __ATOMIC_RELEASE);
    for (;;)
        __asm__ volatile("");
    pthread_cleanup_pop(0);
    return NULL;
}

static void *cancel_disabled(void *arg) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    __atomic_store_n(&asleep, 1, __ATOMIC_RELEASE);
    sleep_ms(30);
    __atomic_fetch_add(&cleanups, 1, __ATOMIC_RELAXED);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_testcancel();
    return arg;
}

static void cancel_one(void *(*run)(void *), long expected) {
    pthread_t thread;
    cleanups = asleep = 0;
    REQUIRE(thread_start(&thread, run, (void *)expected));
    CHECK_SOON(__atomic_load_n(&asleep, __ATOMIC_ACQUIRE));
    CHECK_EQ(pthread_cancel(thread), 0);
    CHECK(thread_join(thread) == PTHREAD_CANCELED);
    CHECK_EQ(cleanups, expected);
}

static void cancel_sleeper(void) {
    cancel_one(sleep_for_ever, 5);
}
static void cancel_computer(void) {
    cancel_one(compute_for_ever, 7);
}
static void cancel_waits_for_enable(void) {
    cancel_one(cancel_disabled, 1);
}

static long detached_done;

static void *detached(void *arg) {
    __atomic_fetch_add(&detached_done, 1, __ATOMIC_RELAXED);
    return arg;
}

static void detach(void) {
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        REQUIRE(thread_start(&thread, detached, NULL));
        CHECK_EQ(pthread_detach(thread), 0);
    }
    CHECK_SOON(__atomic_load_n(&detached_done, __ATOMIC_RELAXED) == 200);
}

#define MANY 1000

static void thousand_at_once(void) {
    static pthread_t threads[MANY];
    long sum = 0;
    gate_close();
    for (long i = 0; i < MANY; i++)
        REQUIRE(thread_start(&threads[i], gate_wait, (void *)i));
    gate_open(MANY);
    for (int i = 0; i < MANY; i++)
        sum += (long)thread_join(threads[i]);
    CHECK_EQ(sum, (long)MANY * (MANY - 1) / 2);
}

/* Address space is limited, so that a stack cannot be mapped: EAGAIN, and life goes on. */
static void create_without_memory(void) {
    static pthread_t threads[64];
    struct rlimit old, tight;
    pthread_attr_t attr;
    int created = 0, error = 0;
    REQUIRE(getrlimit(RLIMIT_AS, &old) == 0);
    tight = old;
    tight.rlim_cur = 600UL << 20;
    REQUIRE(setrlimit(RLIMIT_AS, &tight) == 0);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 << 20);
    gate_close();
    while (created < 64 && !(error = pthread_create(&threads[created], &attr, gate_wait, NULL)))
        created++;
    CHECK_EQ(error, EAGAIN);
    CHECK(created >= 1 && created < 64);
    CHECK_EQ(setrlimit(RLIMIT_AS, &old), 0);
    gate_open(created);
    for (int i = 0; i < created; i++)
        thread_join(threads[i]);
    pthread_t thread;
    REQUIRE(thread_start(&thread, thread_return, NULL));
    thread_join(thread);
}

static void create_with_impossible_stack(void) {
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    REQUIRE(pthread_attr_setstacksize(&attr, 1UL << 44) == 0);
    CHECK_EQ(pthread_create(&thread, &attr, thread_return, NULL), EAGAIN);
    REQUIRE(thread_start(&thread, thread_return, NULL));
    thread_join(thread);
}

static int stop_spinning;

static void *spin(void *arg) {
    while (!__atomic_load_n(&stop_spinning, __ATOMIC_RELAXED))
        __asm__ volatile("pause");
    return arg;
}

static void *count_up(void *arg) {
    for (int i = 0; i < 50; i++) {
        sleep_ms(1);
        ++*(long *)arg;
    }
    return arg;
}

static void spinners_starve_nobody(void) {
    int cpus[CPUS_MAX], count = cpus_list(cpus);
    pthread_t spinners[CPUS_MAX + 2], counters[4];
    long counts[4] = { 0 };
    int spinning = count + 2; /* more than there are CPUs */
    __atomic_store_n(&stop_spinning, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < spinning; i++)
        REQUIRE(thread_start(&spinners[i], spin, NULL));
    for (int i = 0; i < 4; i++)
        REQUIRE(thread_start(&counters[i], count_up, &counts[i]));
    for (int i = 0; i < 4; i++) {
        thread_join(counters[i]);
        CHECK_EQ(counts[i], 50);
    }
    __atomic_store_n(&stop_spinning, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < spinning; i++)
        thread_join(spinners[i]);
}

static void *where_am_i(void *arg) {
    unsigned cpu = ~0u, node = ~0u;
    (void)arg;
    CHECK_EQ(syscall(SYS_getcpu, &cpu, &node, NULL), 0);
    return (void *)(long)cpu;
}

static void cpus_are_true(void) {
    int cpus[CPUS_MAX], count = cpus_list(cpus);
    const char *given = getenv("GUEST_CPUS");
    if (given) /* what whoever made the machine says */
        CHECK_EQ(count, atoi(given));
    CHECK_EQ(sysconf(_SC_NPROCESSORS_ONLN), count);
    CHECK(sysconf(_SC_NPROCESSORS_CONF) >= count);
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        REQUIRE(cpu_pin(cpus[i]) == 0);
        CHECK_EQ((long)where_am_i(NULL), cpus[i]);
        CHECK_EQ(sched_getcpu(), cpus[i]);
        REQUIRE(thread_start(&thread, where_am_i, NULL)); /* it inherits the mask */
        CHECK_EQ((long)thread_join(thread), cpus[i]);
    }
    CHECK_EQ(cpu_unpin(cpus, count), 0);
    cpu_set_t none;
    CPU_ZERO(&none);
    CHECK_ERRNO(sched_setaffinity(0, sizeof none, &none), EINVAL);
    CHECK_ERRNO(sched_getaffinity(999999, sizeof none, &none), ESRCH);
}

/* All CPUs must be inside the barrier at once, each thread pinned to its own. */
static pthread_barrier_t together;

static void *meet(void *arg) {
    cpu_pin((int)(long)arg);
    for (int i = 0; i < 20; i++)
        pthread_barrier_wait(&together);
    return NULL;
}

static void every_cpu_runs_threads(void) {
    int cpus[CPUS_MAX], count = cpus_list(cpus);
    pthread_t threads[CPUS_MAX];
    pthread_barrier_init(&together, NULL, count);
    for (int i = 0; i < count; i++)
        REQUIRE(thread_start(&threads[i], meet, (void *)(long)cpus[i]));
    for (int i = 0; i < count; i++)
        thread_join(threads[i]);
    pthread_barrier_destroy(&together);
}

GUEST_MAIN(CASE(create_and_join), CASE(thread_ids), CASE(cancel_sleeper), CASE(cancel_computer),
           CASE(cancel_waits_for_enable), CASE(detach), CASE(thousand_at_once),
           CASE(create_without_memory), CASE(create_with_impossible_stack),
           CASE(spinners_starve_nobody), CASE(cpus_are_true), CASE(every_cpu_runs_threads))
