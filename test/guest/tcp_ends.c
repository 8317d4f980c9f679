/* SPDX-License-Identifier: MIT */
/* How connections and attempts end: by a reset, by an end and then a reset, by the program's own
 * change of mind; and whose a port is. */
/* guest: mem=128M timeout=120 */
#define _GNU_SOURCE
#include "test/guest/inet.h"

static volatile sig_atomic_t pipe_signals;

static void see_pipe(int number) {
    (void)number;
    pipe_signals++;
}

static int error_of(int fd) {
    int error = -1;
    socklen_t size = sizeof error;
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    return error;
}

/*
 * Writes until there is no room, and then byte by byte in a thread, which
 * sleeps soon: what is under way may make room yet.
 */
struct writer {
    int fd, error;
    pthread_t thread;
};

static void *write_on(void *arg) {
    struct writer *w = arg;
    while (write(w->fd, "x", 1) == 1)
        ;
    w->error = errno;
    return NULL;
}

static int start_writer(struct writer *w) {
    static char block[65536];
    fcntl(w->fd, F_SETFL, O_NONBLOCK);
    while (write(w->fd, block, sizeof block) > 0)
        ;
    fcntl(w->fd, F_SETFL, 0);
    pipe_signals = 0;
    signal(SIGPIPE, see_pipe);
    return thread_start(&w->thread, write_on, w);
}

static void end_writer(struct writer *w, int error) {
    pthread_join(w->thread, NULL);
    CHECK_EQ(w->error, error);
    CHECK_EQ(pipe_signals, 0);
    errno = 0;
    CHECK_ERRNO(write(w->fd, "x", 1), EPIPE);
    CHECK_EQ(pipe_signals, 1);
    signal(SIGPIPE, SIG_DFL);
    close(w->fd);
}

/* A writer that sleeps hears of a reset by its errno, once; who comes later by a signal. */
static void reset_sleeping_writer(const int ends[2]) {
    struct writer w = { .fd = ends[0] };
    REQUIRE(start_writer(&w));
    usleep(50000);
    close(ends[1]);
    end_writer(&w, ECONNRESET);
}

static void writer_sleeps(void) {
    int ends[2];
    REQUIRE(inet_pair(AF_INET, ends));
    reset_sleeping_writer(ends);
}

static void unix_writer_sleeps(void) {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    reset_sleeping_writer(ends);
}

/* The peer has ended the conversation, and resets what is said all the same. */
static int end_and_reset(void) {
    int ends[2];
    if (!inet_pair(AF_INET, ends))
        return -1;
    close(ends[1]);
    CHECK(inet_wait(ends[0], POLLIN));
    CHECK_EQ(write(ends[0], "x", 1), 1);
    CHECK_SOON(inet_events(ends[0]) & POLLERR);
    pipe_signals = 0;
    signal(SIGPIPE, see_pipe);
    return ends[0];
}

static void reset_after_end(void) {
    char c;
    int fd = end_and_reset();
    REQUIRE(fd >= 0);
    CHECK_EQ(read(fd, &c, 1), 0);
    CHECK_EQ(error_of(fd), EPIPE);
    CHECK_EQ(error_of(fd), 0);
    close(fd);
    fd = end_and_reset();
    REQUIRE(fd >= 0);
    CHECK_ERRNO(write(fd, "x", 1), EPIPE);
    CHECK_EQ(pipe_signals, 1);
    CHECK_EQ(error_of(fd), 0);
    signal(SIGPIPE, SIG_DFL);
    close(fd);
}

static void *read_all_of_it(void *arg) {
    static char text[100];
    return (void *)recv(*(int *)arg, text, sizeof text, MSG_WAITALL);
}

/* Who waits for more than came gets what came; the reset is the next call's. */
static void reset_while_waiting_for_all(void) {
    struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    int ends[2];
    char c;
    pthread_t reader;
    void *got;

    REQUIRE(inet_pair(AF_INET, ends));
    REQUIRE(thread_start(&reader, read_all_of_it, &ends[0]));
    CHECK_EQ(write(ends[1], "12345", 5), 5);
    usleep(50000);
    CHECK_EQ(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(ends[1]);
    pthread_join(reader, &got);
    CHECK_EQ((long)got, 5);
    CHECK_ERRNO(read(ends[0], &c, 1), ECONNRESET);
    CHECK_EQ(read(ends[0], &c, 1), 0);
    close(ends[0]);
}

static void *peek_at_all(void *arg) {
    static char text[6];
    return (void *)recv(*(int *)arg, text, sizeof text, MSG_WAITALL | MSG_PEEK);
}

/* Who only looks waits for all of it, too, and takes nothing. */
static void peek_until_all_is_there(void) {
    int ends[2];
    char text[8];
    pthread_t reader;
    void *got;

    REQUIRE(inet_pair(AF_INET, ends));
    CHECK_EQ(write(ends[1], "abc", 3), 3);
    REQUIRE(thread_start(&reader, peek_at_all, &ends[0]));
    usleep(50000);
    CHECK_EQ(write(ends[1], "def", 3), 3);
    pthread_join(reader, &got);
    CHECK_EQ((long)got, 6);
    CHECK_EQ(recv(ends[0], text, sizeof text, 0), 6);
    CHECK_EQ(memcmp(text, "abcdef", 6), 0);
    CHECK_EQ(write(ends[1], "gh", 2), 2);
    close(ends[1]);
    CHECK(inet_wait(ends[0], POLLRDHUP));
    CHECK_EQ((long)peek_at_all(&ends[0]), 2);
    close(ends[0]);
}

static void *read_one(void *arg) {
    char c;
    return (void *)(long)(read(*(int *)arg, &c, 1) < 0 ? errno : 0);
}

static int disconnect(int fd) {
    struct sockaddr nobody = { .sa_family = AF_UNSPEC };
    return connect(fd, &nobody, sizeof nobody);
}

/* Nothing of the old connection is left to the next. */
static void disconnected(void) {
    int ends[2], listener = inet_listen(AF_INET, 4);
    union inet_address a = inet_there(AF_INET, inet_port(listener));
    pthread_t reader;
    void *why;
    char text[8];

    REQUIRE(listener >= 0 && inet_pair(AF_INET, ends));
    CHECK_EQ(write(ends[1], "old", 3), 3);
    CHECK(inet_wait(ends[0], POLLIN));
    CHECK_EQ(disconnect(ends[0]), 0);
    CHECK_SOON(inet_events(ends[1]) & POLLHUP);
    CHECK_EQ(connect(ends[0], &a.any, sizeof a.in), 0);
    close(ends[1]);
    ends[1] = accept(listener, NULL, NULL);
    CHECK_ERRNO(recv(ends[0], text, sizeof text, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(write(ends[1], "new", 3), 3);
    CHECK_EQ(inet_read_all(ends[0], text, 3), 3);
    CHECK_EQ(memcmp(text, "new", 3), 0);

    REQUIRE(thread_start(&reader, read_one, &ends[0]));
    usleep(20000);
    CHECK_EQ(disconnect(ends[0]), 0);
    pthread_join(reader, &why);
    CHECK((long)why == ECONNRESET || (long)why == EPIPE); /* before Linux 6.6, and since */
    close(ends[0]);
    close(ends[1]);
    close(listener);
}

/* A socket that was bound stays so, whatever becomes of an attempt or a connection. */
static void bound_port_stays(void) {
    int listener = inet_listen(AF_INET, 4), gone = inet_listen(AF_INET, 1);
    int fd = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
    int free_one = inet_listen(AF_INET, 1), port = inet_port(free_one);
    union inet_address a = inet_here(AF_INET, port), there;

    close(free_one);
    REQUIRE(listener >= 0 && gone >= 0 && bind(fd, &a.any, sizeof a.in) == 0);
    there = inet_there(AF_INET, inet_port(gone));
    close(gone);
    CHECK_ERRNO(connect(fd, &there.any, sizeof there.in), ECONNREFUSED);
    CHECK_EQ(inet_port(fd), port);
    there = inet_there(AF_INET, inet_port(listener));
    CHECK_EQ(connect(fd, &there.any, sizeof there.in), 0);
    CHECK_EQ(inet_port(fd), port);
    CHECK_EQ(disconnect(fd), 0);
    CHECK_EQ(listen(fd, 1), 0);
    CHECK_EQ(shutdown(fd, SHUT_RD), 0);
    CHECK_EQ(listen(fd, 1), 0);
    there = inet_there(AF_INET, port);
    CHECK_EQ(connect(other, &there.any, sizeof there.in), 0);
    close(other);
    close(fd);
    close(listener);
}

/* A listener has nothing to write: shutting that down is no error, and changes nothing. */
static void listener_shut_for_writing(void) {
    int listener = inet_listen(AF_INET, 1);
    char byte = 0;
    REQUIRE(listener >= 0);
    CHECK_EQ(shutdown(listener, SHUT_WR), 0);
    int fd = inet_connect(AF_INET, inet_port(listener)), there = accept(listener, NULL, NULL);
    REQUIRE(fd >= 0 && there >= 0);
    CHECK_EQ(write(there, "x", 1), 1);
    CHECK_EQ(read(fd, &byte, 1), 1);
    CHECK_EQ(byte, 'x');
    close(there);
    close(fd);
    close(listener);
}

/* What SO_ERROR has told, connect() tells once more in its own way. */
static void refused_and_asked(void) {
    int gone = inet_listen(AF_INET, 1), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int listener = inet_listen(AF_INET, 1);
    union inet_address a = inet_there(AF_INET, inet_port(gone));

    REQUIRE(gone >= 0 && listener >= 0);
    close(gone);
    CHECK_ERRNO(connect(fd, &a.any, sizeof a.in), EINPROGRESS);
    CHECK(inet_wait(fd, POLLERR));
    CHECK_EQ(error_of(fd), ECONNREFUSED);
    a = inet_there(AF_INET, inet_port(listener));
    CHECK_ERRNO(connect(fd, &a.any, sizeof a.in), ECONNABORTED);
    CHECK_ERRNO(connect(fd, &a.any, sizeof a.in), EINPROGRESS);
    CHECK(inet_wait(fd, POLLOUT));
    CHECK_EQ(error_of(fd), 0);
    close(fd);
    close(listener);
}

static void *connect_slowly(void *arg) {
    int *words = arg;
    union inet_address a = inet_there(AF_INET, words[1]);
    return (void *)(long)(connect(words[0], &a.any, sizeof a.in) ? errno : 0);
}

/* A listener that takes no more, so that an attempt lasts; its clients so far. */
static int full_listener(int clients[8]) {
    int listener = inet_listen(AF_INET, 0), n = 0;
    for (; n < 8; n++) {
        union inet_address a = inet_there(AF_INET, inet_port(listener));
        clients[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        CHECK(connect(clients[n], &a.any, sizeof a.in) == 0 || errno == EINPROGRESS);
    }
    usleep(50000);
    return listener;
}

static void shut_while_connecting(void) {
    int clients[8], listener = full_listener(clients);
    int words[2] = { socket(AF_INET, SOCK_STREAM, 0), inet_port(listener) };
    pthread_t thread;
    void *why;

    REQUIRE(thread_start(&thread, connect_slowly, words));
    usleep(50000);
    CHECK_EQ(shutdown(words[0], SHUT_RDWR), 0);
    pthread_join(thread, &why);
    CHECK_EQ((long)why, ECONNRESET);
    CHECK_ERRNO(shutdown(words[0], SHUT_RDWR), ENOTCONN);
    for (int i = 0; i < 8; i++)
        close(clients[i]);
    close(words[0]);
    close(listener);
}

static int bound_for_reuse(int family, const union inet_address *a) {
    int on = 1, fd = socket(family, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &a->any, inet_size(family)) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* A listener's port is its own at all addresses that it hears, SO_REUSEADDR or not. */
static void listeners_apart(void) {
    union inet_address all = { .in = { .sin_family = AF_INET } }, here;
    int first = bound_for_reuse(AF_INET, &all);
    REQUIRE(first >= 0);
    here = inet_here(AF_INET, inet_port(first));
    int second = bound_for_reuse(AF_INET, &here);
    REQUIRE(second >= 0);
    CHECK_EQ(listen(first, 1), 0);
    CHECK_ERRNO(listen(second, 1), EADDRINUSE);
    close(second);
    CHECK_ERRNO(bound_for_reuse(AF_INET, &here), EADDRINUSE);
    close(first);

    union inet_address all6 = { .in6 = { .sin6_family = AF_INET6 } };
    first = bound_for_reuse(AF_INET6, &all6);
    REQUIRE(first >= 0 && listen(first, 1) == 0);
    all.in.sin_port = htons((uint16_t)inet_port(first));
    CHECK_ERRNO(bound_for_reuse(AF_INET, &all), EADDRINUSE);
    close(first);
}

/* An end that comes with the last byte of the window, or behind it, need not be said again, for
 * which TCP waits a second. */
static void end_of_window(void) {
    static char block[65537];
    for (size_t size = 65534; size <= sizeof block; size++) {
        int ends[2];
        REQUIRE(inet_pair(AF_INET, ends));
        CHECK_EQ(write(ends[0], block, size), (long)size);
        usleep(20000);
        CHECK_EQ(shutdown(ends[0], SHUT_WR), 0);
        long begin = now_ns();
        CHECK_EQ(inet_read_all(ends[1], block, size), (long)size);
        CHECK_EQ(read(ends[1], block, 1), 0);
        CHECK(now_ns() - begin < 700000000);
        close(ends[0]);
        close(ends[1]);
    }
}

GUEST_MAIN(CASE(writer_sleeps), CASE(unix_writer_sleeps), CASE(reset_after_end),
           CASE(reset_while_waiting_for_all), CASE(peek_until_all_is_there), CASE(disconnected),
           CASE(bound_port_stays), CASE(refused_and_asked), CASE(shut_while_connecting),
           CASE(listeners_apart), CASE(end_of_window), CASE(listener_shut_for_writing))
