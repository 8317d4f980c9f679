/* SPDX-License-Identifier: MIT */
/* tests: kernel/mutex.c kernel/lock.c test/host/shim/shim.c */
/* Mutexes: exclusion, sleep and wake-up, no starvation, and memory that goes after the last use. */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernel/mutex.h"
#include "test/host/shim/shim.h"

#define THREADS 6

/* ---- the sleep of kernel/thread.c, on a futex: the same states, the same steps ---- */

static atomic_uint sleeps;

void thread_block_prepare(bool interruptible) {
    (void)interruptible;
    atomic_store(&current->state, THREAD_BLOCKING);
}

void thread_block_cancel(void) {
    atomic_store(&current->state, THREAD_RUNNABLE);
}

int thread_block(uint64_t deadline_ns) {
    struct thread *me = current;
    uint32_t state = THREAD_BLOCKING;
    (void)deadline_ns;
    atomic_store(&me->on_cpu, false);
    if (atomic_compare_exchange_strong(&me->state, &state, THREAD_BLOCKED)) {
        atomic_fetch_add(&sleeps, 1);
        while (atomic_load(&me->state) == THREAD_BLOCKED)
            syscall(SYS_futex, &me->state, FUTEX_WAIT_PRIVATE, THREAD_BLOCKED, NULL, NULL, 0);
    }
    atomic_store(&me->on_cpu, true);
    thread_block_cancel();
    return 0;
}

bool thread_wake(struct thread *t) {
    uint32_t state = THREAD_BLOCKING;
    if (atomic_compare_exchange_strong(&t->state, &state, THREAD_RUNNABLE))
        return true;
    if (state != THREAD_BLOCKED ||
        !atomic_compare_exchange_strong(&t->state, &state, THREAD_RUNNABLE))
        return false;
    syscall(SYS_futex, &t->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return true;
}

/* ---- the tests ---- */

static struct mutex mutex;
static unsigned long counted; /* plain: the thread sanitizer sees who enters without the mutex */
static atomic_ulong counted_rounds;
static atomic_bool stop;

/* As kernel memory does, it outlives the threads: a waiter may look at an owner that has ended. */
static struct thread kernel_threads[THREADS + 1];

static void become_cpu(void *number) {
    host_cpu_start((unsigned)(uintptr_t)number);
    current_thread = &kernel_threads[(uintptr_t)number];
    atomic_store(&current->state, THREAD_RUNNABLE);
    atomic_store(&current->on_cpu, true);
}

static void run_threads(void *(*run)(void *), unsigned count) {
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)(i + 1)), 0);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static int setup(void **state) {
    (void)state;
    become_cpu(NULL);
    mutex_init(&mutex);
    counted = 0;
    atomic_store(&stop, false);
    return 0;
}

static void assert_unused(struct mutex *m) {
    assert_int_equal(atomic_load(&m->word), 0);
    assert_true(list_is_empty(&m->waiters));
}

static void *try_once(void *number) {
    become_cpu(number);
    if (!mutex_trylock(&mutex))
        return NULL;
    mutex_unlock(&mutex);
    return &mutex;
}

static void *trylock_elsewhere(void) {
    pthread_t thread;
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, try_once, (void *)1), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    return result;
}

static void knows_its_owner(void **state) {
    (void)state;
    assert_false(mutex_is_mine(&mutex));
    assert_non_null(trylock_elsewhere());
    mutex_lock(&mutex);
    assert_true(mutex_is_mine(&mutex));
    assert_false(mutex_trylock(&mutex));
    assert_null(trylock_elsewhere());
    mutex_unlock(&mutex);
    assert_true(mutex_trylock(&mutex));
    assert_true(mutex_is_mine(&mutex));
    mutex_unlock(&mutex);
    assert_unused(&mutex);
}

/* Now and then the owner sleeps, so that the others stop spinning and sleep as well. */
static void *count_up(void *number) {
    enum { ROUNDS = 4000 };
    become_cpu(number);
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % 3 != 0 || !mutex_trylock(&mutex))
            mutex_lock(&mutex);
        counted++;
        if (i % 64 == 0) {
            atomic_store(&current->on_cpu, false);
            usleep(20);
            atomic_store(&current->on_cpu, true);
        }
        mutex_unlock(&mutex);
    }
    atomic_fetch_add(&counted_rounds, ROUNDS);
    return NULL;
}

static void lets_one_in(void **state) {
    (void)state;
    unsigned before = atomic_load(&sleeps);
    atomic_store(&counted_rounds, 0);
    run_threads(count_up, THREADS);
    assert_int_equal(counted, atomic_load(&counted_rounds));
    assert_true(atomic_load(&sleeps) > before);
    assert_unused(&mutex);
}

/* Takes the mutex again as soon as it has let go, and never looks as if it ran. */
static void *hog(void *number) {
    become_cpu(number);
    atomic_store(&current->on_cpu, false);
    while (!atomic_load(&stop)) {
        mutex_lock(&mutex);
        counted++;
        mutex_unlock(&mutex);
    }
    return NULL;
}

static void *come_through(void *number) {
    if (number != (void *)1)
        return hog(number);
    become_cpu(number);
    for (unsigned i = 0; i < 300; i++) {
        mutex_lock(&mutex);
        counted++;
        mutex_unlock(&mutex);
    }
    atomic_store(&stop, true);
    return NULL;
}

static void nobody_starves(void **state) {
    (void)state;
    run_threads(come_through, 4);
    assert_unused(&mutex);
}

/* The last to leave frees the mutex, having held it. */
static struct shared {
    struct mutex mutex;
    unsigned users;
} * _Atomic shared;
static pthread_barrier_t barrier;

static void *leave(void *number) {
    become_cpu(number);
    for (unsigned i = 0; i < 1500; i++) {
        if (number == (void *)1) {
            struct shared *s = calloc(1, sizeof *s);
            mutex_init(&s->mutex);
            s->users = THREADS;
            atomic_store(&shared, s);
        }
        pthread_barrier_wait(&barrier);
        struct shared *s = atomic_load(&shared);
        mutex_lock(&s->mutex);
        bool last = --s->users == 0;
        mutex_unlock(&s->mutex);
        if (last)
            free(s);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void may_go_after_the_last_use(void **state) {
    (void)state;
    pthread_barrier_init(&barrier, NULL, THREADS);
    run_threads(leave, THREADS);
    pthread_barrier_destroy(&barrier);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(knows_its_owner, setup),
        cmocka_unit_test_setup(lets_one_in, setup),
        cmocka_unit_test_setup(nobody_starves, setup),
        cmocka_unit_test_setup(may_go_after_the_last_use, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
