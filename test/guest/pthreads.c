/* SPDX-License-Identifier: MIT */
/* POSIX threads as libc gives them: what a threaded program leans on every day. */
#define _GNU_SOURCE
#include "test/guest/linux_abi.h"
#include "test/guest/threads.h"
#include <semaphore.h>
#include <stdint.h>

#define WORKERS 8
#define ROUNDS  500

static pthread_mutex_t mutex;
static long counter;

static void *mutex_adder(void *arg) {
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        if (i % 64 == 0)
            sched_yield(); /* so that others find it locked */
        pthread_mutex_unlock(&mutex);
    }
    return arg;
}

/* The mutex was initialised; destroys it. */
static void hammer_initialised(void) {
    pthread_t threads[WORKERS];
    counter = 0;
    for (int i = 0; i < WORKERS; i++)
        REQUIRE(thread_start(&threads[i], mutex_adder, &threads[i]));
    for (int i = 0; i < WORKERS; i++)
        CHECK(thread_join(threads[i]) == &threads[i]);
    CHECK_EQ(counter, WORKERS * ROUNDS);
    CHECK_EQ(pthread_mutex_destroy(&mutex), 0);
}

static void hammer_mutex(int type, int pshared, int robust) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    REQUIRE(pthread_mutexattr_settype(&attr, type) == 0);
    REQUIRE(pthread_mutexattr_setpshared(&attr, pshared) == 0);
    REQUIRE(pthread_mutexattr_setrobust(&attr, robust) == 0);
    REQUIRE(pthread_mutex_init(&mutex, &attr) == 0);
    hammer_initialised();
}

static void mutex_init_type(pthread_mutex_t *own, int type) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, type);
    CHECK_EQ(pthread_mutex_init(own, &attr), 0);
}

static void mutex_normal(void) {
    hammer_mutex(PTHREAD_MUTEX_NORMAL, PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_STALLED);
}

static void mutex_shared(void) {
    hammer_mutex(PTHREAD_MUTEX_NORMAL, PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_STALLED);
}

static void mutex_recursive(void) {
    hammer_mutex(PTHREAD_MUTEX_RECURSIVE, PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_STALLED);
    pthread_mutex_t own;
    mutex_init_type(&own, PTHREAD_MUTEX_RECURSIVE);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(pthread_mutex_lock(&own), 0);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(pthread_mutex_unlock(&own), 0);
    CHECK_EQ(pthread_mutex_unlock(&own), EPERM);
}

static void mutex_errorcheck(void) {
    hammer_mutex(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_STALLED);
    pthread_mutex_t own;
    mutex_init_type(&own, PTHREAD_MUTEX_ERRORCHECK);
    CHECK_EQ(pthread_mutex_unlock(&own), EPERM);
    CHECK_EQ(pthread_mutex_lock(&own), 0);
    CHECK_EQ(pthread_mutex_lock(&own), EDEADLK);
    CHECK_EQ(pthread_mutex_trylock(&own), EBUSY);
    CHECK_EQ(pthread_mutex_unlock(&own), 0);
}

static void *lock_and_die(void *arg) {
    CHECK_EQ(pthread_mutex_lock(arg), 0);
    return NULL;
}

static void mutex_robust(void) {
    hammer_mutex(PTHREAD_MUTEX_NORMAL, PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_t attr;
    pthread_mutex_t own;
    pthread_t thread;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&own, &attr);
    REQUIRE(thread_start(&thread, lock_and_die, &own));
    thread_join(thread);
    CHECK_EQ(pthread_mutex_lock(&own), EOWNERDEAD);
    CHECK_EQ(pthread_mutex_consistent(&own), 0);
    CHECK_EQ(pthread_mutex_unlock(&own), 0);
    CHECK_EQ(pthread_mutex_lock(&own), 0);
    CHECK_EQ(pthread_mutex_unlock(&own), 0);
}

/* One that spins before it sleeps; only glibc has a type for it. */
static void mutex_adaptive(void) {
#ifdef __GLIBC__
    int type = PTHREAD_MUTEX_ADAPTIVE_NP;
#else
    int type = PTHREAD_MUTEX_DEFAULT;
#endif
    hammer_mutex(type, PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_STALLED);
}

/*
 * Mimosa has no futexes that inherit priority: the C library must find out and say so, musl when
 * the attribute is set, glibc when the mutex is made.  Linux may have been built without them too;
 * where they are, the mutex works.
 */
static void mutex_inherits_priority(void) {
    pthread_mutexattr_t attr;
    unsigned word = 0;
    int has_pi =
        syscall(SYS_futex, &word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0 || errno != ENOSYS;
    pthread_mutexattr_init(&attr);
    int error = pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    if (!error)
        error = pthread_mutex_init(&mutex, &attr);
    if (has_pi && !error) {
        hammer_initialised();
    } else {
        CHECK(!has_pi && (error == ENOTSUP || error == ENOSYS));
    }
    if (access("/proc/mimosa", F_OK) == 0)
        CHECK(error);
    /* What was refused leaves nothing behind. */
    CHECK_EQ(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_NONE), 0);
    REQUIRE(pthread_mutex_init(&mutex, &attr) == 0);
    hammer_initialised();
}

/* One with a ceiling wants real-time priorities, which a thread of the normal policy has not. */
static void mutex_with_ceiling(void) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    int error = pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_PROTECT);
    if (error) { /* musl */
        CHECK_EQ(error, ENOTSUP);
        return;
    }
    REQUIRE(pthread_mutex_init(&mutex, &attr) == 0);
    CHECK_EQ(pthread_mutex_lock(&mutex), EINVAL);
    CHECK_EQ(pthread_mutex_destroy(&mutex), 0);
}

static void mutex_timedlock(void) {
    pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
    struct timespec until;
    pthread_mutex_lock(&own);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20000000;
    if (until.tv_nsec >= 1000000000)
        until.tv_sec++, until.tv_nsec -= 1000000000;
    CHECK_EQ(pthread_mutex_timedlock(&own, &until), ETIMEDOUT);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    CHECK(now.tv_sec > until.tv_sec ||
          (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec));
    pthread_mutex_unlock(&own);
}

/* A queue of one between producers and consumers, on two condition variables. */
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_filled = PTHREAD_COND_INITIALIZER;
static pthread_cond_t queue_emptied = PTHREAD_COND_INITIALIZER;
static long queue_slot;

static void *queue_produce(void *arg) {
    for (long i = 1; i <= ROUNDS; i++) {
        pthread_mutex_lock(&queue_lock);
        while (queue_slot)
            pthread_cond_wait(&queue_emptied, &queue_lock);
        queue_slot = i;
        pthread_cond_signal(&queue_filled);
        pthread_mutex_unlock(&queue_lock);
    }
    return arg;
}

static void *queue_consume(void *arg) {
    long sum = 0;
    for (long i = 1; i <= ROUNDS; i++) {
        pthread_mutex_lock(&queue_lock);
        while (!queue_slot)
            pthread_cond_wait(&queue_filled, &queue_lock);
        sum += queue_slot;
        queue_slot = 0;
        pthread_cond_signal(&queue_emptied);
        pthread_mutex_unlock(&queue_lock);
    }
    (void)arg;
    return (void *)sum;
}

static void cond_queue(void) {
    pthread_t produce[2], consume[2];
    long sum = 0;
    for (int i = 0; i < 2; i++) {
        REQUIRE(thread_start(&produce[i], queue_produce, NULL));
        REQUIRE(thread_start(&consume[i], queue_consume, NULL));
    }
    for (int i = 0; i < 2; i++) {
        thread_join(produce[i]);
        sum += (long)thread_join(consume[i]);
    }
    CHECK_EQ(sum, 2L * ROUNDS * (ROUNDS + 1) / 2);
}

static int cond_go, cond_ready;

static void *cond_waiter(void *arg) {
    pthread_mutex_lock(&queue_lock);
    cond_ready++;
    while (!cond_go)
        pthread_cond_wait(&queue_filled, &queue_lock);
    pthread_mutex_unlock(&queue_lock);
    return arg;
}

static void cond_broadcast(void) {
    pthread_t threads[50];
    cond_go = cond_ready = 0;
    for (int i = 0; i < 50; i++)
        REQUIRE(thread_start(&threads[i], cond_waiter, NULL));
    for (int all = 0; !all; sched_yield()) {
        pthread_mutex_lock(&queue_lock);
        all = cond_ready == 50;
        pthread_mutex_unlock(&queue_lock);
    }
    pthread_mutex_lock(&queue_lock);
    cond_go = 1;
    pthread_cond_broadcast(&queue_filled);
    pthread_mutex_unlock(&queue_lock);
    for (int i = 0; i < 50; i++)
        thread_join(threads[i]);
}

static void cond_timedwait(void) {
    pthread_condattr_t attr;
    pthread_cond_t cond;
    struct timespec until;
    pthread_condattr_init(&attr);
    CHECK_EQ(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC), 0);
    pthread_cond_init(&cond, &attr);
    pthread_mutex_lock(&queue_lock);
    long end = now_ns() + 20000000;
    until.tv_sec = end / 1000000000;
    until.tv_nsec = end % 1000000000;
    int result;
    while ((result = pthread_cond_timedwait(&cond, &queue_lock, &until)) == 0)
        ;
    CHECK_EQ(result, ETIMEDOUT);
    CHECK(now_ns() >= end);
    pthread_mutex_unlock(&queue_lock);
    pthread_cond_destroy(&cond);
}

static pthread_barrier_t barrier;
static long barrier_sum;

static void *barrier_worker(void *arg) {
    long serial = 0;
    for (int i = 0; i < 50; i++) {
        __atomic_fetch_add(&barrier_sum, 1, __ATOMIC_RELAXED);
        serial += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
        CHECK_EQ(__atomic_load_n(&barrier_sum, __ATOMIC_RELAXED), (i + 1) * WORKERS);
        serial += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
    }
    (void)arg;
    return (void *)serial;
}

static void barriers(void) {
    pthread_t threads[WORKERS];
    long serial = 0;
    barrier_sum = 0;
    pthread_barrier_init(&barrier, NULL, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        REQUIRE(thread_start(&threads[i], barrier_worker, NULL));
    for (int i = 0; i < WORKERS; i++)
        serial += (long)thread_join(threads[i]);
    CHECK_EQ(serial, 100);
    CHECK_EQ(pthread_barrier_destroy(&barrier), 0);
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static long rw_a, rw_b, rw_readers;

static void *rwlock_worker(void *arg) {
    int writes = arg != NULL;
    for (int i = 0; i < ROUNDS; i++) {
        if (writes) {
            pthread_rwlock_wrlock(&rwlock);
            CHECK_EQ(__atomic_load_n(&rw_readers, __ATOMIC_RELAXED), 0);
            rw_a++;
            if (i % 32 == 0)
                sched_yield();
            rw_b++;
        } else {
            pthread_rwlock_rdlock(&rwlock);
            __atomic_fetch_add(&rw_readers, 1, __ATOMIC_RELAXED);
            CHECK_EQ(rw_a, rw_b);
            __atomic_fetch_sub(&rw_readers, 1, __ATOMIC_RELAXED);
        }
        pthread_rwlock_unlock(&rwlock);
    }
    return NULL;
}

static void rwlocks(void) {
    pthread_t threads[WORKERS];
    rw_a = rw_b = 0;
    for (int i = 0; i < WORKERS; i++)
        REQUIRE(thread_start(&threads[i], rwlock_worker, i < 2 ? &rwlock : NULL));
    for (int i = 0; i < WORKERS; i++)
        thread_join(threads[i]);
    CHECK_EQ(rw_a, 2 * ROUNDS);
    CHECK_EQ(pthread_rwlock_rdlock(&rwlock), 0);
    CHECK_EQ(pthread_rwlock_tryrdlock(&rwlock), 0);
    CHECK_EQ(pthread_rwlock_trywrlock(&rwlock), EBUSY);
    pthread_rwlock_unlock(&rwlock);
    pthread_rwlock_unlock(&rwlock);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_runs;

static void once_routine(void) {
    sleep_ms(5);
    once_runs++;
}

static void *once_worker(void *arg) {
    pthread_once(&once, once_routine);
    CHECK_EQ(once_runs, 1);
    return arg;
}

static void once_is_once(void) {
    pthread_t threads[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        REQUIRE(thread_start(&threads[i], once_worker, NULL));
    for (int i = 0; i < WORKERS; i++)
        thread_join(threads[i]);
    CHECK_EQ(once_runs, 1);
}

static pthread_key_t keys[20];
static long key_destructors;

static void key_destructor(void *value) {
    __atomic_fetch_add(&key_destructors, (long)value, __ATOMIC_RELAXED);
}

static void *key_worker(void *arg) {
    for (int i = 0; i < 20; i++)
        CHECK(pthread_getspecific(keys[i]) == NULL);
    for (long i = 0; i < 20; i++)
        CHECK_EQ(pthread_setspecific(keys[i], (void *)(i + (long)arg)), 0);
    sched_yield();
    for (long i = 0; i < 20; i++)
        CHECK(pthread_getspecific(keys[i]) == (void *)(i + (long)arg));
    return NULL;
}

static void keys_and_destructors(void) {
    pthread_t threads[WORKERS];
    long expected = 0;
    key_destructors = 0;
    for (int i = 0; i < 20; i++)
        REQUIRE(pthread_key_create(&keys[i], key_destructor) == 0);
    for (long i = 0; i < WORKERS; i++) {
        REQUIRE(thread_start(&threads[i], key_worker, (void *)(i * 1000 + 1)));
        expected += 20 * (i * 1000 + 1) + 190;
    }
    for (int i = 0; i < WORKERS; i++)
        thread_join(threads[i]);
    CHECK_EQ(key_destructors, expected);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(pthread_key_delete(keys[i]), 0);
}

static sem_t sem_ping, sem_pong;

static void *sem_worker(void *arg) {
    for (int i = 0; i < ROUNDS; i++) {
        sem_wait(&sem_ping);
        sem_post(&sem_pong);
    }
    return arg;
}

static void semaphores(void) {
    pthread_t thread;
    struct timespec past = { 1, 0 };
    int value;
    sem_init(&sem_ping, 0, 0);
    sem_init(&sem_pong, 0, 0);
    CHECK_ERRNO(sem_trywait(&sem_ping), EAGAIN);
    CHECK_ERRNO(sem_timedwait(&sem_ping, &past), ETIMEDOUT);
    REQUIRE(thread_start(&thread, sem_worker, NULL));
    for (int i = 0; i < ROUNDS; i++) {
        sem_post(&sem_ping);
        sem_wait(&sem_pong);
    }
    thread_join(thread);
    CHECK(sem_getvalue(&sem_pong, &value) == 0 && value == 0);
    sem_destroy(&sem_ping);
    sem_destroy(&sem_pong);
}

GUEST_MAIN(CASE(mutex_normal), CASE(mutex_shared), CASE(mutex_recursive), CASE(mutex_errorcheck),
           CASE(mutex_robust), CASE(mutex_adaptive), CASE(mutex_inherits_priority),
           CASE(mutex_with_ceiling), CASE(mutex_timedlock), CASE(cond_queue), CASE(cond_broadcast),
           CASE(cond_timedwait), CASE(barriers), CASE(rwlocks), CASE(once_is_once),
           CASE(keys_and_destructors), CASE(semaphores))
