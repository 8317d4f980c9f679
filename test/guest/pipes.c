/* SPDX-License-Identifier: MIT */
/* Pipes and poll: blocking, limits, ends that close, several readers and writers. */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/select.h>

static void basics(void) {
    int ends[2], waiting = -1;
    char text[16] = "";
    REQUIRE(pipe(ends) == 0);
    CHECK_EQ(write(ends[1], "hello", 5), 5);
    CHECK_EQ(ioctl(ends[0], FIONREAD, &waiting), 0);
    CHECK_EQ(waiting, 5);
    CHECK_EQ(read(ends[0], text, 3), 3);
    CHECK_EQ(read(ends[0], text, 16), 2);
    CHECK_ERRNO(write(ends[0], "x", 1), EBADF);
    CHECK_ERRNO(read(ends[1], text, 1), EBADF);
    CHECK_EQ(write(ends[1], "end", 3), 3);
    close(ends[1]);
    CHECK_EQ(read(ends[0], text, 16), 3);
    CHECK_EQ(read(ends[0], text, 16), 0);
    close(ends[0]);
    CHECK_ERRNO(syscall(SYS_pipe, (void *)8), EFAULT);
    CHECK_ERRNO(pipe2(ends, 0x40000000), EINVAL);
}

static void nonblocking(void) {
    int ends[2];
    char block[4096] = "";
    REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    CHECK_EQ(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
    CHECK_ERRNO(read(ends[0], block, 1), EAGAIN);
    long total = 0, n;
    while ((n = write(ends[1], block, sizeof block)) > 0)
        total += n;
    CHECK(n == -1 && errno == EAGAIN);
    /* Linux: 64 KiB, or less for a user who has very many pipes. */
    CHECK(total >= 4096 && total <= 1 << 20);
    while ((n = read(ends[0], block, sizeof block)) > 0)
        total -= n;
    CHECK_EQ(total, 0);
    close(ends[0]);
    close(ends[1]);
}

/* A capacity is changed and the bytes stay, wherever they lie in the ring. */
static void resized(void) {
    static unsigned char block[65536], back[65536];
    static const int sizes[] = { 65536, 131072, 262144, 65536 };
    int ends[2];
    REQUIRE(pipe2(ends, O_NONBLOCK) == 0);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (unsigned char)(i * 31 + i / 4096);
    CHECK_EQ(write(ends[1], block, 65536), 65536);
    CHECK_EQ(read(ends[0], back, 100), 100);
    CHECK_EQ(read(ends[0], back, 3996), 3996);
    CHECK_EQ(write(ends[1], block, 4096), 4096);
    CHECK_EQ(read(ends[0], back, 50), 50);
    long more = write(ends[1], block, 50); /* Linux has no page left for them */
    CHECK(more == 50 || (more == -1 && errno == EAGAIN));
    for (unsigned i = 0; i < LENGTH(sizes); i++)
        CHECK_EQ(fcntl(ends[0], F_SETPIPE_SZ, sizes[i]), sizes[i]);
    CHECK_ERRNO(fcntl(ends[0], F_SETPIPE_SZ, 32768), EBUSY);
    CHECK_EQ(read(ends[0], back, 61390), 61390);
    CHECK_EQ(memcmp(back, block + 4146, 61390), 0);
    CHECK_EQ(read(ends[0], back, 4096), 4096);
    CHECK_EQ(memcmp(back, block, 4096), 0);
    CHECK_EQ(read(ends[0], back, 50), more);
    CHECK(more < 0 || !memcmp(back, block, 50));
    CHECK_EQ(fcntl(ends[0], F_SETPIPE_SZ, 4096), 4096);
    close(ends[0]);
    close(ends[1]);
}

static void broken(void) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    signal(SIGPIPE, SIG_IGN);
    close(ends[0]);
    CHECK_ERRNO(write(ends[1], "x", 1), EPIPE);
    close(ends[1]);
    signal(SIGPIPE, SIG_DFL);
}

#define TOTAL 300000L
static int stream[2];

static void *stream_write(void *arg) {
    unsigned long seed = 7, sizes = 9;
    static char block[10000];
    for (long done = 0; done < TOTAL;) {
        long size = 1 + (long)(guest_random(&sizes) % sizeof block);
        if (size > TOTAL - done)
            size = TOTAL - done;
        for (long i = 0; i < size; i++)
            block[i] = (char)guest_random(&seed);
        for (long part = 0, n; part < size; part += n) {
            n = write(stream[1], block + part, size - part);
            if (!CHECK(n > 0))
                return arg;
        }
        done += size;
    }
    close(stream[1]);
    return arg;
}

static void streaming(void) {
    pthread_t writer;
    unsigned long seed = 7;
    char block[7777];
    long total = 0, bad = 0, n;
    REQUIRE(pipe(stream) == 0);
    REQUIRE(thread_start(&writer, stream_write, NULL));
    while ((n = read(stream[0], block, sizeof block)) > 0) {
        for (long i = 0; i < n; i++)
            bad += block[i] != (char)guest_random(&seed);
        total += n;
    }
    thread_join(writer);
    CHECK_EQ(total, TOTAL);
    CHECK_EQ(bad, 0);
    close(stream[0]);
}

/* Small writes are whole, whoever else writes. */
static void *write_records(void *arg) {
    char record[64];
    memset(record, (int)(long)arg, sizeof record);
    for (int i = 0; i < 300; i++)
        CHECK_EQ(write(stream[1], record, sizeof record), sizeof record);
    return NULL;
}

static void small_writes_are_whole(void) {
    pthread_t writers[4];
    char record[64];
    int counts[4] = { 0 }, torn = 0;
    REQUIRE(pipe(stream) == 0);
    for (long i = 0; i < 4; i++)
        REQUIRE(thread_start(&writers[i], write_records, (void *)('a' + i)));
    for (int i = 0; i < 1200; i++) {
        long got = 0, n;
        while (got < 64 && (n = read(stream[0], record + got, 64 - got)) > 0)
            got += n;
        for (int k = 1; k < 64; k++)
            torn += record[k] != record[0];
        if (record[0] >= 'a' && record[0] < 'e')
            counts[record[0] - 'a']++;
    }
    for (int i = 0; i < 4; i++) {
        thread_join(writers[i]);
        CHECK_EQ(counts[i], 300);
    }
    CHECK_EQ(torn, 0);
    close(stream[0]);
    close(stream[1]);
}

static void polling(void) {
    int ends[2];
    char c;
    REQUIRE(pipe(ends) == 0);
    struct pollfd fds[3] = { { ends[0], POLLIN, 0 }, { ends[1], POLLOUT, 0 }, { 999, POLLIN, 0 } };
    CHECK_EQ(poll(fds, 1, 0), 0);
    CHECK_EQ(poll(fds, 2, -1), 1);
    CHECK(fds[0].revents == 0 && fds[1].revents == POLLOUT);
    CHECK_EQ(poll(fds, 3, 0), 2);
    CHECK_EQ(fds[2].revents, POLLNVAL);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_EQ(poll(fds, 1, 1000), 1);
    CHECK_EQ(fds[0].revents, POLLIN);
    fds[0].fd = -1; /* left out */
    CHECK_EQ(poll(fds, 1, 0), 0);
    fds[0].fd = ends[0];
    CHECK_EQ(read(ends[0], &c, 1), 1);
    close(ends[1]);
    CHECK_EQ(poll(fds, 1, -1), 1);
    CHECK_EQ(fds[0].revents, POLLHUP);
    CHECK_ERRNO(syscall(SYS_poll, (void *)8, 1, 0), EFAULT);
    struct timespec zero = { 0, 0 };
    CHECK_EQ(ppoll(fds, 1, &zero, NULL), 1);
    close(ends[0]);
}

static void *write_later(void *arg) {
    sleep_ms(20);
    CHECK_EQ(write(*(int *)arg, "x", 1), 1);
    return NULL;
}

static void poll_wakes_up(void) {
    int ends[2];
    pthread_t writer;
    REQUIRE(pipe(ends) == 0);
    REQUIRE(thread_start(&writer, write_later, &ends[1]));
    struct pollfd fd = { ends[0], POLLIN, 0 };
    CHECK_EQ(poll(&fd, 1, 60000), 1);
    CHECK_EQ(fd.revents, POLLIN);
    thread_join(writer);
    long begin = now_ns();
    fd.events = 0;
    CHECK_EQ(poll(&fd, 1, 20), 0);
    CHECK(now_ns() - begin >= 20000000);
    close(ends[0]);
    close(ends[1]);
}

static void *read_one(void *arg) {
    char c;
    return (void *)(long)read(*(int *)arg, &c, 1);
}

static void readers_wake_at_the_end(void) {
    int ends[2];
    pthread_t readers[4];
    REQUIRE(pipe(ends) == 0);
    for (int i = 0; i < 4; i++)
        REQUIRE(thread_start(&readers[i], read_one, &ends[0]));
    sleep_ms(20);
    close(ends[1]);
    for (int i = 0; i < 4; i++)
        CHECK_EQ((long)thread_join(readers[i]), 0);
    close(ends[0]);
}

GUEST_MAIN(CASE(basics), CASE(nonblocking), CASE(resized), CASE(broken), CASE(streaming),
           CASE(small_writes_are_whole), CASE(polling), CASE(poll_wakes_up),
           CASE(readers_wake_at_the_end))
