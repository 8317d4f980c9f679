/* SPDX-License-Identifier: MIT */
/* How calls on files fail: made by their numbers, so that no libc stands in for one. */
#define _GNU_SOURCE
#include "test/guest/scratch.h"
#include <stdint.h>
#include <sys/time.h>
#include <utime.h>

#define BAD_FD         999
#define BAD_POINTER    ((void *)8)
#define KERNEL_POINTER ((void *)0xffffffff80000000)

/* A directory d with a file d/f in it, and a file f. */
static int stage(void) {
    if (!scratch_enter())
        return 0;
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    int made = fd >= 0 && mkdir("d", 0755) == 0;
    close(fd);
    fd = open("d/f", O_RDWR | O_CREAT, 0644);
    close(fd);
    return CHECK(made && fd >= 0);
}

/* A call that takes a path first, with the rest of its arguments. */
static void path_errors(long call, long second, long third) {
    static char too_long[5000], long_name[300];
    memset(too_long, 'x', sizeof too_long - 1);
    memset(long_name, 'x', sizeof long_name - 1);
    CHECK_ERRNO(syscall(call, BAD_POINTER, second, third), EFAULT);
    CHECK_ERRNO(syscall(call, KERNEL_POINTER, second, third), EFAULT);
    CHECK_ERRNO(syscall(call, NULL, second, third), EFAULT);
    CHECK_ERRNO(syscall(call, "", second, third), ENOENT);
    CHECK_ERRNO(syscall(call, "nothing/f", second, third), ENOENT);
    CHECK_ERRNO(syscall(call, "f/f", second, third), ENOTDIR);
    CHECK_ERRNO(syscall(call, too_long, second, third), ENAMETOOLONG);
    CHECK_ERRNO(syscall(call, long_name, second, third), ENAMETOOLONG);
}

/* The same of a call that takes a directory's descriptor before the path. */
static void at_errors(long call, long third, long fourth) {
    int file = open("f", O_RDONLY);
    CHECK_ERRNO(syscall(call, AT_FDCWD, BAD_POINTER, third, fourth), EFAULT);
    CHECK_ERRNO(syscall(call, AT_FDCWD, "", third, fourth), ENOENT);
    CHECK_ERRNO(syscall(call, AT_FDCWD, "nothing/f", third, fourth), ENOENT);
    CHECK_ERRNO(syscall(call, AT_FDCWD, "f/f", third, fourth), ENOTDIR);
    CHECK_ERRNO(syscall(call, BAD_FD, "new", third, fourth), EBADF);
    CHECK_ERRNO(syscall(call, -1, "new", third, fourth), EBADF);
    CHECK_ERRNO(syscall(call, file, "new", third, fourth), ENOTDIR);
    close(file);
}

static void looking(void) {
    struct stat st;
    REQUIRE(stage());
    path_errors(SYS_lstat, (long)&st, 0);
    CHECK_ERRNO(syscall(SYS_lstat, "nothing", &st), ENOENT);
    CHECK_ERRNO(syscall(SYS_lstat, "f", BAD_POINTER), EFAULT);
    CHECK_ERRNO(syscall(SYS_lstat, "f", KERNEL_POINTER), EFAULT);
    CHECK_EQ(symlink("s", "s"), 0);
    CHECK_EQ(syscall(SYS_lstat, "s", &st), 0);
    CHECK_ERRNO(syscall(SYS_lstat, "s/", &st), ELOOP);
    CHECK_ERRNO(syscall(SYS_lstat, "s/f", &st), ELOOP);
    at_errors(SYS_faccessat2, F_OK, 0);
    CHECK_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, "f", 8, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, "f", F_OK, 1), EINVAL);
    CHECK_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, "nothing", F_OK, 0), ENOENT);
    CHECK_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, "s", F_OK, 0), ELOOP);
    CHECK_EQ(syscall(SYS_faccessat2, AT_FDCWD, "s", F_OK, AT_SYMLINK_NOFOLLOW), 0);
    CHECK_EQ(syscall(SYS_faccessat2, AT_FDCWD, "", F_OK, AT_EMPTY_PATH), 0);
    CHECK_ERRNO(syscall(SYS_faccessat2, BAD_FD, "", F_OK, AT_EMPTY_PATH), EBADF);
    scratch_leave();
}

static void making(void) {
    struct stat st;
    REQUIRE(stage());
    path_errors(SYS_creat, 0644, 0);
    CHECK_ERRNO(syscall(SYS_creat, "d", 0644), EISDIR);
    CHECK_ERRNO(syscall(SYS_creat, "new/", 0644), EISDIR);
    int fd = (int)syscall(SYS_creat, "d/f", 0777);
    char c = 'c';
    CHECK_EQ(write(fd, "12", 2), 2);
    CHECK_ERRNO(read(fd, &c, 1), EBADF); /* for writing only */
    CHECK_EQ(close(fd), 0);
    fd = (int)syscall(SYS_creat, "d/f", 0777);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 0 && (st.st_mode & 0777) == 0644);
    CHECK_EQ(close(fd), 0);
    at_errors(SYS_mkdirat, 0755, 0);
    CHECK_ERRNO(syscall(SYS_mkdirat, AT_FDCWD, "f", 0755), EEXIST);
    CHECK_ERRNO(syscall(SYS_mkdirat, AT_FDCWD, "d", 0755), EEXIST);
    CHECK_ERRNO(syscall(SYS_mkdirat, AT_FDCWD, ".", 0755), EEXIST);
    scratch_leave();
}

static void moving(void) {
    REQUIRE(stage());
    int file = open("f", O_RDONLY);
    at_errors(SYS_renameat, AT_FDCWD, (long)"to");
    CHECK_ERRNO(syscall(SYS_renameat, AT_FDCWD, "nothing", AT_FDCWD, "to"), ENOENT);
    CHECK_ERRNO(syscall(SYS_renameat, AT_FDCWD, "f", BAD_FD, "to"), EBADF);
    CHECK_ERRNO(syscall(SYS_renameat, AT_FDCWD, "f", file, "to"), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_renameat, AT_FDCWD, "f", AT_FDCWD, BAD_POINTER), EFAULT);
    CHECK_ERRNO(syscall(SYS_renameat, AT_FDCWD, "f", AT_FDCWD, "nothing/to"), ENOENT);
    CHECK_ERRNO(syscall(SYS_renameat, AT_FDCWD, "f", AT_FDCWD, "d"), EISDIR);
    CHECK_ERRNO(syscall(SYS_renameat, AT_FDCWD, "d", AT_FDCWD, "f"), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_renameat, AT_FDCWD, "d", AT_FDCWD, "d/in"), EINVAL);
    CHECK_EQ(mkdir("e", 0755), 0);
    CHECK_ERRNO(syscall(SYS_renameat, AT_FDCWD, "e", AT_FDCWD, "d"), ENOTEMPTY);
    close(file);
    scratch_leave();
}

static void linking(void) {
    REQUIRE(stage());
    int file = open("f", O_RDONLY);
    CHECK_ERRNO(syscall(SYS_linkat, AT_FDCWD, "nothing", AT_FDCWD, "to", 0), ENOENT);
    CHECK_ERRNO(syscall(SYS_linkat, AT_FDCWD, "f/f", AT_FDCWD, "to", 0), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_linkat, BAD_FD, "f", AT_FDCWD, "to", 0), EBADF);
    CHECK_ERRNO(syscall(SYS_linkat, file, "f", AT_FDCWD, "to", 0), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_linkat, AT_FDCWD, "f", BAD_FD, "to", 0), EBADF);
    CHECK_ERRNO(syscall(SYS_linkat, AT_FDCWD, "f", file, "to", 0), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_linkat, AT_FDCWD, "f", AT_FDCWD, "nothing/to", 0), ENOENT);
    CHECK_ERRNO(syscall(SYS_linkat, AT_FDCWD, "f", AT_FDCWD, "d/f", 0), EEXIST);
    CHECK_ERRNO(syscall(SYS_linkat, AT_FDCWD, "d", AT_FDCWD, "to", 0), EPERM);
    CHECK_ERRNO(syscall(SYS_linkat, AT_FDCWD, "f", AT_FDCWD, "to", 1), EINVAL);
    CHECK_ERRNO(syscall(SYS_linkat, AT_FDCWD, BAD_POINTER, AT_FDCWD, "to", 0), EFAULT);
    CHECK_ERRNO(syscall(SYS_linkat, AT_FDCWD, "f", AT_FDCWD, BAD_POINTER, 0), EFAULT);
    CHECK_ERRNO(syscall(SYS_symlinkat, "x", BAD_FD, "to"), EBADF);
    CHECK_ERRNO(syscall(SYS_symlinkat, "x", file, "to"), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_symlinkat, "x", AT_FDCWD, "d"), EEXIST);
    CHECK_ERRNO(syscall(SYS_symlinkat, "x", AT_FDCWD, "nothing/to"), ENOENT);
    CHECK_ERRNO(syscall(SYS_symlinkat, "x", AT_FDCWD, "f/to"), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_symlinkat, "x", AT_FDCWD, ""), ENOENT);
    CHECK_ERRNO(syscall(SYS_symlinkat, "", AT_FDCWD, "to"), ENOENT);
    CHECK_ERRNO(syscall(SYS_symlinkat, BAD_POINTER, AT_FDCWD, "to"), EFAULT);
    CHECK_ERRNO(syscall(SYS_symlinkat, "x", AT_FDCWD, BAD_POINTER), EFAULT);
    close(file);
    scratch_leave();
}

static void times(void) {
    struct utimbuf whole = { 1, 2 };
    struct timeval fine[2] = { { 1, 0 }, { 2, 0 } };
    REQUIRE(stage());
    path_errors(SYS_utime, (long)&whole, 0);
    CHECK_ERRNO(syscall(SYS_utime, "nothing", &whole), ENOENT);
    CHECK_ERRNO(syscall(SYS_utime, "f", BAD_POINTER), EFAULT);
    path_errors(SYS_utimes, (long)fine, 0);
    CHECK_ERRNO(syscall(SYS_utimes, "nothing", fine), ENOENT);
    CHECK_ERRNO(syscall(SYS_utimes, "f", BAD_POINTER), EFAULT);
    fine[1].tv_usec = 1000000;
    CHECK_ERRNO(syscall(SYS_utimes, "f", fine), EINVAL);
    fine[1].tv_usec = -1;
    CHECK_ERRNO(syscall(SYS_utimes, "f", fine), EINVAL);
    scratch_leave();
}

static void descriptors(void) {
    char records[256];
    int ends[2];
    REQUIRE(stage() && pipe(ends) == 0);
    int file = open("f", O_RDONLY), dir = open("d", O_RDONLY), path = open("d", O_PATH);
    CHECK_ERRNO(syscall(SYS_fdatasync, BAD_FD), EBADF);
    CHECK_ERRNO(syscall(SYS_fdatasync, -1), EBADF);
    CHECK_ERRNO(syscall(SYS_fdatasync, ends[0]), EINVAL);
    CHECK_ERRNO(syscall(SYS_fdatasync, path), EBADF);
    CHECK_ERRNO(syscall(SYS_fchdir, BAD_FD), EBADF);
    CHECK_ERRNO(syscall(SYS_fchdir, file), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_fchdir, ends[0]), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_getdents, BAD_FD, records, sizeof records), EBADF);
    CHECK_ERRNO(syscall(SYS_getdents, path, records, sizeof records), EBADF);
    CHECK_ERRNO(syscall(SYS_getdents, file, records, sizeof records), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_getdents, ends[0], records, sizeof records), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_getdents, dir, records, 4), EINVAL);
    CHECK_ERRNO(syscall(SYS_getdents, dir, BAD_POINTER, sizeof records), EFAULT);
    close(file), close(dir), close(path), close(ends[0]), close(ends[1]);
    scratch_leave();
}

static void event_counters(void) {
    unsigned long value = ~0UL;
    int fd = (int)syscall(SYS_eventfd, 1); /* the old call has no flags */
    REQUIRE(fd >= 0);
    CHECK_EQ(fcntl(fd, F_GETFD), 0);
    CHECK_ERRNO(write(fd, &value, 8), EINVAL); /* that number is none */
    CHECK_ERRNO(write(fd, &value, 4), EINVAL);
    CHECK_ERRNO(read(fd, &value, 7), EINVAL);
    CHECK_ERRNO(syscall(SYS_write, fd, BAD_POINTER, 8), EFAULT);
    CHECK_ERRNO(syscall(SYS_read, fd, BAD_POINTER, 8), EFAULT); /* and the count is taken */
    CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    CHECK_ERRNO(read(fd, &value, 8), EAGAIN);
    close(fd);
    CHECK_ERRNO(syscall(SYS_eventfd2, 1, 7), EINVAL);
}

/* brk has no errors, only an answer that did not move. */
static void the_break(void) {
    char *now = (char *)syscall(SYS_brk, 0);
    static const uintptr_t wrong[] = {
        1,    4096,   0x7ffffffff000, 0x800000000000, 0x8000000000000000, 0xffffffff80000000,
        ~0UL, ~4095UL
    };
    for (unsigned i = 0; i < LENGTH(wrong); i++)
        CHECK((char *)syscall(SYS_brk, wrong[i]) == now);
    CHECK((char *)syscall(SYS_brk, now) == now);
}

GUEST_MAIN(CASE(looking), CASE(making), CASE(moving), CASE(linking), CASE(times), CASE(descriptors),
           CASE(event_counters), CASE(the_break))
