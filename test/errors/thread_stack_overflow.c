/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text ended by SIGSEGV: stack overflow: the access is in the guard below the thread's stack$
 * text ^  writing [0-9a-f]{16}$
 * text ^  there: [0-9a-f]+-[0-9a-f]+ ---p
 * text ^  thread 2 \(thread_stack_ov\) on CPU [0-9]+$ */
#include "test/errors/errors.h"
#include <pthread.h>

int deliberate(int depth) {
    volatile char frame[1000];
    frame[0] = (char)depth;
    return deliberate(depth + 1) + frame[0];
}

static void *thread(void *arg) {
    deliberate(0);
    return arg;
}

int main(void) {
    pthread_t id;
    said("before\n");
    pthread_create(&id, NULL, thread, NULL);
    pthread_join(id, NULL);
    return 0;
}
