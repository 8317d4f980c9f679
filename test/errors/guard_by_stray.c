/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text ended by SIGSEGV: not allowed by the mapping's protection$
 * text ^  reading [0-9a-f]{16}$
 * text ^  there: [0-9a-f]+-[0-9a-f]+ ---p */
#define _GNU_SOURCE
#include "test/errors/errors.h"
#include <pthread.h>

int deliberate(unsigned long stack) {
    return *(volatile char *)hidden(stack - 8);
}

/* Reads the guard below its stack, which has plenty of room: that is no overflow. */
static void *thread(void *arg) {
    pthread_attr_t attr;
    void *stack;
    size_t size;

    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstack(&attr, &stack, &size);
    return deliberate((unsigned long)stack) ? arg : NULL;
}

int main(void) {
    pthread_t id;

    said("before\n");
    pthread_create(&id, NULL, thread, NULL);
    pthread_join(id, NULL);
    return 0;
}
