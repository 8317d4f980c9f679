/* SPDX-License-Identifier: MIT */
/*
 * Static thread-local storage of every shape: TLS_INIT initialised bytes,
 * TLS_ZERO zero bytes, alignment TLS_ALIGN; in the main thread and in 100
 * threads over all CPUs.  test.mk builds one program for each shape.
 *
 * guest: mem=512M timeout=120
 */
#define _GNU_SOURCE
/* glibc has TLS in it */
#define THREAD_STACK ((64 << 10) + 2 * TLS_INIT + 2 * TLS_ZERO + 2 * TLS_ALIGN)
#include "test/guest/threads.h"
#include <stdint.h>

#define THREADS 100

/*
 * Byte i starts as i % 251 + 1, every one of them: neither an offset nor bytes
 * left out go unseen.  The assembler counts further than C's initialisers.
 */
#define INITIAL_BYTE(i) ((unsigned char)((i) % 251 + 1))
#define TEXT_OF(x)      #x
#define VALUE_OF(x)     TEXT_OF(x)

#if TLS_INIT > 0
extern _Thread_local volatile unsigned char initialised[TLS_INIT];
__asm__(".pushsection .tdata, \"awT\", @progbits\n"
        ".balign " VALUE_OF(TLS_ALIGN) "\n"
                                       ".globl initialised\n"
                                       ".type initialised, @object\n"
                                       "initialised:\n"
                                       ".set at, 0\n"
                                       ".rept " VALUE_OF(
                                           TLS_INIT) "\n"
                                                     ".byte at % 251 + 1\n"
                                                     ".set at, at + 1\n"
                                                     ".endr\n"
                                                     ".size initialised, . - initialised\n"
                                                     ".popsection\n");
#endif
#if TLS_ZERO > 0
static _Thread_local volatile unsigned char zero[TLS_ZERO] __attribute__((aligned(TLS_ALIGN)));
#endif

/* Checks that all bytes are as a new thread must find them; returns how many are not. */
static long tls_check_fresh(void) {
    long bad = 0;
#if TLS_INIT > 0
    bad += (uintptr_t)initialised % TLS_ALIGN != 0;
    for (long i = 0; i < TLS_INIT; i++)
        bad += initialised[i] != INITIAL_BYTE(i);
#endif
#if TLS_ZERO > 0
    bad += (uintptr_t)zero % TLS_ALIGN != 0;
    for (long i = 0; i < TLS_ZERO; i++)
        bad += zero[i] != 0;
#endif
    return bad;
}

static void tls_fill(unsigned char key) {
#if TLS_INIT > 0
    for (long i = 0; i < TLS_INIT; i++)
        initialised[i] = (unsigned char)(key + i * 7);
#endif
#if TLS_ZERO > 0
    for (long i = 0; i < TLS_ZERO; i++)
        zero[i] = (unsigned char)(key ^ i * 5);
#endif
}

static long tls_check_filled(unsigned char key) {
    long bad = 0;
#if TLS_INIT > 0
    for (long i = 0; i < TLS_INIT; i++)
        bad += initialised[i] != (unsigned char)(key + i * 7);
#endif
#if TLS_ZERO > 0
    for (long i = 0; i < TLS_ZERO; i++)
        bad += zero[i] != (unsigned char)(key ^ i * 5);
#endif
    return bad;
}

static void tls_main_thread(void) {
    CHECK_EQ(tls_check_fresh(), 0);
    errno = 77; /* errno lives beside it */
    tls_fill(3);
    CHECK_EQ(errno, 77);
    CHECK_EQ(tls_check_filled(3), 0);
}

static pthread_barrier_t all_filled;

static void *tls_thread(void *arg) {
    unsigned char key = (unsigned char)(uintptr_t)arg;
    CHECK_EQ(tls_check_fresh(), 0);
    tls_fill(key);
    errno = key;
    pthread_barrier_wait(&all_filled);
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(tls_check_filled(key), 0);
        CHECK_EQ(errno, key);
        sched_yield();
    }
    return NULL;
}

static void tls_hundred_threads(void) {
    int cpus[CPUS_MAX], count = cpus_list(cpus);
    pthread_t threads[THREADS];
    pthread_barrier_init(&all_filled, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        cpu_pin(cpus[i % count]); /* threads inherit it */
        REQUIRE(thread_start(&threads[i], tls_thread, (void *)(uintptr_t)(i + 10)));
    }
    cpu_unpin(cpus, count);
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    pthread_barrier_destroy(&all_filled);
    CHECK_EQ(tls_check_filled(3), 0); /* the main thread's is as it left it */
}

GUEST_MAIN(CASE(tls_main_thread), CASE(tls_hundred_threads))
