/* SPDX-License-Identifier: MIT */
/* RLIMIT_DATA and RLIMIT_AS: what counts, and what is refused. */
#define _GNU_SOURCE
#include "test/guest/guest.h"
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE  4096L
#define RW    (PROT_READ | PROT_WRITE)
#define ANON  (MAP_PRIVATE | MAP_ANONYMOUS)
#define LIMIT (64L << 20)

static struct rlimit before;

static int limit_begin(int which, long bytes) {
    if (getrlimit(which, &before))
        return -1;
    struct rlimit tight = { .rlim_cur = (rlim_t)bytes, .rlim_max = before.rlim_max };
    return setrlimit(which, &tight);
}

static void limit_end(int which) {
    CHECK_EQ(setrlimit(which, &before), 0);
}

static void data_is_private_and_writable(void) {
    REQUIRE(limit_begin(RLIMIT_DATA, LIMIT) == 0);
    CHECK_ERRNO(mmap(NULL, LIMIT, RW, ANON, -1, 0), ENOMEM);
    char *small = mmap(NULL, LIMIT / 4, RW, ANON, -1, 0);
    CHECK(small != MAP_FAILED);
    CHECK_ERRNO(mmap(NULL, LIMIT * 3 / 4, RW, ANON, -1, 0), ENOMEM);
    CHECK_ERRNO(mremap(small, LIMIT / 4, LIMIT, MREMAP_MAYMOVE), ENOMEM);
    char *none = mmap(NULL, LIMIT, PROT_NONE, ANON, -1, 0);
    char *shared = mmap(NULL, LIMIT, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(none != MAP_FAILED && shared != MAP_FAILED);
    CHECK_ERRNO(mprotect(none, LIMIT, RW), ENOMEM);
    CHECK_EQ(mprotect(none, LIMIT, PROT_READ), 0);
    CHECK_EQ(mprotect(none, LIMIT / 4, RW), 0);
    CHECK_EQ(mprotect(none, LIMIT / 4, RW), 0); /* it counts once */
    CHECK_EQ(mprotect(shared, LIMIT, RW), 0);
    munmap(small, LIMIT / 4);
    munmap(none, LIMIT);
    munmap(shared, LIMIT);
    limit_end(RLIMIT_DATA);
}

static void the_break_is_data(void) {
    char *now = (char *)syscall(SYS_brk, 0L);
    REQUIRE(limit_begin(RLIMIT_DATA, LIMIT) == 0);
    CHECK((char *)syscall(SYS_brk, now + LIMIT) == now);
    CHECK((char *)syscall(SYS_brk, now + LIMIT / 4) == now + LIMIT / 4);
    CHECK((char *)syscall(SYS_brk, now) == now);
    limit_end(RLIMIT_DATA);
}

static void what_is_replaced_does_not_count(void) {
    const long size = 256L << 20;
    char *p = mmap(NULL, size, PROT_NONE, ANON, -1, 0);
    REQUIRE(p != MAP_FAILED && limit_begin(RLIMIT_AS, size + (128L << 20)) == 0);
    CHECK(mmap(p, size, PROT_READ, ANON | MAP_FIXED, -1, 0) == p);
    CHECK_ERRNO(mmap(NULL, size, PROT_NONE, ANON, -1, 0), ENOMEM);
    CHECK_EQ(munmap(p + PAGE, size - PAGE), 0);
    CHECK(mmap(p, size, PROT_NONE, ANON | MAP_FIXED, -1, 0) == p);
    munmap(p, size);
    limit_end(RLIMIT_AS);
}

GUEST_MAIN(CASE(data_is_private_and_writable), CASE(the_break_is_data),
           CASE(what_is_replaced_does_not_count))
