/* SPDX-License-Identifier: MIT */
/* Files: opening, reading, writing, their metadata; results and errors. */
#define _GNU_SOURCE
#include "test/guest/scratch.h"
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* An address at which nothing ever lies; the compiler is not to know it. */
static void *volatile nowhere = (void *)8;

static int create(const char *name) {
    return open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
}

static void open_results(void) {
    REQUIRE(scratch_enter());
    int fd = open("a", O_RDWR | O_CREAT | O_EXCL, 0640);
    REQUIRE(fd >= 0);
    CHECK_EQ(close(fd), 0);
    CHECK_ERRNO(open("a", O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST);
    CHECK_ERRNO(open("nothing", O_RDONLY), ENOENT);
    CHECK_ERRNO(open("", O_RDONLY), ENOENT);
    CHECK_ERRNO(open("nothing/below", O_RDONLY | O_CREAT, 0600), ENOENT);
    CHECK_ERRNO(open("a/below", O_RDONLY), ENOTDIR);
    CHECK_ERRNO(open(".", O_WRONLY), EISDIR);
    CHECK_ERRNO(open("a", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_open, (void *)8, O_RDONLY), EFAULT);
    char name[NAME_MAX + 2];
    memset(name, 'n', NAME_MAX + 1);
    name[NAME_MAX + 1] = 0;
    CHECK_ERRNO(open(name, O_RDONLY), ENAMETOOLONG);
    CHECK_ERRNO(close(fd), EBADF);
    CHECK_ERRNO(close(-1), EBADF);
    int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(dir >= 0);
    fd = openat(dir, "a", O_RDONLY);
    CHECK(fd >= 0);
    CHECK_ERRNO(openat(fd, "b", O_RDONLY), ENOTDIR);
    CHECK_ERRNO(openat(999, "b", O_RDONLY), EBADF);
    close(fd);
    close(dir);
    int lowest = dup(0);
    close(lowest);
    CHECK_EQ(open("a", O_RDONLY), lowest); /* the lowest free number */
    close(lowest);
    scratch_leave();
}

static void read_and_write(void) {
    char text[100] = "";
    REQUIRE(scratch_enter());
    int fd = create("f");
    REQUIRE(fd >= 0);
    CHECK_EQ(write(fd, "hello world", 11), 11);
    CHECK_EQ(read(fd, text, 10), 0);
    CHECK_EQ(lseek(fd, 6, SEEK_SET), 6);
    CHECK_EQ(read(fd, text, 100), 5);
    CHECK(!memcmp(text, "world", 5));
    CHECK_EQ(pread(fd, text, 5, 0), 5);
    CHECK(!memcmp(text, "hello", 5));
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 11); /* pread moves nothing */
    CHECK_EQ(pwrite(fd, "J", 1, 0), 1);
    CHECK_EQ(pread(fd, text, 100, 100), 0);
    CHECK_EQ(write(fd, "", 0), 0);
    CHECK_ERRNO(pread(fd, nowhere, 5, 0), EFAULT);
    CHECK_ERRNO(write(fd, nowhere, 5), EFAULT);
    CHECK_ERRNO(pread(fd, text, 5, -1), EINVAL);
    CHECK_ERRNO(pwrite(fd, text, 5, -1), EINVAL);
    CHECK_ERRNO(read(999, text, 5), EBADF);
    close(fd);
    fd = open("f", O_RDONLY);
    CHECK_ERRNO(write(fd, "x", 1), EBADF);
    CHECK_EQ(read(fd, text, 1), 1);
    CHECK_EQ(text[0], 'J');
    close(fd);
    fd = open("f", O_WRONLY | O_APPEND);
    CHECK_ERRNO(read(fd, text, 1), EBADF);
    lseek(fd, 0, SEEK_SET);
    CHECK_EQ(write(fd, "!", 1), 1);
    CHECK_EQ(lseek(fd, 0, SEEK_END), 12);
    close(fd);
    scratch_leave();
}

static void vectors(void) {
    char a[4] = "", b[4] = "";
    struct iovec parts[2] = { { a, 3 }, { b, 3 } };
    struct iovec out[3] = { { (void *)(uintptr_t) "abc", 3 },
                            { NULL, 0 },
                            { (void *)(uintptr_t) "def", 3 } };
    REQUIRE(scratch_enter());
    int fd = create("v");
    CHECK_EQ(writev(fd, out, 3), 6);
    CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
    CHECK_EQ(readv(fd, parts, 2), 6);
    CHECK(!memcmp(a, "abc", 3) && !memcmp(b, "def", 3));
    CHECK_EQ(preadv(fd, parts, 2, 3), 3);
    CHECK(!memcmp(a, "def", 3));
    CHECK_EQ(pwritev(fd, out, 1, 10), 3);
    CHECK_EQ(lseek(fd, 0, SEEK_END), 13);
    CHECK_EQ(pread(fd, a, 3, 7), 3); /* the gap is zero */
    CHECK(a[0] == 0 && a[2] == 0);
    CHECK_ERRNO(syscall(SYS_readv, fd, parts, -1), EINVAL);
    CHECK_ERRNO(syscall(SYS_writev, fd, parts, 2000), EINVAL);
    CHECK_ERRNO(syscall(SYS_writev, fd, (void *)8, 1), EFAULT);
    CHECK_EQ(writev(fd, parts, 0), 0);
    close(fd);
    scratch_leave();
}

static void seeking(void) {
    REQUIRE(scratch_enter());
    int fd = create("s");
    CHECK_EQ(lseek(fd, 1 << 20, SEEK_SET), 1 << 20);
    CHECK_EQ(write(fd, "e", 1), 1);
    CHECK_EQ(lseek(fd, -1, SEEK_END), 1 << 20);
    CHECK_EQ(lseek(fd, -10, SEEK_CUR), (1 << 20) - 10);
    CHECK_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK_ERRNO(lseek(fd, 0, 99), EINVAL);
    CHECK_ERRNO(lseek(999, 0, SEEK_SET), EBADF);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    CHECK_ERRNO(lseek(ends[0], 0, SEEK_SET), ESPIPE);
    close(ends[0]);
    close(ends[1]);
    close(fd);
    scratch_leave();
}

static void truncating(void) {
    struct stat st;
    char text[8] = "";
    REQUIRE(scratch_enter());
    int fd = create("t");
    CHECK_EQ(write(fd, "abcdef", 6), 6);
    CHECK_EQ(ftruncate(fd, 3), 0);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 3);
    CHECK_EQ(ftruncate(fd, 10000), 0);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 10000);
    CHECK_EQ(pread(fd, text, 6, 0), 6);
    CHECK(!memcmp(text, "abc\0\0\0", 6)); /* what was cut off comes back as zero */
    CHECK_ERRNO(ftruncate(fd, -1), EINVAL);
    CHECK_ERRNO(ftruncate(999, 0), EBADF);
    CHECK_EQ(truncate("t", 1), 0);
    CHECK(stat("t", &st) == 0 && st.st_size == 1);
    CHECK_ERRNO(truncate("nothing", 1), ENOENT);
    close(fd);
    fd = open("t", O_RDONLY);
    CHECK_ERRNO(ftruncate(fd, 0), EINVAL);
    close(fd);
    fd = open("t", O_WRONLY | O_TRUNC);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 0);
    CHECK_EQ(fsync(fd), 0);
    CHECK_EQ(fdatasync(fd), 0);
    close(fd);
    scratch_leave();
}

static void duplicates(void) {
    REQUIRE(scratch_enter());
    int fd = create("d"), other = dup(fd);
    CHECK(other > fd);
    CHECK_EQ(write(fd, "ab", 2), 2);
    CHECK_EQ(lseek(other, 0, SEEK_CUR), 2); /* one offset for both */
    CHECK_EQ(dup2(fd, 40), 40);
    CHECK_EQ(dup2(fd, fd), fd);
    CHECK_EQ(lseek(40, 0, SEEK_CUR), 2);
    CHECK_EQ(dup3(fd, 41, O_CLOEXEC), 41);
    CHECK_EQ(fcntl(41, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(40, F_GETFD), 0);
    CHECK_ERRNO(dup3(fd, fd, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_dup3, fd, 42, 1), EINVAL);
    CHECK_ERRNO(dup2(999, 42), EBADF);
    CHECK_ERRNO(dup2(fd, -1), EBADF);
    CHECK_ERRNO(dup(999), EBADF);
    CHECK_EQ(fcntl(fd, F_DUPFD, 50), 50);
    CHECK_EQ(fcntl(fd, F_DUPFD_CLOEXEC, 50), 51);
    CHECK_EQ(fcntl(51, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(50, F_SETFD, FD_CLOEXEC), 0);
    CHECK_EQ(fcntl(50, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    CHECK_EQ(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK), 0);
    CHECK_EQ(fcntl(other, F_GETFL) & (O_APPEND | O_NONBLOCK), O_APPEND | O_NONBLOCK);
    CHECK_ERRNO(fcntl(fd, 9999), EINVAL);
    CHECK_ERRNO(fcntl(999, F_GETFD), EBADF);
    CHECK_ERRNO(fcntl(fd, F_DUPFD, -1), EINVAL);
    for (int i = 40; i < 52; i++)
        close(i);
    close(other);
    close(fd);
    scratch_leave();
}

static void mapped_files(void) {
    REQUIRE(scratch_enter());
    int fd = create("m");
    for (int i = 0; i < 3; i++) {
        char page[4096];
        memset(page, 'a' + i, sizeof page);
        CHECK_EQ(write(fd, page, sizeof page), sizeof page);
    }
    char *p = mmap(NULL, 3 * 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    REQUIRE(p != MAP_FAILED);
    close(fd); /* the mapping holds the file */
    CHECK_EQ(unlink("m"), 0);
    CHECK(p[0] == 'a' && p[4096] == 'b' && p[3 * 4096 - 1] == 'c');
    CHECK_EQ(munmap(p, 3 * 4096), 0);
    scratch_leave();
}

/* A file larger than a few pages, written and read in odd pieces. */
static void large_file(void) {
    static char buffer[70001];
    unsigned long seed = 42, check = 42;
    long bad = 0, size = 40 * (long)sizeof buffer;
    REQUIRE(scratch_enter());
    int fd = create("large");
    for (long done = 0; done < size; done += sizeof buffer) {
        for (unsigned i = 0; i < sizeof buffer; i++)
            buffer[i] = (char)guest_random(&seed);
        CHECK_EQ(write(fd, buffer, sizeof buffer), sizeof buffer);
    }
    lseek(fd, 0, SEEK_SET);
    for (long done = 0, n; done < size; done += n) {
        n = read(fd, buffer, 4099);
        if (!CHECK(n > 0))
            break;
        for (long i = 0; i < n; i++)
            bad += buffer[i] != (char)guest_random(&check);
    }
    CHECK_EQ(bad, 0);
    close(fd);
    scratch_leave();
}

GUEST_MAIN(CASE(open_results), CASE(read_and_write), CASE(vectors), CASE(seeking), CASE(truncating),
           CASE(duplicates), CASE(mapped_files), CASE(large_file))
