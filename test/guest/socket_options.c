/* SPDX-License-Identifier: MIT */
/* getsockopt and setsockopt at SOL_SOCKET: values, sizes, limits, errors; time limits at work. */
#define _GNU_SOURCE
#include "test/guest/sockets.h"
#include "test/guest/threads.h"
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>

static int s[2];

static int option(int fd, int name) {
    int value = -77;
    socklen_t size = sizeof value;
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, name, &value, &size), 0);
    CHECK_EQ(size, sizeof value);
    return value;
}

static int set(int fd, int name, int value) {
    return setsockopt(fd, SOL_SOCKET, name, &value, sizeof value);
}

static void what_it_is(void) {
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) == 0);
    CHECK_EQ(option(s[0], SO_TYPE), SOCK_SEQPACKET);
    CHECK_EQ(option(s[0], SO_DOMAIN), AF_UNIX);
    CHECK_EQ(option(s[0], SO_PROTOCOL), 0);
    CHECK_EQ(option(s[0], SO_ACCEPTCONN), 0);
    CHECK_EQ(option(s[0], SO_ERROR), 0);
    static const int constant[] = { SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR };
    for (unsigned i = 0; i < LENGTH(constant); i++)
        CHECK_ERRNO(set(s[0], constant[i], 1), ENOPROTOOPT);
    CHECK_ERRNO(set(s[0], 9999, 1), ENOPROTOOPT);
    int value;
    socklen_t size = sizeof value;
    CHECK_ERRNO(getsockopt(s[0], SOL_SOCKET, 9999, &value, &size), ENOPROTOOPT);
    CHECK_ERRNO(setsockopt(s[0], 6, 1, &value, sizeof value), EOPNOTSUPP);
    CHECK_ERRNO(getsockopt(s[0], 6, 1, &value, &size), EOPNOTSUPP);
    close(s[0]), close(s[1]);
    socklen_t length;
    struct sockaddr_un a = abstract_address("options", &length);
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(bind(l, ADDRESS(a), length) == 0 && listen(l, 1) == 0);
    CHECK_EQ(option(l, SO_ACCEPTCONN), 1);
    CHECK_EQ(set(l, SO_PASSCRED, 1), 0);
    s[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(connect(s[0], ADDRESS(a), length), 0);
    s[1] = accept(l, NULL, NULL);
    CHECK_EQ(option(s[1], SO_PASSCRED), 1);
    close(l), close(s[0]), close(s[1]);
}

static void sizes(void) {
    long value = 0;
    char byte = 99;
    socklen_t size = sizeof value;
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, &size), 0);
    CHECK(size == sizeof(int) && value == SOCK_STREAM);
    size = 1;
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &byte, &size), 0);
    CHECK(size == 1 && byte == SOCK_STREAM);
    size = 0;
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &byte, &size), 0);
    CHECK_EQ(size, 0);
    size = -1;
    CHECK_ERRNO(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &byte, &size), EINVAL);
    size = 4;
    CHECK_ERRNO(getsockopt(s[0], SOL_SOCKET, SO_TYPE, (void *)8, &size), EFAULT);
    CHECK_ERRNO(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, (void *)8), EFAULT);
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_REUSEADDR, &value, 3), EINVAL);
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_REUSEADDR, &value, -1), EINVAL);
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_REUSEADDR, (void *)8, 4), EFAULT);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_REUSEADDR, &value, sizeof value), 0);
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &value, 4), EINVAL);
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &value, 8), EINVAL);
    REQUIRE(pipe(ends) == 0);
    CHECK_ERRNO(setsockopt(ends[0], SOL_SOCKET, SO_REUSEADDR, &value, 4), ENOTSOCK);
    size = 4;
    CHECK_ERRNO(getsockopt(ends[0], SOL_SOCKET, SO_TYPE, &value, &size), ENOTSOCK);
    CHECK_ERRNO(setsockopt(-1, SOL_SOCKET, SO_REUSEADDR, &value, 4), EBADF);
    CHECK_ERRNO(getsockopt(-1, SOL_SOCKET, SO_TYPE, &value, &size), EBADF);
    close(ends[0]), close(ends[1]), close(s[0]), close(s[1]);
}

static void switches(void) {
    static const int names[] = { SO_REUSEADDR, SO_BROADCAST, SO_KEEPALIVE,
                                 SO_PASSCRED,  SO_OOBINLINE, SO_DONTROUTE };
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    for (unsigned i = 0; i < LENGTH(names); i++) {
        CHECK_EQ(option(s[0], names[i]), 0);
        CHECK_EQ(set(s[0], names[i], 5), 0);
        CHECK_EQ(option(s[0], names[i]), 1);
        CHECK_EQ(set(s[0], names[i], 0), 0);
        CHECK_EQ(option(s[0], names[i]), 0);
    }
    CHECK_EQ(set(s[0], SO_PRIORITY, 3), 0);
    CHECK_EQ(option(s[0], SO_PRIORITY), 3);
    CHECK_EQ(option(s[0], SO_MARK), 0);
    if (set(s[0], SO_MARK, 7) == 0) /* who is not root may not, on Linux */
        CHECK_EQ(option(s[0], SO_MARK), 7);
    else
        CHECK_EQ(errno, EPERM);
    CHECK_EQ(option(s[0], SO_RCVLOWAT), 1);
    CHECK_EQ(set(s[0], SO_RCVLOWAT, 4), 0);
    CHECK_EQ(option(s[0], SO_RCVLOWAT), 4);
    CHECK_EQ(set(s[0], SO_RCVLOWAT, 0), 0);
    CHECK_EQ(option(s[0], SO_RCVLOWAT), 1);
    CHECK_EQ(option(s[0], SO_SNDLOWAT), 1);
    (void)option(s[0], SO_INCOMING_CPU);
    struct linger linger = { 1, 7 };
    socklen_t size = sizeof linger;
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    linger.l_onoff = linger.l_linger = 0;
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_LINGER, &linger, &size), 0);
    CHECK(size == sizeof linger && linger.l_onoff == 1 && linger.l_linger == 7);
    close(s[0]), close(s[1]);
}

/* Linux doubles what is asked for, and has a least and a most. */
static void buffers(void) {
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    static const int names[] = { SO_SNDBUF, SO_RCVBUF };
    for (int i = 0; i < 2; i++) {
        int begin = option(s[0], names[i]);
        CHECK(begin >= 65536);
        CHECK_EQ(set(s[0], names[i], 20000), 0);
        CHECK_EQ(option(s[0], names[i]), 40000);
        CHECK_EQ(set(s[0], names[i], 0), 0);
        int least = option(s[0], names[i]);
        CHECK(least >= 1024 && least <= 8192);
        CHECK_EQ(set(s[0], names[i], 1 << 30), 0);
        CHECK(option(s[0], names[i]) >= begin);
        CHECK_EQ(set(s[0], names[i], -1), 0);
        CHECK(option(s[0], names[i]) >= begin);
    }
    close(s[0]), close(s[1]);
}

static void peers(void) {
    struct ucred c = { 7, 7, 7 };
    socklen_t size = sizeof c;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &c, &size), 0);
    CHECK(size == sizeof c && c.pid == getpid() && c.uid == getuid() && c.gid == getgid());
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &c, sizeof c), ENOPROTOOPT);
    close(s[0]), close(s[1]);
    s[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &c, &size), 0);
    CHECK(c.pid == 0 && c.uid == UINT32_MAX && c.gid == UINT32_MAX);
    size = 4;
    c.uid = 7;
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &c, &size), 0);
    CHECK(size == 4 && c.uid == 7);
    close(s[0]);
}

static void pending_errors(void) {
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK_EQ(write(s[0], "x", 1), 1);
    close(s[1]);
    CHECK_EQ(option(s[0], SO_ERROR), ECONNRESET);
    CHECK_EQ(option(s[0], SO_ERROR), 0); /* once */
    char c;
    CHECK_EQ(read(s[0], &c, 1), 0);
    close(s[0]);
}

static void time_limits(void) {
    struct timeval t = { 2, 500000 };
    socklen_t size = sizeof t;
    char c;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, &size), 0);
    CHECK(size == sizeof t && t.tv_sec == 0 && t.tv_usec == 0);
    t = (struct timeval){ 2, 500000 };
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t), 0);
    t = (struct timeval){ 0, 0 };
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &t, &size), 0);
    CHECK(t.tv_sec == 2 && t.tv_usec == 500000);
    t.tv_usec = 1000000;
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), EDOM);
    t = (struct timeval){ 0, 20000 };
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t), 0);
    long begin = now_ns();
    CHECK_ERRNO(read(s[0], &c, 1), EAGAIN);
    CHECK(now_ns() - begin >= 20000000);
    static char block[65536];
    long n, total = 0;
    while ((n = write(s[0], block, sizeof block)) > 0)
        total += n;
    CHECK(n == -1 && errno == EAGAIN && total > 0);
    CHECK_EQ(write(s[1], "abc", 3), 3);
    CHECK_EQ(recv(s[0], block, 10, MSG_WAITALL), 3); /* what there is when the time is over */
    close(s[0]), close(s[1]);
    socklen_t length;
    struct sockaddr_un a = abstract_address("times", &length);
    int l = socket(AF_UNIX, SOCK_STREAM, 0), one = socket(AF_UNIX, SOCK_STREAM, 0);
    int two = socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(bind(l, ADDRESS(a), length) == 0 && listen(l, 0) == 0);
    CHECK_EQ(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
    CHECK_EQ(connect(one, ADDRESS(a), length), 0);
    CHECK_EQ(setsockopt(two, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t), 0);
    CHECK_ERRNO(connect(two, ADDRESS(a), length), EAGAIN);
    close(l), close(one), close(two);
}

static void on_alarm(int signo) {
    (void)signo;
}

/* A read that a signal interrupts goes on after SA_RESTART, but not under a time limit. */
static void interrupted(void) {
    struct sigaction sa = { .sa_handler = on_alarm };
    struct itimerval soon = { { 0, 20000 }, { 0, 20000 } }, never = { { 0, 0 }, { 0, 0 } };
    struct timeval long_time = { 60, 0 }, short_time = { 0, 100000 };
    char c;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK_ERRNO(read(s[0], &c, 1), EINTR);
    CHECK_ERRNO(recv(s[0], &c, 1, 0), EINTR);
    CHECK_EQ(write(s[1], "abc", 3), 3);
    char ten[10];
    CHECK_EQ(recv(s[0], ten, 10, MSG_WAITALL), 3); /* interrupted after some bytes */
    sa.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &sa, NULL);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof long_time), 0);
    CHECK_ERRNO(read(s[0], &c, 1), EINTR);
    CHECK_ERRNO(recv(s[0], &c, 1, 0), EINTR);
    setitimer(ITIMER_REAL, &never, NULL);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time), 0);
    CHECK_ERRNO(recv(s[0], &c, 1, 0), EAGAIN);
    signal(SIGALRM, SIG_DFL);
    close(s[0]), close(s[1]);
}

static void low_water(void) {
    char text[8];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
    CHECK_EQ(set(s[0], SO_RCVLOWAT, 4), 0);
    CHECK_EQ(write(s[1], "abc", 3), 3);
    CHECK_EQ(read(s[0], text, 8), 3); /* it does not wait, so it takes what there is */
    CHECK_EQ(write(s[1], "abcdef", 6), 6);
    CHECK_EQ(read(s[0], text, 8), 6);
    close(s[0]), close(s[1]);
}

GUEST_MAIN(CASE(what_it_is), CASE(sizes), CASE(switches), CASE(buffers), CASE(peers),
           CASE(pending_errors), CASE(time_limits), CASE(interrupted), CASE(low_water))
