/* SPDX-License-Identifier: MIT */
/* AF_UNIX: names, connections, streams, ends that close, and their errors. */
#define _GNU_SOURCE
#include "test/guest/scratch.h"
#include "test/guest/sockets.h"
#include "test/guest/threads.h"
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

static void making(void) {
    int pair[2];
    struct stat st;
    CHECK_ERRNO(socket(AF_UNIX, SOCK_STREAM, 77), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(AF_UNIX, 15, 0), EINVAL);
    CHECK_ERRNO(socket(AF_UNIX, SOCK_STREAM | 0x100, 0), EINVAL);
    CHECK_ERRNO(socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_ERRNO(socket(1000, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 77, pair), EPROTONOSUPPORT);
    CHECK_ERRNO(socketpair(AF_UNIX, SOCK_STREAM | 0x100, 0, pair), EINVAL);
    CHECK_ERRNO(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 8), EFAULT);
    CHECK_ERRNO(socketpair(1000, SOCK_STREAM, 0, pair), EAFNOSUPPORT);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    REQUIRE(s >= 0);
    CHECK_EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(s, F_GETFL), O_RDWR | O_NONBLOCK);
    CHECK(fstat(s, &st) == 0 && S_ISSOCK(st.st_mode));
    CHECK_EQ(st.st_mode & 07777, 0777);
    char name[64], link[64] = "", wanted[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", s);
    CHECK(readlink(name, link, sizeof link - 1) > 0);
    snprintf(wanted, sizeof wanted, "socket:[%lu]", (unsigned long)st.st_ino);
    CHECK(strcmp(link, wanted) == 0);
    CHECK_ERRNO(open(name, O_RDWR), ENXIO);
    CHECK_ERRNO(lseek(s, 0, SEEK_SET), ESPIPE);
    CHECK_ERRNO(pread(s, name, 1, 0), ESPIPE);
    CHECK_EQ(events_of(s), POLLOUT | POLLHUP);
    close(s);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    CHECK_EQ(fcntl(pair[1], F_GETFD), FD_CLOEXEC);
    close(pair[0]), close(pair[1]);
}

/* Every call on what is no descriptor, and on what is no socket. */
static void no_sockets(void) {
    struct sockaddr_un a = path_address("x");
    socklen_t length = sizeof a;
    char c = 0;
    int ends[2], wrong[2] = { -1, 0 };
    REQUIRE(pipe(ends) == 0);
    wrong[1] = ends[0];
    for (int i = 0; i < 2; i++) {
        int fd = wrong[i], e = i ? ENOTSOCK : EBADF;
        CHECK_ERRNO(bind(fd, ADDRESS(a), sizeof a), e);
        CHECK_ERRNO(connect(fd, ADDRESS(a), sizeof a), e);
        CHECK_ERRNO(listen(fd, 1), e);
        CHECK_ERRNO(accept(fd, NULL, NULL), e);
        CHECK_ERRNO(accept4(fd, NULL, NULL, SOCK_CLOEXEC), e);
        CHECK_ERRNO(getsockname(fd, ADDRESS(a), &length), e);
        CHECK_ERRNO(getpeername(fd, ADDRESS(a), &length), e);
        CHECK_ERRNO(shutdown(fd, SHUT_RD), e);
        CHECK_ERRNO(send(fd, &c, 1, 0), e);
        CHECK_ERRNO(recv(fd, &c, 1, 0), e);
    }
    close(ends[0]), close(ends[1]);
}

static void pair_of_streams(void) {
    int s[2], n = -1;
    char text[32] = "";
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK_EQ(events_of(s[0]), POLLOUT);
    CHECK_EQ(send(s[0], "hello", 5, 0), 5);
    CHECK_EQ(write(s[0], " you", 4), 4);
    CHECK_EQ(events_of(s[1]), POLLIN | POLLOUT);
    CHECK(ioctl(s[1], FIONREAD, &n) == 0 && n == 9);
    CHECK(ioctl(s[0], TIOCOUTQ, &n) == 0 && n >= 9);
    CHECK(ioctl(s[1], TIOCOUTQ, &n) == 0 && n == 0);
    CHECK_ERRNO(ioctl(s[1], FIONREAD, (int *)8), EFAULT);
    CHECK_EQ(recv(s[1], text, 3, MSG_PEEK), 3);
    CHECK_EQ(recv(s[1], text, 3, 0), 3);
    CHECK(memcmp(text, "hel", 3) == 0);
    CHECK_EQ(read(s[1], text, 0), 0);
    CHECK_EQ(recv(s[1], text, 0, 0), 0);
    CHECK_EQ(read(s[1], text, sizeof text), 6);
    CHECK(memcmp(text, "lo you", 6) == 0);
    CHECK_ERRNO(recv(s[1], text, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_ERRNO(recv(s[1], text, 0, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(send(s[1], "", 0, 0), 0);
    CHECK_ERRNO(recv(s[0], text, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(send(s[1], "back", 4, MSG_NOSIGNAL | MSG_DONTWAIT), 4);
    CHECK_EQ(recvfrom(s[0], text, sizeof text, MSG_WAITALL | MSG_DONTWAIT, NULL, NULL), 4);
    CHECK_ERRNO(send(s[0], (void *)8, 1, 0), EFAULT);
    CHECK_ERRNO(send(s[0], (void *)-4096l, 1, 0), EFAULT);
    CHECK_EQ(send(s[0], "x", 1, 0), 1);
    CHECK_ERRNO(recv(s[1], (void *)8, 1, 0), EFAULT);
    CHECK_EQ(recv(s[1], text, 1, 0), 1); /* and it is still there */
    struct sockaddr_un a = path_address("x");
    CHECK_ERRNO(sendto(s[0], "x", 1, 0, ADDRESS(a), sizeof a), EISCONN);
    CHECK_ERRNO(connect(s[0], ADDRESS(a), sizeof a), ENOENT);
    CHECK_ERRNO(accept(s[0], NULL, NULL), EINVAL);
    CHECK_ERRNO(listen(s[0], 1), EINVAL);
    close(s[0]), close(s[1]);
}

static void ends_that_close(void) {
    int s[2];
    char c;
    signal(SIGPIPE, SIG_IGN);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK_EQ(write(s[0], "ab", 2), 2);
    close(s[0]);
    CHECK_EQ(events_of(s[1]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    CHECK_EQ(read(s[1], &c, 1), 1); /* what was sent still comes */
    CHECK_EQ(read(s[1], &c, 1), 1);
    CHECK_EQ(read(s[1], &c, 1), 0);
    CHECK_EQ(read(s[1], &c, 1), 0);
    CHECK_ERRNO(write(s[1], "x", 1), EPIPE);
    CHECK_ERRNO(send(s[1], "", 0, 0), EPIPE);
    close(s[1]);
    /* The other way: what was sent is never read. */
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK_EQ(write(s[0], "ab", 2), 2);
    CHECK_EQ(write(s[1], "c", 1), 1);
    close(s[1]);
    CHECK_EQ(events_of(s[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
    CHECK_EQ(read(s[0], &c, 1), 1);
    CHECK_ERRNO(read(s[0], &c, 1), ECONNRESET);
    CHECK_EQ(read(s[0], &c, 1), 0);
    CHECK_EQ(events_of(s[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    CHECK_ERRNO(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    close(s[0]);
    signal(SIGPIPE, SIG_DFL);
}

static volatile int pipes_broken;

static void on_pipe(int signo) {
    pipes_broken += signo == SIGPIPE;
}

static void broken_pipes(void) {
    int s[2];
    static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
    signal(SIGPIPE, on_pipe);
    for (int i = 0; i < 3; i++) {
        REQUIRE(socketpair(AF_UNIX, types[i], 0, s) == 0);
        CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
        pipes_broken = 0;
        CHECK_ERRNO(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
        CHECK_EQ(pipes_broken, 0);
        CHECK_ERRNO(send(s[0], "x", 1, 0), EPIPE);
        CHECK_ERRNO(write(s[0], "x", 1), EPIPE);
        CHECK_EQ(pipes_broken, types[i] == SOCK_STREAM ? 2 : 0);
        close(s[0]), close(s[1]);
    }
    signal(SIGPIPE, SIG_DFL);
}

static void halves(void) {
    int s[2];
    char c;
    signal(SIGPIPE, SIG_IGN);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK_ERRNO(shutdown(s[0], 3), EINVAL);
    CHECK_ERRNO(shutdown(s[0], -1), EINVAL);
    CHECK_EQ(write(s[0], "ab", 2), 2);
    CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
    CHECK_EQ(events_of(s[1]), POLLIN | POLLOUT | POLLRDHUP);
    CHECK_EQ(events_of(s[0]), POLLOUT);
    CHECK_EQ(read(s[1], &c, 1), 1);
    CHECK_EQ(read(s[1], &c, 1), 1);
    CHECK_EQ(read(s[1], &c, 1), 0);
    CHECK_EQ(write(s[1], "c", 1), 1); /* the other half stands */
    CHECK_EQ(read(s[0], &c, 1), 1);
    CHECK_EQ(shutdown(s[0], SHUT_RD), 0);
    CHECK_EQ(read(s[0], &c, 1), 0);
    CHECK_ERRNO(write(s[1], "c", 1), EPIPE);
    CHECK_EQ(events_of(s[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    close(s[0]), close(s[1]);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK_EQ(shutdown(s[1], SHUT_RDWR), 0);
    CHECK_EQ(read(s[0], &c, 1), 0);
    CHECK_ERRNO(write(s[0], "c", 1), EPIPE);
    close(s[0]), close(s[1]);
    signal(SIGPIPE, SIG_DFL);
}

static void path_names(void) {
    REQUIRE(scratch_enter());
    struct sockaddr_un a = path_address("sock"), got;
    socklen_t length = sizeof got;
    struct stat st;
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(l >= 0 && c >= 0);
    CHECK_EQ(getsockname(l, ADDRESS(got), &length), 0);
    CHECK_EQ(length, UNIX_HEAD);
    CHECK_ERRNO(listen(l, 1), EINVAL); /* it has no name yet */
    CHECK_ERRNO(connect(c, ADDRESS(a), sizeof a), ENOENT);
    CHECK_ERRNO(bind(l, ADDRESS(a), 1), EINVAL);
    CHECK_ERRNO(bind(l, ADDRESS(a), sizeof a + 1), EINVAL);
    CHECK_ERRNO(bind(l, ADDRESS(a), 200), EINVAL);
    CHECK_ERRNO(bind(l, ADDRESS(a), -1), EINVAL);
    CHECK_ERRNO(bind(l, (void *)8, sizeof a), EFAULT);
    got = a;
    got.sun_family = AF_INET;
    CHECK_ERRNO(bind(l, ADDRESS(got), sizeof got), EINVAL);
    got = path_address("no/such/place");
    CHECK_ERRNO(bind(l, ADDRESS(got), sizeof got), ENOENT);
    CHECK_EQ(bind(l, ADDRESS(a), sizeof a), 0);
    CHECK(stat("sock", &st) == 0 && S_ISSOCK(st.st_mode));
    CHECK_EQ(st.st_mode & 07777, 0755); /* the umask is 022 */
    CHECK_ERRNO(open("sock", O_RDWR), ENXIO);
    CHECK_ERRNO(bind(l, ADDRESS(a), sizeof a), EADDRINUSE);
    CHECK_ERRNO(bind(c, ADDRESS(a), sizeof a), EADDRINUSE);
    got = path_address("other");
    CHECK_ERRNO(bind(l, ADDRESS(got), sizeof got), EINVAL); /* it has one */
    CHECK_ERRNO(stat("other", &st), ENOENT);
    length = sizeof got;
    CHECK_EQ(getsockname(l, ADDRESS(got), &length), 0);
    CHECK_EQ(length, UNIX_HEAD + sizeof "sock");
    CHECK(got.sun_family == AF_UNIX && strcmp(got.sun_path, "sock") == 0);
    length = 4; /* cut, but told whole */
    memset(&got, 0, sizeof got);
    CHECK_EQ(getsockname(l, ADDRESS(got), &length), 0);
    CHECK(length == UNIX_HEAD + sizeof "sock" && strcmp(got.sun_path, "so") == 0);
    length = -1;
    CHECK_ERRNO(getsockname(l, ADDRESS(got), &length), EINVAL);
    CHECK_ERRNO(getsockname(l, ADDRESS(got), (void *)8), EFAULT);
    CHECK_ERRNO(connect(c, ADDRESS(a), sizeof a), ECONNREFUSED); /* does not listen */
    close(c), close(l);
    scratch_leave();
}

static void path_connections(void) {
    REQUIRE(scratch_enter());
    struct sockaddr_un a = path_address("sock"), got;
    socklen_t length = sizeof got;
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), e;
    REQUIRE(bind(l, ADDRESS(a), sizeof a) == 0);
    CHECK_EQ(listen(l, 5), 0);
    CHECK_ERRNO(connect(c, ADDRESS(a), 2), EINVAL);
    length = sizeof got;
    CHECK_ERRNO(getpeername(c, ADDRESS(got), &length), ENOTCONN);
    CHECK_EQ(connect(c, ADDRESS(a), UNIX_HEAD + 4), 0); /* without the NUL */
    CHECK_EQ(getpeername(c, ADDRESS(got), &length), 0);
    CHECK(length == UNIX_HEAD + 5 && strcmp(got.sun_path, "sock") == 0);
    CHECK_ERRNO(connect(c, ADDRESS(a), sizeof a), EISCONN);
    CHECK_ERRNO(connect(l, ADDRESS(a), sizeof a), EINVAL);
    length = sizeof got;
    e = accept(l, ADDRESS(got), &length);
    CHECK(e >= 0 && length == UNIX_HEAD); /* the client has no name */
    length = sizeof got;
    CHECK_EQ(getsockname(e, ADDRESS(got), &length), 0);
    CHECK(length == UNIX_HEAD + 5 && strcmp(got.sun_path, "sock") == 0);
    close(e), close(c), close(l);
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO(connect(c, ADDRESS(a), sizeof a), ECONNREFUSED); /* a name that nobody has */
    close(open("file", O_CREAT | O_RDWR, 0644));
    got = path_address("file");
    CHECK_ERRNO(connect(c, ADDRESS(got), sizeof got), ECONNREFUSED);
    l = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_ERRNO(bind(l, ADDRESS(a), sizeof a), EADDRINUSE); /* until it is unlinked */
    CHECK_EQ(unlink("sock"), 0);
    CHECK_EQ(bind(l, ADDRESS(a), sizeof a), 0);
    CHECK_ERRNO(connect(c, ADDRESS(a), sizeof a), EPROTOTYPE);
    CHECK_ERRNO(listen(l, 1), EOPNOTSUPP);
    CHECK_ERRNO(accept(l, NULL, NULL), EOPNOTSUPP);
    close(l), close(c);
    scratch_leave();
}

static void unlinked_names(void) {
    REQUIRE(scratch_enter());
    struct sockaddr_un a = path_address("one"), b = path_address("two"), s = path_address("link");
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), e;
    REQUIRE(bind(l, ADDRESS(a), sizeof a) == 0 && listen(l, 1) == 0);
    CHECK_EQ(symlink("one", "link"), 0);
    CHECK_EQ(connect(c, ADDRESS(s), sizeof s), 0); /* through a link */
    e = accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    CHECK_EQ(fcntl(e, F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(e, F_GETFL) & O_NONBLOCK);
    close(c);
    CHECK_EQ(rename("one", "two"), 0); /* the inode is the name */
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO(connect(c, ADDRESS(a), sizeof a), ENOENT);
    CHECK_EQ(connect(c, ADDRESS(b), sizeof b), 0);
    CHECK_EQ(unlink("two"), 0);
    int late = accept(l, NULL, NULL); /* who has connected is there */
    CHECK_EQ(write(late, "x", 1), 1);
    char byte;
    CHECK_EQ(read(c, &byte, 1), 1);
    CHECK_ERRNO(bind(socket(AF_UNIX, SOCK_STREAM, 0), ADDRESS(s), sizeof s), EADDRINUSE);
    CHECK_ERRNO(syscall(SYS_accept4, l, NULL, NULL, 1), EINVAL);
    for (int fd = l; fd < l + 10; fd++)
        close(fd);
    scratch_leave();
}

static void abstract_names(void) {
    socklen_t length, got_length;
    struct sockaddr_un a = abstract_address("a", &length), got;
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), other, e;
    CHECK_ERRNO(connect(c, ADDRESS(a), length), ECONNREFUSED);
    REQUIRE(bind(l, ADDRESS(a), length) == 0 && listen(l, 5) == 0);
    CHECK_ERRNO(connect(c, ADDRESS(a), length + 1), ECONNREFUSED); /* a 0 more: another name */
    CHECK_ERRNO(bind(c, ADDRESS(a), length), EADDRINUSE);
    other = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_ERRNO(connect(other, ADDRESS(a), length), ECONNREFUSED);
    CHECK_EQ(bind(other, ADDRESS(a), length), 0); /* each type has names of its own */
    CHECK_EQ(connect(c, ADDRESS(a), length), 0);
    got_length = sizeof got;
    CHECK_EQ(getpeername(c, ADDRESS(got), &got_length), 0);
    CHECK(got_length == length && memcmp(&got, &a, length) == 0);
    e = accept(l, NULL, NULL);
    CHECK(e >= 0);
    close(l); /* the name goes with the socket */
    l = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(bind(l, ADDRESS(a), length), 0);
    close(l), close(e), close(c), close(other);
    /* Names that the kernel chooses. */
    struct sockaddr_un names[2];
    int s[2];
    for (int i = 0; i < 2; i++) {
        s[i] = socket(AF_UNIX, SOCK_DGRAM, 0);
        CHECK_EQ(bind(s[i], ADDRESS(a), UNIX_HEAD), 0);
        CHECK_EQ(bind(s[i], ADDRESS(a), UNIX_HEAD), 0);
        got_length = sizeof names[i];
        CHECK_EQ(getsockname(s[i], ADDRESS(names[i]), &got_length), 0);
        CHECK(got_length == UNIX_HEAD + 6 && names[i].sun_path[0] == 0);
    }
    CHECK(memcmp(&names[0], &names[1], UNIX_HEAD + 6) != 0);
    CHECK_ERRNO(bind(s[0], ADDRESS(a), length), EINVAL);
    close(s[0]), close(s[1]);
}

static struct sockaddr_un backlog_name;
static socklen_t backlog_length;
static int connect_errno;

static void *connect_late(void *arg) {
    int c = socket(AF_UNIX, SOCK_STREAM, 0);
    int r = connect(c, ADDRESS(backlog_name), backlog_length);
    connect_errno = r ? errno : 0;
    close(c);
    return arg;
}

static void backlog(void) {
    backlog_name = abstract_address("backlog", &backlog_length);
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c[4], e;
    pthread_t thread;
    REQUIRE(bind(l, ADDRESS(backlog_name), backlog_length) == 0 && listen(l, 1) == 0);
    CHECK_EQ(fcntl(l, F_SETFL, O_NONBLOCK), 0);
    CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
    CHECK_EQ(events_of(l), 0);
    for (int i = 0; i < 4; i++)
        c[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK_EQ(connect(c[0], ADDRESS(backlog_name), backlog_length), 0);
    CHECK_EQ(events_of(l), POLLIN);
    CHECK_EQ(connect(c[1], ADDRESS(backlog_name), backlog_length), 0);
    CHECK_ERRNO(connect(c[2], ADDRESS(backlog_name), backlog_length), EAGAIN);
    CHECK_EQ(write(c[0], "early", 5), 5);               /* before it is accepted */
    REQUIRE(thread_start(&thread, connect_late, NULL)); /* waits */
    sleep_ms(20);
    e = accept(l, NULL, NULL);
    char text[8];
    CHECK(e >= 0 && recv(e, text, 8, 0) == 5);
    thread_join(thread);
    CHECK_EQ(connect_errno, 0);
    close(e);
    /* Whom a listener leaves unaccepted is reset, whoever waits is refused. */
    CHECK_EQ(listen(l, 0), 0);
    REQUIRE(thread_start(&thread, connect_late, NULL));
    sleep_ms(20);
    close(l);
    thread_join(thread);
    CHECK_EQ(connect_errno, ECONNREFUSED);
    CHECK_ERRNO(read(c[1], text, 1), ECONNRESET);
    CHECK_EQ(read(c[1], text, 1), 0);
    for (int i = 0; i < 4; i++)
        close(c[i]);
    /* A listener that will not read any more. */
    l = socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(bind(l, ADDRESS(backlog_name), backlog_length) == 0 && listen(l, 1) == 0);
    CHECK_EQ(shutdown(l, SHUT_RD), 0);
    CHECK_ERRNO(accept(l, NULL, NULL), EINVAL);
    connect_late(NULL);
    CHECK_EQ(connect_errno, ECONNREFUSED);
    close(l);
}

static void unconnected(void) {
    char c;
    struct sockaddr_un a = path_address("x");
    int s = socket(AF_UNIX, SOCK_STREAM, 0), d = socket(AF_UNIX, SOCK_DGRAM, 0);
    int q = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    CHECK_ERRNO(recv(s, &c, 1, 0), EINVAL);
    CHECK_ERRNO(send(s, &c, 1, 0), ENOTCONN);
    CHECK_ERRNO(sendto(s, &c, 1, 0, ADDRESS(a), sizeof a), EOPNOTSUPP);
    CHECK_ERRNO(recv(q, &c, 1, 0), ENOTCONN);
    CHECK_ERRNO(send(q, &c, 1, 0), ENOTCONN);
    CHECK_ERRNO(send(d, &c, 1, 0), ENOTCONN);
    CHECK_ERRNO(recv(d, &c, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(events_of(d), POLLOUT);
    CHECK_EQ(events_of(q), POLLOUT | POLLHUP);
    CHECK_EQ(shutdown(d, SHUT_RDWR), 0);
    CHECK_EQ(recv(d, &c, 1, 0), 0);
    close(s), close(d), close(q);
}

/* More than the buffers hold: the writer waits, or is told. */
#define TOTAL 3000000L
static int stream[2];

static void *stream_write(void *arg) {
    unsigned long seed = 7, sizes = 9;
    static char block[60000];
    for (long done = 0; done < TOTAL;) {
        long size = 1 + (long)(guest_random(&sizes) % sizeof block);
        if (size > TOTAL - done)
            size = TOTAL - done;
        for (long i = 0; i < size; i++)
            block[i] = (char)guest_random(&seed);
        CHECK_EQ(write(stream[1], block, size), size); /* waits until all of it is sent */
        done += size;
    }
    CHECK_EQ(shutdown(stream[1], SHUT_WR), 0);
    return arg;
}

static void streaming(void) {
    pthread_t writer;
    unsigned long seed = 7;
    static char block[70000];
    long total = 0, bad = 0, n;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0);
    REQUIRE(thread_start(&writer, stream_write, NULL));
    while ((n = recv(stream[0], block, sizeof block, total & 1 ? MSG_WAITALL : 0)) > 0) {
        for (long i = 0; i < n; i++)
            bad += block[i] != (char)guest_random(&seed);
        total += n;
    }
    thread_join(writer);
    CHECK_EQ(total, TOTAL);
    CHECK_EQ(bad, 0);
    close(stream[0]), close(stream[1]);
}

static void buffer_limits(void) {
    int s[2], small = 8192;
    static char block[4096];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
    long total = 0, n;
    while ((n = write(s[0], block, sizeof block)) > 0)
        total += n;
    CHECK(n == -1 && errno == EAGAIN);
    CHECK(total >= 65536 && total <= 1 << 20);
    CHECK_EQ(events_of(s[0]), 0);
    CHECK_EQ(read(s[1], block, 100), 100);
    CHECK_EQ(events_of(s[0]), 0); /* not yet worth while */
    total -= 100;
    while ((n = read(s[1], block, sizeof block)) > 0)
        total -= n;
    CHECK_EQ(total, 0);
    CHECK_EQ(events_of(s[0]), POLLOUT);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    while ((n = write(s[0], block, 1000)) > 0)
        total += n;
    CHECK(total > 1000 && total <= 32768);
    close(s[0]), close(s[1]);
}

static void *receive_one(void *arg) {
    char c;
    return (void *)recv(*(int *)arg, &c, 1, 0);
}

static void sleepers_wake(void) {
    int s[2];
    pthread_t readers[4];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    for (int i = 0; i < 4; i++)
        REQUIRE(thread_start(&readers[i], receive_one, &s[0]));
    sleep_ms(20);
    CHECK_EQ(write(s[1], "xy", 2), 2);
    sleep_ms(5);
    CHECK_EQ(shutdown(s[1], SHUT_WR), 0);
    long sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (long)thread_join(readers[i]);
    CHECK_EQ(sum, 2);
    close(s[0]), close(s[1]);
}

static void files_into_sockets(void) {
    REQUIRE(scratch_enter());
    static char block[100000];
    int s[2], file = open("f", O_RDWR | O_CREAT, 0644);
    off_t offset = 10;
    for (unsigned i = 0; i < sizeof block; i++)
        block[i] = (char)(i * 7);
    REQUIRE(write(file, block, sizeof block) == sizeof block);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
    CHECK_EQ(sendfile(s[0], file, &offset, 5), 5);
    CHECK_EQ(offset, 15);
    char five[5];
    CHECK_EQ(read(s[1], five, 5), 5);
    CHECK(memcmp(five, block + 10, 5) == 0);
    /* As much as there is room for; the offset says how far it came. */
    offset = 0;
    long sent = 0, n;
    for (int i = 0; i < 20; i++)
        while ((n = sendfile(s[0], file, &offset, sizeof block - (size_t)offset)) > 0)
            sent += n;
    CHECK_EQ(sent, offset);
    long got = 0, bad = 0;
    static char back[4096];
    while ((n = read(s[1], back, sizeof back)) > 0) {
        for (long i = 0; i < n; i++)
            bad += back[i] != block[got + i];
        got += n;
    }
    CHECK_EQ(got, sent);
    CHECK_EQ(bad, 0);
    close(s[0]), close(s[1]), close(file);
    scratch_leave();
}

GUEST_MAIN(CASE(making), CASE(no_sockets), CASE(pair_of_streams), CASE(ends_that_close),
           CASE(broken_pipes), CASE(halves), CASE(path_names), CASE(path_connections),
           CASE(unlinked_names), CASE(abstract_names), CASE(backlog), CASE(unconnected),
           CASE(streaming), CASE(buffer_limits), CASE(sleepers_wake), CASE(files_into_sockets))
