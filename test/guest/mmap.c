/* SPDX-License-Identifier: MIT */
/* mmap, munmap, mprotect: results, errors and what the memory then does. */
#define _GNU_SOURCE
#include "test/guest/faults.h"
#include "test/guest/linux_abi.h"
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096L
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char *map(long pages, int prot) {
    return mmap(NULL, pages * PAGE, prot, ANON, -1, 0);
}

/* The address of a hole of that many pages, free a moment ago. */
static char *hole(long pages) {
    char *p = map(pages, PROT_NONE);
    munmap(p, pages * PAGE);
    return p;
}

static void anonymous_is_zero_and_writable(void) {
    long size = 300 * PAGE, sum = 0;
    char *p = mmap(NULL, size, RW, ANON, -1, 0);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ((uintptr_t)p % PAGE, 0);
    for (long i = 0; i < size; i += 512)
        sum += p[i];
    CHECK_EQ(sum, 0);
    for (long i = 0; i < size; i += PAGE)
        p[i] = (char)(i / PAGE);
    for (long i = 0; i < size; i += PAGE)
        sum += p[i] != (char)(i / PAGE);
    CHECK_EQ(sum, 0);
    CHECK_EQ(munmap(p, size), 0);
    CHECK_EQ(fault_read(p), SIGSEGV);
}

static void fresh_after_reuse(void) {
    for (int round = 0; round < 20; round++) {
        char *p = map(16, RW);
        REQUIRE(p != MAP_FAILED);
        long sum = 0;
        for (long i = 0; i < 16 * PAGE; i++)
            sum += p[i];
        CHECK_EQ(sum, 0);
        memset(p, 0xa5, 16 * PAGE);
        munmap(p, 16 * PAGE);
    }
}

static void length_is_rounded_up(void) {
    char *p = mmap(NULL, 1, RW, ANON, -1, 0);
    REQUIRE(p != MAP_FAILED);
    p[PAGE - 1] = 1;
    CHECK_EQ(munmap(p, 1), 0);
    CHECK_EQ(fault_read(p + PAGE - 1), SIGSEGV);
}

static void mmap_errors(void) {
    char *p = map(2, RW);
    CHECK_ERRNO(mmap(NULL, 0, RW, ANON, -1, 0), EINVAL);
    CHECK_ERRNO(mmap(p + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_mmap, NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_mmap, NULL, PAGE, RW, ANON, -1, 1), EINVAL);
    CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF);
    CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_PRIVATE, 900, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_mmap, NULL, -PAGE, RW, ANON, -1, 0), ENOMEM);
    CHECK_ERRNO(syscall(SYS_mmap, NULL, 1UL << 47, RW, ANON, -1, 0), ENOMEM);
    CHECK_ERRNO(syscall(SYS_mmap, 1UL << 47, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
    CHECK_ERRNO(syscall(SYS_mmap, -2 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
    munmap(p, 2 * PAGE);
}

static void hints(void) {
    char *where = hole(8);
    char *p = mmap(where, PAGE, RW, ANON, -1, 0);
    CHECK(p == where); /* a free hint is honoured */
    char *q = mmap(where, PAGE, RW, ANON, -1, 0);
    CHECK(q != MAP_FAILED && q != p); /* a taken one is not */
    char *r = mmap(where + 4 * PAGE + 5, PAGE, RW, ANON, -1, 0);
    CHECK(r == where + 4 * PAGE || r == where + 5 * PAGE); /* rounded */
    munmap(p, PAGE);
    munmap(q, PAGE);
    munmap(r, PAGE);
}

static void fixed_replaces(void) {
    char *p = map(3, RW);
    REQUIRE(p != MAP_FAILED);
    memset(p, 7, 3 * PAGE);
    CHECK(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) == p + PAGE);
    CHECK(p[0] == 7 && p[PAGE] == 0 && p[2 * PAGE] == 7);
    CHECK_ERRNO(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    CHECK_EQ(munmap(p + PAGE, PAGE), 0);
    CHECK(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p + PAGE);
    CHECK_EQ(p[PAGE], 0);
    munmap(p, 3 * PAGE);
}

static void guard_pages(void) {
    char *p = map(3, PROT_NONE);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(mprotect(p + PAGE, PAGE, RW), 0);
    memset(p + PAGE, 1, PAGE);
    CHECK_EQ(fault_read(p + PAGE - 1), SIGSEGV);
    CHECK_EQ(fault_code, SEGV_ACCERR);
    CHECK_EQ(fault_write(p + 2 * PAGE), SIGSEGV);
    CHECK(fault_address == p + 2 * PAGE);
    munmap(p, 3 * PAGE);
    CHECK_EQ(fault_read(p + PAGE), SIGSEGV);
    CHECK_EQ(fault_code, SEGV_MAPERR);
}

static void munmap_parts(void) {
    char *p = map(5, RW);
    REQUIRE(p != MAP_FAILED);
    memset(p, 9, 5 * PAGE);
    CHECK_EQ(munmap(p + 2 * PAGE, PAGE), 0);
    CHECK(p[PAGE] == 9 && p[3 * PAGE] == 9);
    CHECK_EQ(fault_read(p + 2 * PAGE), SIGSEGV);
    CHECK_EQ(munmap(p + 2 * PAGE, PAGE), 0); /* a hole is no error */
    CHECK_EQ(munmap(p, 5 * PAGE), 0);
    CHECK_EQ(fault_read(p), SIGSEGV);
    CHECK_EQ(fault_read(p + 4 * PAGE), SIGSEGV);
    CHECK_ERRNO(syscall(SYS_munmap, p, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_munmap, p + 1, PAGE), EINVAL);
    CHECK_ERRNO(syscall(SYS_munmap, p, -PAGE), EINVAL);
    CHECK_ERRNO(syscall(SYS_munmap, 0xffff800000000000, PAGE), EINVAL);
}

static void mprotect_changes_access(void) {
    char *p = map(4, RW);
    REQUIRE(p != MAP_FAILED);
    memset(p, 3, 4 * PAGE);
    CHECK_EQ(mprotect(p + PAGE, 2 * PAGE, PROT_READ), 0);
    CHECK_EQ(fault_read(p + PAGE), 0);
    CHECK_EQ(fault_write(p + PAGE), SIGSEGV);
    CHECK_EQ(fault_code, SEGV_ACCERR);
    CHECK_EQ(fault_write(p + 2 * PAGE + 5), SIGSEGV);
    CHECK_EQ(fault_write(p + 3 * PAGE), 0);
    CHECK_EQ(mprotect(p, 4 * PAGE, PROT_NONE), 0);
    CHECK_EQ(fault_read(p), SIGSEGV);
    CHECK_EQ(mprotect(p, 4 * PAGE, RW), 0);
    CHECK(p[0] == 3 && p[PAGE] == 3 && p[4 * PAGE - 1] == 3); /* contents outlive PROT_NONE */
    CHECK_EQ(fault_write(p + PAGE), 0);
    munmap(p, 4 * PAGE);
}

static void mprotect_errors(void) {
    char *p = map(4, RW);
    REQUIRE(p != MAP_FAILED);
    munmap(p + 2 * PAGE, PAGE);
    CHECK_ERRNO(syscall(SYS_mprotect, p + 1, PAGE, PROT_READ), EINVAL);
    CHECK_EQ(syscall(SYS_mprotect, p, 0, PROT_READ), 0);
    CHECK_ERRNO(syscall(SYS_mprotect, p, 4 * PAGE, PROT_READ), ENOMEM);
    CHECK_EQ(fault_write(p), SIGSEGV); /* Linux changes what lies before the hole */
    CHECK_ERRNO(syscall(SYS_mprotect, p + 2 * PAGE, PAGE, PROT_READ), ENOMEM);
    CHECK_ERRNO(syscall(SYS_mprotect, p, PAGE, 0x80), EINVAL);
    CHECK_ERRNO(syscall(SYS_mprotect, p, -PAGE, PROT_READ), ENOMEM);
    munmap(p, 4 * PAGE);
}

static void execution_needs_permission(void) {
    static const unsigned char return_42[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
    unsigned char *p = (void *)map(1, RW);
    REQUIRE(p != MAP_FAILED);
    memcpy(p, return_42, sizeof return_42);
    CHECK_EQ(fault_execute(p), SIGSEGV);
    CHECK(fault_address == p);
    CHECK_EQ(mprotect(p, PAGE, PROT_READ | PROT_EXEC), 0);
    CHECK_EQ(fault_execute(p), 0);
    CHECK_EQ(((int (*)(void))p)(), 42);
    CHECK_EQ(fault_write(p), SIGSEGV);
    CHECK_EQ(mprotect(p, PAGE, RW | PROT_EXEC), 0); /* asked for, so given */
    p[1] = 43;
    CHECK_EQ(((int (*)(void))p)(), 43);
    munmap(p, PAGE);
}

static void text_and_constants_are_read_only(void) {
    static const char constant[] = "constant";
    CHECK_EQ(fault_write((char *)(uintptr_t)constant), SIGSEGV);
    CHECK_EQ(fault_write((char *)(uintptr_t)mmap_errors), SIGSEGV);
    static char data[16];
    CHECK_EQ(fault_execute(data), SIGSEGV);
    char local[16] = { (char)0xc3 };
    CHECK_EQ(fault_execute(local), SIGSEGV);
    CHECK_EQ(fault_read((char *)8), SIGSEGV);
    CHECK_EQ(fault_code, SEGV_MAPERR);
}

static void private_file_is_copied_on_write(void) {
    int fd = open("/tmp/guest_mmap", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) /* Mimosa's root has no /tmp of its own */
        fd = open("/guest_mmap", O_RDWR | O_CREAT | O_TRUNC, 0600);
    REQUIRE(fd >= 0);
    char block[PAGE + 100];
    memset(block, 'a', sizeof block);
    CHECK_EQ(write(fd, block, sizeof block), sizeof block);
    char *p = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
    REQUIRE(p != MAP_FAILED);
    CHECK(p[0] == 'a' && p[PAGE + 99] == 'a' && p[PAGE + 100] == 0);
    p[0] = 'b';
    char c = 0;
    CHECK(pread(fd, &c, 1, 0) == 1 && c == 'a');
    char *q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
    REQUIRE(q != MAP_FAILED);
    CHECK(q[0] == 'a' && q[100] == 0);
    CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 100), EINVAL);
    munmap(p, 2 * PAGE);
    munmap(q, PAGE);
    close(fd);
    unlink("/tmp/guest_mmap");
    unlink("/guest_mmap");
}

static void overcommit_mode_0(void) {
    /* One accountable request far above what can be had. */
    const int shared = MAP_SHARED | MAP_ANONYMOUS;
    CHECK_ERRNO(mmap(NULL, 1L << 45, RW, ANON, -1, 0), ENOMEM);
    CHECK_ERRNO(mmap(NULL, 1L << 45, RW, shared, -1, 0), ENOMEM);
    CHECK_ERRNO(mmap(NULL, 1L << 45, PROT_NONE, shared, -1, 0), ENOMEM);
    /* PROT_NONE and NORESERVE count for nothing. */
    char *p = mmap(NULL, 1L << 40, PROT_NONE, ANON, -1, 0);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(munmap(p, 1L << 40), 0);
    p = mmap(NULL, 1L << 40, RW, shared | MAP_NORESERVE, -1, 0);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(munmap(p, 1L << 40), 0);
    p = mmap(NULL, 1L << 40, RW, ANON | MAP_NORESERVE, -1, 0);
    REQUIRE(p != MAP_FAILED);
    p[0] = p[1L << 39] = p[(1L << 40) - 1] = 1;
    CHECK_EQ(munmap(p, 1L << 40), 0);
    /* Many threads' arenas: far more in all than there is. */
    static char *arenas[1000];
    int mapped = 0;
    for (; mapped < 1000; mapped++) {
        arenas[mapped] = map(8192, RW);
        if (arenas[mapped] == MAP_FAILED)
            break;
        arenas[mapped][0] = 1;
    }
    CHECK_EQ(mapped, 1000);
    while (mapped-- > 0)
        munmap(arenas[mapped], 8192 * PAGE);
    void *huge = malloc(1UL << 46);
    CHECK(huge == NULL && errno == ENOMEM);
}

static void many_small_mappings(void) {
    static char *maps[2000];
    int bad = 0;
    for (int i = 0; i < 2000; i++) {
        maps[i] = map(1, i % 2 ? PROT_READ : RW); /* neighbours do not merge */
        if (maps[i] == MAP_FAILED) {
            CHECK_EQ(i, 2000);
            return;
        }
        if (i % 2 == 0)
            maps[i][7] = (char)i;
    }
    for (int i = 0; i < 2000; i++)
        bad += maps[i][7] != (i % 2 ? 0 : (char)i);
    CHECK_EQ(bad, 0);
    for (int i = 0; i < 2000; i += 3)
        munmap(maps[i], PAGE);
    for (int i = 1; i < 2000; i++)
        if (i % 3)
            bad += maps[i][7] != (i % 2 ? 0 : (char)i);
    CHECK_EQ(bad, 0);
    for (int i = 0; i < 2000; i++)
        if (i % 3)
            munmap(maps[i], PAGE);
}

static void large_mapping(void) {
    long size = 64L << 20, bad = 0;
    char *p = mmap(NULL, size, RW, ANON, -1, 0);
    REQUIRE(p != MAP_FAILED);
    for (long i = 0; i < size; i += PAGE)
        *(long *)(p + i) = i;
    for (long i = 0; i < size; i += PAGE)
        bad += *(long *)(p + i) != i || *(long *)(p + i + 8) != 0;
    CHECK_EQ(bad, 0);
    /* Cut a page out of the middle of what may be a huge page, protect another. */
    char *middle = p + size / 2 + 5 * PAGE;
    CHECK_EQ(munmap(middle, PAGE), 0);
    CHECK_EQ(mprotect(middle + 3 * PAGE, PAGE, PROT_READ), 0);
    CHECK_EQ(fault_read(middle), SIGSEGV);
    CHECK_EQ(fault_write(middle + 3 * PAGE), SIGSEGV);
    CHECK_EQ(*(long *)(middle + PAGE), middle + PAGE - p);
    CHECK_EQ(*(long *)(middle + 3 * PAGE), middle + 3 * PAGE - p);
    CHECK_EQ(*(long *)(middle - PAGE), middle - PAGE - p);
    CHECK_EQ(munmap(p, size), 0);
}

/* What is cut off a file goes out of its mappings, copies included; a hole leaves copies. */
static void truncation_unmaps(void) {
    int fd = open("/tmp/guest_mmap", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        fd = open("/guest_mmap", O_RDWR | O_CREAT | O_TRUNC, 0600);
    REQUIRE(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0);
    char *shared = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
    REQUIRE(shared != MAP_FAILED && private != MAP_FAILED);
    memset(shared, 1, 4 * PAGE);
    private[PAGE] = private[3 * PAGE] = 2;
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE) == 0) {
        CHECK_EQ(shared[PAGE], 0);
        CHECK_EQ(private[PAGE], 2);
        CHECK_EQ(private[0], 1);
    }
    CHECK_EQ(ftruncate(fd, 2 * PAGE + 100), 0);
    CHECK(shared[2 * PAGE] == 1 && private[2 * PAGE + 99] == 1 && private[PAGE] == 2);
    CHECK_EQ(fault_read(shared + 3 * PAGE), SIGBUS);
    CHECK_EQ(fault_read(private + 3 * PAGE), SIGBUS);
    CHECK_EQ(ftruncate(fd, 4 * PAGE), 0);
    CHECK(shared[3 * PAGE] == 0 && private[3 * PAGE] == 0);
    munmap(shared, 4 * PAGE);
    munmap(private, 4 * PAGE);
    close(fd);
    unlink("/tmp/guest_mmap");
    unlink("/guest_mmap");
}

/* What cannot be touched is passed over, not visited page by page. */
static void populate_skips_what_cannot_be(void) {
    long size = 1L << 44;
    int fd = open("/tmp/guest_mmap", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        fd = open("/guest_mmap", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char *p = mmap(NULL, size, PROT_NONE, ANON | MAP_NORESERVE | MAP_POPULATE, -1, 0);
    REQUIRE(p != MAP_FAILED && fd >= 0);
    CHECK_EQ(munmap(p, size), 0);
    CHECK_EQ(write(fd, "x", 1), 1);
    p = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(p[0], 'x');
    CHECK_EQ(munmap(p, size), 0);
    close(fd);
    unlink("/tmp/guest_mmap");
    unlink("/guest_mmap");
}

GUEST_MAIN(CASE(anonymous_is_zero_and_writable), CASE(fresh_after_reuse),
           CASE(length_is_rounded_up), CASE(mmap_errors), CASE(hints), CASE(fixed_replaces),
           CASE(guard_pages), CASE(munmap_parts), CASE(mprotect_changes_access),
           CASE(mprotect_errors), CASE(execution_needs_permission),
           CASE(text_and_constants_are_read_only), CASE(private_file_is_copied_on_write),
           CASE(truncation_unmaps), CASE(overcommit_mode_0), CASE(many_small_mappings),
           CASE(large_mapping), CASE(populate_skips_what_cannot_be))
