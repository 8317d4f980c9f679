/* SPDX-License-Identifier: MIT */
/* AF_UNIX datagrams and sequenced packets: boundaries, senders, limits, and peers that go. */
#define _GNU_SOURCE
#include "test/guest/scratch.h"
#include "test/guest/sockets.h"
#include <sys/ioctl.h>

static void datagrams(void) {
    REQUIRE(scratch_enter());
    struct sockaddr_un a = path_address("a"), b = path_address("b"), from;
    socklen_t length = sizeof from;
    char text[32];
    int x = socket(AF_UNIX, SOCK_DGRAM, 0), y = socket(AF_UNIX, SOCK_DGRAM, 0), n;
    REQUIRE(bind(x, ADDRESS(a), sizeof a) == 0);
    CHECK_EQ(sendto(y, "one", 3, 0, ADDRESS(a), sizeof a), 3);
    CHECK_EQ(sendto(y, "", 0, 0, ADDRESS(a), sizeof a), 0);
    CHECK_EQ(sendto(y, "three", 5, 0, ADDRESS(a), sizeof a), 5);
    CHECK(ioctl(x, FIONREAD, &n) == 0 && n == 3);
    CHECK_EQ(recvfrom(x, text, sizeof text, 0, ADDRESS(from), &length), 3);
    CHECK_EQ(length, 0); /* it had no name */
    CHECK_EQ(recv(x, text, sizeof text, 0), 0);
    REQUIRE(bind(y, ADDRESS(b), sizeof b) == 0); /* now what is on its way has a sender */
    length = sizeof from;
    CHECK_EQ(recvfrom(x, text, 2, MSG_PEEK, ADDRESS(from), &length), 2);
    CHECK(length == UNIX_HEAD + 2 && strcmp(from.sun_path, "b") == 0);
    CHECK_EQ(recv(x, text, 2, MSG_PEEK | MSG_TRUNC), 5);
    CHECK_EQ(recv(x, text, 2, 0), 2); /* the rest is lost */
    CHECK_ERRNO(recv(x, text, 2, MSG_DONTWAIT), EAGAIN);
    CHECK_ERRNO(sendto(y, "x", 1, 0, ADDRESS(a), 2), EINVAL);
    CHECK_ERRNO(sendto(y, "x", 1, 0, (void *)8, sizeof a), EFAULT);
    CHECK_EQ(connect(y, ADDRESS(a), sizeof a), 0);
    CHECK_EQ(send(y, "four", 4, 0), 4);
    CHECK_EQ(recv(x, text, sizeof text, 0), 4);
    CHECK_EQ(connect(x, ADDRESS(b), sizeof b), 0);
    /* Connected, it takes packets from its peer alone. */
    int z = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_ERRNO(sendto(z, "x", 1, 0, ADDRESS(a), sizeof a), EPERM);
    CHECK_ERRNO(connect(z, ADDRESS(a), sizeof a), EPERM);
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    CHECK_EQ(connect(x, &none, sizeof none), 0);
    CHECK_EQ(sendto(z, "x", 1, 0, ADDRESS(a), sizeof a), 1);
    CHECK_EQ(recv(x, text, sizeof text, 0), 1);
    CHECK_ERRNO(send(x, "x", 1, 0), ENOTCONN);
    /* A peer that goes. */
    close(x);
    CHECK_ERRNO(send(y, "x", 1, 0), ECONNREFUSED);
    CHECK_ERRNO(send(y, "x", 1, 0), ENOTCONN);
    CHECK_ERRNO(sendto(y, "x", 1, 0, ADDRESS(a), sizeof a), ECONNREFUSED);
    close(y), close(z);
    scratch_leave();
}

static void datagram_limits(void) {
    int s[2], count = 0;
    static char big[300000];
    socklen_t length;
    struct sockaddr_un a = abstract_address("d", &length);
    REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s) == 0);
    CHECK_ERRNO(send(s[0], big, sizeof big, 0), EMSGSIZE);
    CHECK_EQ(send(s[0], big, 100000, 0), 100000);
    CHECK_EQ(recv(s[1], big, sizeof big, 0), 100000);
    while (send(s[0], big, 1000, 0) == 1000)
        count++;
    CHECK_EQ(errno, EAGAIN);
    CHECK(count > 20 && count < 1000);
    while (recv(s[1], big, sizeof big, 0) == 1000)
        count--;
    CHECK_EQ(count, 0);
    close(s[0]), close(s[1]);
    /* From those that it is not connected to, few at a time. */
    int x = socket(AF_UNIX, SOCK_DGRAM, 0), y = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    REQUIRE(bind(x, ADDRESS(a), length) == 0 && connect(y, ADDRESS(a), length) == 0);
    while (send(y, big, 1, 0) == 1)
        count++;
    CHECK_EQ(errno, EAGAIN);
    CHECK(count >= 1 && count < 10000);
    CHECK_EQ(events_of(y), 0);
    CHECK_EQ(recv(x, big, 1, 0), 1);
    CHECK_EQ(events_of(y), POLLOUT);
    close(x), close(y);
}

static void sequences(void) {
    socklen_t length;
    struct sockaddr_un a = abstract_address("q", &length);
    int l = socket(AF_UNIX, SOCK_SEQPACKET, 0), c = socket(AF_UNIX, SOCK_SEQPACKET, 0), e, n;
    char text[16];
    REQUIRE(bind(l, ADDRESS(a), length) == 0 && listen(l, 1) == 0);
    REQUIRE(connect(c, ADDRESS(a), length) == 0);
    e = accept(l, NULL, NULL);
    CHECK_EQ(write(c, "one", 3), 3);
    CHECK_EQ(send(c, "two", 3, MSG_EOR), 3);
    CHECK(ioctl(e, FIONREAD, &n) == 0 && n == 6);
    CHECK_EQ(read(e, text, 2), 2);
    CHECK_EQ(read(e, text, sizeof text), 3);
    CHECK(memcmp(text, "two", 3) == 0);
    CHECK_EQ(write(e, "left", 4), 4);
    close(c);
    CHECK_ERRNO(read(e, text, 1), ECONNRESET);
    CHECK_EQ(read(e, text, 1), 0);
    CHECK_ERRNO(send(e, "x", 1, 0), EPIPE);
    close(e), close(l);
}

GUEST_MAIN(CASE(datagrams), CASE(datagram_limits), CASE(sequences))
