/* SPDX-License-Identifier: MIT */
/*
 * Memory that runs short and comes back: what MADV_FREE gave up, the untouched
 * parts of large pages, reads of more than there is; two threads at once, and
 * the amount of free memory is the same at the end.
 *
 * guest: mem=96M timeout=240
 */
#define _GNU_SOURCE
#include "test/guest/guest.h"
#include "test/guest/threads.h"
#include <sys/mman.h>
#include <sys/sysinfo.h>

#define PAGE  4096L
#define LARGE (2L << 20)
#define LIMIT (256L << 20) /* so that no host suffers */

static char *area;
static long area_bytes;

static long free_bytes(void) {
    struct sysinfo info;
    sysinfo(&info);
    return (long)(info.freeram * info.mem_unit);
}

static char *map(long bytes) {
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1, 0);
}

static void *touch_half(void *arg) {
    long half = area_bytes / 2, first = (long)arg * half;
    for (long at = first; at < first + half; at += PAGE)
        area[at] = 1;
    return NULL;
}

static void touch(char *p, long bytes) {
    pthread_t threads[2];
    area = p;
    area_bytes = bytes;
    for (long i = 0; i < 2; i++)
        REQUIRE(thread_start(&threads[i], touch_half, (void *)i));
    for (int i = 0; i < 2; i++)
        thread_join(threads[i]);
}

/* Eight tenths of what is free, in whole large pages. */
static long most(void) {
    long bytes = free_bytes();
    if (bytes > LIMIT)
        bytes = LIMIT;
    return bytes / 10 * 8 / LARGE * LARGE;
}

static void given_up(int advice) {
    long bytes = most(), before = free_bytes(), kept = 0;
    for (int round = 0; round < 3; round++) {
        char *p = map(bytes), *q = map(bytes);
        REQUIRE(p != MAP_FAILED && q != MAP_FAILED);
        madvise(p, bytes, advice);
        madvise(q, bytes, advice);
        touch(p, bytes);
        CHECK_EQ(madvise(p, bytes, MADV_FREE), 0);
        p[5 * PAGE] = 7;
        touch(q, bytes);
        for (long at = 0; at < bytes; at += PAGE)
            kept += q[at] != 1;
        CHECK_EQ(kept, 0);
        CHECK_EQ(p[5 * PAGE], 7);
        munmap(p, bytes);
        munmap(q, bytes);
    }
    /* A host has other things to do with its memory. */
    CHECK(before > LIMIT || free_bytes() > before - (1 << 20));
}

static void given_up_small(void) {
    given_up(MADV_NOHUGEPAGE);
}
static void given_up_large(void) {
    given_up(MADV_HUGEPAGE);
}

static void reads_of_more_than_there_is(void) {
    long bytes = 2 * most(), sum = 0;
    char *p = map(bytes);
    REQUIRE(p != MAP_FAILED);
    madvise(p, bytes, MADV_NOHUGEPAGE);
    for (long at = 0; at < bytes; at += PAGE)
        sum += p[at];
    CHECK_EQ(sum, 0);
    for (long at = 0; at < bytes; at += 64 * PAGE)
        p[at + 1] = 3;
    for (long at = 0; at < bytes; at += PAGE)
        sum += p[at] + p[at + 1];
    CHECK_EQ(sum, bytes / (64 * PAGE) * 3);
    munmap(p, bytes);
}

/* One byte in each large page, far more of them than fit; then as much again in small ones. */
static void sparse_large_pages(void) {
    long bytes = most(), lost = 0;
    if (free_bytes() > LIMIT)
        SKIP("there is more memory than this test would take");
    char *p = map(4 * bytes);
    REQUIRE(p != MAP_FAILED);
    madvise(p, 4 * bytes, MADV_HUGEPAGE);
    for (long at = 0; at < 4 * bytes; at += LARGE)
        p[at + 777] = 9;
    char *q = map(bytes);
    REQUIRE(q != MAP_FAILED);
    touch(q, bytes / 4 * 3);
    for (long at = 0; at < 4 * bytes; at += LARGE)
        lost += p[at + 777] != 9 || p[at + 776] != 0;
    CHECK_EQ(lost, 0);
    munmap(p, 4 * bytes);
    munmap(q, bytes);
}

GUEST_MAIN(CASE(given_up_small), CASE(given_up_large), CASE(reads_of_more_than_there_is),
           CASE(sparse_large_pages))
