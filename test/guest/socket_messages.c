/* SPDX-License-Identifier: MIT */
/* sendmsg and recvmsg: vectors, addresses, descriptors, credentials; several messages a call. */
#define _GNU_SOURCE
#include "test/guest/sockets.h"
#include "test/guest/threads.h"
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

static int s[2];
static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };

/* A header for one buffer and room for control messages. */
struct message {
    struct msghdr header;
    struct iovec part;
    char text[64];
    union {
        struct cmsghdr first;
        char bytes[2048];
    } control;
};

static struct msghdr *message(struct message *m, size_t size, size_t control) {
    memset(&m->header, 0, sizeof m->header);
    m->part = (struct iovec){ m->text, size };
    m->header.msg_iov = &m->part;
    m->header.msg_iovlen = 1;
    m->header.msg_control = control ? m->control.bytes : NULL;
    m->header.msg_controllen = control;
    return &m->header;
}

/* With `count` descriptors. */
static struct msghdr *message_with(struct message *m, const char *text, const int *fds, int count) {
    size_t size = (size_t)count * sizeof(int);
    struct msghdr *h = message(m, strlen(text), CMSG_SPACE(size));
    memset(&m->control, 0, sizeof m->control);
    strcpy(m->text, text);
    m->control.first.cmsg_level = SOL_SOCKET;
    m->control.first.cmsg_type = SCM_RIGHTS;
    m->control.first.cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(&m->control.first), fds, size);
    return h;
}

/* Receives one message; the descriptors that came go to fds; returns how many, -1: none at all. */
static int files_received(int fd, int flags, size_t control, int *fds, int *msg_flags) {
    static struct message m;
    struct msghdr *h = message(&m, sizeof m.text, control);
    if (recvmsg(fd, h, flags) < 0)
        return -1;
    *msg_flags = h->msg_flags;
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    if (!c)
        return 0;
    CHECK(c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS);
    int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
    return count;
}

static void vectors(void) {
    char a[4] = "abc", b[8] = "defgh", c[16] = "";
    struct iovec parts[3] = { { a, 3 }, { NULL, 0 }, { b, 5 } }, to[2] = { { c, 2 }, { c + 2, 9 } };
    for (int i = 0; i < 3; i++) {
        REQUIRE(socketpair(AF_UNIX, types[i], 0, s) == 0);
        struct msghdr h = { .msg_iov = parts, .msg_iovlen = 3 };
        CHECK_EQ(sendmsg(s[0], &h, 0), 8);
        CHECK_EQ(writev(s[0], parts, 3), 8);
        h = (struct msghdr){ .msg_iov = to, .msg_iovlen = 2, .msg_flags = -1 };
        CHECK_EQ(recvmsg(s[1], &h, 0), types[i] == SOCK_STREAM ? 11 : 8);
        CHECK_EQ(h.msg_flags, 0);
        CHECK(memcmp(c, "abcdefgh", 8) == 0);
        if (types[i] != SOCK_STREAM) {
            h.msg_iovlen = 1;
            CHECK_EQ(recvmsg(s[1], &h, 0), 2);
            CHECK_EQ(h.msg_flags, MSG_TRUNC);
        } else {
            CHECK_EQ(readv(s[1], to, 2), 5);
        }
        h = (struct msghdr){ .msg_iov = NULL, .msg_iovlen = 0 };
        CHECK_EQ(sendmsg(s[0], &h, 0), 0); /* a packet without bytes, in a stream nothing */
        CHECK_EQ(recvmsg(s[1], &h, MSG_DONTWAIT), types[i] == SOCK_STREAM ? -1 : 0);
        close(s[0]), close(s[1]);
    }
}

static void wrong_headers(void) {
    static struct iovec many[IOV_MAX + 1];
    struct message m;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    struct msghdr *h = message(&m, 4, 0);
    CHECK_ERRNO(syscall(SYS_sendmsg, s[0], 8, 0), EFAULT);
    CHECK_ERRNO(syscall(SYS_recvmsg, s[0], 8, 0), EFAULT);
    CHECK_ERRNO(syscall(SYS_sendmsg, -1, h, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_recvmsg, -1, h, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_sendmsg, s[0], h, 0x80000000u), EINVAL);
    h->msg_iov = many;
    h->msg_iovlen = IOV_MAX + 1;
    CHECK_ERRNO(sendmsg(s[0], h, 0), EMSGSIZE);
    CHECK_ERRNO(recvmsg(s[0], h, 0), EMSGSIZE);
    h->msg_iovlen = IOV_MAX;
    CHECK_EQ(sendmsg(s[0], h, 0), 0);
    h = message(&m, 4, 0);
    m.part.iov_base = (void *)8;
    CHECK_ERRNO(sendmsg(s[0], h, 0), EFAULT);
    m.part.iov_len = (size_t)-1;
    CHECK_ERRNO(sendmsg(s[0], h, 0), EINVAL);
    h = message(&m, 4, 0);
    h->msg_name = (void *)8;
    h->msg_namelen = 100;
    CHECK_ERRNO(sendmsg(s[0], h, 0), EFAULT);
    h->msg_namelen = (socklen_t)-1;
    CHECK_ERRNO(sendmsg(s[0], h, 0), EINVAL);
    h->msg_name = NULL; /* then its length does not matter */
    CHECK_EQ(sendmsg(s[0], h, 0), 4);
    int self = s[0];
    h = message_with(&m, "x", &self, 1);
    m.control.first.cmsg_len = CMSG_LEN(0) - 1;
    CHECK_ERRNO(sendmsg(s[0], h, 0), EINVAL);
    m.control.first.cmsg_len = 1000;
    CHECK_ERRNO(sendmsg(s[0], h, 0), EINVAL);
    h = message_with(&m, "x", &self, 1);
    m.control.first.cmsg_type = 77;
    CHECK_ERRNO(sendmsg(s[0], h, 0), EINVAL);
    m.control.first.cmsg_level = 77; /* somebody else's */
    CHECK_EQ(sendmsg(s[0], h, 0), 1);
    h->msg_control = (void *)8; /* which musl would look at */
    CHECK_ERRNO(syscall(SYS_sendmsg, s[0], h, 0), EFAULT);
    self = 999;
    CHECK_ERRNO(sendmsg(s[0], message_with(&m, "x", &self, 1), 0), EBADF);
    self = -1;
    CHECK_ERRNO(sendmsg(s[0], message_with(&m, "x", &self, 1), 0), EBADF);
    int fds[254];
    for (int i = 0; i < 254; i++)
        fds[i] = s[0];
    CHECK_ERRNO(syscall(SYS_sendmsg, s[0], message_with(&m, "x", fds, 254), 0), EINVAL);
    close(s[0]), close(s[1]);
}

static void descriptors(void) {
    struct message m;
    int ends[2], got[8], flags;
    char c;
    for (int i = 0; i < 3; i++) {
        REQUIRE(socketpair(AF_UNIX, types[i], 0, s) == 0 && pipe(ends) == 0);
        CHECK_EQ(sendmsg(s[0], message_with(&m, "two", ends, 2), 0), 3);
        close(ends[0]), close(ends[1]); /* on their way they live */
        CHECK_EQ(files_received(s[1], MSG_CMSG_CLOEXEC, CMSG_SPACE(8), got, &flags), 2);
        CHECK_EQ(flags, MSG_CMSG_CLOEXEC);
        CHECK_EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
        CHECK_EQ(write(got[1], "x", 1), 1);
        CHECK_EQ(read(got[0], &c, 1), 1);
        /* A look gives descriptors of its own. */
        CHECK_EQ(sendmsg(s[0], message_with(&m, "x", got + 1, 1), 0), 1);
        close(got[1]);
        CHECK_EQ(files_received(s[1], MSG_PEEK, CMSG_SPACE(4), got + 1, &flags), 1);
        CHECK_EQ(fcntl(got[1], F_GETFD), 0);
        close(got[1]);
        CHECK_EQ(files_received(s[1], 0, CMSG_SPACE(4), got + 1, &flags), 1);
        close(got[1]);
        CHECK_EQ(read(got[0], &c, 1), 0); /* that was the last of that end */
        close(got[0]), close(s[0]), close(s[1]);
    }
}

/* Nobody takes them, or not all: the rest is closed, and the reader of the pipe sees its end. */
static void descriptors_dropped(void) {
    struct message m;
    int ends[2], two[2], got[8], flags;
    char c;
    for (int way = 0; way < 6; way++) {
        REQUIRE(socketpair(AF_UNIX, types[way % 3], 0, s) == 0 && pipe(ends) == 0);
        two[0] = two[1] = ends[1];
        CHECK_EQ(sendmsg(s[0], message_with(&m, "x", two, 2), 0), 1);
        close(ends[1]);
        if (way == 0) {
            CHECK_EQ(read(s[1], &c, 1), 1);
        } else if (way == 1) {
            CHECK_EQ(files_received(s[1], 0, 0, got, &flags), 0);
            CHECK_EQ(flags, MSG_CTRUNC);
        } else if (way == 2) {
            CHECK_EQ(files_received(s[1], 0, CMSG_LEN(4), got, &flags), 1); /* one fits */
            CHECK_EQ(flags, MSG_CTRUNC);
            close(got[0]);
        } else if (way == 3) {
            CHECK_EQ(files_received(s[1], 0, CMSG_LEN(0), got, &flags), 0);
            CHECK_EQ(flags, MSG_CTRUNC);
        }
        close(s[0]), close(s[1]);
        CHECK_EQ(read(ends[0], &c, 1), 0);
        close(ends[0]);
    }
}

/* In a stream a receive ends behind the bytes that descriptors came with. */
static void descriptors_in_streams(void) {
    struct message m;
    int got[8], flags, n;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK_EQ(write(s[0], "before", 6), 6);
    CHECK_EQ(sendmsg(s[0], message_with(&m, "with", &s[0], 1), 0), 4);
    CHECK_EQ(write(s[0], "behind", 6), 6);
    CHECK_EQ(sendmsg(s[0], message_with(&m, "", &s[0], 1), 0), 0); /* no bytes: nothing goes */
    CHECK_EQ(files_received(s[1], 0, CMSG_SPACE(4), got, &flags), 1);
    close(got[0]);
    CHECK(ioctl(s[1], FIONREAD, &n) == 0 && n == 6);
    CHECK_EQ(files_received(s[1], 0, CMSG_SPACE(4), got, &flags), 0);
    CHECK_EQ(flags, 0);
    CHECK_EQ(recv(s[1], m.text, 1, MSG_DONTWAIT), -1);
    close(s[0]), close(s[1]);
}

/* Sockets in their own queues, in each other's, and in a long chain. */
static void descriptors_of_sockets(void) {
    struct message m;
    int got[8], flags, before = dup(0);
    close(before);
    REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
    CHECK_EQ(sendmsg(s[0], message_with(&m, "x", s, 2), 0), 1);
    close(s[0]);
    CHECK_EQ(files_received(s[1], 0, CMSG_SPACE(8), got, &flags), 2);
    close(got[0]), close(got[1]), close(s[1]);
    int inner = -1;
    for (int i = 0; i < 200; i++) {
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
        if (inner >= 0) {
            CHECK_EQ(sendmsg(s[0], message_with(&m, "x", &inner, 1), 0), 1);
            close(inner);
        }
        close(s[0]);
        inner = s[1];
    }
    close(inner); /* and with it all of them */
    CHECK_EQ(inner = dup(0), before);
    close(inner);
}

static void no_descriptor_free(void) {
    struct message m;
    int got[8], flags, ends[2], most = dup(0);
    close(most);
    REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0 && pipe(ends) == 0);
    CHECK_EQ(sendmsg(s[0], message_with(&m, "x", &ends[1], 1), 0), 1);
    close(ends[1]);
    int filled[2000], n = 0;
    while (n < 2000 && (filled[n] = dup(0)) >= 0)
        n++;
    if (n < 2000) { /* the limit is as usual */
        CHECK_EQ(files_received(s[1], 0, CMSG_SPACE(4), got, &flags), 0);
        CHECK_EQ(flags, MSG_CTRUNC);
        char c;
        CHECK_EQ(read(ends[0], &c, 1), 0);
        CHECK_ERRNO(socket(AF_UNIX, SOCK_STREAM, 0), EMFILE);
    }
    while (n > 0)
        close(filled[--n]);
    close(s[0]), close(s[1]), close(ends[0]);
}

static void credentials(void) {
    struct message m;
    int on = 1;
    for (int i = 0; i < 3; i++) {
        REQUIRE(socketpair(AF_UNIX, types[i], 0, s) == 0);
        CHECK_EQ(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
        struct ucred c = { getpid(), getuid(), getgid() }, got = { 7, 7, 7 };
        struct msghdr *h = message(&m, 1, CMSG_SPACE(sizeof c));
        m.control.first.cmsg_level = SOL_SOCKET;
        m.control.first.cmsg_type = SCM_CREDENTIALS;
        m.control.first.cmsg_len = CMSG_LEN(sizeof c);
        memcpy(CMSG_DATA(&m.control.first), &c, sizeof c);
        CHECK_EQ(sendmsg(s[0], h, 0), 1);
        m.control.first.cmsg_len = CMSG_LEN(sizeof c - 1);
        CHECK_ERRNO(sendmsg(s[0], h, 0), EINVAL);
        CHECK_EQ(send(s[0], "y", 1, 0), 1); /* without being told: the kernel knows */
        for (int k = 0; k < 2; k++) {
            h = message(&m, 1, CMSG_SPACE(sizeof c));
            CHECK_EQ(recvmsg(s[1], h, 0), 1);
            CHECK_EQ(h->msg_controllen, CMSG_SPACE(sizeof c));
            CHECK(m.control.first.cmsg_type == SCM_CREDENTIALS);
            CHECK_EQ(m.control.first.cmsg_len, CMSG_LEN(sizeof c));
            memcpy(&got, CMSG_DATA(&m.control.first), sizeof got);
            CHECK(got.pid == c.pid && got.uid == c.uid && got.gid == c.gid);
        }
        /* Cut where there is no room for all of them. */
        CHECK_EQ(send(s[0], "z", 1, 0), 1);
        h = message(&m, 1, CMSG_LEN(4));
        CHECK_EQ(recvmsg(s[1], h, 0), 1);
        CHECK_EQ(h->msg_flags, MSG_CTRUNC);
        CHECK_EQ(m.control.first.cmsg_len, CMSG_LEN(4));
        close(s[0]), close(s[1]);
    }
}

static void addresses(void) {
    socklen_t length;
    struct sockaddr_un a = abstract_address("to", &length), from;
    struct message m;
    int x = socket(AF_UNIX, SOCK_DGRAM, 0), y = socket(AF_UNIX, SOCK_DGRAM, 0);
    REQUIRE(bind(x, ADDRESS(a), length) == 0);
    CHECK_EQ(bind(y, ADDRESS(a), sizeof(sa_family_t)), 0);
    struct msghdr *h = message(&m, 3, 0);
    h->msg_name = &a;
    h->msg_namelen = length;
    CHECK_EQ(sendmsg(y, h, 0), 3);
    CHECK_EQ(sendmsg(y, h, 0), 3);
    h->msg_name = &from;
    h->msg_namelen = sizeof from;
    CHECK_EQ(recvmsg(x, h, 0), 3);
    CHECK_EQ(h->msg_namelen, 8);
    memset(&from, 0, sizeof from);
    h->msg_namelen = 4;
    CHECK_EQ(recvmsg(x, h, 0), 3);
    CHECK_EQ(h->msg_namelen, 8); /* as long as it is, though cut */
    CHECK(from.sun_family == AF_UNIX && from.sun_path[1] && !from.sun_path[2]);
    close(x), close(y);
}

static void several_messages(void) {
    struct mmsghdr m[4];
    struct iovec parts[4];
    char text[4][8] = { "a", "bb", "ccc", "dddd" };
    struct timespec none = { 0, 0 };
    REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
    memset(m, 0, sizeof m);
    for (int i = 0; i < 4; i++) {
        parts[i] = (struct iovec){ text[i], (size_t)i + 1 };
        m[i].msg_hdr.msg_iov = &parts[i];
        m[i].msg_hdr.msg_iovlen = 1;
    }
    CHECK_EQ(syscall(SYS_sendmmsg, s[0], m, 4, 0), 4);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(m[i].msg_len, i + 1);
    CHECK_EQ(syscall(SYS_sendmmsg, s[0], m, 0, 0), 0);
    memset(text, 0, sizeof text);
    for (int i = 0; i < 4; i++)
        parts[i].iov_len = 2;
    CHECK_EQ(syscall(SYS_recvmmsg, s[1], m, 3, 0, NULL), 3);
    CHECK(m[0].msg_len == 1 && m[1].msg_len == 2 && m[2].msg_len == 2);
    CHECK(m[1].msg_hdr.msg_flags == 0 && m[2].msg_hdr.msg_flags == MSG_TRUNC);
    CHECK_EQ(text[2][1], 'c');
    CHECK_EQ(syscall(SYS_recvmmsg, s[1], m, 4, MSG_WAITFORONE, NULL), 1);
    CHECK_ERRNO(syscall(SYS_recvmmsg, s[1], m, 4, MSG_DONTWAIT, NULL), EAGAIN);
    CHECK_EQ(syscall(SYS_sendmmsg, s[0], m, 2, 0), 2);
    CHECK_EQ(syscall(SYS_recvmmsg, s[1], m, 4, 0, &none), 1); /* looks at the time after each */
    CHECK_EQ(syscall(SYS_recvmmsg, s[1], m, 4, MSG_DONTWAIT, NULL), 1);
    CHECK_ERRNO(syscall(SYS_recvmmsg, s[1], 8, 4, MSG_DONTWAIT, 0), EFAULT);
    CHECK_ERRNO(syscall(SYS_recvmmsg, s[1], m, 4, 0, 8), EFAULT);
    none.tv_nsec = -1;
    CHECK_ERRNO(syscall(SYS_recvmmsg, s[1], m, 4, MSG_DONTWAIT, &none), EINVAL);
    CHECK_ERRNO(syscall(SYS_sendmmsg, s[0], 8, 4, 0), EFAULT);
    CHECK_ERRNO(syscall(SYS_sendmmsg, -1, m, 4, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_recvmmsg, -1, m, 4, 0, 0), EBADF);
    m[1].msg_hdr.msg_iovlen = 5000; /* the first goes, the second cannot */
    CHECK_EQ(syscall(SYS_sendmmsg, s[0], m, 2, 0), 1);
    CHECK_ERRNO(syscall(SYS_sendmmsg, s[0], m + 1, 1, 0), EMSGSIZE);
    close(s[0]), close(s[1]);
}

GUEST_MAIN(CASE(vectors), CASE(wrong_headers), CASE(descriptors), CASE(descriptors_dropped),
           CASE(descriptors_in_streams), CASE(descriptors_of_sockets), CASE(no_descriptor_free),
           CASE(credentials), CASE(addresses), CASE(several_messages))
