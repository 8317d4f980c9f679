/* SPDX-License-Identifier: MIT */
/* UDP: datagrams, their senders, connected sockets, options and errors, and room to send. */
#define _GNU_SOURCE
#include "test/guest/inet.h"
#include <stdatomic.h>
#include <sys/epoll.h>

/* A bound socket; its address, as others see it, in *a. */
static int bound(int family, union inet_address *a) {
    int fd = socket(family, SOCK_DGRAM, 0);
    *a = inet_here(family, 0);
    if (!CHECK(fd >= 0) || !CHECK_EQ(bind(fd, &a->any, inet_size(family)), 0))
        return -1;
    *a = inet_there(family, inet_port(fd));
    return fd;
}

static void datagrams_of(int family) {
    union inet_address a, b, from;
    int one = bound(family, &a), other = bound(family, &b), waiting = 0;
    socklen_t size = sizeof from;
    char text[64] = "";

    REQUIRE(one >= 0 && other >= 0);
    CHECK_EQ(sendto(one, "first", 5, 0, &b.any, inet_size(family)), 5);
    CHECK_EQ(sendto(one, "", 0, 0, &b.any, inet_size(family)), 0);
    CHECK_EQ(sendto(one, "second one", 10, 0, &b.any, inet_size(family)), 10);
    CHECK(inet_wait(other, POLLIN));
    CHECK_EQ(ioctl(other, FIONREAD, &waiting), 0);
    CHECK_EQ(waiting, 5);
    CHECK_EQ(recvfrom(other, text, sizeof text, MSG_PEEK, &from.any, &size), 5);
    CHECK_EQ(recvfrom(other, text, sizeof text, 0, &from.any, &size), 5);
    CHECK_EQ(size, inet_size(family));
    CHECK_EQ(memcmp(&from, &a, size), 0);
    CHECK_EQ(memcmp(text, "first", 5), 0);
    CHECK_EQ(recv(other, text, sizeof text, 0), 0);
    CHECK_EQ(recv(other, text, 6, MSG_TRUNC), 10); /* cut, and told how long it was */
    CHECK_EQ(memcmp(text, "second", 6), 0);
    CHECK_ERRNO(recv(other, text, sizeof text, MSG_DONTWAIT), EAGAIN);
    close(one);
    close(other);
}

static void datagrams(void) {
    datagrams_of(AF_INET);
}

static void datagrams_ipv6(void) {
    datagrams_of(AF_INET6);
}

static void connected(void) {
    union inet_address a, b, c, name;
    int one = bound(AF_INET, &a), other = bound(AF_INET, &b), third = bound(AF_INET, &c);
    socklen_t size = sizeof name;
    struct sockaddr nobody = { .sa_family = AF_UNSPEC };
    char text[16];

    REQUIRE(one >= 0 && other >= 0 && third >= 0);
    CHECK_ERRNO(send(one, "x", 1, 0), EDESTADDRREQ);
    CHECK_ERRNO(getpeername(one, &name.any, &size), ENOTCONN);
    CHECK_EQ(connect(one, &b.any, sizeof b.in), 0);
    CHECK_EQ(getpeername(one, &name.any, &size), 0);
    CHECK_EQ(memcmp(&name, &b, sizeof b.in), 0);
    CHECK_EQ(write(one, "hello", 5), 5);
    CHECK_EQ(read(other, text, sizeof text), 5);
    /* Only its peer reaches it. */
    CHECK_EQ(sendto(third, "no", 2, 0, &a.any, sizeof a.in), 2);
    CHECK_EQ(sendto(other, "yes", 3, 0, &a.any, sizeof a.in), 3);
    CHECK_EQ(recv(one, text, sizeof text, 0), 3);
    CHECK_ERRNO(recv(one, text, sizeof text, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(connect(one, &nobody, sizeof nobody), 0);
    CHECK_ERRNO(getpeername(one, &name.any, &size), ENOTCONN);
    CHECK_ERRNO(send(one, "x", 1, 0), EDESTADDRREQ);
    close(one);
    close(other);
    close(third);
}

/* What connect() chose goes with the connection; what bind() named stays. */
static void disconnected(void) {
    union inet_address a, all = { .in = { .sin_family = AF_INET } };
    struct sockaddr nobody = { .sa_family = AF_UNSPEC };
    int fd = bound(AF_INET, &a), one = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in name;
    socklen_t size = sizeof name;
    char text[4];

    REQUIRE(fd >= 0 && one >= 0);
    CHECK_EQ(connect(one, &a.any, sizeof a.in), 0);
    CHECK(inet_port(one) != 0);
    CHECK_ERRNO(bind(one, &all.any, sizeof all.in), EINVAL);
    CHECK_EQ(connect(one, &nobody, sizeof nobody), 0);
    CHECK_EQ(getsockname(one, (struct sockaddr *)&name, &size), 0);
    CHECK_EQ(name.sin_port, 0);
    CHECK_EQ(name.sin_addr.s_addr, 0);
    int other = bound(AF_INET, &a), port = inet_port(other);
    close(other);
    a = inet_there(AF_INET, inet_port(fd));
    all.in.sin_port = htons((uint16_t)port);
    CHECK_EQ(bind(one, &all.any, sizeof all.in), 0);
    CHECK_EQ(connect(one, &a.any, sizeof a.in), 0);
    CHECK_EQ(connect(one, &nobody, sizeof nobody), 0);
    CHECK_EQ(inet_port(one), port);
    CHECK_EQ(getsockname(one, (struct sockaddr *)&name, &size), 0);
    CHECK_EQ(name.sin_addr.s_addr, 0);
    a = inet_there(AF_INET, port);
    CHECK_EQ(sendto(fd, "hi", 2, 0, &a.any, sizeof a.in), 2);
    CHECK_EQ(recv(one, text, sizeof text, 0), 2);
    CHECK_ERRNO(recv(one, text, sizeof text, MSG_ERRQUEUE), EAGAIN);
    CHECK_EQ(sendto(fd, "hi", 2, 0, &a.any, sizeof a.in), 2);
    size = (socklen_t)-1;
    CHECK_ERRNO(recvfrom(one, text, sizeof text, 0, (struct sockaddr *)&name, &size), EINVAL);
    close(one);
    close(fd);
}

static void large(void) {
    union inet_address a;
    static char from[65507], to[65507];
    int fd = bound(AF_INET, &a);
    unsigned long seed = 5;

    REQUIRE(fd >= 0);
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (char)guest_random(&seed);
    CHECK_EQ(sendto(fd, from, sizeof from, 0, &a.any, sizeof a.in), (long)sizeof from);
    CHECK(inet_wait(fd, POLLIN));
    CHECK_EQ(recv(fd, to, sizeof to, 0), (long)sizeof to);
    CHECK_EQ(memcmp(from, to, sizeof to), 0);
    static char more[65508];
    CHECK_ERRNO(sendto(fd, more, sizeof more, 0, &a.any, sizeof a.in), EMSGSIZE);
    CHECK_ERRNO(sendto(fd, nowhere, 10, 0, &a.any, sizeof a.in), EFAULT);
    close(fd);
}

static void errors(void) {
    union inet_address a, b;
    int fd = bound(AF_INET, &a), other = socket(AF_INET, SOCK_DGRAM, 0);

    REQUIRE(fd >= 0 && other >= 0);
    b = inet_here(AF_INET, inet_port(fd));
    CHECK_ERRNO(bind(other, &b.any, sizeof b.in), EADDRINUSE);
    CHECK_ERRNO(bind(fd, &a.any, sizeof a.in), EINVAL);
    CHECK_ERRNO(sendto(fd, "x", 1, 0, &a.any, 8), EINVAL);
    b = a;
    b.any.sa_family = AF_INET6;
    CHECK_ERRNO(sendto(fd, "x", 1, 0, &b.any, sizeof b.in), EAFNOSUPPORT);
    b = inet_there(AF_INET, 0);
    CHECK_ERRNO(sendto(fd, "x", 1, 0, &b.any, sizeof b.in), EINVAL);
    CHECK_ERRNO(sendto(fd, "x", 1, MSG_OOB, &a.any, sizeof a.in), EOPNOTSUPP);
    CHECK_ERRNO(listen(fd, 1), EOPNOTSUPP);
    CHECK_ERRNO(accept(fd, NULL, NULL), EOPNOTSUPP);
    CHECK_EQ(inet_events(fd), POLLOUT);
    CHECK_ERRNO(shutdown(fd, SHUT_RDWR), ENOTCONN);
    CHECK_ERRNO(recv(fd, &b, sizeof b, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(recv(fd, &b, sizeof b, 0), 0);
    close(fd);
    close(other);
}

/* Who sends without a bind gets a port, and is heard. */
static void port_by_itself(void) {
    union inet_address a, from;
    socklen_t size = sizeof from;
    int fd = bound(AF_INET, &a), other = socket(AF_INET, SOCK_DGRAM, 0);
    char text[8];

    REQUIRE(fd >= 0 && other >= 0);
    CHECK_EQ(inet_port(other), 0);
    CHECK_EQ(sendto(other, "hi", 2, 0, &a.any, sizeof a.in), 2);
    CHECK(inet_port(other) != 0);
    CHECK_EQ(recvfrom(fd, text, sizeof text, 0, &from.any, &size), 2);
    CHECK_EQ(ntohs(from.in.sin_port), inet_port(other));
    close(fd);
    close(other);
}

#define SENDERS 4
#define SENT    200

static union inet_address target;

static void *send_many(void *arg) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < SENT; i++) {
        long value = (long)arg * SENT + i;
        CHECK_EQ(sendto(fd, &value, sizeof value, 0, &target.any, sizeof target.in), 8);
    }
    close(fd);
    return NULL;
}

/* Datagrams of several threads: none torn, none twice. */
static void many_senders(void) {
    static unsigned char seen[SENDERS * SENT];
    pthread_t threads[SENDERS];
    long value;
    int fd = bound(AF_INET, &target);

    REQUIRE(fd >= 0);
    for (long i = 0; i < SENDERS; i++)
        REQUIRE(thread_start(&threads[i], send_many, (void *)i));
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    long got = 0;
    CHECK(inet_wait(fd, POLLIN)); /* the first may still be on its way */
    while (recv(fd, &value, sizeof value, MSG_DONTWAIT) == sizeof value) {
        REQUIRE(value >= 0 && value < SENDERS * SENT);
        CHECK_EQ(seen[value]++, 0);
        got++;
    }
    CHECK(got > 0);
    close(fd);
}

#define HURRIED 20000

static atomic_int refused; /* by all of them */

/* Sends without waiting; where it may not, the next edge must come. */
static void *send_by_edges(void *arg) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), poller = epoll_create1(0);
    struct epoll_event e = { .events = EPOLLOUT | EPOLLET };
    (void)arg;

    CHECK_EQ(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e), 0);
    for (int i = 0; i < HURRIED; i++) {
        if (sendto(fd, "x", 1, 0, &target.any, sizeof target.in) == 1)
            continue;
        refused++;
        if (!CHECK_EQ(errno, EAGAIN) || !CHECK_EQ(epoll_wait(poller, &e, 1, 10000), 1) ||
            !CHECK_EQ(e.events, EPOLLOUT))
            break;
    }
    close(fd);
    close(poller);
    return NULL;
}

/* Over a cable the card is full now and then; the loopback never is. */
static void edges_of_room(void) {
    pthread_t threads[SENDERS];
    int fd = bound(AF_INET, &target);

    REQUIRE(fd >= 0);
    for (long i = 0; i < SENDERS; i++)
        REQUIRE(thread_start(&threads[i], send_by_edges, NULL));
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    CHECK(refused || !getenv("INET_THERE"));
    close(fd);
}

GUEST_MAIN(CASE(datagrams), CASE(datagrams_ipv6), CASE(connected), CASE(disconnected), CASE(large),
           CASE(errors), CASE(port_by_itself), CASE(many_senders), CASE(edges_of_room))
