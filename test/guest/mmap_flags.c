/* SPDX-License-Identifier: MIT */
/* The rarer flags of mmap and mlock: what each does, and what it refuses. */
#define _GNU_SOURCE
#include "test/guest/faults.h"
#include "test/guest/linux_abi.h"
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGE      4096L
#define RW        (PROT_READ | PROT_WRITE)
#define ANON      (MAP_PRIVATE | MAP_ANONYMOUS)
#define GAP_PAGES 256L /* that a growing mapping keeps from the one below it */

static char *map(long pages, int flags) {
    return mmap(NULL, pages * PAGE, RW, ANON | flags, -1, 0);
}

/* How many of the pages are in memory; -1 where not all are mapped. */
static long resident(char *p, long pages) {
    unsigned char vec[64];
    long sum = 0;
    if (mincore(p, pages * PAGE, vec))
        return -1;
    for (long i = 0; i < pages; i++)
        sum += vec[i] & 1;
    return sum;
}

static void below_two_gib(void) {
    static char *all[64];
    uintptr_t limit = 1UL << 31;
    for (unsigned i = 0; i < LENGTH(all); i++) {
        all[i] = map(1 + i, MAP_32BIT);
        REQUIRE(all[i] != MAP_FAILED);
        CHECK((uintptr_t)all[i] >= 1UL << 30 && (uintptr_t)all[i] + (1 + i) * PAGE <= limit);
        memset(all[i], (int)i, (1 + i) * PAGE);
    }
    for (unsigned i = 0; i < LENGTH(all); i++) {
        CHECK_EQ(all[i][i * PAGE], (char)i);
        CHECK_EQ(munmap(all[i], (1 + i) * PAGE), 0);
    }
    char *large = mmap(NULL, 256L << 20, PROT_NONE, ANON | MAP_32BIT, -1, 0);
    CHECK(large != MAP_FAILED && (uintptr_t)large + (256UL << 20) <= limit);
    munmap(large, 256L << 20);
    /* A hint counts below the limit only; a fixed address counts always. */
    char *hint = mmap((void *)0x30000000, PAGE, RW, ANON | MAP_32BIT, -1, 0);
    CHECK(hint == (char *)0x30000000);
    munmap(hint, PAGE);
    char *high = map(1, 0), *low;
    munmap(high, PAGE);
    low = mmap(high, PAGE, RW, ANON | MAP_32BIT, -1, 0);
    CHECK(low != MAP_FAILED && (uintptr_t)low < limit);
    munmap(low, PAGE);
    CHECK(mmap(high, PAGE, RW, ANON | MAP_32BIT | MAP_FIXED, -1, 0) == high);
    munmap(high, PAGE);
    CHECK_ERRNO(mmap(NULL, (1L << 31) + PAGE, PROT_NONE, ANON | MAP_32BIT, -1, 0), ENOMEM);
    CHECK_ERRNO(mmap(NULL, (1L << 30) + PAGE, PROT_NONE, ANON | MAP_32BIT, -1, 0), ENOMEM);
}

static void below_two_gib_runs_out(void) {
    static char *all[64];
    long size = 64L << 20;
    unsigned count = 0;
    while (count < LENGTH(all)) {
        all[count] = mmap(NULL, size, PROT_NONE, ANON | MAP_NORESERVE | MAP_32BIT, -1, 0);
        if (all[count] == MAP_FAILED)
            break;
        count++;
    }
    CHECK(count >= 8 && count <= 16);
    CHECK_EQ(errno, ENOMEM);
    char *elsewhere = map(1, 0);
    CHECK(elsewhere != MAP_FAILED);
    munmap(elsewhere, PAGE);
    for (unsigned i = 0; i < count; i++)
        munmap(all[i], size);
}

static void grows_down(void) {
    long room = 1200;
    char *hole = mmap(NULL, room * PAGE, PROT_NONE, ANON, -1, 0);
    REQUIRE(hole != MAP_FAILED && munmap(hole, room * PAGE) == 0);
    char *top = hole + (room - 1) * PAGE;
    char *p = mmap(top, PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
    REQUIRE(p == top);
    p[0] = 1;
    CHECK_EQ(fault_write(p - 1), 0);
    p[-1] = 2;
    CHECK_EQ(fault_write(p - 300 * PAGE), 0); /* all that lies between is there now */
    CHECK_EQ(fault_write(p - 150 * PAGE), 0);
    CHECK(p[0] == 1 && p[-1] == 2 && p[-150 * PAGE] == 0);
    /* It stays away from what lies below. */
    char *below = mmap(hole + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
    REQUIRE(below == hole + PAGE);
    CHECK_EQ(fault_write(hole + (2 + GAP_PAGES / 2) * PAGE), SIGSEGV);
    CHECK_EQ(fault_write(hole + (3 + GAP_PAGES) * PAGE), 0);
    munmap(hole, room * PAGE);
    CHECK_EQ(fault_write(p - 1), SIGSEGV);
    CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0), EINVAL);
    int fd = open("/proc/self/exe", O_RDONLY);
    CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0), EINVAL);
    close(fd);
}

static void locked_is_resident(void) {
    char *p = map(8, MAP_LOCKED);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(resident(p, 8), 8);
    CHECK_ERRNO(madvise(p, PAGE, MADV_DONTNEED), EINVAL);
    CHECK_EQ(msync(p, 8 * PAGE, MS_SYNC), 0);
    CHECK_ERRNO(msync(p, 8 * PAGE, MS_SYNC | MS_INVALIDATE), EBUSY);
    CHECK_EQ(munlock(p, 8 * PAGE), 0);
    CHECK_EQ(msync(p, 8 * PAGE, MS_INVALIDATE), 0);
    CHECK_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
    munmap(p, 8 * PAGE);
}

static void populated_or_not(void) {
    char *p = map(8, MAP_POPULATE);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(resident(p, 8), 8);
    munmap(p, 8 * PAGE);
    p = map(8, MAP_POPULATE | MAP_NONBLOCK); /* means neither */
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(resident(p, 8), 0);
    munmap(p, 8 * PAGE);
    p = map(8, MAP_NONBLOCK);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(resident(p, 8), 0);
    p[PAGE] = 1;
    CHECK_EQ(resident(p, 8), 1);
    munmap(p, 8 * PAGE);
}

static void locked_when_touched(void) {
    char *p = map(8, 0);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(syscall(SYS_mlock2, p, 8 * PAGE, MLOCK_ONFAULT), 0);
    CHECK_EQ(resident(p, 8), 0);
    p[3 * PAGE] = 1;
    CHECK_EQ(resident(p, 8), 1);
    CHECK_ERRNO(madvise(p, 8 * PAGE, MADV_DONTNEED), EINVAL);
    char *q = mremap(p, 8 * PAGE, 12 * PAGE, MREMAP_MAYMOVE);
    REQUIRE(q != MAP_FAILED);
    CHECK_EQ(resident(q, 12), 1);
    CHECK_EQ(mlock(q, 4 * PAGE), 0); /* the plain one touches them */
    CHECK_EQ(resident(q, 12), 4);
    CHECK_EQ(munlock(q, 12 * PAGE), 0);
    CHECK_EQ(madvise(q, 12 * PAGE, MADV_DONTNEED), 0);
    CHECK_EQ(resident(q, 12), 0);
    munmap(q, 12 * PAGE);
}

static void all_locked_when_touched(void) {
    char *before = map(8, 0);
    REQUIRE(before != MAP_FAILED);
    CHECK_ERRNO(mlockall(MCL_ONFAULT), EINVAL);
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
        SKIP("no right to lock memory here");
    char *after = map(8, 0);
    REQUIRE(after != MAP_FAILED);
    CHECK_EQ(resident(before, 8), 0);
    CHECK_EQ(resident(after, 8), 0);
    after[PAGE] = 1;
    CHECK_EQ(resident(after, 8), 1);
    CHECK_ERRNO(madvise(before, PAGE, MADV_DONTNEED), EINVAL);
    CHECK_ERRNO(madvise(after, PAGE, MADV_DONTNEED), EINVAL);
    CHECK_EQ(mlockall(MCL_FUTURE), 0);
    char *touched = map(8, 0);
    REQUIRE(touched != MAP_FAILED);
    CHECK_EQ(resident(touched, 8), 8);
    CHECK_EQ(munlockall(), 0);
    CHECK_EQ(madvise(before, PAGE, MADV_DONTNEED), 0);
    munmap(before, 8 * PAGE);
    munmap(after, 8 * PAGE);
    munmap(touched, 8 * PAGE);
}

static void stacks_are_plain_memory(void) {
    char *p = map(8, MAP_STACK | MAP_NORESERVE);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(resident(p, 8), 0);
    p[0] = p[8 * PAGE - 1] = 1;
    CHECK_EQ(resident(p, 8), 2);
    munmap(p, 8 * PAGE);
    CHECK_EQ(fault_write(p), SIGSEGV);
}

static void no_huge_pages_to_be_had(void) {
    CHECK_ERRNO(mmap(NULL, 2L << 20, RW, ANON | MAP_HUGETLB, -1, 0), ENOMEM);
    CHECK_ERRNO(mmap(NULL, 2L << 20, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0), ENOMEM);
    int fd = open("/proc/self/exe", O_RDONLY);
    REQUIRE(fd >= 0);
    CHECK_ERRNO(mmap(NULL, 2L << 20, PROT_READ, MAP_PRIVATE | MAP_HUGETLB, fd, 0), EINVAL);
    CHECK_ERRNO(mmap(NULL, 2L << 20, PROT_READ, MAP_SHARED_VALIDATE | MAP_HUGETLB, fd, 0), EINVAL);
    close(fd);
}

static void shared_with_checked_flags(void) {
    static const int unknown[] = { MAP_SYNC, MAP_FIXED_NOREPLACE, 0x200000, 0x800000, 0x2000000 };
    const unsigned first_nameless = 2;
    int fd = open("/proc/self/exe", O_RDONLY);
    REQUIRE(fd >= 0);
    char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE, fd, 0);
    REQUIRE(p != MAP_FAILED);
    CHECK(!memcmp(p, "\177ELF", 4));
    munmap(p, PAGE);
    int known = MAP_POPULATE | MAP_NONBLOCK | MAP_NORESERVE | MAP_STACK | MAP_DENYWRITE;
    p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | known, fd, 0);
    REQUIRE(p != MAP_FAILED);
    munmap(p, PAGE);
    for (unsigned i = 0; i < LENGTH(unknown); i++) {
        CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | unknown[i], fd, 0),
                    EOPNOTSUPP);
        if (i < first_nameless)
            continue;
        p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | unknown[i], fd, 0); /* not looked at */
        CHECK(p != MAP_FAILED);
        munmap(p, PAGE);
    }
    CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE, -1, 0), EBADF);
    close(fd);
}

GUEST_MAIN(CASE(below_two_gib), CASE(below_two_gib_runs_out), CASE(grows_down),
           CASE(locked_is_resident), CASE(populated_or_not), CASE(locked_when_touched),
           CASE(all_locked_when_touched), CASE(stacks_are_plain_memory),
           CASE(no_huge_pages_to_be_had), CASE(shared_with_checked_flags))
