/* SPDX-License-Identifier: MIT */
/*
 * Memory from many CPUs at once: concurrent faults, changes to mappings that
 * race with faults, and detectors of stale translations.
 *
 * A stale translation is seen in two ways.  `stale_reads`: one thread swaps
 * pages with rising numbers under an address, publishing each number once the
 * swap has returned; a reader that takes the published number first and the
 * page's second must never see a smaller one.  `stale_writes`: writers keep
 * writing through an address while one thread makes it read-only (its value
 * must stand still then) or unmaps it and takes fresh pages, which are likely
 * the same frames (no foreign write may appear in them).
 *
 * guest: timeout=240
 */
#define _GNU_SOURCE
#include "test/guest/faults.h"
#include "test/guest/linux_abi.h"
#include "test/guest/threads.h"
#include <stdint.h>
#include <sys/mman.h>

#define PAGE     4096L
#define RW       (PROT_READ | PROT_WRITE)
#define ANON     (MAP_PRIVATE | MAP_ANONYMOUS)
#define CREW_MAX 10

static int cpus[CPUS_MAX], cpu_count, crew_size;
static pthread_t crew[CREW_MAX];
static pthread_barrier_t meeting;
static char *volatile area;
static int stop;

static char *map(long pages) {
    return mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
}

static int crew_start(void *(*run)(void *), int least) {
    cpu_count = cpus_list(cpus);
    crew_size = cpu_count < least ? least : cpu_count < CREW_MAX ? cpu_count : CREW_MAX;
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    pthread_barrier_init(&meeting, NULL, crew_size);
    for (long i = 0; i < crew_size; i++)
        if (!thread_start(&crew[i], run, (void *)i))
            return 0;
    return 1;
}

static void crew_join(void) {
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < crew_size; i++)
        thread_join(crew[i]);
    pthread_barrier_destroy(&meeting);
}

static int stopped(void) {
    return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static void *touch_same(void *arg) {
    long me = (long)arg;
    cpu_pin(cpus[me % cpu_count]);
    for (int round = 0; round < 100; round++) {
        if (me == 0)
            area = map(8);
        pthread_barrier_wait(&meeting);
        for (long i = 0; i < 8; i++)
            __atomic_fetch_add((long *)(area + i * PAGE), 1, __ATOMIC_RELAXED);
        pthread_barrier_wait(&meeting);
        for (long i = 0; i < 8 && me == 0; i++)
            CHECK_EQ(*(long *)(area + i * PAGE), crew_size);
        if (me == 0)
            munmap(area, 8 * PAGE);
    }
    return NULL;
}

static void faults_on_the_same_page(void) {
    REQUIRE(crew_start(touch_same, 3));
    crew_join();
}

/* Each thread owns every crew_size-th page, and reads the others' as zero or whole. */
static void *touch_neighbours(void *arg) {
    long me = (long)arg, pages = 1024;
    cpu_pin(cpus[me % cpu_count]);
    for (int round = 0; round < 4; round++) {
        long bad = 0;
        if (me == 0)
            area = map(pages);
        pthread_barrier_wait(&meeting);
        for (long i = me; i < pages; i += crew_size) {
            *(long *)(area + i * PAGE + 64) = i + 1;
            long next = *(volatile long *)(area + (i + 1) % pages * PAGE + 64);
            bad += next != 0 && next != (i + 1) % pages + 1;
        }
        pthread_barrier_wait(&meeting);
        for (long i = 0; i < pages; i++)
            bad += *(long *)(area + i * PAGE + 64) != i + 1 || *(long *)(area + i * PAGE) != 0;
        CHECK_EQ(bad, 0);
        pthread_barrier_wait(&meeting);
        if (me == 0)
            munmap(area, pages * PAGE);
    }
    return NULL;
}

static void faults_on_neighbours(void) {
    REQUIRE(crew_start(touch_neighbours, 3));
    crew_join();
}

/* Handler of the detectors: what is unmapped or read-only now will not be for long. */
static void retry_handler(int signal, siginfo_t *info, void *context) {
    char *at = info->si_addr;
    (void)context;
    if (at < area || at >= area + 8 * PAGE) {
        guest_print("# signal %d at %p outside the area", signal, (void *)at);
        _exit(3);
    }
    syscall(SYS_sched_yield);
}

static void retry_install(void) {
    struct sigaction action = { .sa_sigaction = retry_handler, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &action, NULL);
}

static long published;

static void *read_pages(void *arg) {
    volatile long *number = (volatile long *)area;
    cpu_pin(cpus[(long)arg % cpu_count]);
    long looks = 0;
    while (!stopped()) {
        for (int i = 0; i < 100; i++, looks++) {
            long least = __atomic_load_n(&published, __ATOMIC_ACQUIRE);
            long seen = *number;
            if (seen < least)
                CHECK_EQ(seen, least);
        }
    }
    return (void *)looks;
}

static void stale_reads(void) {
    retry_install();
    area = map(8);
    REQUIRE(area != MAP_FAILED);
    published = 0;
    REQUIRE(crew_start(read_pages, 2));
    for (long number = 1; number <= 150; number++) {
        char *fresh = map(1);
        REQUIRE(fresh != MAP_FAILED);
        *(long *)fresh = number;
        CHECK(mremap(fresh, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area) == area);
        __atomic_store_n(&published, number, __ATOMIC_RELEASE);
        if (number % 16 == 0)
            sched_yield();
    }
    crew_join();
    munmap(area, 8 * PAGE);
}

/* Each writer counts up in its own cache line of the area's first page. */
static void *write_page(void *arg) {
    long me = (long)arg;
    cpu_pin(cpus[me % cpu_count]);
    for (long i = 1; !stopped(); i++)
        *(volatile long *)(area + 64 * me) = i;
    return NULL;
}

static void stale_writes_after_mprotect(void) {
    retry_install();
    area = map(8);
    REQUIRE(area != MAP_FAILED);
    REQUIRE(crew_start(write_page, 2));
    for (int round = 0; round < 120; round++) {
        char before[PAGE];
        CHECK_EQ(mprotect(area, PAGE, PROT_READ), 0);
        memcpy(before, area, PAGE);
        for (int look = 0; look < 20; look++)
            if (!CHECK(memcmp(before, area, PAGE) == 0))
                break;
        CHECK_EQ(mprotect(area, PAGE, RW), 0);
        if (round % 8 == 0)
            sched_yield();
    }
    crew_join();
    munmap(area, 8 * PAGE);
}

static void stale_writes_after_unmap(void) {
    long bad = 0;
    retry_install();
    area = map(8);
    char *reserve = map(4); /* so that no fresh page lands in the hole itself */
    REQUIRE(area != MAP_FAILED && reserve != MAP_FAILED);
    REQUIRE(crew_start(write_page, 2));
    for (int round = 0; round < 80; round++) {
        char *grabbed[4];
        switch (round % 3) {
        case 0:
            CHECK_EQ(munmap(area, PAGE), 0);
            break;
        case 1:
            CHECK_EQ(madvise(area, PAGE, MADV_DONTNEED), 0);
            break;
        case 2:
            CHECK_EQ(mprotect(area, PAGE, PROT_NONE), 0);
            CHECK_EQ(madvise(area, PAGE, MADV_DONTNEED), 0);
            break;
        }
        for (int i = 0; i < 4; i++) {
            grabbed[i] = mmap(reserve + i * PAGE, PAGE, RW, ANON | MAP_FIXED | MAP_POPULATE, -1, 0);
            REQUIRE(grabbed[i] != MAP_FAILED);
        }
        for (int look = 0; look < 20; look++)
            for (int i = 0; i < 4; i++)
                for (int writer = 0; writer < crew_size; writer++)
                    bad += *(volatile long *)(grabbed[i] + 64 * writer) != 0;
        for (int i = 0; i < 4; i++)
            mmap(grabbed[i], PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0);
        CHECK(mmap(area, PAGE, RW, ANON | MAP_FIXED, -1, 0) == area);
        if (round % 8 == 0)
            sched_yield();
    }
    CHECK_EQ(bad, 0);
    crew_join();
    munmap(area, 8 * PAGE);
    munmap(reserve, 4 * PAGE);
}

/* Everybody changes and touches the same 64 pages; two guarded pages beside them stay whole. */
static void *change_and_touch(void *arg) {
    unsigned long seed = (unsigned long)(long)arg * 7919 + 12345;
    cpu_pin(cpus[(long)arg % cpu_count]);
    for (int i = 0; i < 600; i++) {
        unsigned long r = guest_random(&seed);
        char *p = area + PAGE * (1 + r % 60);
        long size = PAGE * (1 + r / 64 % 4);
        switch (r / 1024 % 10) {
        case 0:
            munmap(p, size);
            break;
        case 1:
        case 2:
            mmap(p, size, RW, ANON | MAP_FIXED, -1, 0);
            break;
        case 3:
            mprotect(p, size, PROT_READ);
            break;
        case 4:
            mprotect(p, size, RW);
            break;
        case 5:
            madvise(p, size, MADV_DONTNEED);
            break;
        case 6:
            mprotect(p, size, PROT_NONE);
            break;
        default:
            if (r & 1 << 20)
                fault_write(p + 8);
            else
                fault_read(p + 8);
        }
    }
    return NULL;
}

static void changes_race_with_faults(void) {
    struct sigaction action = { .sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO };
    area = map(66);
    REQUIRE(area != MAP_FAILED);
    memset(area, 0x77, PAGE);
    memset(area + 65 * PAGE, 0x77, PAGE);
    REQUIRE(fault_read(area) == 0);
    sigaction(SIGSEGV, &action, NULL);
    REQUIRE(crew_start(change_and_touch, 4));
    crew_join();
    long bad = 0;
    for (long i = 0; i < PAGE; i++)
        bad += area[i] != 0x77 || area[65 * PAGE + i] != 0x77;
    CHECK_EQ(bad, 0);
    CHECK(mmap(area, 66 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == area);
    for (long i = 0; i < 66 * PAGE; i += 8)
        bad += *(long *)(area + i) != 0;
    CHECK_EQ(bad, 0);
    munmap(area, 66 * PAGE);
}

/* Threads map, fill, check and unmap memory of their own as fast as they can. */
static void *map_and_unmap(void *arg) {
    unsigned long seed = (unsigned long)(long)arg + 99;
    long bad = 0;
    for (int i = 0; i < 150; i++) {
        long pages = 1 + (long)(guest_random(&seed) % 40);
        char *p = map(pages);
        if (!CHECK(p != MAP_FAILED))
            break;
        for (long k = 0; k < pages; k++) {
            bad += *(long *)(p + k * PAGE) != 0;
            *(long *)(p + k * PAGE) = (long)arg * 1000 + k;
        }
        for (long k = 0; k < pages; k++)
            bad += *(long *)(p + k * PAGE) != (long)arg * 1000 + k;
        munmap(p, pages * PAGE);
    }
    CHECK_EQ(bad, 0);
    return NULL;
}

static void maps_of_their_own(void) {
    REQUIRE(crew_start(map_and_unmap, 4));
    crew_join();
}

/* Large pages broken up by one thread while others write all over them. */
static void *write_everywhere(void *arg) {
    unsigned long seed = (unsigned long)(long)arg + 5;
    long mine = 8 * (long)arg;
    for (int i = 0; i < 20000; i++) {
        long page = (long)(guest_random(&seed) % 1024);
        if (page % 16 != 9) /* those are the breaker's */
            *(volatile long *)(area + page * PAGE + mine) = page + 1;
    }
    return NULL;
}

static void large_pages_break_under_writers(void) {
    char *whole = map(2048);
    REQUIRE(whole != MAP_FAILED);
    area = (char *)(((uintptr_t)whole + (2 << 20) - 1) & -(2UL << 20));
    area = area + 1024 * PAGE <= whole + 2048 * PAGE ? area : whole;
    madvise(area, 1024 * PAGE, MADV_HUGEPAGE);
    memset(area, 0, 1024 * PAGE);
    REQUIRE(crew_start(write_everywhere, 3));
    for (long page = 9; page < 1024; page += 16)
        CHECK_EQ(page % 32 == 9 ? mprotect(area + page * PAGE, PAGE, PROT_READ)
                                : madvise(area + page * PAGE, PAGE, MADV_DONTNEED),
                 0);
    crew_join();
    long bad = 0;
    for (long page = 0; page < 1024; page++)
        for (int i = 0; i < crew_size; i++) {
            long seen = *(long *)(area + page * PAGE + 8 * i);
            bad += page % 16 == 9 ? seen != 0 : seen != 0 && seen != page + 1;
        }
    CHECK_EQ(bad, 0);
    munmap(whole, 2048 * PAGE);
}

GUEST_MAIN(CASE(faults_on_the_same_page), CASE(faults_on_neighbours), CASE(stale_reads),
           CASE(stale_writes_after_mprotect), CASE(stale_writes_after_unmap),
           CASE(changes_race_with_faults), CASE(maps_of_their_own),
           CASE(large_pages_break_under_writers))
