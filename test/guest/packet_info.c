/* SPDX-License-Identifier: MIT */
/* IP_PKTINFO and IPV6_PKTINFO: at which address a datagram came in, and from which one goes out. */
#define _GNU_SOURCE
#include "test/guest/inet.h"
#include <net/if.h>

/* A message with room for one piece of packet information. */
struct message {
    struct msghdr header;
    struct iovec part;
    union inet_address peer;
    char text[8];
    union {
        struct cmsghdr first;
        char bytes[128];
    } control;
};

static void prepare(struct message *m, size_t control) {
    memset(m, 0, sizeof *m);
    m->part = (struct iovec){ m->text, sizeof m->text };
    m->header = (struct msghdr){ .msg_name = &m->peer,
                                 .msg_namelen = sizeof m->peer,
                                 .msg_iov = &m->part,
                                 .msg_iovlen = 1,
                                 .msg_control = m->control.bytes,
                                 .msg_controllen = control };
}

static void set_on(int fd, int level, int name) {
    int on = 1, v = -1;
    socklen_t size = sizeof v;
    CHECK_EQ(getsockopt(fd, level, name, &v, &size), 0);
    CHECK_EQ(v, 0);
    CHECK_EQ(setsockopt(fd, level, name, &on, sizeof on), 0);
    CHECK_EQ(getsockopt(fd, level, name, &v, &size), 0);
    CHECK_EQ(v, 1);
}

/* A socket at any address of its family. */
static int at_any(int family) {
    union inet_address a = { .any = { .sa_family = (sa_family_t)family } };
    int fd = socket(family, SOCK_DGRAM, 0);
    CHECK_EQ(bind(fd, &a.any, inet_size(family)), 0);
    return fd;
}

/* Who asks at any address is answered from the very one that he asked. */
static void asked_and_answered(void) {
    int server = at_any(AF_INET), client = socket(AF_INET, SOCK_DGRAM, 0);
    union inet_address to = inet_there(AF_INET, inet_port(server)), from;
    struct in_pktinfo *info;
    socklen_t size = sizeof from;
    struct message m;

    set_on(server, IPPROTO_IP, IP_PKTINFO);
    CHECK_EQ(sendto(client, "ask", 3, 0, &to.any, sizeof to.in), 3);
    prepare(&m, sizeof m.control);
    CHECK_EQ(recvmsg(server, &m.header, 0), 3);
    REQUIRE(CMSG_FIRSTHDR(&m.header));
    CHECK_EQ(m.header.msg_controllen, CMSG_SPACE(sizeof *info));
    CHECK_EQ(m.control.first.cmsg_len, CMSG_LEN(sizeof *info));
    CHECK_EQ(m.control.first.cmsg_level, IPPROTO_IP);
    CHECK_EQ(m.control.first.cmsg_type, IP_PKTINFO);
    info = (void *)CMSG_DATA(&m.control.first);
    CHECK(info->ipi_ifindex > 0);
    union inet_address here = inet_here(AF_INET, 0);
    CHECK_EQ(info->ipi_addr.s_addr, here.in.sin_addr.s_addr);
    CHECK_EQ(info->ipi_spec_dst.s_addr, here.in.sin_addr.s_addr);

    /* The same message, as it is, carries the answer. */
    CHECK_EQ(sendmsg(server, &m.header, 0), (long)sizeof m.text);
    CHECK_EQ(recvfrom(client, m.text, sizeof m.text, 0, &from.any, &size), (long)sizeof m.text);
    CHECK_EQ(from.in.sin_port, to.in.sin_port);
    CHECK_EQ(from.in.sin_addr.s_addr, to.in.sin_addr.s_addr);
    close(server);
    close(client);
}

static void six_of(int family) {
    int server = at_any(AF_INET6), client = socket(family, SOCK_DGRAM, 0);
    union inet_address to = inet_there(family, inet_port(server)), here = inet_here(family, 0);
    struct in6_pktinfo *info;
    struct message m;

    set_on(server, IPPROTO_IPV6, IPV6_RECVPKTINFO);
    CHECK_EQ(sendto(client, "ask", 3, 0, &to.any, inet_size(family)), 3);
    prepare(&m, sizeof m.control);
    CHECK_EQ(recvmsg(server, &m.header, 0), 3);
    REQUIRE(CMSG_FIRSTHDR(&m.header));
    CHECK_EQ(m.control.first.cmsg_level, IPPROTO_IPV6);
    CHECK_EQ(m.control.first.cmsg_type, IPV6_PKTINFO);
    CHECK_EQ(m.control.first.cmsg_len, CMSG_LEN(sizeof *info));
    info = (void *)CMSG_DATA(&m.control.first);
    CHECK(info->ipi6_ifindex > 0);
    if (family == AF_INET6) {
        CHECK_EQ(memcmp(&info->ipi6_addr, &here.in6.sin6_addr, 16), 0);
    } else {
        CHECK(IN6_IS_ADDR_V4MAPPED(&info->ipi6_addr));
        CHECK_EQ(memcmp(info->ipi6_addr.s6_addr + 12, &here.in.sin_addr, 4), 0);
    }
    CHECK_EQ(sendmsg(server, &m.header, 0), (long)sizeof m.text);
    CHECK_EQ(recv(client, m.text, sizeof m.text, 0), (long)sizeof m.text);
    close(server);
    close(client);
}

static void ipv6(void) {
    six_of(AF_INET6);
    six_of(AF_INET);
}

static void small_rooms(void) {
    int server = at_any(AF_INET), client = socket(AF_INET, SOCK_DGRAM, 0);
    union inet_address to = inet_there(AF_INET, inet_port(server));
    struct message m;

    set_on(server, IPPROTO_IP, IP_PKTINFO);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(sendto(client, "ask", 3, 0, &to.any, sizeof to.in), 3);
    prepare(&m, 0);
    CHECK_EQ(recvmsg(server, &m.header, 0), 3);
    CHECK_EQ(m.header.msg_flags, MSG_CTRUNC);
    CHECK_EQ(m.header.msg_controllen, 0);
    prepare(&m, CMSG_LEN(4));
    CHECK_EQ(recvmsg(server, &m.header, 0), 3);
    CHECK_EQ(m.header.msg_flags, MSG_CTRUNC);
    CHECK_EQ(m.control.first.cmsg_len, CMSG_LEN(4));
    prepare(&m, 0);
    m.header.msg_control = NULL;
    CHECK_EQ(recvmsg(server, &m.header, 0), 3);
    CHECK_EQ(recv(server, m.text, sizeof m.text, 0), 3);
    close(server);
    close(client);
}

static void wrong(void) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct in_pktinfo *info;
    struct message m;

    prepare(&m, CMSG_SPACE(sizeof *info));
    m.peer = inet_there(AF_INET, 9);
    m.header.msg_namelen = sizeof m.peer.in;
    info = (void *)CMSG_DATA(&m.control.first);
    m.control.first = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof *info),
                                        .cmsg_level = IPPROTO_IP,
                                        .cmsg_type = IP_PKTINFO };
    CHECK_EQ(sendmsg(fd, &m.header, 0), (long)sizeof m.text); /* nothing is asked for */
    info->ipi_spec_dst.s_addr = inet_addr("192.0.2.200");
    CHECK(sendmsg(fd, &m.header, 0) == -1 && (errno == EINVAL || errno == ENETUNREACH));
    info->ipi_spec_dst.s_addr = 0;
    info->ipi_ifindex = 99;
    CHECK_ERRNO(sendmsg(fd, &m.header, 0), ENODEV);
    info->ipi_ifindex = 0;
    m.control.first.cmsg_type = 77;
    CHECK_ERRNO(sendmsg(fd, &m.header, 0), EINVAL);
    m.control.first.cmsg_type = IP_PKTINFO;
    m.control.first.cmsg_len = CMSG_LEN(sizeof *info - 4);
    CHECK_ERRNO(sendmsg(fd, &m.header, 0), EINVAL);
    close(fd);
}

/* Appends one with an int. */
static void append(struct message *m, int level, int type, int value) {
    struct cmsghdr *c = (void *)(m->control.bytes + m->header.msg_controllen);
    *c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(4), .cmsg_level = level, .cmsg_type = type };
    memcpy(CMSG_DATA(c), &value, sizeof value);
    m->header.msg_controllen += CMSG_SPACE(4);
}

static long send_with(int family, int level, int type, int value) {
    int fd = socket(family, SOCK_DGRAM, 0);
    struct message m;
    prepare(&m, 0);
    m.peer = inet_there(family, 9);
    m.header.msg_namelen = inet_size(family);
    append(&m, level, type, value);
    append(&m, IPPROTO_IPV6, 77, 0); /* the other's: nobody looks at it over IPv4 */
    if (family == AF_INET6)
        m.header.msg_controllen = CMSG_SPACE(4);
    long n = sendmsg(fd, &m.header, 0);
    close(fd);
    return n;
}

/* What goes into the header of one datagram only. */
static void for_one(void) {
    CHECK_EQ(send_with(AF_INET, IPPROTO_IP, IP_TOS, 0x10), 8);
    CHECK_ERRNO(send_with(AF_INET, IPPROTO_IP, IP_TOS, 256), EINVAL);
    CHECK_EQ(send_with(AF_INET, IPPROTO_IP, IP_TTL, 7), 8);
    CHECK_ERRNO(send_with(AF_INET, IPPROTO_IP, IP_TTL, 0), EINVAL);
    CHECK_EQ(send_with(AF_INET, IPPROTO_IPV6, IPV6_TCLASS, 1000), 8);
    CHECK_EQ(send_with(AF_INET6, IPPROTO_IPV6, IPV6_TCLASS, 0x10), 8);
    CHECK_EQ(send_with(AF_INET6, IPPROTO_IPV6, IPV6_TCLASS, -1), 8);
    CHECK_ERRNO(send_with(AF_INET6, IPPROTO_IPV6, IPV6_TCLASS, 256), EINVAL);
    CHECK_EQ(send_with(AF_INET6, IPPROTO_IPV6, IPV6_HOPLIMIT, 7), 8);
    CHECK_ERRNO(send_with(AF_INET6, IPPROTO_IPV6, 77, 7), EINVAL);
    CHECK_EQ(send_with(AF_INET6, IPPROTO_IP, 77, 7), 8);
}

/* A socket for both that asks for both is told both of what came over IPv4. */
static void both(void) {
    int server = at_any(AF_INET6), client = socket(AF_INET, SOCK_DGRAM, 0), seen = 0;
    union inet_address to = inet_there(AF_INET, inet_port(server));
    struct message m;

    set_on(server, IPPROTO_IPV6, IPV6_RECVPKTINFO);
    set_on(server, IPPROTO_IP, IP_PKTINFO);
    CHECK_EQ(sendto(client, "ask", 3, 0, &to.any, sizeof to.in), 3);
    prepare(&m, sizeof m.control);
    CHECK_EQ(recvmsg(server, &m.header, 0), 3);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m.header); c; c = CMSG_NXTHDR(&m.header, c))
        seen |= c->cmsg_level == IPPROTO_IP ? 1 : c->cmsg_level == IPPROTO_IPV6 ? 2 : 4;
    CHECK_EQ(seen, 3);
    CHECK_EQ(sendmsg(server, &m.header, 0), 8);
    close(server);
    close(client);
}

GUEST_MAIN(CASE(asked_and_answered), CASE(ipv6), CASE(small_rooms), CASE(wrong), CASE(for_one),
           CASE(both))
