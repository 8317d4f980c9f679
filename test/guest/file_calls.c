/* SPDX-License-Identifier: MIT */
/* Calls on files that libc hides or changes, made by their numbers. */
#define _GNU_SOURCE
#include "test/guest/scratch.h"
#include <sys/file.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <time.h>

static int scratch_file(void) {
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0);
    return fd;
}

static void syncing_and_advice(void) {
    int ends[2];
    REQUIRE(scratch_enter() && pipe(ends) == 0);
    int fd = scratch_file();
    CHECK_EQ(syscall(SYS_sync), 0);
    CHECK_EQ(syscall(SYS_syncfs, fd), 0);
    CHECK_ERRNO(syscall(SYS_syncfs, 999), EBADF);
    CHECK_EQ(syscall(SYS_sync_file_range, fd, 0L, 0L, 7), 0);
    CHECK_ERRNO(syscall(SYS_sync_file_range, fd, 0L, 0L, 8), EINVAL);
    CHECK_ERRNO(syscall(SYS_sync_file_range, ends[0], 0L, 0L, 0), ESPIPE);
    CHECK_EQ(syscall(SYS_fadvise64, fd, 0L, 0L, 3), 0);
    CHECK_ERRNO(syscall(SYS_fadvise64, fd, 0L, 0L, 77), EINVAL);
    CHECK_ERRNO(syscall(SYS_fadvise64, fd, 0L, -1L, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_fadvise64, ends[0], 0L, 0L, 0), ESPIPE);
    CHECK_ERRNO(syscall(SYS_fadvise64, 999, 0L, 0L, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_readahead, ends[0], 0L, 4096L), EINVAL);
    CHECK_ERRNO(syscall(SYS_readahead, 999, 0L, 4096L), EBADF);
    close(fd), close(ends[0]), close(ends[1]);
    scratch_leave();
}

static void owners_and_modes(void) {
    struct stat st;
    if (geteuid() != 0)
        SKIP("for the super-user only");
    REQUIRE(scratch_enter());
    close(scratch_file());
    CHECK_EQ(symlink("f", "s"), 0);
    CHECK_EQ(syscall(SYS_lchown, "s", 3, 4), 0);
    CHECK(lstat("s", &st) == 0 && st.st_uid == 3 && st.st_gid == 4);
    CHECK(stat("s", &st) == 0 && st.st_uid == 0);
    CHECK_EQ(syscall(SYS_fchownat, AT_FDCWD, "s", 8, 9, 0), 0);
    CHECK(stat("f", &st) == 0 && st.st_uid == 8 && st.st_gid == 9);
    CHECK_EQ(syscall(SYS_fchownat, AT_FDCWD, "s", 5, -1, AT_SYMLINK_NOFOLLOW), 0);
    CHECK(lstat("s", &st) == 0 && st.st_uid == 5 && st.st_gid == 4);
    CHECK_ERRNO(syscall(SYS_fchownat, AT_FDCWD, "s", 5, 5, 1 << 20), EINVAL);
    CHECK_EQ(syscall(SYS_fchmodat, AT_FDCWD, "s", 0600), 0);
    CHECK(stat("f", &st) == 0 && (st.st_mode & 07777) == 0600);
    CHECK_ERRNO(syscall(SYS_fchmodat, AT_FDCWD, "nothing", 0600), ENOENT);
    CHECK_EQ(syscall(SYS_faccessat, AT_FDCWD, "f", R_OK | W_OK), 0);
    CHECK_ERRNO(syscall(SYS_faccessat, AT_FDCWD, "f", X_OK), EACCES);
    CHECK_ERRNO(syscall(SYS_faccessat, 999, "f", F_OK), EBADF);
    long r = syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS);
    CHECK(r == 0 || errno == ENOSYS);
    CHECK_EQ(unlink("f"), 0);
    CHECK_ERRNO(syscall(SYS_faccessat, AT_FDCWD, "s", F_OK), ENOENT);
    CHECK_EQ(syscall(SYS_faccessat2, AT_FDCWD, "s", F_OK, AT_SYMLINK_NOFOLLOW), 0);
    scratch_leave();
}

static void old_times(void) {
    struct stat st;
    struct timeval v[2] = { { 10, 1 }, { 20, 2 } };
    REQUIRE(scratch_enter());
    close(scratch_file());
    CHECK_EQ(syscall(SYS_futimesat, AT_FDCWD, "f", v), 0);
    CHECK(stat("f", &st) == 0 && st.st_atim.tv_sec == 10 && st.st_mtim.tv_nsec == 2000);
    v[0].tv_usec = 1000000;
    CHECK_ERRNO(syscall(SYS_futimesat, AT_FDCWD, "f", v), EINVAL);
    CHECK_ERRNO(syscall(SYS_futimesat, AT_FDCWD, "f", 8), EFAULT);
    scratch_leave();
}

static void locks(void) {
    REQUIRE(scratch_enter());
    int fd = scratch_file();
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };
    CHECK_EQ(fcntl(fd, F_SETLK, &lock), 0);
    CHECK_EQ(fcntl(fd, F_GETLK, &lock), 0);
    CHECK_EQ(lock.l_type, F_UNLCK); /* one's own is in nobody's way */
    lock.l_type = 77;
    CHECK_ERRNO(fcntl(fd, F_SETLK, &lock), EINVAL);
    CHECK_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
    CHECK_EQ(flock(fd, LOCK_UN), 0);
    CHECK_ERRNO(flock(fd, 0), EINVAL);
    CHECK_ERRNO(flock(999, LOCK_SH), EBADF);
    int reader = open("f", O_RDONLY);
    lock.l_type = F_WRLCK;
    CHECK_ERRNO(fcntl(reader, F_SETLK, &lock), EBADF);
    CHECK_ERRNO(fcntl(fd, 7777), EINVAL);
    close(reader), close(fd);
    scratch_leave();
}

static void nodes(void) {
    struct stat st;
    char c = 1;
    REQUIRE(scratch_enter());
    CHECK_EQ(mknod("plain", S_IFREG | 0640, 0), 0);
    CHECK(stat("plain", &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0777) == 0640);
    CHECK_ERRNO(mknod("plain", S_IFREG | 0640, 0), EEXIST);
    CHECK_ERRNO(mknod("d", S_IFDIR | 0755, 0), EPERM);
    CHECK_ERRNO(mknod("x", 0170000, 0), EINVAL);
    if (mknod("null", S_IFCHR | 0600, makedev(1, 3)) == 0) {
        CHECK(stat("null", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
        int fd = open("null", O_RDWR);
        if (fd >= 0) { /* not on a file system that is mounted nodev */
            CHECK_EQ(write(fd, &c, 1), 1);
            CHECK_EQ(read(fd, &c, 1), 0);
            close(fd);
        }
    }
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    if (fd >= 0) {
        CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0 && S_ISREG(st.st_mode));
        CHECK(write(fd, "t", 1) == 1 && pread(fd, &c, 1, 0) == 1 && c == 't');
        close(fd);
    }
    scratch_leave();
}

static void old_listing(void) {
    struct {
        unsigned long inode, next;
        unsigned short length;
        char name[];
    } * e;
    char records[256];
    int seen = 0;
    REQUIRE(scratch_enter());
    close(scratch_file());
    int dir = open(".", O_RDONLY);
    long n = syscall(SYS_getdents, dir, records, sizeof records);
    for (long at = 0; at < n; at += e->length) {
        e = (void *)(records + at);
        if (!strcmp(e->name, "f")) {
            CHECK_EQ(records[at + e->length - 1], DT_REG);
            seen++;
        }
    }
    CHECK_EQ(seen, 1);
    close(dir);
    scratch_leave();
}

static void selecting(void) {
    struct timespec zero = { 0, 0 }, wrong = { 0, -1 };
    CHECK_EQ(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &zero, NULL), 0);
    CHECK_ERRNO(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &wrong, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_pselect6, 0, NULL, NULL, NULL, 8, NULL), EFAULT);
    struct {
        const void *mask;
        size_t size;
    } sized = { &zero, 3 };
    CHECK_ERRNO(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &zero, &sized), EINVAL);
}

static void counts_beyond_the_address_space(void) {
    char buffer[8] = "";
    REQUIRE(scratch_enter());
    int fd = scratch_file();
    CHECK_ERRNO(syscall(SYS_read, fd, buffer, -1L), EFAULT);
    CHECK_ERRNO(syscall(SYS_write, fd, buffer, -1L), EFAULT);
    CHECK_ERRNO(syscall(SYS_pread64, fd, buffer, -1L, 0L), EFAULT);
    CHECK_ERRNO(syscall(SYS_pwrite64, fd, buffer, -1L, 0L), EFAULT);
    CHECK_ERRNO(syscall(SYS_pread64, fd, buffer, -1L, -1L), EINVAL);
    CHECK_ERRNO(syscall(SYS_read, 999, buffer, -1L), EBADF);
    close(fd);
    scratch_leave();
}

static void sendfile_does_not_append(void) {
    REQUIRE(scratch_enter());
    int from = scratch_file(), to = open("g", O_CREAT | O_WRONLY | O_APPEND, 0600);
    REQUIRE(from >= 0 && to >= 0);
    CHECK_EQ(write(from, "ab", 2), 2);
    off_t at = 0;
    CHECK_ERRNO(sendfile(to, from, &at, 2), EINVAL);
    CHECK_EQ(fcntl(to, F_SETFL, 0), 0);
    CHECK_EQ(sendfile(to, from, &at, 2), 2);
    close(from), close(to);
    unlink("g");
    scratch_leave();
}

GUEST_MAIN(CASE(syncing_and_advice), CASE(owners_and_modes), CASE(old_times), CASE(locks),
           CASE(nodes), CASE(old_listing), CASE(selecting), CASE(counts_beyond_the_address_space),
           CASE(sendfile_does_not_append))
