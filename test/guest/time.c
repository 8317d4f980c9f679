/* SPDX-License-Identifier: MIT */
/* Clocks and sleeps: monotonic on all CPUs, the vDSO and the system call alike. */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <poll.h>
#include <sys/time.h>
#include <sys/times.h>

static long sys_ns(clockid_t clock) {
    struct timespec now = { 0, 0 };
    if (syscall(SYS_clock_gettime, clock, &now))
        return -1;
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

static long libc_ns(clockid_t clock) {
    struct timespec now = { 0, 0 };
    if (clock_gettime(clock, &now))
        return -1;
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

static const clockid_t steady[] = { CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME,
                                    CLOCK_MONOTONIC_COARSE };

static void clocks_exist(void) {
    static const clockid_t all[] = { CLOCK_REALTIME,           CLOCK_MONOTONIC,
                                     CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
                                     CLOCK_MONOTONIC_RAW,      CLOCK_REALTIME_COARSE,
                                     CLOCK_MONOTONIC_COARSE,   CLOCK_BOOTTIME };
    struct timespec resolution;
    for (unsigned i = 0; i < LENGTH(all); i++) {
        CHECK(sys_ns(all[i]) > 0);
        CHECK(libc_ns(all[i]) > 0);
        CHECK_EQ(clock_getres(all[i], &resolution), 0);
        CHECK(resolution.tv_sec == 0 && resolution.tv_nsec > 0 && resolution.tv_nsec <= 10000000);
    }
    struct timespec now;
    CHECK_ERRNO(clock_gettime(77, &now), EINVAL);
    CHECK_ERRNO(clock_getres(77, &now), EINVAL);
    CHECK_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, (void *)8), EFAULT);
    CHECK_EQ(clock_getres(CLOCK_MONOTONIC, NULL), 0);
}

/* Each reading lies between the ones before and after it, whichever way it came. */
static void vdso_agrees_with_the_system_call(void) {
    for (unsigned i = 0; i < LENGTH(steady); i++)
        for (int round = 0; round < 200; round++) {
            long a = sys_ns(steady[i]), b = libc_ns(steady[i]), c = sys_ns(steady[i]);
            if (!CHECK(a <= b && b <= c))
                break;
        }
    struct timeval now;
    long before = libc_ns(CLOCK_REALTIME);
    CHECK_EQ(gettimeofday(&now, NULL), 0);
    long between = now.tv_sec * 1000000000L + now.tv_usec * 1000;
    long after = libc_ns(CLOCK_REALTIME);
    CHECK(between >= before - 1000 && between <= after);
    CHECK(time(NULL) >= before / 1000000000 - 1); /* time() is coarse */
    CHECK(before > 1500000000L * 1000000000);     /* the host's date has arrived */
}

static long latest;
static int cpus[CPUS_MAX], cpu_count;

/* No CPU ever sees a time before one that another has published. */
static void *publish_time(void *arg) {
    cpu_pin(cpus[(long)arg % cpu_count]);
    for (int i = 0; i < 3000; i++) {
        long seen = __atomic_load_n(&latest, __ATOMIC_ACQUIRE), now = now_ns();
        if (!CHECK(now >= seen))
            break;
        while (seen < now && !__atomic_compare_exchange_n(&latest, &seen, now, 0, __ATOMIC_ACQ_REL,
                                                          __ATOMIC_ACQUIRE))
            ;
        if (i % 256 == 0)
            sched_yield();
    }
    return NULL;
}

static void monotonic_across_cpus(void) {
    pthread_t threads[CPUS_MAX + 1];
    cpu_count = cpus_list(cpus);
    latest = 0;
    for (long i = 0; i <= cpu_count; i++)
        REQUIRE(thread_start(&threads[i], publish_time, (void *)i));
    for (int i = 0; i <= cpu_count; i++)
        thread_join(threads[i]);
}

static void sleeps_are_long_enough(void) {
    for (long ms = 0; ms <= 20; ms += 5) {
        struct timespec nap = { 0, ms * 1000000 };
        long begin = now_ns();
        CHECK_EQ(nanosleep(&nap, NULL), 0);
        CHECK(now_ns() - begin >= ms * 1000000);
        begin = now_ns();
        CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, 0, &nap, NULL), 0);
        CHECK(now_ns() - begin >= ms * 1000000 - 1000000); /* real time may be slewed */
        begin = now_ns();
        CHECK_EQ(poll(NULL, 0, (int)ms), 0);
        CHECK(now_ns() - begin >= ms * 1000000);
    }
    long begin = now_ns();
    usleep(3000);
    CHECK(now_ns() - begin >= 3000000);
}

static void absolute_sleeps(void) {
    struct timespec at;
    long end = now_ns() + 20000000;
    at.tv_sec = end / 1000000000;
    at.tv_nsec = end % 1000000000;
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL), 0);
    CHECK(now_ns() >= end);
    at.tv_sec = 1; /* past: at once */
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL), 0);
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += 5000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL), 0);
    CHECK(libc_ns(CLOCK_REALTIME) >= at.tv_sec * 1000000000L + at.tv_nsec - 1000000);
}

static void sleep_errors(void) {
    struct timespec negative = { -1, 0 }, much = { 0, 1000000000 }, small = { 0, 1 };
    CHECK_ERRNO(nanosleep(&negative, NULL), EINVAL);
    CHECK_ERRNO(nanosleep(&much, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_nanosleep, (void *)8, NULL), EFAULT);
    CHECK_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &small, NULL), EINVAL);
    CHECK_EQ(clock_nanosleep(77, 0, &small, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_time, (void *)8), EFAULT);
}

static void *burn(void *arg) {
    for (volatile long i = 0; i < 3000000; i = i + 1)
        ;
    *(long *)arg = libc_ns(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static void cpu_time_is_counted(void) {
    pthread_t thread;
    long used = 0, process = libc_ns(CLOCK_PROCESS_CPUTIME_ID);
    long mine = libc_ns(CLOCK_THREAD_CPUTIME_ID);
    REQUIRE(thread_start(&thread, burn, &used));
    thread_join(thread);
    CHECK(used > 0);
    CHECK(libc_ns(CLOCK_PROCESS_CPUTIME_ID) - process >= used / 2);
    CHECK(libc_ns(CLOCK_THREAD_CPUTIME_ID) > mine);
    long begin = libc_ns(CLOCK_THREAD_CPUTIME_ID);
    sleep_ms(50); /* sleeping costs nothing, or nearly */
    CHECK(libc_ns(CLOCK_THREAD_CPUTIME_ID) - begin < 45000000);
    struct tms t;
    CHECK(times(&t) != (clock_t)-1);
}

static void *sleep_random(void *arg) {
    unsigned long seed = (unsigned long)(long)arg + 1;
    for (int i = 0; i < 20; i++) {
        struct timespec nap = { 0, (long)(guest_random(&seed) % 3000000) };
        long begin = now_ns();
        nanosleep(&nap, NULL);
        if (!CHECK(now_ns() - begin >= nap.tv_nsec))
            break;
    }
    return NULL;
}

static void many_sleepers(void) {
    pthread_t threads[60];
    for (long i = 0; i < 60; i++)
        REQUIRE(thread_start(&threads[i], sleep_random, (void *)i));
    for (int i = 0; i < 60; i++)
        thread_join(threads[i]);
}

static void *work_and_nap(void *stop) {
    const struct timespec nap = { 0, 1000 };
    while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED)) {
        long end = now_ns() + 100000;
        while (now_ns() < end)
            ;
        nanosleep(&nap, NULL);
    }
    return NULL;
}

/* Read by another thread while its owner goes on and off its CPU. */
static void cpu_time_never_goes_back(void) {
    int stop = 0;
    clockid_t clock;
    pthread_t thread;
    REQUIRE(thread_start(&thread, work_and_nap, &stop));
    CHECK_EQ(pthread_getcpuclockid(thread, &clock), 0);
    long end = now_ns() + 500000000, last = 0, back = 0;
    while (now_ns() < end) {
        long now = libc_ns(clock);
        back += now < last;
        last = now;
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    thread_join(thread);
    CHECK(last > 0);
    CHECK_EQ(back, 0);
}

GUEST_MAIN(CASE(clocks_exist), CASE(vdso_agrees_with_the_system_call), CASE(monotonic_across_cpus),
           CASE(sleeps_are_long_enough), CASE(absolute_sleeps), CASE(sleep_errors),
           CASE(cpu_time_is_counted), CASE(cpu_time_never_goes_back), CASE(many_sleepers))
