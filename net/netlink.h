/* SPDX-License-Identifier: MIT */
/* AF_NETLINK: NETLINK_ROUTE, and of that what asks for interfaces and addresses. */
#ifndef NET_NETLINK_H
#define NET_NETLINK_H

#include "net/socket.h"

/* -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, -ENOMEM. */
must_check int netlink_create(int type, int protocol, struct socket **out);

/* netlink_route.c: bytes that a socket's program gets to read, made message by message. */
struct netlink_reply {
    uint32_t port, sequence; /* of who asked */
    char *bytes;             /* kmalloc'ed */
    size_t size, capacity;
    bool failed; /* memory was out */
};
/* Answers one request of `size` bytes, header included.  0, 1: and there is nothing to confirm
 * (NLMSG_DONE has), or the negative errno to tell.  May wait for the card's address. */
int netlink_route_answer(const void *request, size_t size, struct netlink_reply *reply);
/* Appends a message: the `size` bytes behind its header, to be filled; NULL without memory. */
void *netlink_put(struct netlink_reply *r, uint16_t type, uint16_t flags, size_t size);

#endif
