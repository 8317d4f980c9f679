/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV */
#include "test/errors/errors.h"
#include <pthread.h>

int deliberate(int depth)
{
    volatile char frame[1000];
    frame[0] = (char)depth;
    return deliberate(depth + 1) + frame[0];
}

static void *thread(void *arg)
{
    deliberate(0);
    return arg;
}

int main(void)
{
    pthread_t id;
    said("before\n");
    pthread_create(&id, NULL, thread, NULL);
    pthread_join(id, NULL);
    return 0;
}
