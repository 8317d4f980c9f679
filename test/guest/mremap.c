/* SPDX-License-Identifier: MIT */
/* mremap and brk: growing, shrinking and moving memory, results and errors. */
#define _GNU_SOURCE
#include "test/guest/faults.h"
#include "test/guest/linux_abi.h"
#include <stdint.h>
#include <sys/mman.h>

#define PAGE 4096L
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char *map(long pages) {
    char *p = mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
    if (p != MAP_FAILED)
        for (long i = 0; i < pages; i++)
            p[i * PAGE] = (char)(i + 1);
    return p;
}

static long wrong_pages(const char *p, long pages) {
    long wrong = 0;
    for (long i = 0; i < pages; i++)
        wrong += p[i * PAGE] != (char)(i + 1);
    return wrong;
}

static void shrink(void) {
    char *p = map(8);
    REQUIRE(p != MAP_FAILED);
    CHECK(mremap(p, 8 * PAGE, 3 * PAGE, 0) == p);
    CHECK_EQ(wrong_pages(p, 3), 0);
    CHECK_EQ(fault_read(p + 3 * PAGE), SIGSEGV);
    CHECK(mremap(p, 3 * PAGE, 3 * PAGE, 0) == p);
    munmap(p, 3 * PAGE);
}

/* What is cut off may be anybody's; what stays may change size only where it is one mapping. */
static void shrink_across_mappings(void) {
    char *p = map(3);
    REQUIRE(p != MAP_FAILED);
    CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0);
    CHECK(mremap(p, 3 * PAGE, 3 * PAGE, 0) == p);
    CHECK_ERRNO(mremap(p, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE), EFAULT);
    CHECK(mremap(p, 3 * PAGE, 2 * PAGE, MREMAP_MAYMOVE) == p);
    CHECK_EQ(fault_read(p + PAGE), 0);
    CHECK_EQ(fault_read(p + 2 * PAGE), SIGSEGV);
    CHECK(mremap(p, 2 * PAGE, PAGE, 0) == p);
    CHECK_EQ(wrong_pages(p, 1), 0);
    CHECK_EQ(fault_read(p + PAGE), SIGSEGV);
    munmap(p, PAGE);

    char *to = map(1);
    p = map(2);
    REQUIRE(to != MAP_FAILED && p != MAP_FAILED);
    CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0);
    CHECK(mremap(p, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    CHECK_EQ(wrong_pages(to, 1), 0);
    CHECK_EQ(fault_read(p), SIGSEGV);
    CHECK_EQ(fault_read(p + PAGE), SIGSEGV);
    munmap(to, PAGE);
}

static void grow_in_place(void) {
    char *p = map(8);
    REQUIRE(p != MAP_FAILED);
    munmap(p + 4 * PAGE, 4 * PAGE);
    CHECK(mremap(p, 4 * PAGE, 7 * PAGE, 0) == p);
    CHECK_EQ(wrong_pages(p, 4), 0);
    CHECK_EQ(p[6 * PAGE], 0);
    p[6 * PAGE] = 1;
    munmap(p, 7 * PAGE);
}

static void grow_by_moving(void) {
    char *p = map(8);
    REQUIRE(p != MAP_FAILED);
    CHECK(mprotect(p + 4 * PAGE, PAGE, PROT_READ) == 0); /* in the way */
    CHECK_ERRNO(mremap(p, 4 * PAGE, 6 * PAGE, 0), ENOMEM);
    char *q = mremap(p, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
    REQUIRE(q != MAP_FAILED);
    CHECK(q != p);
    CHECK_EQ(wrong_pages(q, 4), 0);
    CHECK(q[4 * PAGE] == 0 && q[5 * PAGE] == 0);
    CHECK_EQ(fault_read(p), SIGSEGV);
    CHECK_EQ(fault_read(p + 4 * PAGE), 0);
    munmap(q, 6 * PAGE);
    munmap(p + 4 * PAGE, 4 * PAGE);
}

static void move_fixed(void) {
    char *p = map(4), *target = map(6);
    REQUIRE(p != MAP_FAILED && target != MAP_FAILED);
    char *q = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE);
    CHECK(q == target + PAGE);
    CHECK_EQ(wrong_pages(q, 4), 0);
    CHECK(target[0] == 1 && target[5 * PAGE] == 6);
    CHECK_EQ(fault_read(p), SIGSEGV);
    munmap(target, 6 * PAGE);
}

static void move_dontunmap(void) {
    char *p = map(4);
    REQUIRE(p != MAP_FAILED);
    char *q = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    if (q == MAP_FAILED) {
        CHECK_EQ(errno, EINVAL); /* before Linux 5.7 */
    } else {
        CHECK(q != p);
        CHECK_EQ(wrong_pages(q, 4), 0);
        CHECK(p[0] == 0 && p[3 * PAGE] == 0); /* fresh pages are left behind */
        munmap(q, 4 * PAGE);
    }
    munmap(p, 4 * PAGE);
}

static void mremap_errors(void) {
    char *p = map(4);
    REQUIRE(p != MAP_FAILED);
    CHECK_ERRNO(mremap(p + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EINVAL);
    CHECK_ERRNO(mremap(p, PAGE, 0, MREMAP_MAYMOVE), EINVAL);
    CHECK_ERRNO(syscall(SYS_mremap, p, PAGE, PAGE, 0x80, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_mremap, p, PAGE, PAGE, MREMAP_FIXED, p + 2 * PAGE), EINVAL);
    CHECK_ERRNO(mremap(p, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE), EINVAL);
    CHECK_ERRNO(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 2 * PAGE + 1), EINVAL);
    CHECK_ERRNO(mremap(p, PAGE, 1L << 46, MREMAP_MAYMOVE), ENOMEM);
    munmap(p, 4 * PAGE);
    CHECK_ERRNO(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
    CHECK_ERRNO(mremap(p, 0, PAGE, MREMAP_MAYMOVE), EFAULT);
}

static void move_large(void) {
    long pages = 4096; /* 16 MiB: large pages, whole tables */
    char *p = map(pages);
    REQUIRE(p != MAP_FAILED);
    char *q = mremap(p, pages * PAGE, 2 * pages * PAGE, MREMAP_MAYMOVE);
    REQUIRE(q != MAP_FAILED);
    CHECK_EQ(wrong_pages(q, pages), 0);
    long sum = 0;
    for (long i = pages; i < 2 * pages; i++)
        sum += q[i * PAGE];
    CHECK_EQ(sum, 0);
    munmap(q, 2 * pages * PAGE);
}

static char *brk_now(void *to) {
    return (char *)syscall(SYS_brk, to);
}

static void brk_moves(void) {
    char *start = brk_now(NULL);
    REQUIRE(start != NULL);
    CHECK(brk_now(start + 10 * PAGE) == start + 10 * PAGE);
    long sum = 0;
    for (long i = 0; i < 10 * PAGE; i++)
        sum += start[i];
    CHECK_EQ(sum, 0);
    memset(start, 0x55, 10 * PAGE);
    CHECK(brk_now(start + 10 * PAGE + 5) == start + 10 * PAGE + 5); /* a byte is a page */
    CHECK(brk_now(start) == start);
    char *page = (char *)(((uintptr_t)start + PAGE - 1) & -PAGE);
    CHECK_EQ(fault_read(page + PAGE), SIGSEGV);
    CHECK(brk_now(start + 4 * PAGE) == start + 4 * PAGE);
    CHECK_EQ(page[PAGE], 0); /* it came back fresh */
    CHECK(brk_now(start) == start);
}

static void brk_refuses(void) {
    char *start = brk_now(NULL);
    CHECK(brk_now((void *)1) == start); /* below its start: nothing changes */
    CHECK(brk_now(start + (1L << 46)) == start);
    CHECK(brk_now((void *)-1L) == start);
    CHECK(brk_now(NULL) == start);
}

GUEST_MAIN(CASE(shrink), CASE(shrink_across_mappings), CASE(grow_in_place), CASE(grow_by_moving),
           CASE(move_fixed), CASE(move_dontunmap), CASE(mremap_errors), CASE(move_large),
           CASE(brk_moves), CASE(brk_refuses))
