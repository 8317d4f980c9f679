/* SPDX-License-Identifier: MIT */
/* Options of TCP sockets, one by one, and events and files on connections over the loopback. */
/* guest: mem=256M timeout=120 */
#define _GNU_SOURCE
#include "test/guest/inet.h"
#include <sys/epoll.h>
#include "test/guest/scratch.h"
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sendfile.h>

static void options(void) {
    static const struct {
        int level, name, first, set;
    } known[] = {
        { IPPROTO_TCP, TCP_NODELAY, 0, 1 },       { IPPROTO_TCP, TCP_CORK, 0, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, 7200, 300 }, { IPPROTO_TCP, TCP_KEEPINTVL, 75, 100 },
        { IPPROTO_TCP, TCP_KEEPCNT, 9, 3 },       { SOL_SOCKET, SO_KEEPALIVE, 0, 1 },
        { SOL_SOCKET, SO_REUSEADDR, 0, 1 },       { IPPROTO_IP, IP_TTL, 64, 10 },
        { IPPROTO_IP, IP_TOS, 0, 0x10 },          { SOL_SOCKET, SO_REUSEPORT, 0, 1 },
        { SOL_SOCKET, SO_RCVLOWAT, 1, 100 },
    };
    int fd = socket(AF_INET, SOCK_STREAM, 0), v;
    socklen_t size;

    REQUIRE(fd >= 0);
    for (unsigned i = 0; i < LENGTH(known); i++) {
        size = sizeof v;
        CHECK_EQ(getsockopt(fd, known[i].level, known[i].name, &v, &size), 0);
        CHECK_EQ(v, known[i].first);
        v = known[i].set;
        CHECK_EQ(setsockopt(fd, known[i].level, known[i].name, &v, sizeof v), 0);
        v = -1;
        CHECK_EQ(getsockopt(fd, known[i].level, known[i].name, &v, &size), 0);
        CHECK_EQ(v, known[i].set);
    }
    v = 0;
    CHECK_ERRNO(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof v), EINVAL);
    CHECK_ERRNO(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, 2), EINVAL);
    CHECK_ERRNO(setsockopt(fd, IPPROTO_TCP, 7777, &v, sizeof v), ENOPROTOOPT);
    CHECK_ERRNO(getsockopt(fd, IPPROTO_TCP, 7777, &v, &size), ENOPROTOOPT);
    CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, 9999, &v, sizeof v), ENOPROTOOPT);
    CHECK_ERRNO(getsockopt(fd, SOL_SOCKET, 9999, &v, &size), ENOPROTOOPT);
    close(fd);
}

/* Small writes are held back until uncorked. */
static void corked(void) {
    int ends[2], on = 1, off = 0;
    char text[8];

    REQUIRE(inet_pair(AF_INET, ends));
    CHECK_EQ(setsockopt(ends[0], IPPROTO_TCP, TCP_CORK, &on, sizeof on), 0);
    CHECK_EQ(write(ends[0], "ab", 2), 2);
    CHECK_EQ(write(ends[0], "cd", 2), 2);
    CHECK_ERRNO(recv(ends[1], text, 1, MSG_DONTWAIT), EAGAIN); /* held back, for 200 ms */
    CHECK_EQ(setsockopt(ends[0], IPPROTO_TCP, TCP_CORK, &off, sizeof off), 0);
    CHECK_EQ(inet_read_all(ends[1], text, 4), 4);
    CHECK_EQ(memcmp(text, "abcd", 4), 0);
    close(ends[0]);
    close(ends[1]);
}

/* More to come: nothing goes out before the rest, or 200 ms. */
static void more_to_come(void) {
    int ends[2];
    char text[8];

    REQUIRE(inet_pair(AF_INET, ends));
    CHECK_EQ(send(ends[0], "ab", 2, MSG_MORE), 2);
    CHECK_ERRNO(recv(ends[1], text, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(send(ends[0], "cd", 2, 0), 2);
    CHECK_EQ(inet_read_all(ends[1], text, 4), 4);
    CHECK_EQ(memcmp(text, "abcd", 4), 0);
    close(ends[0]);
    close(ends[1]);
}

static int number(int fd, int level, int name) {
    int v = -1;
    socklen_t size = sizeof v;
    return getsockopt(fd, level, name, &v, &size) ? -1 : v;
}

/* What a listener was told before and after listen() holds for those that it accepts. */
/* On the loopback nothing limits them but what TCP can say. */
static void segments_as_long_as_can_be(void) {
    static const int families[] = { AF_INET, AF_INET6 };
    for (unsigned i = 0; i < LENGTH(families); i++) {
        int ends[2];
        REQUIRE(inet_pair(families[i], ends));
        int on_cable = families[i] == AF_INET && getenv("INET_THERE") != NULL;
        CHECK(number(ends[0], IPPROTO_TCP, TCP_MAXSEG) >= (on_cable ? 1460 : 20000));
        close(ends[0]);
        close(ends[1]);
    }
}

static void inherited(void) {
    static const struct {
        int level, name, value;
    } before[] = { { SOL_SOCKET, SO_REUSEADDR, 1 },    { SOL_SOCKET, SO_KEEPALIVE, 1 },
                   { IPPROTO_TCP, TCP_KEEPIDLE, 300 }, { IPPROTO_TCP, TCP_NODELAY, 1 },
                   { SOL_SOCKET, SO_REUSEPORT, 1 },    { SOL_SOCKET, SO_RCVLOWAT, 7 },
                   { SOL_SOCKET, SO_OOBINLINE, 1 } },
      after[] = { { IPPROTO_TCP, TCP_KEEPINTVL, 11 },
                  { IPPROTO_TCP, TCP_KEEPCNT, 4 },
                  { IPPROTO_IP, IP_TTL, 33 },
                  { IPPROTO_IP, IP_TOS, 0x10 } };
    union inet_address a = inet_here(AF_INET, 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    REQUIRE(listener >= 0);
    for (unsigned i = 0; i < LENGTH(before); i++)
        CHECK_EQ(
            setsockopt(listener, before[i].level, before[i].name, &before[i].value, sizeof(int)),
            0);
    REQUIRE(bind(listener, &a.any, sizeof a.in) == 0 && listen(listener, 4) == 0);
    for (unsigned i = 0; i < LENGTH(after); i++)
        CHECK_EQ(setsockopt(listener, after[i].level, after[i].name, &after[i].value, sizeof(int)),
                 0);
    struct timeval brief = { .tv_usec = 20000 }, none = { .tv_sec = 0 };
    CHECK_EQ(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief), 0);
    int client = inet_connect(AF_INET, inet_port(listener)), server = accept(listener, NULL, NULL);
    char c;
    REQUIRE(client >= 0 && server >= 0);
    CHECK_ERRNO(recv(server, &c, 1, 0), EAGAIN);
    CHECK_EQ(setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none), 0);
    for (unsigned i = 0; i < LENGTH(before); i++)
        CHECK_EQ(number(server, before[i].level, before[i].name), before[i].value);
    for (unsigned i = 0; i < LENGTH(after); i++)
        CHECK_EQ(number(server, after[i].level, after[i].name), after[i].value);
    CHECK_EQ(number(client, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
    close(server);
    close(client);
    close(listener);
}

/* A server that ends its listener and begins another, with a connection open at that port. */
static void listen_again(void) {
    union inet_address a = inet_here(AF_INET, 0);
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0), again;

    REQUIRE(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    REQUIRE(bind(listener, &a.any, sizeof a.in) == 0 && listen(listener, 4) == 0);
    a = inet_here(AF_INET, inet_port(listener));
    int client = inet_connect(AF_INET, inet_port(listener)), server = accept(listener, NULL, NULL);
    REQUIRE(client >= 0 && server >= 0);
    close(listener);
    again = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    CHECK_EQ(bind(again, &a.any, sizeof a.in), 0);
    CHECK_EQ(listen(again, 4), 0);
    CHECK_EQ(write(client, "x", 1), 1);
    CHECK_EQ(inet_read_all(server, &on, 1), 1);
    close(again);
    close(server);
    close(client);
}

/* After an attempt that was refused the same socket may try again. */
static void try_again(void) {
    int listener = inet_listen(AF_INET, 1), port = inet_port(listener);
    union inet_address a = inet_there(AF_INET, port);
    char c;

    REQUIRE(listener >= 0);
    close(listener);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    CHECK_ERRNO(connect(fd, &a.any, sizeof a.in), ECONNREFUSED);
    CHECK_ERRNO(recv(fd, &c, 1, 0), ENOTCONN);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    union inet_address here = inet_here(AF_INET, port);
    REQUIRE(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    REQUIRE(bind(listener, &here.any, sizeof here.in) == 0 && listen(listener, 1) == 0);
    CHECK_EQ(connect(fd, &a.any, sizeof a.in), 0);
    CHECK_EQ(write(fd, "x", 1), 1);
    CHECK_ERRNO(connect(fd, &a.any, sizeof a.in), EISCONN);
    close(listener);
    close(fd);
}

static void send_timeout(void) {
    static char block[1 << 16];
    struct timeval brief = { .tv_usec = 30000 };
    int ends[2];
    long n;

    REQUIRE(inet_pair(AF_INET, ends));
    CHECK_EQ(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof brief), 0);
    for (int i = 0; i < 1000 && (n = write(ends[0], block, sizeof block)) > 0; i++)
        ;
    CHECK(n == -1 && errno == EAGAIN);
    close(ends[0]);
    close(ends[1]);
}

/* A reader waits for so many bytes, and poll with it; an end is seen at once. */
static void low_water(void) {
    int ends[2], low = 4;
    struct timeval brief = { .tv_usec = 30000 };
    char text[16];

    REQUIRE(inet_pair(AF_INET, ends));
    CHECK_EQ(setsockopt(ends[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low), 0);
    CHECK_EQ(setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief), 0);
    CHECK_EQ(write(ends[0], "ab", 2), 2);
    CHECK_EQ(inet_events(ends[1]) & POLLIN, 0);
    CHECK_EQ(recv(ends[1], text, sizeof text, 0), 2); /* what there was when time was over */
    CHECK_EQ(write(ends[0], "abcd", 4), 4);
    CHECK(inet_wait(ends[1], POLLIN));
    CHECK_EQ(recv(ends[1], text, 3, 0), 3);
    CHECK_EQ(inet_events(ends[1]) & POLLIN, 0);
    CHECK_EQ(shutdown(ends[0], SHUT_WR), 0);
    CHECK(inet_wait(ends[1], POLLIN));
    CHECK_EQ(recv(ends[1], text, sizeof text, 0), 1);
    CHECK_EQ(recv(ends[1], text, sizeof text, 0), 0);
    close(ends[0]);
    close(ends[1]);
}

static void buffers_and_blocking(void) {
    int ends[2], size = 32768, on = 1;
    char c;

    REQUIRE(inet_pair(AF_INET, ends));
    for (int name = SO_SNDBUF;; name = SO_RCVBUF) {
        CHECK_EQ(setsockopt(ends[0], SOL_SOCKET, name, &size, sizeof size), 0);
        CHECK_EQ(number(ends[0], SOL_SOCKET, name), 2 * size); /* Linux says what it costs */
        if (name == SO_RCVBUF)
            break;
    }
    CHECK_EQ(ioctl(ends[0], FIONBIO, &on), 0);
    CHECK_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    CHECK_ERRNO(recv(ends[0], &c, 1, 0), EAGAIN);
    CHECK_EQ(setsockopt(ends[0], IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on), 0);
    CHECK_EQ(number(ends[0], IPPROTO_TCP, TCP_QUICKACK), 1);
    CHECK_EQ(number(ends[0], SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    CHECK_EQ(number(ends[0], SOL_SOCKET, SO_DOMAIN), AF_INET);
    CHECK_EQ(number(ends[0], SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
    CHECK(number(ends[0], IPPROTO_TCP, TCP_MAXSEG) >= 536);
    close(ends[0]);
    close(ends[1]);
}

/* An edge tells once of what has come, and again only of more; one shot only once. */
static void edges(void) {
    struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET };
    int ends[2], poller = epoll_create1(0);
    char text[8];

    REQUIRE(poller >= 0 && inet_pair(AF_INET, ends));
    CHECK_EQ(epoll_ctl(poller, EPOLL_CTL_ADD, ends[1], &e), 0);
    CHECK_EQ(epoll_wait(poller, &e, 1, 0), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(write(ends[0], "ab", 2), 2);
        CHECK_EQ(epoll_wait(poller, &e, 1, 10000), 1);
        CHECK_EQ(e.events, EPOLLIN);
        CHECK_EQ(epoll_wait(poller, &e, 1, 0), 0);
    }
    CHECK_EQ(inet_read_all(ends[1], text, 4), 4);
    CHECK_EQ(shutdown(ends[0], SHUT_WR), 0);
    CHECK_EQ(epoll_wait(poller, &e, 1, 10000), 1);
    CHECK_EQ(e.events, EPOLLIN | EPOLLRDHUP);
    e.events = EPOLLOUT | EPOLLONESHOT;
    CHECK_EQ(epoll_ctl(poller, EPOLL_CTL_MOD, ends[1], &e), 0);
    CHECK_EQ(epoll_wait(poller, &e, 1, 10000), 1);
    CHECK_EQ(e.events, EPOLLOUT);
    CHECK_EQ(epoll_wait(poller, &e, 1, 0), 0);
    e.events = EPOLLOUT | EPOLLONESHOT;
    CHECK_EQ(epoll_ctl(poller, EPOLL_CTL_MOD, ends[1], &e), 0);
    CHECK_EQ(epoll_wait(poller, &e, 1, 10000), 1);
    close(poller);
    close(ends[0]);
    close(ends[1]);
}

static void selected(void) {
    int ends[2];
    struct timeval none = { 0, 0 };
    fd_set in, out;

    REQUIRE(inet_pair(AF_INET, ends));
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(ends[1], &in);
    FD_SET(ends[1], &out);
    CHECK_EQ(select(ends[1] + 1, &in, &out, NULL, &none), 1);
    CHECK(!FD_ISSET(ends[1], &in) && FD_ISSET(ends[1], &out));
    CHECK_EQ(write(ends[0], "x", 1), 1);
    FD_SET(ends[1], &in);
    CHECK_EQ(select(ends[1] + 1, &in, NULL, NULL, NULL), 1);
    CHECK(FD_ISSET(ends[1], &in));
    close(ends[0]);
    close(ends[1]);
}

#define FILE_BYTES (300 << 10)

static void *read_file_back(void *arg) {
    static char text[FILE_BYTES + 1];
    long n = inet_read_all(*(int *)arg, text, sizeof text);
    for (long i = 0; i < n; i++)
        if (text[i] != (char)(i * 7 >> 3))
            return (void *)-1L;
    return (void *)n;
}

/* A file, in one call or several, whatever the window is. */
static void file_to_connection(void) {
    static char text[FILE_BYTES];
    REQUIRE(scratch_enter());
    int ends[2], file = open("sent-file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    off_t at = 0;
    pthread_t reader;
    void *got;

    REQUIRE(file >= 0 && inet_pair(AF_INET, ends));
    for (long i = 0; i < FILE_BYTES; i++)
        text[i] = (char)(i * 7 >> 3);
    REQUIRE(write(file, text, sizeof text) == sizeof text);
    REQUIRE(pthread_create(&reader, NULL, read_file_back, &ends[1]) == 0);
    while (at < FILE_BYTES) {
        ssize_t n = sendfile(ends[0], file, &at, FILE_BYTES);
        if (!CHECK(n > 0))
            break;
    }
    CHECK_EQ(sendfile(ends[0], file, &at, 1), 0);
    close(ends[0]);
    pthread_join(reader, &got);
    CHECK_EQ((long)got, FILE_BYTES);
    close(ends[1]);
    close(file);
    scratch_leave();
}

/* Whoever waits for an edge is not woken by an option that changes nothing for him. */
static void no_edge(void) {
    struct epoll_event e = { .events = EPOLLOUT | EPOLLET };
    int ends[2], on = 1, poller = epoll_create1(0);

    REQUIRE(inet_pair(AF_INET, ends) && poller >= 0);
    CHECK_EQ(epoll_ctl(poller, EPOLL_CTL_ADD, ends[0], &e), 0);
    CHECK_EQ(epoll_wait(poller, &e, 1, 1000), 1);
    CHECK_EQ(setsockopt(ends[0], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on), 0);
    CHECK_EQ(setsockopt(ends[0], SOL_SOCKET, SO_PRIORITY, &on, sizeof on), 0);
    CHECK_EQ(epoll_wait(poller, &e, 1, 50), 0);
    close(ends[0]), close(ends[1]), close(poller);
}

GUEST_MAIN(CASE(options), CASE(corked), CASE(more_to_come), CASE(segments_as_long_as_can_be),
           CASE(inherited), CASE(listen_again), CASE(try_again), CASE(send_timeout),
           CASE(low_water), CASE(buffers_and_blocking), CASE(edges), CASE(selected),
           CASE(file_to_connection), CASE(no_edge))
