/* SPDX-License-Identifier: MIT */
/* splice, tee and vmsplice: what moves, what stays, and that nothing is lost or repeated. */
#define _GNU_SOURCE
#include "test/guest/inet.h"
#include "test/guest/scratch.h"
#include "test/guest/splice.h"
#include <sys/epoll.h>
#include <sys/uio.h>

#define RELAYED (1 << 20)

static int waiting_in(int fd) {
    int n = -1;
    return ioctl(fd, FIONREAD, &n) ? -1 : n;
}

static void files_and_pipes(void) {
    int ends[2];
    char text[64] = "";
    off_t at = 6;
    REQUIRE(scratch_enter() && pipe(ends) == 0);
    int file = open("file", O_RDWR | O_CREAT, 0600), copy = open("copy", O_RDWR | O_CREAT, 0600);
    REQUIRE(file >= 0 && copy >= 0);
    CHECK_EQ(write(file, "hello splice", 12), 12);

    /* At an offset the position stays; the offset moves on. */
    CHECK_EQ(splice(file, &at, ends[1], NULL, 100, 0), 6);
    CHECK_EQ(at, 12);
    CHECK_EQ(lseek(file, 0, SEEK_CUR), 12);
    CHECK_EQ(splice(file, &at, ends[1], NULL, 100, 0), 0); /* its end */
    CHECK_EQ(splice(file, NULL, ends[1], NULL, 100, 0), 0);
    CHECK_EQ(lseek(file, 0, SEEK_SET), 0);
    CHECK_EQ(splice(file, NULL, ends[1], NULL, 5, SPLICE_F_MOVE | SPLICE_F_MORE), 5);
    CHECK_EQ(lseek(file, 0, SEEK_CUR), 5);

    at = 3;
    CHECK_EQ(splice(ends[0], NULL, copy, &at, 6, 0), 6);
    CHECK_EQ(at, 9);
    CHECK_EQ(splice(ends[0], NULL, copy, NULL, 3, 0), 3);
    CHECK_EQ(lseek(copy, 0, SEEK_CUR), 3);
    CHECK_EQ(pread(copy, text, sizeof text, 0), 9);
    CHECK_EQ(memcmp(text, "helsplice", 9), 0);
    CHECK_EQ(waiting_in(ends[0]), 2);

    int null = open("/dev/null", O_WRONLY), zero = open("/dev/zero", O_RDONLY);
    CHECK_EQ(splice(ends[0], NULL, null, NULL, 100, 0), 2);
    CHECK(splice(zero, NULL, ends[1], NULL, 100, 0) == 100);
    close(null);
    close(zero);
    close(file);
    close(copy);
    close_both(ends);
    scratch_leave();
}

static void between_pipes(void) {
    int a[2], b[2];
    char text[16] = "";
    REQUIRE(pipe(a) == 0 && pipe(b) == 0);
    CHECK_EQ(write(a[1], "abcdef", 6), 6);
    CHECK_EQ(tee(a[0], b[1], 4, 0), 4); /* they stay */
    CHECK_EQ(waiting_in(a[0]), 6);
    CHECK_EQ(splice(a[0], NULL, b[1], NULL, 100, 0), 6);
    CHECK_EQ(waiting_in(a[0]), 0);
    CHECK_EQ(read(b[0], text, sizeof text), 10);
    CHECK_EQ(memcmp(text, "abcdabcdef", 10), 0);

    CHECK_ERRNO(splice(a[0], NULL, b[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK_ERRNO(tee(a[0], b[1], 1, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK_EQ(fcntl(b[1], F_SETFL, O_NONBLOCK), 0); /* either's */
    CHECK_ERRNO(splice(a[0], NULL, b[1], NULL, 1, 0), EAGAIN);
    CHECK_ERRNO(tee(a[0], b[1], 1, 0), EAGAIN);

    static char block[PIPE_BYTES];
    CHECK_EQ(write(b[1], block, sizeof block), PIPE_BYTES); /* it is full */
    CHECK_EQ(write(a[1], "x", 1), 1);
    CHECK_ERRNO(splice(a[0], NULL, b[1], NULL, 1, 0), EAGAIN);
    CHECK_ERRNO(tee(a[0], b[1], 1, 0), EAGAIN);
    CHECK_EQ(waiting_in(a[0]), 1);
    close(a[1]);
    CHECK_EQ(read(a[0], text, 1), 1);
    CHECK_ERRNO(splice(a[0], NULL, b[1], NULL, 1, 0), EAGAIN); /* before the end is looked at */
    CHECK_ERRNO(tee(a[0], b[1], 1, 0), EAGAIN);
    CHECK_EQ(read(b[0], block, sizeof block), PIPE_BYTES);
    CHECK_EQ(splice(a[0], NULL, b[1], NULL, 1, 0), 0);
    CHECK_EQ(tee(a[0], b[1], 1, 0), 0);
    close(a[0]);
    close_both(b);
}

static void offsets_and_ends(void) {
    int a[2], b[2], s[2];
    off_t at = 0;
    REQUIRE(pipe(a) == 0 && pipe(b) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK_ERRNO(splice(a[0], &at, b[1], NULL, 1, 0), ESPIPE);
    CHECK_ERRNO(splice(a[0], NULL, b[1], &at, 1, 0), ESPIPE);
    CHECK_ERRNO(splice(a[0], NULL, s[0], &at, 1, 0), EINVAL);
    CHECK_ERRNO(splice(s[0], &at, a[1], NULL, 1, 0), EINVAL);
    CHECK_ERRNO(splice(a[1], NULL, b[1], NULL, 1, 0), EBADF);
    CHECK_ERRNO(splice(a[0], NULL, b[0], NULL, 1, 0), EBADF);
    CHECK_ERRNO(tee(a[1], b[1], 1, 0), EBADF);
    CHECK_ERRNO(tee(a[0], b[0], 1, 0), EBADF);
    CHECK_ERRNO(splice(a[0], NULL, a[1], NULL, 1, 0), EINVAL);
    CHECK_ERRNO(tee(a[0], a[1], 1, 0), EINVAL);
    CHECK_ERRNO(tee(a[0], s[1], 1, 0), EINVAL);
    CHECK_ERRNO(tee(s[1], a[1], 1, 0), EINVAL);
    CHECK_ERRNO(splice(s[0], NULL, s[1], NULL, 1, 0), EINVAL);
    close_both(s);
    close_both(a);
    close_both(b);
}

static void wrong_arguments(void) {
    int a[2];
    struct iovec one = { (void *)8, 1 };
    char byte;
    REQUIRE(scratch_enter() && pipe(a) == 0);
    int file = open("file", O_RDWR | O_CREAT, 0600), all = open("file", O_WRONLY | O_APPEND);
    int path = open("file", O_PATH), directory = open(".", O_RDONLY);
    REQUIRE(file >= 0 && all >= 0 && path >= 0 && directory >= 0);
    CHECK_EQ(write(a[1], "x", 1), 1);
    CHECK_EQ(splice(-1, NULL, -1, NULL, 0, 0), 0);
    CHECK_EQ(splice(-1, NULL, -1, NULL, 0, 16), 0);
    CHECK_ERRNO(splice(a[0], NULL, file, NULL, 1, 16), EINVAL);
    CHECK_ERRNO(splice(-1, NULL, file, NULL, 1, 0), EBADF);
    CHECK_ERRNO(splice(a[0], NULL, -1, NULL, 1, 0), EBADF);
    CHECK_ERRNO(splice(path, NULL, a[1], NULL, 1, 0), EBADF);
    CHECK_ERRNO(splice(a[0], NULL, all, NULL, 1, 0), EINVAL);
    CHECK_ERRNO(splice(file, nowhere, a[1], NULL, 1, 0), EFAULT);
    CHECK_ERRNO(splice(a[0], NULL, file, nowhere, 1, 0), EFAULT);
    off_t below = -1;
    CHECK_ERRNO(splice(a[0], NULL, file, &below, 1, 0), EINVAL);
    CHECK_ERRNO(splice(directory, NULL, a[1], NULL, 1, 0), EINVAL);
    CHECK_ERRNO(tee(a[0], a[1], 1, 16), EINVAL);
    CHECK_ERRNO(tee(-1, a[1], 1, 0), EBADF);
    CHECK_EQ(tee(-1, -1, 0, 0), 0);
    CHECK_ERRNO(vmsplice(-1, &one, 1, 0), EBADF);
    CHECK_ERRNO(vmsplice(a[1], &one, 1, 16), EINVAL);
    CHECK_ERRNO(vmsplice(a[1], &one, 1, 0), EFAULT);
    CHECK_ERRNO(vmsplice(a[1], &one, 1025, 0), EINVAL);
    CHECK_ERRNO(vmsplice(a[1], nowhere, 1, 0), EFAULT);
    CHECK_EQ(vmsplice(a[1], NULL, 0, 0), 0);
    one.iov_base = &byte;
    CHECK_ERRNO(vmsplice(file, &one, 1, 0), EBADF);
    CHECK_EQ(waiting_in(a[0]), 1);
    close(file);
    close(all);
    close(path);
    close(directory);
    close_both(a);
    scratch_leave();
}

static void program_memory(void) {
    int a[2];
    char in[] = "onetwothree", out[12] = "";
    struct iovec parts[] = { { in, 3 }, { in + 3, 0 }, { in + 3, 8 } };
    struct iovec whole = { out, sizeof out };
    static char block[PIPE_BYTES];
    struct iovec much = { block, sizeof block };
    REQUIRE(pipe(a) == 0);
    CHECK_EQ(vmsplice(a[1], parts, 3, 0), 11);
    CHECK_EQ(vmsplice(a[0], &whole, 1, 0), 11);
    CHECK_EQ(memcmp(out, in, 11), 0);
    parts[2].iov_base = nowhere; /* up to there, and what is not taken stays */
    CHECK_EQ(vmsplice(a[1], parts, 3, 0), 3);
    CHECK_EQ(write(a[1], in, 11), 11);
    CHECK_EQ(vmsplice(a[0], parts, 3, 0), 3);
    CHECK_EQ(waiting_in(a[0]), 11);
    CHECK_EQ(vmsplice(a[0], &whole, 1, 0), 11);
    CHECK_EQ(memcmp(out, "onetwothree", 11), 0);
    CHECK_ERRNO(vmsplice(a[0], &whole, 1, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK_EQ(write(a[1], block, PIPE_BYTES), PIPE_BYTES);
    CHECK_ERRNO(vmsplice(a[1], &much, 1, SPLICE_F_NONBLOCK), EAGAIN);
    close(a[1]);
    CHECK_EQ(vmsplice(a[0], &much, 1, 0), PIPE_BYTES);
    CHECK_EQ(vmsplice(a[0], &much, 1, 0), 0);
    close(a[0]);
}

static int broken_pipes;

static void count_signal(int signo) {
    broken_pipes += signo == SIGPIPE;
}

static void broken(void) {
    int a[2], b[2], s[2];
    struct iovec one = { (char[]){ "x" }, 1 };
    signal(SIGPIPE, count_signal);
    REQUIRE(pipe(a) == 0 && pipe(b) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK_EQ(write(a[1], "x", 1), 1);
    CHECK_EQ(write(s[1], "x", 1), 1);
    close(b[0]);
    broken_pipes = 0;
    CHECK_ERRNO(splice(a[0], NULL, b[1], NULL, 1, 0), EPIPE);
    CHECK_ERRNO(tee(a[0], b[1], 1, 0), EPIPE);
    CHECK_ERRNO(splice(s[0], NULL, b[1], NULL, 1, 0), EPIPE);
    CHECK_ERRNO(vmsplice(b[1], &one, 1, 0), EPIPE);
    CHECK_EQ(broken_pipes, 4);
    CHECK_EQ(waiting_in(a[0]), 1);
    CHECK_EQ(waiting_in(s[0]), 1);
    close(s[1]);
    CHECK_ERRNO(splice(a[0], NULL, s[0], NULL, 1, 0), EPIPE);
    CHECK_EQ(broken_pipes, 5);
    close(b[1]);
    close(s[0]);
    close_both(a);
    signal(SIGPIPE, SIG_DFL);
}

/* A socket that takes only a part: the rest is still in the pipe, in its place. */
static void rest_stays(void) {
    int a[2], s[2];
    static char block[PIPE_BYTES];
    REQUIRE(pipe(a) == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
    size_t put = 0, got = 0;
    long n = 0;
    for (unsigned round = 0; round < 1000 && n >= 0; round++) {
        int room = PIPE_BYTES - waiting_in(a[0]);
        fill(block, put, (size_t)room);
        CHECK_EQ(write(a[1], block, (size_t)room), room);
        put += (size_t)room;
        n = splice(a[0], NULL, s[0], NULL, PIPE_BYTES, SPLICE_F_NONBLOCK);
    }
    CHECK(n == -1 && errno == EAGAIN);
    CHECK_EQ(waiting_in(a[0]), PIPE_BYTES);
    close(a[1]);
    while (got < put) {
        n = read(s[1], block, 5000);
        if (n > 0 && CHECK(is_pattern(block, got, (size_t)n)))
            got += (size_t)n;
        else if (splice(a[0], NULL, s[0], NULL, 7000, 0) <= 0)
            break;
    }
    CHECK_EQ(got, put);
    CHECK_EQ(splice(a[0], NULL, s[0], NULL, 1, 0), 0);
    close(a[0]);
    close_both(s);
}

struct late {
    int from, to;
    long result;
};

static void *late_main(void *arg) {
    struct late *l = arg;
    l->result = splice(l->from, NULL, l->to, NULL, PIPE_BYTES, 0);
    return NULL;
}

/* A datagram goes into the pipe whole, also where a stream would be asked for little. */
static void datagrams(void) {
    int a[2], s[2];
    static char block[8000];
    REQUIRE(pipe(a) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) == 0);
    struct late l = { s[0], a[1], 0 };
    pthread_t thread;
    fill(block, 0, sizeof block);
    REQUIRE(thread_start(&thread, late_main, &l));
    sleep_ms(20);
    CHECK_EQ(write(s[1], block, sizeof block), sizeof block);
    thread_join(thread);
    CHECK_EQ(l.result, sizeof block);
    CHECK_EQ(read(a[0], block, sizeof block), sizeof block);
    CHECK(is_pattern(block, 0, sizeof block));
    close_both(a);
    close_both(s);
}

/* Who waits for edges hears nothing of a splice that moved nothing, or he would never stop. */
static void no_edge_for_nothing(void) {
    int a[2], s[2], poller = epoll_create1(0);
    static char block[PIPE_BYTES];
    struct epoll_event in = { .events = EPOLLIN | EPOLLET }, out = { .events = EPOLLOUT | EPOLLET };
    REQUIRE(pipe2(a, O_NONBLOCK) == 0 && poller >= 0);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
    while (write(s[0], block, sizeof block) > 0) /* it takes no more */
        ;
    CHECK_EQ(write(a[1], "x", 1), 1);
    CHECK_EQ(epoll_ctl(poller, EPOLL_CTL_ADD, a[0], &in), 0);
    CHECK_EQ(epoll_ctl(poller, EPOLL_CTL_ADD, a[1], &out), 0);
    CHECK_EQ(epoll_wait(poller, &(struct epoll_event){ 0 }, 1, 0), 1);
    CHECK_EQ(epoll_wait(poller, &(struct epoll_event){ 0 }, 1, 0), 1);
    CHECK_EQ(epoll_wait(poller, &(struct epoll_event){ 0 }, 1, 0), 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_ERRNO(splice(a[0], NULL, s[0], NULL, 1, 0), EAGAIN);
        CHECK_ERRNO(splice(s[0], NULL, a[1], NULL, 1, 0), EAGAIN);
    }
    CHECK_EQ(epoll_wait(poller, &(struct epoll_event){ 0 }, 1, 0), 0);
    CHECK_EQ(splice(a[0], NULL, s[1], NULL, 1, 0), 1); /* that way there is room */
    CHECK_EQ(waiting_in(a[0]), 0);
    close(poller);
    close_both(a);
    close_both(s);
}

/* Whose O_NONBLOCK counts: the pipe's, but for a socket that has to wait itself. */
static void whose_nonblock(void) {
    int a[2], s[2], t[2];
    REQUIRE(pipe(a) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && inet_pair(AF_INET, t));
    CHECK_ERRNO(splice(a[0], NULL, s[0], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK_ERRNO(splice(s[0], NULL, a[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK_EQ(fcntl(a[0], F_SETFL, O_NONBLOCK), 0);
    CHECK_ERRNO(splice(a[0], NULL, s[0], NULL, 1, 0), EAGAIN);
    CHECK_EQ(fcntl(t[0], F_SETFL, O_NONBLOCK), 0);
    CHECK_ERRNO(splice(t[0], NULL, a[1], NULL, 1, 0), EAGAIN);
    close_both(a);
    close_both(s);
    close_both(t);
}

/* ---- A proxy: from one socket to the other ---- */

struct feed {
    int fd;
    size_t size;
};

static void *feed_main(void *arg) {
    const struct feed *f = arg;
    char block[3000];
    for (size_t done = 0; done < f->size;) {
        size_t n = f->size - done < sizeof block ? f->size - done : sizeof block;
        fill(block, done, n);
        long put = write(f->fd, block, n);
        if (!CHECK(put > 0))
            break;
        done += (size_t)put;
    }
    shutdown(f->fd, SHUT_WR);
    return NULL;
}

static void *drain_main(void *arg) {
    const struct feed *f = arg;
    char block[5000];
    size_t done = 0;
    for (long n; (n = read(f->fd, block, sizeof block)) > 0; done += (size_t)n)
        if (!CHECK(is_pattern(block, done, (size_t)n)))
            break;
    CHECK_EQ(done, f->size);
    return NULL;
}

/* As Go's io.Copy does it: the sockets may not block, nor may the pipe. */
static void relay(int from, int to) {
    int p[2];
    REQUIRE(pipe2(p, O_NONBLOCK) == 0);
    for (;;) {
        long n = splice(from, NULL, p[1], NULL, 1 << 22, SPLICE_F_NONBLOCK);
        if (n == -1 && errno == EAGAIN && CHECK(inet_wait(from, POLLIN)))
            continue;
        if (n == 0 || !CHECK(n > 0))
            break;
        while (n > 0) {
            long m = splice(p[0], NULL, to, NULL, (size_t)n, SPLICE_F_NONBLOCK);
            if (m == -1 && errno == EAGAIN && CHECK(inet_wait(to, POLLOUT)))
                continue;
            REQUIRE(CHECK(m > 0));
            n -= m;
        }
    }
    shutdown(to, SHUT_WR);
    close_both(p);
}

static void proxy(void) {
    for (int family = 0; family < 3; family++) {
        int in[2], out[2];
        pthread_t feeder, drainer;
        if (family == 0)
            REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, in) == 0 &&
                    socketpair(AF_UNIX, SOCK_STREAM, 0, out) == 0);
        else
            REQUIRE(inet_pair(family == 1 ? AF_INET : AF_INET6, in) &&
                    inet_pair(family == 1 ? AF_INET : AF_INET6, out));
        struct feed source = { in[0], RELAYED }, sink = { out[1], RELAYED };
        CHECK_EQ(fcntl(in[1], F_SETFL, O_NONBLOCK), 0);
        CHECK_EQ(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
        REQUIRE(thread_start(&feeder, feed_main, &source));
        REQUIRE(thread_start(&drainer, drain_main, &sink));
        relay(in[1], out[0]);
        thread_join(feeder);
        thread_join(drainer);
        close_both(in);
        close_both(out);
    }
}

/* ---- Waits ---- */

static void waits(void) {
    int a[2], b[2], s[2], fresh[2];
    pthread_t thread;
    REQUIRE(pipe(a) == 0 && pipe(b) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    struct late l[] = { { a[0], b[1], 0 }, { s[0], b[1], 0 }, { b[0], s[0], 0 } };
    int wakers[] = { a[1], s[1], b[1] };
    for (unsigned i = 0; i < LENGTH(l); i++) {
        char text[8];
        REQUIRE(thread_start(&thread, late_main, &l[i]));
        sleep_ms(20);
        CHECK_EQ(write(wakers[i], "abc", 3), 3);
        thread_join(thread);
        CHECK_EQ(l[i].result, 3);
        CHECK_EQ(read(i == 2 ? s[1] : b[0], text, sizeof text), 3);
    }
    /* A socket's O_NONBLOCK does not keep it from waiting for the pipe. */
    REQUIRE(pipe(fresh) == 0);
    struct late other = { fresh[0], s[0], 0 };
    char byte;
    CHECK_EQ(fcntl(s[0], F_SETFL, O_NONBLOCK), 0);
    REQUIRE(thread_start(&thread, late_main, &other));
    sleep_ms(20);
    CHECK_EQ(write(fresh[1], "x", 1), 1);
    thread_join(thread);
    CHECK_EQ(other.result, 1);
    CHECK_EQ(read(s[1], &byte, 1), 1);
    close_both(fresh);
    /* One that waits for bytes hears that there will be none. */
    REQUIRE(thread_start(&thread, late_main, &l[0]));
    sleep_ms(20);
    close(a[1]);
    thread_join(thread);
    CHECK_EQ(l[0].result, 0);
    close(a[0]);
    close_both(b);
    close_both(s);
}

GUEST_MAIN(CASE(files_and_pipes), CASE(between_pipes), CASE(offsets_and_ends),
           CASE(wrong_arguments), CASE(program_memory), CASE(broken), CASE(rest_stays), CASE(proxy),
           CASE(waits), CASE(no_edge_for_nothing), CASE(datagrams), CASE(whose_nonblock))
