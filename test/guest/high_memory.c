/* SPDX-License-Identifier: MIT */
/*
 * Three quarters of what memory is free, held at once, every 64 KiB marked and
 * looked at again: no frame is given twice, and those above 4 GiB, where there
 * are any, are as good as the others.  A Linux with other programs on it is
 * asked for 64 MiB only.
 *
 * guest: timeout=120
 */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <sys/mman.h>
#include <sys/sysinfo.h>

#define STEP      (64L << 10)
#define PART      (64L << 20)
#define PARTS_MAX 1024

static char *parts[PARTS_MAX];
static long count;

static long free_bytes(void) {
    struct sysinfo info;
    return sysinfo(&info) ? 0 : (long)(info.freeram * info.mem_unit);
}

/* Each thread marks its share; what it marks says where it is. */
static void *mark(void *arg) {
    long cpus = (long)arg >> 32, own = (long)arg & 0xffffffff;
    for (long i = own; i < count; i += cpus)
        for (long at = 0; at < PART; at += STEP)
            *(long *)(parts[i] + at + at / STEP * 8) = i * PART + at + 1;
    return NULL;
}

static void most_of_it_at_once(void) {
    int cpus[CPUS_MAX], threads = cpus_list(cpus);
    pthread_t thread[CPUS_MAX];
    long before = free_bytes(), bad = 0;
    count = access("/proc/mimosa", F_OK) ? 1 : before / 4 * 3 / PART;
    REQUIRE(count > 0 && count <= PARTS_MAX);
    for (long i = 0; i < count; i++) {
        parts[i] = mmap(NULL, PART, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(parts[i] != MAP_FAILED);
    }
    if (threads > 4)
        threads = 4;
    for (long i = 0; i < threads; i++)
        REQUIRE(thread_start(&thread[i], mark, (void *)((long)threads << 32 | i)));
    for (int i = 0; i < threads; i++)
        thread_join(thread[i]);
    for (long i = 0; i < count; i++)
        for (long at = 0; at < PART; at += STEP)
            bad += *(long *)(parts[i] + at + at / STEP * 8) != i * PART + at + 1;
    CHECK_EQ(bad, 0);
    if (count > 1)
        CHECK(before - free_bytes() >= count * PART / 16); /* a 4 KiB page each 64 KiB, or more */
    guest_print("# %ld MiB of %ld MiB", (before - free_bytes()) >> 20, before >> 20);
    for (long i = 0; i < count; i++)
        munmap(parts[i], PART);
}

static void all_of_it_comes_back(void) {
    long before = free_bytes();
    most_of_it_at_once();
    if (count > 1)
        CHECK(free_bytes() >= before - (8L << 20)); /* tables, stacks, the C library's */
}

GUEST_MAIN(CASE(most_of_it_at_once), CASE(all_of_it_comes_back))
