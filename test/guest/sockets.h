/* SPDX-License-Identifier: MIT */
/* Addresses and events, for guest tests of sockets. */
#ifndef TEST_GUEST_SOCKETS_H
#define TEST_GUEST_SOCKETS_H

#include "test/guest/guest.h"
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ADDRESS(a) (struct sockaddr *)&(a)
#define UNIX_HEAD  offsetof(struct sockaddr_un, sun_path)

__attribute__((unused)) static struct sockaddr_un path_address(const char *path) {
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    strcpy(a.sun_path, path);
    return a;
}

/* An abstract name that no other process has; *length: of the address. */
__attribute__((unused)) static struct sockaddr_un abstract_address(const char *name,
                                                                   socklen_t *length) {
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "mimosa-%d-%s", getpid(), name);
    *length = UNIX_HEAD + 1 + n;
    return a;
}

__attribute__((unused)) static int events_of(int fd) {
    struct pollfd p = { fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0 };
    CHECK(poll(&p, 1, 0) >= 0);
    return p.revents;
}

#endif
