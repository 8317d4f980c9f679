/* SPDX-License-Identifier: MIT */
/* Several listeners at a port (SO_REUSEPORT): who may, and who gets which connection. */
#define _GNU_SOURCE
#include "test/guest/inet.h"
#include <stdatomic.h>

#define LISTENERS   3
#define CONNECTIONS 120

static const int on = 1;

/* A stream socket, with SO_REUSEPORT or without. */
static int stream_of(int family, int shares) {
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(fd >= 0);
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shares, sizeof shares), 0);
    return fd;
}

/* Listens at `a`; the errno where that fails. */
static int listen_at(int fd, const union inet_address *a) {
    return bind(fd, &a->any, inet_size(a->any.sa_family)) || listen(fd, 128) ? errno : 0;
}

static unsigned accept_all(int fd) {
    unsigned n = 0;
    for (int taken; (taken = accept(fd, NULL, NULL)) >= 0; n++)
        close(taken);
    CHECK_EQ(errno, EAGAIN);
    return n;
}

/* Connections that all of them got together. */
static unsigned connect_many(int family, int port, const int listeners[], unsigned count,
                             unsigned got[]) {
    unsigned sum = 0;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        int fd = inet_connect(family, port);
        if (!CHECK(fd >= 0))
            break;
        close(fd);
    }
    memset(got, 0, count * sizeof *got);
    /* Over a cable the last step of a handshake may be under way. */
    for (unsigned looks = 0; sum < CONNECTIONS && looks < 100; looks++) {
        usleep(looks ? 50000 : 0);
        for (unsigned i = 0; i < count; i++) {
            unsigned n = accept_all(listeners[i]);
            got[i] += n;
            sum += n;
        }
    }
    return sum;
}

static void spread_over(union inet_address a, int family) {
    int fds[LISTENERS];
    unsigned got[LISTENERS] = { 0 };

    for (unsigned i = 0; i < LISTENERS; i++) {
        fds[i] = stream_of(a.any.sa_family, 1);
        REQUIRE(listen_at(fds[i], &a) == 0);
        a.in.sin_port = htons((uint16_t)inet_port(fds[0]));
    }
    int port = inet_port(fds[0]);
    CHECK_EQ(connect_many(family, port, fds, LISTENERS, got), CONNECTIONS);
    for (unsigned i = 0; i < LISTENERS; i++) /* by chance once in 10^20 */
        CHECK(got[i] > 0);
    close(fds[1]);
    fds[1] = fds[2];
    CHECK_EQ(connect_many(family, port, fds, 2, got), CONNECTIONS);
    CHECK(got[0] > 0 && got[1] > 0);
    close(fds[0]);
    CHECK_EQ(connect_many(family, port, fds + 1, 1, got), CONNECTIONS);
    close(fds[2]);
}

static void spread(void) {
    union inet_address any = { .in6 = { .sin6_family = AF_INET6 } };

    spread_over(inet_here(AF_INET, 0), AF_INET);
    spread_over(inet_here(AF_INET6, 0), AF_INET6);
    spread_over(any, AF_INET);
    any = (union inet_address){ .in = { .sin_family = AF_INET } };
    spread_over(any, AF_INET);
}

/* One that has the very address goes before those that have any. */
static void nearest(void) {
    union inet_address a = inet_here(AF_INET, 0), any = { .in = { .sin_family = AF_INET } };
    int fds[] = { stream_of(AF_INET, 1), stream_of(AF_INET, 1), stream_of(AF_INET, 1) };
    unsigned got[3];

    REQUIRE(listen_at(fds[0], &any) == 0);
    a.in.sin_port = any.in.sin_port = htons((uint16_t)inet_port(fds[0]));
    REQUIRE(listen_at(fds[1], &a) == 0);
    REQUIRE(listen_at(fds[2], &any) == 0);
    CHECK_EQ(connect_many(AF_INET, inet_port(fds[0]), fds, 3, got), CONNECTIONS);
    CHECK_EQ(got[1], CONNECTIONS);
    for (unsigned i = 0; i < LENGTH(fds); i++)
        close(fds[i]);
}

/* All of them must want it. */
static void who_may(void) {
    union inet_address a = inet_here(AF_INET, 0);
    int with = stream_of(AF_INET, 1), without = stream_of(AF_INET, 0);

    REQUIRE(listen_at(with, &a) == 0);
    a.in.sin_port = htons((uint16_t)inet_port(with));
    CHECK_EQ(listen_at(without, &a), EADDRINUSE);
    CHECK_EQ(setsockopt(without, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    CHECK_EQ(listen_at(without, &a), EADDRINUSE);
    close(with);
    CHECK_EQ(listen_at(without, &a), 0);
    with = stream_of(AF_INET, 1);
    CHECK_EQ(listen_at(with, &a), EADDRINUSE);
    close(with);
    close(without);

    /* Bound, and not listening yet. */
    with = stream_of(AF_INET, 1), without = stream_of(AF_INET, 0);
    CHECK_EQ(bind(with, &a.any, sizeof a.in), 0);
    CHECK_EQ(listen_at(without, &a), EADDRINUSE);
    int other = stream_of(AF_INET, 1);
    CHECK_EQ(listen_at(other, &a), 0);
    CHECK_EQ(listen(with, 1), 0);
    close(with), close(without), close(other);
}

static atomic_int stop, served;
static union inet_address busy;

static void *come_and_go(void *arg) {
    (void)arg;
    while (!stop) {
        int fd = stream_of(AF_INET, 1);
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (CHECK_EQ(listen_at(fd, &busy), 0) && poll(&p, 1, 2) == 1)
            served += (int)accept_all(fd);
        close(fd);
    }
    return NULL;
}

/* Listeners come and go on all CPUs while connections come in: one stays, and has the most. */
static void come_and_go_under_load(void) {
    pthread_t threads[3];
    int fd = stream_of(AF_INET, 1);

    busy = inet_here(AF_INET, 0);
    REQUIRE(listen_at(fd, &busy) == 0);
    busy.in.sin_port = htons((uint16_t)inet_port(fd));
    for (unsigned i = 0; i < LENGTH(threads); i++)
        REQUIRE(thread_start(&threads[i], come_and_go, NULL));
    for (int i = 0; i < 1000; i++) {
        int client = inet_connect(AF_INET, inet_port(fd));
        CHECK(client >= 0 || errno == ECONNREFUSED || errno == ECONNRESET);
        close(client);
        served += (int)accept_all(fd);
    }
    stop = 1;
    for (unsigned i = 0; i < LENGTH(threads); i++)
        pthread_join(threads[i], NULL);
    CHECK(served > 0);
    close(fd);
}

/* What servers read to know how many may wait. */
static void most_that_wait(void) {
    char text[16] = "";
    int fd = open("/proc/sys/net/core/somaxconn", O_RDONLY);

    REQUIRE(fd >= 0);
    CHECK(read(fd, text, sizeof text - 1) > 0);
    CHECK(atoi(text) >= 128);
    close(fd);
}

GUEST_MAIN(CASE(spread), CASE(nearest), CASE(who_may), CASE(come_and_go_under_load),
           CASE(most_that_wait))
