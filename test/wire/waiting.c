/* SPDX-License-Identifier: MIT */
/* What test/run-gdb looks at: two threads that wait, and a main thread that says so. */
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

static sem_t waits;

/* Not inlined, and something to do after the call, so that each has a frame. */
__attribute__((noinline)) static int wait_for_ever(void) {
    sem_post(&waits);
    return pause() + 1;
}

static void *work(void *arg) {
    return wait_for_ever() ? arg : NULL;
}

__attribute__((noinline)) static void all_wait(void) {
    __asm__ volatile("" ::: "memory");
}

int main(void) {
    pthread_t thread;
    sem_init(&waits, 0, 0);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&thread, NULL, work, NULL))
            return 1;
    for (int i = 0; i < 2; i++)
        sem_wait(&waits);
    usleep(10000);
    all_wait();
    return 0;
}
