/* SPDX-License-Identifier: MIT */
/*
 * A thread that is not the first ends the program, whatever the others are
 * at: computing, waiting for a futex, for a pipe, for time, for a signal, for
 * the thread that ends.  Of the status eight bits count.
 *
 * guest: status=52 timeout=60
 */
#define _GNU_SOURCE
#include "test/guest/linux_abi.h"
#include "test/guest/threads.h"
#include <signal.h>

static int ready, word;

static void arrive(void) {
    __atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
}

static void *computes(void *arg) {
    arrive();
    for (;;)
        __asm__ volatile("");
    return arg;
}

static void *waits_for_futex(void *arg) {
    arrive();
    for (;;)
        syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
    return arg;
}

static void *reads(void *arg) {
    int ends[2];
    char c;
    if (pipe(ends))
        _exit(1);
    arrive();
    for (;;)
        if (read(ends[0], &c, 1) > 0)
            _exit(2);
    return arg;
}

static void *sleeps(void *arg) {
    arrive();
    for (;;)
        sleep(1000);
    return arg;
}

static void *waits_for_signal(void *arg) {
    sigset_t none;
    sigemptyset(&none);
    arrive();
    for (;;)
        sigsuspend(&none);
    return arg;
}

static void *ends_all(void *arg) {
    unsigned ticks = 0;
    while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < *(int *)arg)
        if (!guest_tick(&ticks))
            _exit(3);
    sleep_ms(20); /* they go to sleep */
    guest_print("1 passed, 0 failed");
    syscall(SYS_exit_group, 0x1234); /* 0x34 is 52 */
    _exit(4);
}

int main(void) {
    static void *(*const others[])(void *) = { computes, waits_for_futex,  reads,
                                               sleeps,   waits_for_signal, computes };
    int count = LENGTH(others);
    pthread_t thread;
    for (int i = 0; i < count; i++)
        if (!thread_start(&thread, others[i], NULL))
            return 5;
    if (!thread_start(&thread, ends_all, &count))
        return 6;
    thread_join(thread);
    return 7;
}
