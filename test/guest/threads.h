/* SPDX-License-Identifier: MIT */
/*
 * Helpers for guest tests with threads: CPUs, pinning, starting and joining.
 *
 * thread_start fails the case where pthread_create does; everything else is
 * plain pthreads.
 */
#ifndef TEST_GUEST_THREADS_H
#define TEST_GUEST_THREADS_H

#include "test/guest/guest.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define CPUS_MAX 64
#ifndef THREAD_STACK
#define THREAD_STACK (64 << 10)
#endif

/* The CPUs this process may run on, at most CPUS_MAX of them, in cpus[]; returns how many. */
__attribute__((unused)) static int cpus_list(int cpus[CPUS_MAX]) {
    cpu_set_t set;
    int count = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set))
        return cpus[0] = 0, 1;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < CPUS_MAX; cpu++)
        if (CPU_ISSET(cpu, &set))
            cpus[count++] = cpu;
    return count;
}

/* Binds the calling thread to one CPU; 0, or -1 with errno. */
__attribute__((unused)) static int cpu_pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set);
}

/* Lets the calling thread run on the listed CPUs again. */
__attribute__((unused)) static int cpu_unpin(const int *cpus, int count) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < count; i++)
        CPU_SET(cpus[i], &set);
    return sched_setaffinity(0, sizeof set, &set);
}

/* Starts a thread with a stack of THREAD_STACK bytes; false (and a failed check) if it cannot. */
__attribute__((unused)) static int thread_start(pthread_t *thread, void *(*run)(void *),
                                                void *arg) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, THREAD_STACK);
    int error = pthread_create(thread, &attr, run, arg);
    pthread_attr_destroy(&attr);
    return CHECK_EQ(error, 0);
}

__attribute__((unused)) static void *thread_join(pthread_t thread) {
    void *result = NULL;
    CHECK_EQ(pthread_join(thread, &result), 0);
    return result;
}

/* CLOCK_MONOTONIC in nanoseconds. */
__attribute__((unused)) static long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

__attribute__((unused)) static void sleep_ms(long ms) {
    struct timespec nap = { ms / 1000, ms % 1000 * 1000000 };
    while (nanosleep(&nap, &nap) && errno == EINTR)
        ;
}

#endif
