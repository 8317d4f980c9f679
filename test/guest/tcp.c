/* SPDX-License-Identifier: MIT */
/* TCP over the loopback: connections, their ends, data, poll and errors. */
/* guest: mem=256M timeout=240 */
#define _GNU_SOURCE
#include "test/guest/inet.h"
#include "test/guest/proc.h"
#include <sys/mman.h>
#include <sys/uio.h>

/* A name that getsockname or getpeername gave. */
static void check_name(const union inet_address *is, const union inet_address *should) {
    CHECK_EQ(is->any.sa_family, should->any.sa_family);
    CHECK_EQ(memcmp(is, should, inet_size(should->any.sa_family)), 0);
}

/* Each end's name, and how the other knows it. */
static void check_names(int family, const int ends[2]) {
    for (int i = 0; i < 2; i++) {
        union inet_address name, peer, here = inet_here(family, inet_port(ends[i])),
                                       there = inet_there(family, inet_port(ends[i]));
        socklen_t size = sizeof name;
        CHECK_EQ(getsockname(ends[i], &name.any, &size), 0);
        CHECK_EQ(size, inet_size(family));
        check_name(&name, &here);
        size = sizeof peer;
        CHECK_EQ(getpeername(ends[!i], &peer.any, &size), 0);
        CHECK_EQ(size, inet_size(family));
        check_name(&peer, &there);
    }
}

static void hello_of(int family) {
    int ends[2];
    char text[32] = "";

    REQUIRE(inet_pair(family, ends));
    CHECK_EQ(write(ends[0], "ping", 4), 4);
    CHECK_EQ(read(ends[1], text, sizeof text), 4);
    CHECK_EQ(memcmp(text, "ping", 4), 0);
    CHECK_EQ(send(ends[1], "pong!", 5, 0), 5);
    CHECK_EQ(recv(ends[0], text, sizeof text, 0), 5);
    CHECK_EQ(memcmp(text, "pong!", 5), 0);

    check_names(family, ends);

    close(ends[0]);
    CHECK_EQ(read(ends[1], text, sizeof text), 0);
    close(ends[1]);
}

static void hello(void) {
    hello_of(AF_INET);
}

static void hello_ipv6(void) {
    hello_of(AF_INET6);
}

/* An IPv6 listener on "any" hears IPv4 as well, unless it is told not to. */
static void dual_stack(void) {
    struct sockaddr_in6 any = { .sin6_family = AF_INET6 }, peer;
    socklen_t size = sizeof peer;
    int on = 1, fd = socket(AF_INET6, SOCK_STREAM, 0), client, server;
    union inet_address there = inet_there(AF_INET, 0);

    REQUIRE(fd >= 0);
    CHECK_EQ(bind(fd, (void *)&any, sizeof any), 0);
    CHECK_EQ(listen(fd, 4), 0);
    client = inet_connect(AF_INET, inet_port(fd));
    REQUIRE(client >= 0);
    server = accept(fd, (void *)&peer, &size);
    REQUIRE(server >= 0);
    CHECK_EQ(size, sizeof peer);
    CHECK(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
    CHECK_EQ(memcmp(peer.sin6_addr.s6_addr + 12, &there.in.sin_addr, 4), 0);
    CHECK_EQ(ntohs(peer.sin6_port), inet_port(client));
    close(client);
    close(server);
    close(fd);

    fd = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK_EQ(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
    CHECK_EQ(bind(fd, (void *)&any, sizeof any), 0);
    CHECK_EQ(listen(fd, 4), 0);
    CHECK(inet_connect(AF_INET, inet_port(fd)) == -1 && errno == ECONNREFUSED);
    client = inet_connect(AF_INET6, inet_port(fd));
    CHECK(client >= 0);
    close(client);
    close(fd);
}

static void refused(void) {
    int listener = inet_listen(AF_INET, 1), port = inet_port(listener), error = 0;
    socklen_t size = sizeof error;
    union inet_address a = inet_there(AF_INET, port);

    close(listener);
    CHECK(inet_connect(AF_INET, port) == -1 && errno == ECONNREFUSED);

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(fd, &a.any, sizeof a.in) == -1 && errno == EINPROGRESS) {
        CHECK(inet_wait(fd, POLLOUT));
        CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
        CHECK_EQ(error, ECONNREFUSED);
        CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
        CHECK_EQ(error, 0);
    } else {
        CHECK_EQ(errno, ECONNREFUSED);
    }
    close(fd);
}

static void nonblocking_connect(void) {
    int listener = inet_listen(AF_INET, 4), error = -1;
    socklen_t size = sizeof error;
    union inet_address a = inet_there(AF_INET, inet_port(listener));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    REQUIRE(fd >= 0);
    CHECK(connect(fd, &a.any, sizeof a.in) == 0 || errno == EINPROGRESS);
    CHECK(inet_wait(fd, POLLOUT));
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    CHECK_EQ(error, 0);
    CHECK_EQ(connect(fd, &a.any, sizeof a.in), 0); /* as Linux has it: told once */
    CHECK_ERRNO(connect(fd, &a.any, sizeof a.in), EISCONN);
    CHECK_ERRNO(read(fd, &error, 1), EAGAIN);
    int server = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    REQUIRE(server >= 0);
    CHECK_EQ(fcntl(server, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    CHECK_EQ(fcntl(server, F_GETFD), FD_CLOEXEC);
    CHECK_ERRNO(recv(server, &error, 1, 0), EAGAIN);
    CHECK_EQ(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    CHECK_ERRNO(accept(listener, NULL, NULL), EAGAIN);
    close(server);
    close(fd);
    close(listener);
}

static void unconnected(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char c;
    union inet_address a;
    socklen_t size = sizeof a;

    REQUIRE(fd >= 0);
    signal(SIGPIPE, SIG_IGN);
    CHECK_ERRNO(recv(fd, &c, 1, 0), ENOTCONN);
    CHECK_ERRNO(send(fd, "x", 1, 0), EPIPE);
    CHECK_EQ(inet_events(fd), POLLOUT | POLLHUP);
    CHECK_ERRNO(shutdown(fd, SHUT_RDWR), ENOTCONN);
    CHECK_ERRNO(getpeername(fd, &a.any, &size), ENOTCONN);
    CHECK_ERRNO(accept(fd, NULL, NULL), EINVAL);
    /* The shutdown counts all the same. */
    CHECK_EQ(inet_events(fd), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
    CHECK_EQ(getsockname(fd, &a.any, &size), 0);
    CHECK_EQ(a.in.sin_port, 0);
    signal(SIGPIPE, SIG_DFL);
    close(fd);
}

static void wrong_addresses(void) {
    union inet_address a = inet_here(AF_INET, 0), b = a;
    int fd = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);

    REQUIRE(fd >= 0 && other >= 0);
    CHECK_ERRNO(bind(fd, &a.any, 8), EINVAL);
    CHECK_ERRNO(connect(fd, &a.any, 8), EINVAL);
    b.any.sa_family = AF_INET6;
    CHECK_ERRNO(bind(fd, &b.any, sizeof b.in), EAFNOSUPPORT);
    b = a;
    b.in.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1: nobody's */
    CHECK_ERRNO(bind(fd, &b.any, sizeof b.in), EADDRNOTAVAIL);
    CHECK_EQ(bind(fd, &a.any, sizeof a.in), 0);
    CHECK_ERRNO(bind(fd, &a.any, sizeof a.in), EINVAL);
    CHECK_EQ(listen(fd, 1), 0);
    b = inet_here(AF_INET, inet_port(fd));
    CHECK_ERRNO(bind(other, &b.any, sizeof b.in), EADDRINUSE);
    CHECK_ERRNO(connect(fd, &b.any, sizeof b.in), EISCONN);
    CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, 77, 0), EINVAL);
    close(other);
    close(fd);
}

/* A port is free again at once where both sides ask for it. */
static void reuse_address(void) {
    int on = 1, ends[2], listener = socket(AF_INET, SOCK_STREAM, 0);
    union inet_address a = inet_here(AF_INET, 0);

    CHECK_EQ(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    REQUIRE(bind(listener, &a.any, sizeof a.in) == 0 && listen(listener, 4) == 0);
    a = inet_here(AF_INET, inet_port(listener));
    ends[0] = inet_connect(AF_INET, inet_port(listener));
    ends[1] = accept(listener, NULL, NULL);
    REQUIRE(ends[0] >= 0 && ends[1] >= 0);
    close(ends[1]); /* the server's side is in TIME_WAIT after this */
    CHECK_EQ(read(ends[0], &on, 1), 0);
    close(ends[0]);
    close(listener);

    listener = socket(AF_INET, SOCK_STREAM, 0);
    on = 1;
    CHECK_EQ(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    CHECK_EQ(bind(listener, &a.any, sizeof a.in), 0);
    CHECK_EQ(listen(listener, 4), 0);
    ends[0] = inet_connect(AF_INET, inet_port(listener));
    CHECK(ends[0] >= 0);
    close(ends[0]);
    close(listener);
}

static void half_closed(void) {
    int ends[2];
    char text[16];

    REQUIRE(inet_pair(AF_INET, ends));
    CHECK_EQ(write(ends[0], "last", 4), 4);
    CHECK_EQ(shutdown(ends[0], SHUT_WR), 0);
    signal(SIGPIPE, SIG_IGN);
    CHECK_ERRNO(write(ends[0], "x", 1), EPIPE);
    signal(SIGPIPE, SIG_DFL);
    CHECK_EQ(inet_read_all(ends[1], text, sizeof text), 4);
    CHECK_EQ(read(ends[1], text, sizeof text), 0);
    CHECK_EQ(inet_events(ends[1]), POLLIN | POLLOUT | POLLRDHUP);
    CHECK_EQ(write(ends[1], "still", 5), 5); /* the other direction lives on */
    CHECK_EQ(inet_read_all(ends[0], text, 5), 5);
    CHECK_EQ(shutdown(ends[1], SHUT_WR), 0);
    CHECK_EQ(read(ends[0], text, sizeof text), 0);
    CHECK_SOON(inet_events(ends[0]) == (POLLIN | POLLOUT | POLLRDHUP | POLLHUP));
    close(ends[0]);
    close(ends[1]);
}

static void shut_for_reading(void) {
    int ends[2];
    char text[16];

    REQUIRE(inet_pair(AF_INET, ends));
    CHECK_EQ(shutdown(ends[0], SHUT_RD), 0);
    CHECK_EQ(read(ends[0], text, sizeof text), 0);
    CHECK_EQ(write(ends[0], "out", 3), 3);
    CHECK_EQ(inet_read_all(ends[1], text, 3), 3);
    close(ends[0]);
    close(ends[1]);
}

/* Closing with unread data resets the connection. */
static void reset_by_close(void) {
    int ends[2];
    char c;

    REQUIRE(inet_pair(AF_INET, ends));
    CHECK_EQ(write(ends[0], "unread", 6), 6);
    CHECK(inet_wait(ends[1], POLLIN));
    close(ends[1]);
    CHECK_SOON(inet_events(ends[0]) & POLLHUP);
    CHECK_ERRNO(read(ends[0], &c, 1), ECONNRESET);
    CHECK_EQ(read(ends[0], &c, 1), 0);
    signal(SIGPIPE, SIG_IGN);
    CHECK_ERRNO(write(ends[0], "x", 1), EPIPE);
    signal(SIGPIPE, SIG_DFL);
    close(ends[0]);
}

static void reset_by_linger(void) {
    int ends[2];
    char c;
    struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

    REQUIRE(inet_pair(AF_INET6, ends));
    CHECK_EQ(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(ends[1]);
    CHECK(inet_wait(ends[0], POLLIN));
    CHECK_ERRNO(recv(ends[0], &c, 1, 0), ECONNRESET);
    close(ends[0]);
}

static void peek_and_wait(void) {
    int ends[2], waiting = 0;
    char text[8] = "";

    REQUIRE(inet_pair(AF_INET, ends));
    CHECK_ERRNO(recv(ends[1], text, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(write(ends[0], "abc", 3), 3);
    CHECK(inet_wait(ends[1], POLLIN));
    CHECK_EQ(ioctl(ends[1], FIONREAD, &waiting), 0);
    CHECK_EQ(waiting, 3);
    CHECK_EQ(recv(ends[1], text, 8, MSG_PEEK), 3);
    CHECK_ERRNO(recv(ends[1], text, 8, MSG_ERRQUEUE), EAGAIN);
    CHECK_EQ(recv(ends[1], text, 2, MSG_PEEK), 2);
    CHECK_EQ(recv(ends[1], NULL, 8, MSG_PEEK | MSG_TRUNC), 3);
    CHECK_EQ(recv(ends[1], text, 1, 0), 1);
    CHECK_EQ(text[0], 'a');
    CHECK_EQ(write(ends[0], "def", 3), 3);
    CHECK_EQ(recv(ends[1], text, 5, MSG_WAITALL), 5);
    CHECK_EQ(memcmp(text, "bcdef", 5), 0);
    CHECK_EQ(write(ends[0], "dropped", 7), 7);
    CHECK_EQ(recv(ends[1], NULL, 7, MSG_TRUNC | MSG_WAITALL), 7);
    CHECK_ERRNO(recv(ends[1], text, 1, MSG_DONTWAIT), EAGAIN);
    close(ends[0]);
    close(ends[1]);
}

static void receive_timeout(void) {
    int ends[2];
    char c;
    struct timeval brief = { .tv_usec = 20000 };

    REQUIRE(inet_pair(AF_INET, ends));
    CHECK_EQ(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief), 0);
    CHECK_ERRNO(recv(ends[0], &c, 1, 0), EAGAIN);
    close(ends[0]);
    close(ends[1]);
}

#define MUCH (8 << 20)

static void *write_much(void *arg) {
    static unsigned char block[50000];
    unsigned long total = 0;
    int fd = *(int *)arg;
    while (total < MUCH) {
        size_t n = sizeof block < MUCH - total ? sizeof block : MUCH - total;
        for (size_t i = 0; i < n; i++)
            block[i] = (unsigned char)((total + i) * 7 >> 3);
        for (size_t done = 0; done < n;) {
            ssize_t wrote = write(fd, block + done, n - done);
            if (!CHECK(wrote > 0))
                return NULL;
            done += (size_t)wrote;
        }
        total += n;
    }
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void much_data(void) {
    int ends[2];
    pthread_t writer;
    static unsigned char block[70000];
    unsigned long total = 0, wrong = 0;
    ssize_t n;

    REQUIRE(inet_pair(AF_INET, ends));
    REQUIRE(thread_start(&writer, write_much, &ends[0]));
    while ((n = read(ends[1], block, total % 3 ? sizeof block : 1000)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            wrong += block[i] != (unsigned char)((total + (unsigned long)i) * 7 >> 3);
        total += (unsigned long)n;
    }
    CHECK_EQ(n, 0);
    CHECK_EQ(total, MUCH);
    CHECK_EQ(wrong, 0);
    pthread_join(writer, NULL);
    close(ends[0]);
    close(ends[1]);
}

/* A full connection takes no more, and says when there is room again. */
/* What a connection holds when nobody reads; `most` is asked of both ends, 0: nothing is. */
static long held_by(int most) {
    union inet_address a = inet_here(AF_INET, 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    static char block[4096];
    long sent = 0;

    if (most) {
        CHECK_EQ(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &most, sizeof most), 0);
        CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &most, sizeof most), 0);
    }
    CHECK_EQ(bind(listener, &a.any, sizeof a.in), 0);
    CHECK_EQ(listen(listener, 1), 0);
    a = inet_there(AF_INET, inet_port(listener));
    CHECK_EQ(connect(fd, &a.any, sizeof a.in), 0);
    int taken = accept(listener, NULL, NULL);
    CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    for (unsigned quiet = 0; quiet < 20 && sent < 64 << 20;) {
        long n = write(fd, block, sizeof block);
        sent += n > 0 ? n : 0;
        quiet = n > 0 ? 0 : quiet + 1;
        if (n <= 0)
            usleep(10000);
    }
    CHECK_EQ(inet_events(fd), 0);
    for (long got = 0; got < sent;) {
        long n = read(taken, block, sizeof block);
        if (!CHECK(n > 0))
            break;
        got += n;
    }
    CHECK(inet_wait(fd, POLLOUT));
    close(fd), close(taken), close(listener);
    return sent;
}

/* SO_SNDBUF and SO_RCVBUF of little make the connection hold little. */
static void buffers(void) {
    long little = held_by(8192), plain = held_by(0);
    CHECK(little >= 4096 && little <= 65536);
    CHECK(plain > 65536);
}

static void full(void) {
    int ends[2];
    static char block[65536];
    long sent = 0, got = 0, n;

    REQUIRE(inet_pair(AF_INET, ends));
    CHECK_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    /* What the kernel holds at most: pauses let it move data from one side to the other. */
    for (unsigned quiet = 0; quiet < 20;) {
        n = write(ends[0], block, sizeof block);
        if (n > 0) {
            sent += n;
            quiet = 0;
        } else {
            REQUIRE(n == -1 && errno == EAGAIN);
            usleep(10000);
            quiet++;
        }
        REQUIRE(sent < 256 << 20);
    }
    CHECK_EQ(inet_events(ends[0]), 0);
    CHECK_EQ(inet_events(ends[1]), POLLIN | POLLOUT);
    while (got < sent) {
        n = read(ends[1], block, sizeof block);
        REQUIRE(n > 0);
        got += n;
    }
    CHECK(inet_wait(ends[0], POLLOUT));
    CHECK_EQ(write(ends[0], "more", 4), 4);
    CHECK_EQ(inet_read_all(ends[1], block, 4), 4);
    close(ends[0]);
    close(ends[1]);
}

#define VECTORS 40

static void vectors(void) {
    int ends[2];
    struct iovec out[VECTORS], in[2];
    static char from[VECTORS][1000], to[VECTORS * 1000];

    REQUIRE(inet_pair(AF_INET, ends));
    for (int i = 0; i < VECTORS; i++) {
        memset(from[i], 'A' + i, sizeof from[i]);
        out[i] = (struct iovec){ from[i], sizeof from[i] };
    }
    CHECK_EQ(writev(ends[0], out, VECTORS), (long)sizeof to);
    CHECK_EQ(inet_read_all(ends[1], to, sizeof to), (long)sizeof to);
    CHECK_EQ(memcmp(from, to, sizeof to), 0);
    CHECK_EQ(write(ends[0], from[1], 1000), 1000);
    CHECK(inet_wait(ends[1], POLLIN));
    in[0] = (struct iovec){ to, 10 };
    in[1] = (struct iovec){ to + 100, 5000 };
    CHECK_EQ(readv(ends[1], in, 2), 1000);
    CHECK_EQ(to[0], 'B');
    CHECK_EQ(to[100 + 989], 'B');
    CHECK_ERRNO(write(ends[0], nowhere, 10), EFAULT);
    CHECK_EQ(write(ends[0], "x", 1), 1);
    CHECK(inet_wait(ends[1], POLLIN));
    CHECK_ERRNO(read(ends[1], nowhere, 10), EFAULT);
    CHECK_EQ(read(ends[1], to, 10), 1); /* it is still there */
    close(ends[0]);
    close(ends[1]);
}

#define ROUNDS 40

/*
 * A request in two parts: the second waits for the acknowledgement of the first
 * (Nagle), and the first is not answered.  That takes 40 ms, and not 250.
 */
static void request_in_two_parts(void) {
    int ends[2], off = 0;
    char text[8];
    struct timespec begin, end;
    REQUIRE(inet_pair(AF_INET, ends));
    for (int i = 0; i < 2; i++)
        CHECK_EQ(setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &off, sizeof off), 0);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_EQ(write(ends[0], "1", 1), 1);
        CHECK_EQ(write(ends[0], "234", 3), 3);
        CHECK_EQ(recv(ends[1], text, 4, MSG_WAITALL), 4);
        CHECK_EQ(write(ends[1], "yes", 3), 3);
        CHECK_EQ(recv(ends[0], text, 3, MSG_WAITALL), 3);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK(end.tv_sec - begin.tv_sec <= ROUNDS / 8);
    close(ends[0]);
    close(ends[1]);
}

#define TAIL_ROUNDS 10
#define LATE_NS     20000000 /* half of the time for which an acknowledgement may be put off */

/* In how many rounds `size` bytes, written at once, came late. */
static int late_rounds(int ends[2], char *bytes, size_t size) {
    int late = 0;
    for (int i = 0; i < TAIL_ROUNDS; i++) {
        struct timespec begin, end;
        char byte = 0;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        CHECK_EQ(write(ends[0], bytes, size), (long)size);
        CHECK_EQ(inet_read_all(ends[1], bytes, size), (long)size);
        clock_gettime(CLOCK_MONOTONIC, &end);
        CHECK_EQ(write(ends[1], "", 1), 1);
        CHECK_EQ(read(ends[0], &byte, 1), 1);
        late += (end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec > LATE_NS;
    }
    return late;
}

/*
 * The small segment at the end of much waits for no acknowledgement of the large
 * ones before it, whose last the peer may put off (Minshall's form of Nagle's rule).
 */
static void small_tail(void) {
    int ends[2], mss = 0;
    socklen_t size = sizeof mss;
    REQUIRE(inet_pair(AF_INET, ends));
    CHECK_EQ(getsockopt(ends[0], IPPROTO_TCP, TCP_MAXSEG, &mss, &size), 0);
    size_t most = 4 * (size_t)mss + 100;
    char *bytes = calloc(1, most);
    REQUIRE(bytes != NULL);
    late_rounds(ends, bytes, most); /* the first are acknowledged at once */
    for (int n = 1; n <= 4; n++)
        CHECK(late_rounds(ends, bytes, (size_t)n * (size_t)mss + 100) < TAIL_ROUNDS / 2);
    free(bytes);
    close(ends[0]);
    close(ends[1]);
}

static void *close_later(void *arg) {
    usleep(20000);
    shutdown(*(int *)arg, SHUT_RDWR);
    return NULL;
}

/* A listener that is shut down lets go of who waits in accept. */
static void shut_listener(void) {
    int fd = inet_listen(AF_INET, 4);
    pthread_t closer;

    REQUIRE(fd >= 0 && thread_start(&closer, close_later, &fd));
    CHECK_ERRNO(accept(fd, NULL, NULL), EINVAL);
    pthread_join(closer, NULL);
    close(fd);
}

#define LEFT_KB 6000 /* of 256 MiB */

/* A program that has filled the machine but for some per cent is still heard. */
static void memory_nearly_out(void) {
    int ends[2];
    char text[8];
    size_t size = 256 << 20, used = 0;

    if (access("/proc/mimosa", F_OK))
        SKIP("a machine with other programs");
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(memory != MAP_FAILED && !madvise(memory, size, MADV_NOHUGEPAGE));
    for (; proc_free_kb() > LEFT_KB && used < size; used += 65536)
        memset(memory + used, 1, 65536);
    CHECK(used < size);
    REQUIRE(inet_pair(AF_INET, ends));
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(send(ends[0], "ping", 4, 0), 4);
        CHECK_EQ(recv(ends[1], text, sizeof text, 0), 4);
    }
    close(ends[0]);
    close(ends[1]);
    munmap(memory, size);
}

GUEST_MAIN(CASE(hello), CASE(hello_ipv6), CASE(dual_stack), CASE(refused),
           CASE(nonblocking_connect), CASE(unconnected), CASE(wrong_addresses), CASE(reuse_address),
           CASE(half_closed), CASE(shut_for_reading), CASE(reset_by_close), CASE(reset_by_linger),
           CASE(peek_and_wait), CASE(receive_timeout), CASE(much_data), CASE(buffers), CASE(full),
           CASE(vectors), CASE(request_in_two_parts), CASE(small_tail), CASE(memory_nearly_out),
           CASE(shut_listener))
