/* SPDX-License-Identifier: MIT */
/*
 * Memory that comes to its end: what cannot be given is refused with ENOMEM,
 * the program goes on, and what it gives back can be had again.
 *
 * guest: mem=128M timeout=120
 */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static unsigned long machine_bytes(void) {
    struct sysinfo info;
    return sysinfo(&info) ? 0 : info.totalram * info.mem_unit;
}

static void one_large_request_is_refused(void) {
    unsigned long total = machine_bytes();
    REQUIRE(total > 0);
    CHECK_ERRNO(mmap(NULL, 4 * total, RW, ANON, -1, 0), ENOMEM);
    errno = 0;
    char *volatile p = malloc(4 * total);
    CHECK(p == NULL && errno == ENOMEM);
    p = malloc(1 << 20);
    REQUIRE(p != NULL);
    p[1 << 19] = 1;
    free(p);
}

static void what_is_not_accountable_is_given(void) {
    unsigned long total = machine_bytes();
    char *p = mmap(NULL, 4 * total, PROT_NONE, ANON, -1, 0);
    CHECK(p != MAP_FAILED);
    munmap(p, 4 * total);
    p = mmap(NULL, 4 * total, RW, ANON | MAP_NORESERVE, -1, 0);
    REQUIRE(p != MAP_FAILED);
    p[0] = p[4 * total - 1] = 1;
    munmap(p, 4 * total);
}

/* A limit of address space stands for the end of memory. */
static void heap_runs_out_and_recovers(void) {
    static char *blocks[4096];
    struct rlimit old, tight;
    REQUIRE(getrlimit(RLIMIT_AS, &old) == 0);
    tight = old;
    tight.rlim_cur = 48 << 20;
    REQUIRE(setrlimit(RLIMIT_AS, &tight) == 0);
    for (int round = 0; round < 3; round++) {
        int count = 0;
        while (count < 4096 && (blocks[count] = malloc(200000))) {
            memset(blocks[count], count, 200000);
            count++;
        }
        CHECK(count > 50 && count < 400);
        CHECK_EQ(errno, ENOMEM);
        char *small = malloc(16); /* it may still be had, or not: no crash */
        free(small);
        int bad = 0;
        for (int i = 0; i < count; i++) {
            bad += blocks[i][0] != (char)i || blocks[i][199999] != (char)i;
            free(blocks[i]);
        }
        CHECK_EQ(bad, 0);
    }
    CHECK_EQ(setrlimit(RLIMIT_AS, &old), 0);
}

/* Takes most of a small machine's memory again and again. */
static void given_back_is_had_again(void) {
    unsigned long total = machine_bytes(), size = total / 2 < 64 << 20 ? total / 2 : 64 << 20;
    for (int round = 0; round < 6; round++) {
        long bad = 0;
        char *p = mmap(NULL, size, RW, ANON, -1, 0);
        REQUIRE(p != MAP_FAILED);
        for (unsigned long i = 0; i < size; i += 4096)
            *(unsigned long *)(p + i) = i + round;
        for (unsigned long i = 0; i < size; i += 4096)
            bad += *(unsigned long *)(p + i) != i + round;
        CHECK_EQ(bad, 0);
        munmap(p, size);
    }
}

GUEST_MAIN(CASE(one_large_request_is_refused), CASE(what_is_not_accountable_is_given),
           CASE(heap_runs_out_and_recovers), CASE(given_back_is_had_again))
