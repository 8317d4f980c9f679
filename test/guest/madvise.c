/* SPDX-License-Identifier: MIT */
/* madvise, mincore, mlock: results, errors, and what becomes of the pages. */
#define _GNU_SOURCE
#include "test/guest/faults.h"
#include "test/guest/linux_abi.h"
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE 4096L
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char *map(long pages) {
    return mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
}

static long resident(char *p, long pages) {
    static unsigned char states[8192];
    long count = 0;
    if (!CHECK_EQ(mincore(p, pages * PAGE, states), 0))
        return -1;
    for (long i = 0; i < pages; i++)
        count += states[i] & 1;
    return count;
}

static void dontneed_drops(void) {
    char *p = map(8);
    REQUIRE(p != MAP_FAILED);
    memset(p, 5, 8 * PAGE);
    CHECK_EQ(madvise(p + 2 * PAGE, 3 * PAGE, MADV_DONTNEED), 0);
    CHECK_EQ(resident(p, 8), 5);
    CHECK(p[PAGE] == 5 && p[5 * PAGE] == 5);
    CHECK(p[2 * PAGE] == 0 && p[5 * PAGE - 1] == 0);
    p[3 * PAGE] = 6;
    CHECK_EQ(p[3 * PAGE], 6);
    munmap(p, 8 * PAGE);
}

static void free_may_drop(void) {
    char *p = map(8);
    REQUIRE(p != MAP_FAILED);
    memset(p, 5, 8 * PAGE);
    CHECK_EQ(madvise(p, 4 * PAGE, MADV_FREE), 0);
    CHECK(p[0] == 5 || p[0] == 0);
    p[PAGE] = 7; /* a write keeps the page from then on */
    CHECK_EQ(p[PAGE], 7);
    CHECK_EQ(p[4 * PAGE], 5);
    munmap(p, 8 * PAGE);
}

/* Only private memory without a file can be given up. */
static void free_errors(void) {
    int file = open("/proc/self/exe", O_RDONLY);
    char *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *p = map(4);
    char *of_file = mmap(NULL, PAGE, RW, MAP_PRIVATE, file, 0);
    REQUIRE(shared != MAP_FAILED && p != MAP_FAILED && of_file != MAP_FAILED);
    CHECK_ERRNO(madvise(shared, PAGE, MADV_FREE), EINVAL);
    CHECK_ERRNO(madvise(of_file, PAGE, MADV_FREE), EINVAL);
    of_file[0] = 1; /* a copy by now, but the mapping is a file's */
    CHECK_ERRNO(madvise(of_file, PAGE, MADV_FREE), EINVAL);
    CHECK_ERRNO(madvise(p + 1, PAGE, MADV_FREE), EINVAL);
    CHECK_ERRNO(syscall(SYS_madvise, p, -PAGE, MADV_FREE), EINVAL);
    CHECK_EQ(munmap(p + PAGE, PAGE), 0);
    CHECK_ERRNO(madvise(p, 4 * PAGE, MADV_FREE), ENOMEM);
    munmap(p, 4 * PAGE), munmap(shared, PAGE), munmap(of_file, PAGE);
    close(file);
}

static void huge_hints(void) {
    long size = 8L << 20, bad = 0;
    char *p = mmap(NULL, size, RW, ANON, -1, 0);
    REQUIRE(p != MAP_FAILED);
    if (madvise(p, size, MADV_HUGEPAGE)) {
        CHECK_EQ(errno, EINVAL); /* a Linux without transparent huge pages */
        munmap(p, size);
        SKIP("no huge pages here");
    }
    for (long i = 0; i < size; i += PAGE)
        *(long *)(p + i) = i + 1;
    /* Drop single pages out of them, forbid them again, and look at the rest. */
    for (long i = 3 * PAGE; i < size; i += 128 * PAGE)
        CHECK_EQ(madvise(p + i, PAGE, MADV_DONTNEED), 0);
    CHECK_EQ(madvise(p, size, MADV_NOHUGEPAGE), 0);
    for (long i = 0; i < size; i += PAGE)
        bad += *(long *)(p + i) != (i / PAGE % 128 == 3 ? 0 : i + 1);
    CHECK_EQ(bad, 0);
    munmap(p, size);
}

static void nohuge_commits_single_pages(void) {
    long pages = 4096;
    char *p = map(pages);
    REQUIRE(p != MAP_FAILED);
    int result = madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
    CHECK(result == 0 || errno == EINVAL);
    for (long i = 0; i < pages; i += 16)
        p[i * PAGE] = 1;
    if (result == 0)
        CHECK_EQ(resident(p, pages), pages / 16); /* a sixteenth, no more */
    munmap(p, pages * PAGE);
}

static void populate(void) {
    char *p = map(16);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(resident(p, 16), 0);
    if (madvise(p, 8 * PAGE, MADV_POPULATE_WRITE)) {
        CHECK_EQ(errno, EINVAL); /* before Linux 5.14 */
        munmap(p, 16 * PAGE);
        SKIP("MADV_POPULATE_WRITE is not known here");
    }
    CHECK(resident(p, 16) >= 8);
    CHECK_EQ(madvise(p, 16 * PAGE, MADV_POPULATE_READ), 0);
    CHECK_EQ(p[15 * PAGE], 0);
    munmap(p + 4 * PAGE, PAGE);
    CHECK_ERRNO(madvise(p, 16 * PAGE, MADV_POPULATE_WRITE), ENOMEM);
    CHECK_EQ(mprotect(p, PAGE, PROT_READ), 0);
    CHECK_ERRNO(madvise(p, PAGE, MADV_POPULATE_WRITE), EINVAL);
    munmap(p, 16 * PAGE);
    p = mmap(NULL, 16 * PAGE, RW, ANON | MAP_POPULATE, -1, 0);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(resident(p, 16), 16);
    munmap(p, 16 * PAGE);
}

static void madvise_errors(void) {
    char *p = map(4);
    REQUIRE(p != MAP_FAILED);
    memset(p, 1, 4 * PAGE);
    CHECK_ERRNO(madvise(p + 1, PAGE, MADV_DONTNEED), EINVAL);
    CHECK_ERRNO(madvise(p, PAGE, 9999), EINVAL);
    CHECK_EQ(madvise(p, 0, MADV_DONTNEED), 0);
    CHECK_ERRNO(syscall(SYS_madvise, p, -PAGE, MADV_DONTNEED), EINVAL);
    munmap(p + PAGE, PAGE);
    CHECK_ERRNO(madvise(p, 4 * PAGE, MADV_DONTNEED), ENOMEM);
    CHECK(p[0] == 0 && p[3 * PAGE] == 0); /* all the same, what is there is dropped */
    CHECK_EQ(madvise(p, PAGE, MADV_NORMAL), 0);
    CHECK_EQ(madvise(p, PAGE, MADV_RANDOM), 0);
    CHECK_EQ(madvise(p, PAGE, MADV_WILLNEED), 0);
    munmap(p, 4 * PAGE);
}

static void mincore_errors(void) {
    unsigned char states[8];
    char *p = map(4);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(resident(p, 4), 0);
    p[PAGE] = 1;
    CHECK_EQ(resident(p, 4), 1);
    CHECK_ERRNO(mincore(p + 1, PAGE, states), EINVAL);
    CHECK_ERRNO(mincore(p, PAGE, (void *)8), EFAULT);
    munmap(p + 2 * PAGE, PAGE);
    CHECK_ERRNO(mincore(p, 4 * PAGE, states), ENOMEM);
    munmap(p, 4 * PAGE);
}

/* Of a file's pages, mincore says whether they are in memory, mapped or not. */
static void mincore_of_files(void) {
    static char block[3 * PAGE];
    static const int kinds[] = { MAP_PRIVATE, MAP_SHARED };
    char path[] = "/tmp/madvise-XXXXXX";
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    CHECK_EQ(write(fd, block, sizeof block), (long)sizeof block);
    for (int i = 0; i < 2; i++) {
        char *p = mmap(NULL, sizeof block, PROT_READ, kinds[i], fd, 0);
        REQUIRE(p != MAP_FAILED);
        CHECK_EQ(resident(p, 3), 3);
        munmap(p, sizeof block);
    }
    close(fd);
    unlink(path);
}

static void remove_makes_holes(void) {
    char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(p != MAP_FAILED);
    memset(p, 5, 4 * PAGE);
    CHECK_EQ(madvise(p + PAGE, 2 * PAGE, MADV_REMOVE), 0);
    CHECK_EQ(resident(p, 4), 2);
    CHECK(p[PAGE - 1] == 5 && p[3 * PAGE] == 5);
    CHECK(p[PAGE] == 0 && p[3 * PAGE - 1] == 0);
    p[PAGE] = 6;
    CHECK_EQ(p[PAGE], 6);
    CHECK_ERRNO(madvise(p + 1, PAGE, MADV_REMOVE), EINVAL);
    munmap(p, 4 * PAGE);
    p = map(2);
    REQUIRE(p != MAP_FAILED);
    CHECK_ERRNO(madvise(p, PAGE, MADV_REMOVE), EINVAL);
    munmap(p, 2 * PAGE);
    CHECK_ERRNO(madvise(p, PAGE, MADV_REMOVE), ENOMEM);
}

static void locking(void) {
    char *p = map(4);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(mlock(p, 4 * PAGE), 0);
    CHECK_EQ(resident(p, 4), 4);
    CHECK_EQ(munlock(p, 4 * PAGE), 0);
    CHECK_EQ(mlock(p + 1, 1), 0); /* Linux rounds */
    munmap(p + 2 * PAGE, PAGE);
    CHECK_ERRNO(mlock(p, 4 * PAGE), ENOMEM);
    CHECK_ERRNO(munlock(p, 4 * PAGE), ENOMEM);
    CHECK_EQ(munlockall(), 0);
    munmap(p, 4 * PAGE);
}

static void locking_all(void) {
    CHECK_ERRNO(mlockall(0), EINVAL);
    CHECK_ERRNO(mlockall(MCL_FUTURE | 64), EINVAL);
    if (mlockall(MCL_FUTURE) != 0)
        SKIP("no right to lock memory here");
    char *p = map(4);
    CHECK_EQ(munlockall(), 0);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(resident(p, 4), 4);
    CHECK_EQ(madvise(p, 4 * PAGE, MADV_DONTNEED), 0);
    CHECK_EQ(resident(p, 4), 0);
    CHECK_EQ(mlockall(MCL_CURRENT), 0);
    CHECK_EQ(resident(p, 4), 4);
    CHECK_ERRNO(madvise(p, 4 * PAGE, MADV_DONTNEED), EINVAL);
    CHECK_ERRNO(madvise(p, 4 * PAGE, MADV_FREE), EINVAL);
    CHECK_EQ(munlockall(), 0);
    munmap(p, 4 * PAGE);
}

/* Memory given back is there again: far more in all than a small guest has. */
static void dontneed_gives_memory_back(void) {
    long size = 32L << 20;
    char *p = mmap(NULL, size, RW, ANON, -1, 0);
    REQUIRE(p != MAP_FAILED);
    for (int round = 0; round < 30; round++) {
        for (long i = 0; i < size; i += PAGE)
            p[i] = 1;
        CHECK_EQ(madvise(p, size, round % 2 ? MADV_DONTNEED : MADV_FREE), 0);
    }
    munmap(p, size);
}

static void one_fault_per_page(void) {
    struct rusage before, after;
    char *p = map(256);
    REQUIRE(p != MAP_FAILED);
    CHECK(madvise(p, 256 * PAGE, MADV_NOHUGEPAGE) == 0 || errno == EINVAL);
    getrusage(RUSAGE_SELF, &before);
    for (long i = 0; i < 256; i++)
        p[i * PAGE] = 1;
    getrusage(RUSAGE_SELF, &after);
    long faults = after.ru_minflt - before.ru_minflt;
    CHECK(faults >= 256 && faults <= 270);
    munmap(p, 256 * PAGE);
}

GUEST_MAIN(CASE(dontneed_drops), CASE(free_may_drop), CASE(free_errors), CASE(huge_hints),
           CASE(nohuge_commits_single_pages), CASE(populate), CASE(madvise_errors),
           CASE(mincore_errors), CASE(mincore_of_files), CASE(remove_makes_holes), CASE(locking),
           CASE(locking_all), CASE(dontneed_gives_memory_back), CASE(one_fault_per_page))
