/* SPDX-License-Identifier: MIT */
/* expect: 200 */
#include "test/errors/errors.h"
#include <pthread.h>
#include <stdlib.h>

static void *spin(void *arg) {
    for (;;)
        __asm__ volatile("");
    return arg;
}

static void *leave(void *arg) {
    (void)arg;
    exit(200);
}

/* Ends with a status although threads spin and sleep. */
int main(void) {
    pthread_t id;
    said("before\n");
    pthread_create(&id, NULL, spin, NULL);
    pthread_create(&id, NULL, spin, NULL);
    pthread_create(&id, NULL, leave, NULL);
    for (;;)
        sleep(1000);
}
