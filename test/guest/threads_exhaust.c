/* SPDX-License-Identifier: MIT */
/*
 * Threads until the machine's memory is gone: pthread_create says EAGAIN, the
 * threads that there are go on, and when they have ended there is as much
 * memory as before and as many threads can be had again.  The first round only
 * fills the kernel's cache of stacks, which keeps them for threads to come.
 *
 * All that the program itself needs is touched before, so that what runs out
 * is the kernel's memory for threads: a page fault without memory would end
 * the program.  musl only, whose pthread_create takes nothing but the stack it
 * is given.  On Linux, whose memory is not for this test to take, the threads
 * are only many.
 *
 * guest: mem=64M timeout=180 glibc=no
 */
#define _GNU_SOURCE
#include "test/guest/gate.h"
#include "test/guest/proc.h"
#include <sys/mman.h>

#define STACK         8192L
#define MANY          3000 /* more than 64 MiB have room for */
#define MANY_ON_LINUX 300
#define TOLERANCE_KB  1024

static char *stacks;
static pthread_t threads[MANY];
static int machine_is_ours; /* asked beforehand: a path takes memory, too */

/* Threads on the prepared stacks, `limit` at most; how many there are, and what the last said. */
static int create_up_to(int limit, int *error) {
    pthread_attr_t attr;
    int created = 0;
    *error = 0;
    pthread_attr_init(&attr);
    gate_close();
    while (created < limit) {
        pthread_attr_setstack(&attr, stacks + created * STACK, STACK);
        *error = pthread_create(&threads[created], &attr, gate_wait, (void *)(long)created);
        if (*error)
            break;
        created++;
    }
    pthread_attr_destroy(&attr);
    return created;
}

/* All of them run, and end; the sum of what they return is right. */
static void let_go(int created) {
    long sum = 0;
    gate_open(created);
    for (int i = 0; i < created; i++)
        sum += (long)thread_join(threads[i]);
    CHECK_EQ(sum, (long)created * (created - 1) / 2);
}

/* So that the main thread's stack needs no page later. */
static __attribute__((noinline)) void touch_own_stack(void) {
    volatile char room[65536];
    for (unsigned i = 0; i < sizeof room; i += 4096)
        room[i] = 1;
}

static void more_threads_than_memory(void) {
    touch_own_stack();
    machine_is_ours = access("/proc/mimosa", F_OK) == 0;
    int limit = machine_is_ours ? MANY : MANY_ON_LINUX, error, created[3];
    long free_before = 0, free_after = 0;
    stacks = mmap(NULL, MANY * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(stacks != MAP_FAILED);
    memset(stacks, 1, limit * STACK);
    memset(threads, 1, sizeof threads);
    create_up_to(20, &error); /* the program's own pages */
    let_go(20);
    for (int round = 0; round < 3; round++) {
        created[round] = create_up_to(limit, &error);
        CHECK_EQ(error, machine_is_ours ? EAGAIN : 0);
        let_go(created[round]);
        if (machine_is_ours) /* the last may still be leaving */
            CHECK_SOON(proc_free_kb() > free_before - TOLERANCE_KB);
        free_after = proc_free_kb();
        if (round == 0)
            free_before = free_after;
    }
    guest_print("# %d, %d, %d threads; free kB %ld, then %ld", created[0], created[1], created[2],
                free_before, free_after);
    CHECK(created[0] > 200 && created[1] > 200);
    CHECK(created[2] >= created[1] - created[1] / 10);
    /* Other requests are served as well. */
    char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(p != MAP_FAILED);
    memset(p, 1, 1 << 20);
    munmap(p, 1 << 20);
    munmap(stacks, MANY * STACK);
}

GUEST_MAIN(CASE(more_threads_than_memory))
