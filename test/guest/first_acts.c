/* SPDX-License-Identifier: MIT */
/*
 * A thread on each secondary CPU does one thing as its very first act, one
 * kind of act per run.  A thread is `born` there (it inherits its creator's
 * CPU) or has `moved` there (to a CPU that no thread of the program has used).
 *
 * guest: args=born_key,born_malloc,born_lock,born_destructor,born_tls,moved_key,moved_malloc,moved_lock,moved_destructor,moved_tls
 */
#define _GNU_SOURCE
#include "test/guest/threads.h"

struct act {
    void *(*run)(void *);
    int cpu; /* to move to first, or -1 */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;
static int waiting, destroyed;
static _Thread_local int tls_initialised = 1234;
static _Thread_local char tls_zero[5000];

static inline void act_begin(const struct act *act) {
    if (act->cpu >= 0)
        cpu_pin(act->cpu);
}

static void *act_key(void *arg) {
    act_begin(arg);
    pthread_key_t own;
    CHECK_EQ(pthread_key_create(&own, NULL), 0);
    CHECK_EQ(pthread_setspecific(own, &own), 0);
    CHECK(pthread_getspecific(own) == &own);
    CHECK_EQ(pthread_key_delete(own), 0);
    return NULL;
}

static void *act_malloc(void *arg) {
    act_begin(arg);
    char *small = malloc(24), *big = malloc(300000);
    CHECK(small != NULL && big != NULL);
    if (small && big) {
        memset(small, 1, 24);
        memset(big, 2, 300000);
        CHECK(small[23] == 1 && big[299999] == 2);
    }
    free(small);
    free(big);
    return NULL;
}

/* The creator holds the lock, so this blocks. */
static void *act_lock(void *arg) {
    act_begin(arg);
    __atomic_store_n(&waiting, 1, __ATOMIC_RELEASE);
    CHECK_EQ(pthread_mutex_lock(&lock), 0);
    CHECK_EQ(pthread_mutex_unlock(&lock), 0);
    return NULL;
}

static void destructor(void *memory) {
    free(memory);
    __atomic_fetch_add(&destroyed, 1, __ATOMIC_RELAXED);
}

static void *act_destructor(void *arg) {
    act_begin(arg);
    CHECK_EQ(pthread_setspecific(key, malloc(100)), 0);
    return NULL;
}

static void *act_tls(void *arg) {
    if (((const struct act *)arg)->cpu < 0)
        tls_initialised++;
    act_begin(arg);
    tls_zero[4999]++;
    CHECK_EQ(tls_zero[4999], 1);
    CHECK(tls_initialised == 1234 || tls_initialised == 1235);
    return NULL;
}

/* Runs the act on every CPU but the first (on the only one where there is but one). */
static void act_everywhere(void *(*run)(void *), int moved, int hold_lock) {
    int cpus[CPUS_MAX], count = cpus_list(cpus), begun = 0;
    CHECK_EQ(cpu_pin(cpus[0]), 0);
    for (int i = count > 1; i < count; i++, begun++) {
        struct act act = { run, moved ? cpus[i] : -1 };
        pthread_t thread;
        if (!moved)
            CHECK_EQ(cpu_pin(cpus[i]), 0);
        waiting = 0;
        if (hold_lock)
            pthread_mutex_lock(&lock);
        REQUIRE(thread_start(&thread, run, &act));
        if (!moved)
            CHECK_EQ(cpu_pin(cpus[0]), 0);
        if (hold_lock) {
            CHECK_SOON(__atomic_load_n(&waiting, __ATOMIC_ACQUIRE));
            sleep_ms(10); /* long enough, as a rule, that it sleeps in the futex */
            pthread_mutex_unlock(&lock);
        }
        thread_join(thread);
    }
    cpu_unpin(cpus, count);
    if (run == act_destructor)
        CHECK_EQ(destroyed, begun);
    destroyed = 0;
}

static void destructors_everywhere(int moved) {
    REQUIRE(pthread_key_create(&key, destructor) == 0);
    act_everywhere(act_destructor, moved, 0);
    pthread_key_delete(key);
}

static void born_key(void) {
    act_everywhere(act_key, 0, 0);
}
static void born_malloc(void) {
    act_everywhere(act_malloc, 0, 0);
}
static void born_lock(void) {
    act_everywhere(act_lock, 0, 1);
}
static void born_destructor(void) {
    destructors_everywhere(0);
}
static void born_tls(void) {
    act_everywhere(act_tls, 0, 0);
}
static void moved_key(void) {
    act_everywhere(act_key, 1, 0);
}
static void moved_malloc(void) {
    act_everywhere(act_malloc, 1, 0);
}
static void moved_lock(void) {
    act_everywhere(act_lock, 1, 1);
}
static void moved_destructor(void) {
    destructors_everywhere(1);
}
static void moved_tls(void) {
    act_everywhere(act_tls, 1, 0);
}

GUEST_MAIN(CASE(born_key), CASE(born_malloc), CASE(born_lock), CASE(born_destructor),
           CASE(born_tls), CASE(moved_key), CASE(moved_malloc), CASE(moved_lock),
           CASE(moved_destructor), CASE(moved_tls))
