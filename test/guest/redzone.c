/* SPDX-License-Identifier: MIT */
/* The 128 bytes below the stack pointer belong to the program, whatever interrupts it. */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <signal.h>
#include <sys/time.h>

static volatile long signals;
static int stop;

static void count_signal(int signal) {
    char noise[600];
    (void)signal;
    memset(noise, 0xee, sizeof noise);
    __asm__ volatile("" : : "r"(noise) : "memory");
    signals = signals + 1;
}

/*
 * Fills the red zone with a pattern, lets time pass, and compares; returns how
 * many words are wrong.  Nothing in it moves the stack pointer.
 */
static long redzone_hold(unsigned long pattern, long loops) {
    long bad = 0;
    __asm__ volatile("mov $-128, %%rcx\n"
                     "1: mov %[pattern], (%%rsp, %%rcx)\n"
                     "   add %%rcx, (%%rsp, %%rcx)\n"
                     "   add $8, %%rcx\n"
                     "   jnz 1b\n"
                     "2: dec %[loops]\n"
                     "   jnz 2b\n"
                     "   mov $-128, %%rcx\n"
                     "3: mov (%%rsp, %%rcx), %%rax\n"
                     "   sub %%rcx, %%rax\n"
                     "   cmp %[pattern], %%rax\n"
                     "   je 4f\n"
                     "   inc %[bad]\n"
                     "4: add $8, %%rcx\n"
                     "   jnz 3b\n"
                     : [bad] "+r"(bad), [loops] "+r"(loops)
                     : [pattern] "r"(pattern)
                     : "rax", "rcx", "memory", "cc");
    return bad;
}

/* The pattern is written over whatever the compiler keeps there, so give it nothing. */
static __attribute__((noinline)) long redzone_test(unsigned long pattern, long loops) {
    volatile char pad[256]; /* moves the stack pointer: the zone below it is free */
    pad[0] = pad[255] = 1;
    return redzone_hold(pattern, loops);
}

static void *hammer(void *arg) {
    pthread_t *victims = arg;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        pthread_kill(victims[0], SIGUSR1);
        pthread_kill(victims[1], SIGUSR1);
        sched_yield();
    }
    return NULL;
}

/* Runs until told to stop, for it must outlive those who signal it. */
static void *victim(void *arg) {
    long bad = 0;
    for (long i = 0; i < 300 || !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++)
        bad += redzone_test((unsigned long)i * 0x9e3779b97f4a7c15 + (unsigned long)arg, 20000);
    CHECK_EQ(bad, 0);
    return NULL;
}

static void signals_from_another_thread(void) {
    pthread_t victims[2], hammerer;
    struct sigaction action = { .sa_handler = count_signal };
    sigaction(SIGUSR1, &action, NULL);
    signals = 0;
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    REQUIRE(thread_start(&victims[0], victim, (void *)1));
    REQUIRE(thread_start(&victims[1], victim, (void *)2));
    REQUIRE(thread_start(&hammerer, hammer, victims));
    CHECK_SOON(signals > 20);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    thread_join(hammerer);
    thread_join(victims[0]);
    thread_join(victims[1]);
}

static void signals_from_a_timer(void) {
    struct sigaction action = { .sa_handler = count_signal };
    struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
    long bad = 0;
    unsigned long i = 0;
    sigaction(SIGALRM, &action, NULL);
    signals = 0;
    REQUIRE(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (long begin = now_ns(); signals < 50 && now_ns() - begin < 60000000000;)
        bad += redzone_test(++i * 0xbf58476d1ce4e5b9, 20000);
    CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
    CHECK(signals >= 50);
    CHECK_EQ(bad, 0);
}

static void preemption(void) {
    pthread_t threads[6];
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED); /* each goes its 300 rounds */
    for (long i = 0; i < 6; i++)
        REQUIRE(thread_start(&threads[i], victim, (void *)(i + 100)));
    for (int i = 0; i < 6; i++)
        thread_join(threads[i]);
}

GUEST_MAIN(CASE(signals_from_another_thread), CASE(signals_from_a_timer), CASE(preemption))
