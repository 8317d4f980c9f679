/* SPDX-License-Identifier: MIT */
/* Which addresses a socket takes: IPv4 ones written as IPv6 ones, and those of everybody. */
#define _GNU_SOURCE
#include "test/guest/inet.h"
#include <ifaddrs.h>
#include <net/if.h>

/* A machine that has just begun may have to wait for this address. */
static void bound_first(void) {
    union inet_address a = inet_here(AF_INET, 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_EQ(bind(fd, &a.any, sizeof a.in), 0);
    close(fd);
}

/* ::ffff:127.0.0.1 */
static union inet_address mapped(int port) {
    union inet_address a = { .in6 = { .sin6_family = AF_INET6 } };
    a.in6.sin6_port = htons((uint16_t)port);
    CHECK_EQ(inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.in6.sin6_addr), 1);
    return a;
}

/* A link-local address is one of some interface: which? */
static void without_a_scope(void) {
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
    union inet_address a = { .in6 = { .sin6_family = AF_INET6 } };

    CHECK_EQ(inet_pton(AF_INET6, "fe80::1", &a.in6.sin6_addr), 1);
    for (unsigned i = 0; i < LENGTH(types); i++) {
        int fd = socket(AF_INET6, types[i], 0);
        CHECK_ERRNO(bind(fd, &a.any, sizeof a.in6), EINVAL);
        close(fd);
    }
}

static void mapped_of(int type) {
    static const int on = 1;
    union inet_address a = mapped(0), b = mapped(9);
    int fd = socket(AF_INET6, type, 0), both = socket(AF_INET6, type, 0);

    REQUIRE(fd >= 0 && both >= 0);
    CHECK_EQ(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
    CHECK_ERRNO(bind(fd, &a.any, sizeof a.in6), EINVAL);
    CHECK_ERRNO(connect(fd, &b.any, sizeof b.in6), ENETUNREACH);
    if (type == SOCK_DGRAM)
        CHECK_ERRNO(sendto(fd, "x", 1, 0, &b.any, sizeof b.in6), ENETUNREACH);
    CHECK_EQ(bind(both, &a.any, sizeof a.in6), 0);
    if (type == SOCK_DGRAM)
        CHECK_EQ(connect(both, &b.any, sizeof b.in6), 0);
    close(fd);
    close(both);
}

/* A socket for IPv6 alone takes no IPv4 address in any form; one for both does. */
static void written_as_ipv6(void) {
    mapped_of(SOCK_STREAM);
    mapped_of(SOCK_DGRAM);
}

/* Nobody sends to everybody by mistake: `to` is a broadcast address. */
static void refused_of(struct in_addr to) {
    static const int on = 1, off = 0;
    union inet_address a = { .in = { .sin_family = AF_INET, .sin_addr = to } };
    int fd = socket(AF_INET, SOCK_DGRAM, 0), stream = socket(AF_INET, SOCK_STREAM, 0);

    REQUIRE(fd >= 0 && stream >= 0);
    a.in.sin_port = htons(9);
    CHECK_ERRNO(sendto(fd, "x", 1, 0, &a.any, sizeof a.in), EACCES);
    CHECK_ERRNO(connect(fd, &a.any, sizeof a.in), EACCES);
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on), 0);
    CHECK(sendto(fd, "x", 1, 0, &a.any, sizeof a.in) == 1 || errno == ENETUNREACH);
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &off, sizeof off), 0);
    CHECK_ERRNO(sendto(fd, "x", 1, 0, &a.any, sizeof a.in), EACCES);
    CHECK_ERRNO(connect(stream, &a.any, sizeof a.in), ENETUNREACH);
    close(fd);
    close(stream);
}

/* Where no way leads anywhere, 255.255.255.255 is out of reach instead. */
static void everybody(void) {
    union inet_address a = { .in = { .sin_family = AF_INET, .sin_addr = { INADDR_BROADCAST } } };
    int fd = socket(AF_INET, SOCK_DGRAM, 0), stream = socket(AF_INET, SOCK_STREAM, 0);

    REQUIRE(fd >= 0 && stream >= 0);
    a.in.sin_port = htons(9);
    CHECK(sendto(fd, "x", 1, 0, &a.any, sizeof a.in) == -1 &&
          (errno == EACCES || errno == ENETUNREACH));
    CHECK_ERRNO(connect(stream, &a.any, sizeof a.in), ENETUNREACH);
    close(fd);
    close(stream);
}

/* Nor has TCP groups. */
static void groups(void) {
    union inet_address a = { .in = { .sin_family = AF_INET } };
    union inet_address b = { .in6 = { .sin6_family = AF_INET6, .sin6_scope_id = 1 } };
    int fd = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET6, SOCK_STREAM, 0);

    REQUIRE(fd >= 0 && other >= 0);
    a.in.sin_port = b.in6.sin6_port = htons(9);
    CHECK_EQ(inet_pton(AF_INET, "224.0.0.1", &a.in.sin_addr), 1);
    CHECK_EQ(inet_pton(AF_INET6, "ff02::1", &b.in6.sin6_addr), 1);
    CHECK_ERRNO(connect(fd, &a.any, sizeof a.in), ENETUNREACH);
    CHECK_ERRNO(connect(other, &b.any, sizeof b.in6), ENETUNREACH);
    close(fd);
    close(other);
}

static struct in_addr ipv4_of(const struct sockaddr *a) {
    return ((const struct sockaddr_in *)(const void *)a)->sin_addr;
}

/* musl gives an interface without one its own address for its broadcast address. */
static int has_broadcast(const struct ifaddrs *i) {
    return i->ifa_addr && i->ifa_addr->sa_family == AF_INET && i->ifa_flags & IFF_BROADCAST &&
           i->ifa_broadaddr && ipv4_of(i->ifa_broadaddr).s_addr != ipv4_of(i->ifa_addr).s_addr;
}

static void broadcasts(void) {
    struct ifaddrs *all;

    REQUIRE(getifaddrs(&all) == 0);
    everybody();
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        if (has_broadcast(i))
            refused_of(ipv4_of(i->ifa_broadaddr));
    freeifaddrs(all);
}

/* Old programs leave the family out; and a socket for IPv6 may be told of IPv4 as it is. */
static void other_families(void) {
    union inet_address a = { .in = { .sin_family = AF_UNSPEC } }, b = inet_here(AF_INET, 0);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), to = socket(AF_INET, SOCK_DGRAM, 0);
    int six = socket(AF_INET6, SOCK_DGRAM, 0), stream = socket(AF_INET6, SOCK_STREAM, 0);
    char text[4];

    REQUIRE(fd >= 0 && to >= 0 && six >= 0 && stream >= 0);
    CHECK_EQ(bind(fd, &a.any, sizeof a.in), 0);
    CHECK_EQ(bind(to, &b.any, sizeof b.in), 0);
    a = inet_there(AF_INET, inet_port(to));
    CHECK_ERRNO(connect(stream, &a.any, sizeof a.in6), EAFNOSUPPORT);
    CHECK_EQ(sendto(six, "six", 3, 0, &a.any, sizeof a.in), 3);
    CHECK_EQ(recv(to, text, sizeof text, 0), 3);
    CHECK_EQ(connect(six, &a.any, sizeof a.in), 0);
    a.any.sa_family = AF_UNSPEC;
    CHECK_EQ(sendto(fd, "four", 4, 0, &a.any, sizeof a.in), 4);
    CHECK_EQ(recv(to, text, sizeof text, 0), 4);
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_ERRNO(bind(fd, &a.any, sizeof a.in), EAFNOSUPPORT);
    close(fd), close(to), close(six), close(stream);
}

/* IP_BIND_ADDRESS_NO_PORT: bind() fixes the address, connect() the port. */
static void port_later(void) {
    static const int on = 1;
    int listener = inet_listen(AF_INET, 4), fd = socket(AF_INET, SOCK_STREAM, 0), v = -1;
    union inet_address a = inet_here(AF_INET, 0), to = inet_there(AF_INET, inet_port(listener));
    union inet_address is;
    socklen_t size = sizeof v;

    REQUIRE(listener >= 0 && fd >= 0);
    CHECK_EQ(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on), 0);
    CHECK_EQ(getsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &v, &size), 0);
    CHECK_EQ(v, 1);
    CHECK_EQ(bind(fd, &a.any, sizeof a.in), 0);
    CHECK_EQ(inet_port(fd), 0);
    CHECK_EQ(connect(fd, &to.any, sizeof to.in), 0);
    CHECK(inet_port(fd) > 0);
    size = sizeof is;
    CHECK_EQ(getsockname(fd, &is.any, &size), 0);
    CHECK_EQ(is.in.sin_addr.s_addr, a.in.sin_addr.s_addr);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on), 0);
    CHECK_EQ(bind(fd, &a.any, sizeof a.in), 0);
    CHECK_EQ(listen(fd, 1), 0); /* needs one now */
    CHECK(inet_port(fd) > 0);
    close(fd);
    close(listener);
}

/* On the cable of the tests there is no way to other networks: connect() says so at once. */
static void no_way(void) {
    union inet_address a = { .in = { .sin_family = AF_INET } };
    union inet_address b = { .in6 = { .sin6_family = AF_INET6 } };
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM };

    if (!getenv("INET_THERE"))
        return;
    a.in.sin_port = b.in6.sin6_port = htons(9);
    CHECK_EQ(inet_pton(AF_INET, "192.0.2.1", &a.in.sin_addr), 1);
    CHECK_EQ(inet_pton(AF_INET6, "2001:db8::1", &b.in6.sin6_addr), 1);
    for (unsigned i = 0; i < LENGTH(types); i++) {
        int fd = socket(AF_INET, types[i], 0), six = socket(AF_INET6, types[i], 0);
        REQUIRE(fd >= 0 && six >= 0);
        CHECK_ERRNO(connect(fd, &a.any, sizeof a.in), ENETUNREACH);
        CHECK_ERRNO(connect(six, &b.any, sizeof b.in6), ENETUNREACH);
        close(fd), close(six);
    }
}

GUEST_MAIN(CASE(bound_first), CASE(without_a_scope), CASE(written_as_ipv6), CASE(other_families),
           CASE(port_later), CASE(no_way), CASE(groups), CASE(broadcasts))
