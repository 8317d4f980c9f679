/* SPDX-License-Identifier: MIT */
/* Descriptors, vectors, big and odd transfers, holes, mappings of files, races of close. */
#define _GNU_SOURCE
#include "test/guest/scratch.h"
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#ifndef FALLOC_FL_KEEP_SIZE
#define FALLOC_FL_KEEP_SIZE  1
#define FALLOC_FL_PUNCH_HOLE 2
#endif

static int scratch_file(void) {
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0);
    return fd;
}

static void table_limits(void) {
    struct rlimit old, few = { 20, 20 };
    int fds[64], count = 0, fd;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &old) == 0);
    few.rlim_max = old.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (count < 64 && (fd = open("/dev/null", O_RDONLY)) >= 0)
        fds[count++] = fd;
    CHECK_EQ(errno, EMFILE);
    CHECK(count > 0 && fds[count - 1] == 19);
    int pair[2];
    CHECK_ERRNO(pipe(pair), EMFILE);
    CHECK_ERRNO(dup(0), EMFILE);
    CHECK_ERRNO(syscall(SYS_eventfd, 0), EMFILE);
    CHECK_ERRNO(dup2(0, 20), EBADF);
    CHECK_ERRNO(fcntl(0, F_DUPFD, 20), EINVAL);
    while (count)
        close(fds[--count]);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    fd = dup2(0, 500); /* makes the table grow */
    CHECK_EQ(fd, 500);
    CHECK_EQ(fcntl(0, F_DUPFD_CLOEXEC, 400), 400);
    CHECK_EQ(fcntl(400, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(500, F_GETFD), 0);
    CHECK_ERRNO(syscall(SYS_dup3, 0, 0, 0), EINVAL);
    CHECK_EQ(dup2(500, 500), 500);
    CHECK_ERRNO(dup2(501, 501), EBADF);
    CHECK_ERRNO(dup2(0, -1), EBADF);
    CHECK_EQ(syscall(SYS_close_range, 300, 450, 0), 0);
    CHECK_ERRNO(fcntl(400, F_GETFD), EBADF);
    CHECK_EQ(syscall(SYS_close_range, 450, ~0u, 4), 0); /* CLOSE_RANGE_CLOEXEC */
    CHECK_EQ(fcntl(500, F_GETFD), FD_CLOEXEC);
    CHECK_ERRNO(syscall(SYS_close_range, 5, 4, 0), EINVAL);
    CHECK_EQ(close(500), 0);
    CHECK_ERRNO(close(500), EBADF);
}

static void vectors(void) {
    char a[4] = "abc", b[8], c[4];
    REQUIRE(scratch_enter());
    int fd = scratch_file();
    struct iovec out[] = { { a, 3 }, { NULL, 0 }, { a, 3 } };
    CHECK_EQ(writev(fd, out, 3), 6);
    struct iovec in[] = { { b, 2 }, { c, 3 } };
    CHECK_EQ(preadv(fd, in, 2, 1), 5);
    CHECK(b[0] == 'b' && b[1] == 'c' && c[0] == 'a' && c[2] == 'c');
    CHECK_ERRNO(syscall(SYS_readv, fd, in, -1L), EINVAL);
    CHECK_ERRNO(syscall(SYS_readv, fd, in, IOV_MAX + 1L), EINVAL);
    CHECK_EQ(readv(fd, in, 0), 0);
    CHECK_ERRNO(syscall(SYS_readv, fd, 8, 1), EFAULT);
    struct iovec wrong[] = { { b, (size_t)-1 } };
    CHECK_ERRNO(readv(fd, wrong, 1), EINVAL);
    CHECK_EQ(pwritev(fd, out, 1, 10), 3);
    CHECK_EQ(lseek(fd, 0, SEEK_END), 13);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 13);
    CHECK_ERRNO(preadv(fd, in, 2, -1), EINVAL);
    CHECK_EQ(syscall(SYS_preadv2, fd, in, 1, 0, 0, 0), 2);
    CHECK_ERRNO(syscall(SYS_preadv2, fd, in, 1, 0, 0, 1 << 20), EOPNOTSUPP);
    close(fd);
    scratch_leave();
}

/* A transfer that runs into memory that is not there: what came before counts. */
static void partial_transfers(void) {
    char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(two != MAP_FAILED && scratch_enter());
    int fd = scratch_file();
    memset(two, 'x', 8192);
    CHECK_EQ(write(fd, two, 8192), 8192);
    CHECK_EQ(munmap(two + 4096, 4096), 0);
    CHECK_EQ(pread(fd, two, 8192, 0), 4096);
    CHECK_ERRNO(pread(fd, two + 4096, 10, 0), EFAULT);
    CHECK_EQ(pread(fd, two + 4096, 10, 9000), 0); /* nothing to move, nothing touched */
    CHECK_ERRNO(pread(fd, (void *)-4096L, 10, 0), EFAULT);
    CHECK_ERRNO(write(fd, (void *)0xffffffff80000000, 10), EFAULT);
    CHECK_EQ(pwrite(fd, two + 4090, 100, 0), 6);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 8192);
    int null = open("/dev/null", O_WRONLY);
    CHECK_EQ(write(null, two + 4096, 10), 10);
    close(null);
    close(fd);
    munmap(two, 4096);
    scratch_leave();
}

static void holes(void) {
    struct stat st;
    char bytes[4096];
    REQUIRE(scratch_enter());
    int fd = scratch_file();
    CHECK_EQ(pwrite(fd, "end", 3, (1l << 40) - 3), 3);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 1l << 40 && st.st_blocks <= 64);
    CHECK_EQ(pread(fd, bytes, sizeof bytes, 12345678), 4096);
    CHECK(bytes[0] == 0 && !memcmp(bytes, bytes + 1, sizeof bytes - 1));
    CHECK_EQ(pread(fd, bytes, 10, (1l << 40) - 3), 3);
    CHECK(!memcmp(bytes, "end", 3));
    CHECK_EQ(ftruncate(fd, 5000), 0);
    CHECK_EQ(pwrite(fd, "abcdef", 6, 4990), 6);
    CHECK_EQ(ftruncate(fd, 4993), 0);
    CHECK_EQ(ftruncate(fd, 10000), 0);
    CHECK_EQ(pread(fd, bytes, 10, 4990), 10);
    CHECK(!memcmp(bytes, "abc\0\0\0\0\0\0", 10)); /* what was cut off is gone */
    CHECK_EQ(syscall(SYS_fallocate, fd, 0, 0, 20000), 0);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 20000 && st.st_blocks >= 40);
    CHECK_EQ(syscall(SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE, 20000, 20000), 0);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 20000);
    CHECK_EQ(syscall(SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 4991, 9000), 0);
    CHECK_EQ(pread(fd, bytes, 10, 4990), 10);
    CHECK(!memcmp(bytes, "a\0\0\0\0\0\0\0\0", 10));
    CHECK_ERRNO(syscall(SYS_fallocate, fd, 0, -1L, 10L), EINVAL);
    CHECK_ERRNO(syscall(SYS_fallocate, fd, 0, 0L, 0L), EINVAL);
    CHECK_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK_ERRNO(lseek(fd, 0, 77), EINVAL);
    CHECK_EQ(lseek(fd, 1l << 43, SEEK_SET), 1l << 43);
    CHECK_EQ(read(fd, bytes, 1), 0);
    close(fd);
    scratch_leave();
}

static void *append_lines(void *arg) {
    int fd = open("f", O_WRONLY | O_APPEND);
    for (int i = 0; i < 200; i++)
        CHECK_EQ(write(fd, arg, 16), 16);
    close(fd);
    return NULL;
}

static void appending(void) {
    static char words[4][17] = { "aaaaaaaaaaaaaaa\n", "bbbbbbbbbbbbbbb\n", "ccccccccccccccc\n",
                                 "ddddddddddddddd\n" };
    pthread_t writers[4];
    REQUIRE(scratch_enter());
    int fd = scratch_file(), wrong = 0;
    for (int i = 0; i < 4; i++)
        REQUIRE(pthread_create(&writers[i], NULL, append_lines, words[i]) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(writers[i], NULL);
    char line[16];
    int lines = 0;
    for (; read(fd, line, 16) == 16; lines++)
        for (int k = 1; k < 15; k++)
            wrong += line[k] != line[0];
    CHECK_EQ(lines, 800);
    CHECK_EQ(wrong, 0);
    close(fd);
    scratch_leave();
}

static void mapped_files(void) {
    REQUIRE(scratch_enter());
    int fd = scratch_file();
    CHECK_EQ(ftruncate(fd, 10000), 0);
    char *shared = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    REQUIRE(shared != MAP_FAILED && private != MAP_FAILED);
    char c = 0;
    shared[5000] = 'm';
    CHECK(pread(fd, &c, 1, 5000) == 1 && c == 'm');
    CHECK_EQ(pwrite(fd, "w", 1, 5001), 1);
    CHECK_EQ(shared[5001], 'w');
    CHECK_EQ(private[5001], 'w');
    private[5002] = 'p';
    CHECK(pread(fd, &c, 1, 5002) == 1 && c == 0);
    CHECK_EQ(read(fd, shared + 4096, 100), 100); /* into a mapping of the same file */
    CHECK_EQ(pwrite(fd, shared + 5000, 2, 9000), 2);
    CHECK(shared[9000] == 'm' && shared[9001] == 'w');
    close(fd);
    CHECK_EQ(unlink("f"), 0);
    CHECK_EQ(shared[5000], 'm');
    CHECK_EQ(munmap(shared, 12288), 0);
    CHECK_EQ(munmap(private, 12288), 0);
    fd = open("g", O_WRONLY | O_CREAT, 0644);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
    close(fd);
    fd = open("g", O_RDONLY);
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
          errno == EACCES);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, 999, 0) == MAP_FAILED && errno == EBADF);
    close(fd);
    fd = open(".", O_RDONLY);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
    close(fd);
    fd = open("/dev/zero", O_RDWR);
    char *zero = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    REQUIRE(zero != MAP_FAILED);
    CHECK_EQ(zero[17], 0);
    zero[17] = 1;
    munmap(zero, 4096);
    close(fd);
    scratch_leave();
}

static void copies_between_files(void) {
    char block[5000], back[5000];
    int ends[2];
    REQUIRE(scratch_enter() && pipe(ends) == 0);
    int fd = scratch_file(), to = open("g", O_RDWR | O_CREAT, 0644);
    for (unsigned i = 0; i < sizeof block; i++)
        block[i] = (char)(i * 7);
    CHECK_EQ(write(fd, block, sizeof block), 5000);
    off_t at = 100;
    CHECK_EQ(sendfile(ends[1], fd, &at, 1000), 1000);
    CHECK_EQ(at, 1100);
    CHECK_EQ(read(ends[0], back, 1000), 1000);
    CHECK(!memcmp(back, block + 100, 1000));
    CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
    CHECK_EQ(sendfile(to, fd, NULL, 100000), 5000);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5000);
    CHECK_EQ(sendfile(to, fd, NULL, 100000), 0);
    CHECK_EQ(pread(to, back, 5000, 0), 5000);
    CHECK(!memcmp(back, block, 5000));
    at = 0;
    long to_at = 6000;
    CHECK_EQ(syscall(SYS_copy_file_range, fd, &at, to, &to_at, 500, 0), 500);
    CHECK(at == 500 && to_at == 6500);
    CHECK_ERRNO(sendfile(999, fd, NULL, 1), EBADF);
    /* What is read from there and cannot be written would be lost. */
    CHECK_EQ(write(ends[1], "kept", 4), 4);
    CHECK_ERRNO(sendfile(to, ends[0], NULL, 4), EINVAL);
    CHECK_EQ(read(ends[0], back, 5), 4);
    CHECK_EQ(fsync(fd), 0);
    CHECK_EQ(fdatasync(fd), 0);
    CHECK_ERRNO(fsync(ends[0]), EINVAL);
    CHECK_ERRNO(fsync(999), EBADF);
    CHECK_ERRNO(ftruncate(ends[1], 0), EINVAL);
    int waiting = -1;
    CHECK_EQ(write(ends[1], "12345", 5), 5);
    CHECK(ioctl(ends[0], FIONREAD, &waiting) == 0 && waiting == 5);
    CHECK_ERRNO(ioctl(fd, TIOCGWINSZ, back), ENOTTY);
    close(fd), close(to), close(ends[0]), close(ends[1]);
    scratch_leave();
}

static volatile int stop;

/* Opens and closes while others use the numbers: an error is fine, a crash is not. */
static void *churn(void *arg) {
    unsigned long seed = (unsigned long)arg;
    char bytes[64];
    while (!stop) {
        int fd = 100 + (int)(guest_random(&seed) % 8);
        switch (guest_random(&seed) % 6) {
        case 0:
            close(fd);
            break;
        case 1:
        case 2:
            dup2((int)(seed & 1) + 90, fd);
            break;
        case 3:
            (void)!write(fd, bytes, sizeof bytes);
            break;
        case 4:
            (void)!pread(fd, bytes, sizeof bytes, 0);
            break;
        default:
            fcntl(fd, F_GETFL);
            break;
        }
    }
    return NULL;
}

static void racing_closes(void) {
    pthread_t threads[4];
    REQUIRE(scratch_enter());
    int fd = scratch_file(), null = open("/dev/null", O_RDWR);
    dup2(fd, 90), dup2(null, 91);
    stop = 0;
    for (unsigned long i = 0; i < 4; i++)
        REQUIRE(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
    for (int i = 0; i < 200; i++) {
        unsigned ticks = 0;
        guest_tick(&ticks);
    }
    stop = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(syscall(SYS_close_range, 90, 110, 0), 0);
    close(fd), close(null);
    scratch_leave();
}

/* A reader that sleeps while its descriptor is closed still gets what comes. */
static int reader_ends[2];

static void *read_one(void *arg) {
    char c = 0;
    return (void *)(long)(read(*(int *)arg, &c, 1) == 1 && c == 'z');
}

static void closed_while_reading(void) {
    pthread_t reader;
    void *good = NULL;
    unsigned ticks = 0;
    REQUIRE(pipe(reader_ends) == 0);
    REQUIRE(pthread_create(&reader, NULL, read_one, &reader_ends[0]) == 0);
    for (int i = 0; i < 30; i++)
        guest_tick(&ticks);
    CHECK_EQ(close(reader_ends[0]), 0);
    CHECK_EQ(write(reader_ends[1], "z", 1), 1);
    pthread_join(reader, &good);
    CHECK(good != NULL);
    signal(SIGPIPE, SIG_IGN);
    CHECK_ERRNO(write(reader_ends[1], "z", 1), EPIPE); /* now it is gone */
    close(reader_ends[1]);
}

static void through_proc(void) {
    char path[64], target[256], c = 0;
    REQUIRE(scratch_enter());
    int fd = scratch_file();
    CHECK_EQ(write(fd, "abc", 3), 3);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    long n = readlink(path, target, sizeof target);
    REQUIRE(n > 2);
    CHECK(!memcmp(target + n - 2, "/f", 2));
    int again = open(path, O_RDONLY);
    REQUIRE(again >= 0);
    CHECK(read(again, &c, 1) == 1 && c == 'a'); /* a position of its own */
    CHECK_EQ(unlink("f"), 0);
    n = readlink(path, target, sizeof target);
    CHECK(n > 10 && !memcmp(target + n - 10, " (deleted)", 10));
    close(again);
    again = open(path, O_RDWR); /* leads to it even so */
    CHECK(again >= 0);
    close(again);
    close(fd);
    CHECK_ERRNO(open(path, O_RDONLY), ENOENT);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
    again = open(path, O_WRONLY);
    REQUIRE(again >= 0);
    close(ends[1]);
    CHECK_EQ(write(again, "q", 1), 1);
    CHECK(read(ends[0], &c, 1) == 1 && c == 'q');
    close(again);
    CHECK_EQ(read(ends[0], &c, 1), 0);
    close(ends[0]);
    DIR *dir = opendir("/proc/self/fd");
    REQUIRE(dir != NULL);
    int numbers = 0;
    for (struct dirent *e; (e = readdir(dir));)
        numbers += e->d_name[0] >= '0' && e->d_name[0] <= '9';
    closedir(dir);
    CHECK(numbers >= 4); /* 0, 1, 2 and the directory itself */
    scratch_leave();
}

GUEST_MAIN(CASE(table_limits), CASE(vectors), CASE(partial_transfers), CASE(holes), CASE(appending),
           CASE(mapped_files), CASE(copies_between_files), CASE(racing_closes),
           CASE(closed_while_reading), CASE(through_proc))
