/* SPDX-License-Identifier: MIT */
/*
 * Sockets for the tests of TCP and UDP, on the loopback; or where the variables
 * INET_HERE and INET_THERE have addresses, on a cable at whose other end is a mirror
 * (test/net/relay.c): what is sent there comes back from there.  IPv6 stays on the
 * loopback.
 */
#ifndef TEST_GUEST_INET_H
#define TEST_GUEST_INET_H

#include "test/guest/threads.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* An address at which there is nothing; the compiler is not to know. */
__attribute__((unused)) static void *volatile nowhere = (void *)8;

union inet_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

__attribute__((unused)) static socklen_t inet_size(int family) {
    return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* The address in this variable, or the loopback's. */
static union inet_address inet_address_of(int family, const char *variable, int port) {
    union inet_address a;
    const char *address = getenv(variable);
    memset(&a, 0, sizeof a);
    a.any.sa_family = (sa_family_t)family;
    a.in.sin_port = htons((uint16_t)port);
    if (family == AF_INET)
        a.in.sin_addr.s_addr = address ? inet_addr(address) : htonl(INADDR_LOOPBACK);
    else
        a.in6.sin6_addr = in6addr_loopback;
    return a;
}

/* Where to listen, with a port in host order. */
__attribute__((unused)) static union inet_address inet_here(int family, int port) {
    return inet_address_of(family, "INET_HERE", port);
}

/* Where to reach who listens there. */
__attribute__((unused)) static union inet_address inet_there(int family, int port) {
    return inet_address_of(family, "INET_THERE", port);
}

/* The port that a socket is bound to, in host order; 0 where that fails. */
__attribute__((unused)) static int inet_port(int fd) {
    union inet_address a;
    socklen_t size = sizeof a;
    return getsockname(fd, &a.any, &size) ? 0 : ntohs(a.in.sin_port);
}

/* A listener on a port of the system's choice; -1 (and a failed check) if there is none. */
__attribute__((unused)) static int inet_listen(int family, int backlog) {
    union inet_address a = inet_here(family, 0);
    int fd = socket(family, SOCK_STREAM, 0);
    if (!CHECK(fd >= 0) || !CHECK_EQ(bind(fd, &a.any, inet_size(family)), 0) ||
        !CHECK_EQ(listen(fd, backlog), 0))
        return -1;
    return fd;
}

/* A connection to `port`; -1 with errno. */
__attribute__((unused)) static int inet_connect(int family, int port) {
    union inet_address a = inet_there(family, port);
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, &a.any, inet_size(family))) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Both ends of a connection; false (and a failed check) if that fails. */
__attribute__((unused)) static int inet_pair(int family, int ends[2]) {
    int listener = inet_listen(family, 1);
    ends[0] = listener < 0 ? -1 : inet_connect(family, inet_port(listener));
    ends[1] = ends[0] < 0 ? -1 : accept(listener, NULL, NULL);
    close(listener);
    return CHECK(ends[0] >= 0) && CHECK(ends[1] >= 0);
}

/* What poll says of one descriptor, for all events. */
__attribute__((unused)) static int inet_events(int fd) {
    struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI };
    return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

/* Waits until poll says `events`, at most a minute. */
__attribute__((unused)) static int inet_wait(int fd, int events) {
    struct pollfd p = { .fd = fd, .events = (short)events };
    return poll(&p, 1, 60000) == 1 && (p.revents & events);
}

/* Reads exactly `size` bytes, or up to the end; how many. */
__attribute__((unused)) static long inet_read_all(int fd, void *to, size_t size) {
    size_t done = 0;
    while (done < size) {
        ssize_t n = read(fd, (char *)to + done, size - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return (long)done;
}

#endif
