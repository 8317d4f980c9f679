/* SPDX-License-Identifier: MIT */
/* A gate at which the threads of a guest test wait, until all have come and it is opened. */
#ifndef TEST_GUEST_GATE_H
#define TEST_GUEST_GATE_H

#include "test/guest/threads.h"

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opens = PTHREAD_COND_INITIALIZER;
static int gate_is_open, gate_waiting; /* gate_lock */

/* Before the first of the threads is there. */
static void gate_close(void) {
    gate_is_open = gate_waiting = 0;
}

/* A thread: waits until the gate opens, and returns `arg`. */
static void *gate_wait(void *arg) {
    pthread_mutex_lock(&gate_lock);
    gate_waiting++;
    while (!gate_is_open)
        pthread_cond_wait(&gate_opens, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
    return arg;
}

/* Opens the gate when `expected` threads wait at it. */
static void gate_open(int expected) {
    for (int waiting = 0; waiting < expected; sleep_ms(1)) {
        pthread_mutex_lock(&gate_lock);
        waiting = gate_waiting;
        pthread_mutex_unlock(&gate_lock);
    }
    pthread_mutex_lock(&gate_lock);
    gate_is_open = 1;
    pthread_cond_broadcast(&gate_opens);
    pthread_mutex_unlock(&gate_lock);
}

#endif
