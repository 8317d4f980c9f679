/* SPDX-License-Identifier: MIT */
/* expect: 7 */
#define _GNU_SOURCE
#include "test/errors/errors.h"
#include <pthread.h>
#include <sys/syscall.h>

static void *stay(void *arg) {
    usleep(100000);
    said("before\n");
    syscall(SYS_exit, 7);
    return arg;
}

/* The first thread's end is not the program's: the status is that of the last to end. */
int main(void) {
    pthread_t id;
    pthread_create(&id, NULL, stay, NULL);
    syscall(SYS_exit, 3);
    return 0;
}
