/* SPDX-License-Identifier: MIT */
/* Which interfaces there are, and their addresses: by libc, by ioctl, and by NETLINK_ROUTE. */
#define _GNU_SOURCE
#include "test/guest/inet.h"
#include "test/guest/netlink_abi.h"
#include <ifaddrs.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stddef.h>

/* ---- libc ---- */

static void names(void) {
    char name[IF_NAMESIZE];
    CHECK_EQ(if_nametoindex("lo"), 1);
    CHECK(if_indextoname(1, name) && !strcmp(name, "lo"));
    CHECK_EQ(if_nametoindex("nope"), 0);
    CHECK(!if_indextoname(77777, name));
    struct if_nameindex *all = if_nameindex();
    REQUIRE(all);
    CHECK_EQ(all[0].if_index, 1);
    CHECK_EQ(strcmp(all[0].if_name, "lo"), 0);
    for (unsigned i = 0; all[i].if_index; i++)
        CHECK_EQ(if_nametoindex(all[i].if_name), all[i].if_index);
    if_freenameindex(all);
}

static int is_loopback_of(const struct ifaddrs *a, int family) {
    static const struct in6_addr all = { .s6_addr = { [0 ... 15] = 0xff } };
    if (strcmp(a->ifa_name, "lo") || !a->ifa_addr || a->ifa_addr->sa_family != family)
        return 0;
    CHECK(a->ifa_flags & IFF_UP && a->ifa_flags & IFF_LOOPBACK && a->ifa_flags & IFF_RUNNING);
    if (family == AF_INET) {
        const struct sockaddr_in *in = (void *)a->ifa_addr, *mask = (void *)a->ifa_netmask;
        return in->sin_addr.s_addr == htonl(INADDR_LOOPBACK) &&
               CHECK_EQ(mask->sin_addr.s_addr, htonl(0xff000000));
    }
    const struct sockaddr_in6 *in6 = (void *)a->ifa_addr, *mask = (void *)a->ifa_netmask;
    return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) &&
           CHECK_EQ(memcmp(&mask->sin6_addr, &all, sizeof all), 0);
}

static void addresses(void) {
    struct ifaddrs *all;
    int ipv4 = 0, ipv6 = 0, links = 0;
    REQUIRE(getifaddrs(&all) == 0);
    for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
        ipv4 += is_loopback_of(a, AF_INET);
        ipv6 += is_loopback_of(a, AF_INET6);
        links += a->ifa_addr && a->ifa_addr->sa_family == AF_PACKET && !strcmp(a->ifa_name, "lo");
    }
    freeifaddrs(all);
    CHECK_EQ(ipv4, 1);
    CHECK_EQ(ipv6, 1);
    CHECK_EQ(links, 1);
}

/* ---- ioctl ---- */

static struct ifreq request_of(const char *name) {
    struct ifreq r;
    memset(&r, 0, sizeof r);
    strcpy(r.ifr_name, name);
    return r;
}

static void requests(void) {
    static const int families[] = { AF_UNIX, AF_INET, AF_INET6 };
    for (unsigned i = 0; i < LENGTH(families); i++) {
        int fd = socket(families[i], SOCK_DGRAM, 0);
        struct ifreq r = request_of("lo");
        REQUIRE(fd >= 0);
        CHECK_EQ(ioctl(fd, SIOCGIFINDEX, &r), 0);
        CHECK_EQ(r.ifr_ifindex, 1);
        memset(r.ifr_name, 0, sizeof r.ifr_name);
        CHECK_EQ(ioctl(fd, SIOCGIFNAME, &r), 0);
        CHECK_EQ(strcmp(r.ifr_name, "lo"), 0);
        CHECK_EQ(ioctl(fd, SIOCGIFFLAGS, &r), 0);
        CHECK_EQ(r.ifr_flags, IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
        CHECK_EQ(ioctl(fd, SIOCGIFMTU, &r), 0);
        CHECK_EQ(r.ifr_mtu, 65536);
        CHECK_EQ(ioctl(fd, SIOCGIFMETRIC, &r), 0);
        CHECK_EQ(r.ifr_metric, 0);
        CHECK_EQ(ioctl(fd, SIOCGIFTXQLEN, &r), 0);
        CHECK_EQ(r.ifr_qlen, 1000);
        CHECK_EQ(ioctl(fd, SIOCGIFHWADDR, &r), 0);
        CHECK_EQ(r.ifr_hwaddr.sa_family, ARPHRD_LOOPBACK);
        CHECK_EQ(memcmp(r.ifr_hwaddr.sa_data, "\0\0\0\0\0", 6), 0);
        CHECK_EQ(ioctl(fd, SIOCGIFMAP, &r), 0);
        CHECK_EQ(memcmp(&r.ifr_map, &(struct ifmap){ 0 }, sizeof r.ifr_map), 0);
        CHECK_ERRNO(ioctl(fd, SIOCGIFINDEX, nowhere), EFAULT);
        CHECK_ERRNO(ioctl(fd, 0x8999, &r), ENOTTY);
        r = request_of("nope");
        CHECK_ERRNO(ioctl(fd, SIOCGIFINDEX, &r), ENODEV);
        r.ifr_ifindex = 77777;
        CHECK_ERRNO(ioctl(fd, SIOCGIFNAME, &r), ENODEV);
        close(fd);
    }
}

static uint32_t ask_address(int fd, int command) {
    struct ifreq r = request_of("lo");
    const struct sockaddr_in *in = (void *)&r.ifr_addr;
    return CHECK_EQ(ioctl(fd, command, &r), 0) && CHECK_EQ(in->sin_family, AF_INET)
               ? ntohl(in->sin_addr.s_addr)
               : ~0u;
}

static void ipv4_addresses(void) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET6, SOCK_DGRAM, 0);
    struct ifreq r = request_of("lo"), few[32];
    struct ifconf list = { .ifc_len = 0, .ifc_buf = NULL };
    REQUIRE(fd >= 0 && other >= 0);
    CHECK_EQ(ask_address(fd, SIOCGIFADDR), INADDR_LOOPBACK);
    CHECK_EQ(ask_address(fd, SIOCGIFDSTADDR), INADDR_LOOPBACK);
    CHECK_EQ(ask_address(fd, SIOCGIFNETMASK), 0xff000000);
    CHECK_EQ(ask_address(fd, SIOCGIFBRDADDR), 0);
    CHECK_ERRNO(ioctl(other, SIOCGIFADDR, &r), ENOTTY);

    CHECK_EQ(ioctl(fd, SIOCGIFCONF, &list), 0);
    int all = list.ifc_len;
    CHECK(all >= (int)sizeof r && all % (int)sizeof r == 0);
    list = (struct ifconf){ .ifc_len = sizeof r - 1, .ifc_req = few };
    CHECK_EQ(ioctl(fd, SIOCGIFCONF, &list), 0);
    CHECK_EQ(list.ifc_len, 0);
    list.ifc_len = sizeof few;
    CHECK_EQ(ioctl(other, SIOCGIFCONF, &list), 0);
    CHECK_EQ(list.ifc_len, all < (int)sizeof few ? all : (int)sizeof few);
    const struct sockaddr_in *in = (void *)&few[0].ifr_addr;
    CHECK_EQ(strcmp(few[0].ifr_name, "lo"), 0);
    CHECK_EQ(in->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    list.ifc_req = nowhere;
    list.ifc_len = sizeof few;
    CHECK_ERRNO(ioctl(fd, SIOCGIFCONF, &list), EFAULT);
    CHECK_ERRNO(ioctl(fd, SIOCGIFCONF, nowhere), EFAULT);
    close(fd);
    close(other);
}

/* ---- NETLINK_ROUTE ---- */

struct question {
    struct nlmsghdr head;
    struct ifinfomsg info; /* its first byte is a family, as in struct ifaddrmsg */
    struct rtattr name;
    char text[8];
};

static struct question question_of(int type, int flags, unsigned sequence) {
    struct question q;
    memset(&q, 0, sizeof q);
    q.head.nlmsg_len = offsetof(struct question, name);
    q.head.nlmsg_type = (uint16_t)type;
    q.head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    q.head.nlmsg_seq = sequence;
    return q;
}

static int ask(int fd, const struct question *q) {
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    return (int)sendto(fd, q, q->head.nlmsg_len, 0, (void *)&kernel, sizeof kernel);
}

static uint32_t port_of(int fd) {
    struct sockaddr_nl a;
    socklen_t size = sizeof a;
    return getsockname(fd, (void *)&a, &size) || size != sizeof a ? 0 : a.nl_pid;
}

struct answer {
    unsigned links, addresses, others; /* messages */
    int error;                         /* 1: none was told */
    int saw_lo, done;
};

static void see_link(const char *message, size_t size, struct answer *a) {
    const struct ifinfomsg *info = (const void *)message;
    a->links++;
    for (size_t at = sizeof *info; at + sizeof(struct rtattr) <= size;) {
        const struct rtattr *r = (const void *)(message + at);
        if (!CHECK(r->rta_len >= sizeof *r && at + r->rta_len <= size))
            return;
        if (r->rta_type == IFLA_IFNAME && !strcmp((const char *)(r + 1), "lo"))
            a->saw_lo = CHECK_EQ(info->ifi_index, 1) && CHECK_EQ(info->ifi_type, ARPHRD_LOOPBACK) &&
                        CHECK(info->ifi_flags & IFF_LOOPBACK);
        at += NL_ALIGN(r->rta_len);
    }
}

/* One block of messages, which answer `sequence`. */
static void see_block(int fd, unsigned sequence, const char *block, size_t size, struct answer *a) {
    for (size_t at = 0; at < size;) {
        const struct nlmsghdr *h = (const void *)(block + at);
        const char *body = (const char *)(h + 1);
        if (!CHECK(at + sizeof *h <= size && h->nlmsg_len >= sizeof *h &&
                   at + h->nlmsg_len <= size))
            return;
        CHECK_EQ(h->nlmsg_seq, sequence);
        CHECK_EQ(h->nlmsg_pid, port_of(fd));
        if (h->nlmsg_type == RTM_NEWLINK)
            see_link(body, h->nlmsg_len - sizeof *h, a);
        else if (h->nlmsg_type == RTM_NEWADDR)
            a->addresses++;
        else if (h->nlmsg_type == NLMSG_ERROR)
            a->error = ((const struct nlmsgerr *)body)->error;
        else if (h->nlmsg_type == NLMSG_DONE)
            a->done = 1;
        else
            a->others++;
        at += NL_ALIGN(h->nlmsg_len);
    }
}

/* Reads until all has been said of `sequence`; `whole`: until NLMSG_DONE. */
static struct answer hear(int fd, unsigned sequence, int whole) {
    static __thread char block[32 << 10] __attribute__((aligned(8)));
    struct answer a = { .error = 1 };
    do {
        struct sockaddr_nl from;
        socklen_t size = sizeof from;
        long n = recvfrom(fd, block, sizeof block, 0, (void *)&from, &size);
        if (!CHECK(n > 0))
            break;
        CHECK_EQ(size, sizeof from);
        CHECK_EQ(from.nl_pid, 0);
        see_block(fd, sequence, block, (size_t)n, &a);
    } while (whole && !a.done && a.error == 1);
    return a;
}

static void dumps(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    REQUIRE(fd >= 0);
    struct question q = question_of(RTM_GETLINK, NLM_F_DUMP, 5);
    CHECK_EQ(ask(fd, &q), q.head.nlmsg_len);
    struct answer a = hear(fd, 5, 1);
    CHECK(a.links >= 1 && a.saw_lo && !a.addresses && !a.others && a.done);

    unsigned each[3], n = 0;
    static const int families[] = { AF_UNSPEC, AF_INET, AF_INET6 };
    for (unsigned i = 0; i < 3; i++) {
        q = question_of(RTM_GETADDR, NLM_F_DUMP, 6 + i);
        q.info.ifi_family = (unsigned char)families[i];
        CHECK_EQ(ask(fd, &q), q.head.nlmsg_len);
        a = hear(fd, 6 + i, 1);
        CHECK(!a.links && !a.others && a.done);
        each[n++] = a.addresses;
    }
    CHECK(each[1] >= 1 && each[2] >= 1);
    CHECK_EQ(each[0], each[1] + each[2]);
    q = question_of(RTM_GETADDR, NLM_F_DUMP, 20);
    q.info.ifi_family = AF_PACKET; /* has none: all */
    ask(fd, &q);
    CHECK_EQ(hear(fd, 20, 1).addresses, each[0]);

    /* Its end confirms a dump; nothing else does. */
    char byte;
    q = question_of(RTM_GETADDR, NLM_F_DUMP | NLM_F_ACK, 21);
    ask(fd, &q);
    CHECK(hear(fd, 21, 1).done);
    CHECK_ERRNO(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    close(fd);
}

static void one_link(void) {
    int fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE);
    REQUIRE(fd >= 0);
    struct question q = question_of(RTM_GETLINK, 0, 1);
    q.info.ifi_index = 1;
    ask(fd, &q);
    struct answer a = hear(fd, 1, 0);
    CHECK(a.links == 1 && a.saw_lo && a.error == 1);

    q = question_of(RTM_GETLINK, 0, 2);
    q.name = (struct rtattr){ .rta_len = sizeof(struct rtattr) + 3, .rta_type = IFLA_IFNAME };
    strcpy(q.text, "lo");
    q.head.nlmsg_len = sizeof q - sizeof q.text + NL_ALIGN(3);
    ask(fd, &q);
    a = hear(fd, 2, 0);
    CHECK(a.links == 1 && a.saw_lo && a.error == 1);

    strcpy(q.text, "no");
    q.head.nlmsg_seq = 3;
    ask(fd, &q);
    CHECK_EQ(hear(fd, 3, 0).error, -ENODEV);
    q = question_of(RTM_GETLINK, 0, 4);
    q.info.ifi_index = 77777;
    ask(fd, &q);
    CHECK_EQ(hear(fd, 4, 0).error, -ENODEV);
    q = question_of(RTM_GETLINK, 0, 5);
    ask(fd, &q);
    CHECK_EQ(hear(fd, 5, 0).error, -EINVAL);
    q = question_of(0x6ffc, NLM_F_ACK, 6); /* beyond all that there are */
    ask(fd, &q);
    CHECK_EQ(hear(fd, 6, 0).error, -EOPNOTSUPP);
    q = question_of(NLMSG_NOOP, NLM_F_ACK, 7);
    ask(fd, &q);
    CHECK_EQ(hear(fd, 7, 0).error, 0);
    close(fd);
}

static void ports(void) {
    struct sockaddr_nl a = { .nl_family = AF_NETLINK };
    int one = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    int two = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    REQUIRE(one >= 0 && two >= 0);
    CHECK_EQ(port_of(one), 0);
    CHECK_EQ(bind(one, (void *)&a, sizeof a), 0);
    CHECK_EQ(port_of(one), getpid());
    CHECK_EQ(connect(two, (void *)&a, sizeof a), 0);
    CHECK(port_of(two) != 0 && port_of(two) != (uint32_t)getpid());
    close(one);
    one = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    CHECK_EQ(bind(one, (void *)&a, sizeof a), 0);
    CHECK_EQ(port_of(one), getpid()); /* again */
    CHECK_ERRNO(bind(one, (void *)&a, 4), EINVAL);
    CHECK_ERRNO(bind(one, (void *)&a, sizeof a), EINVAL); /* it has one */
    a.nl_pid = (uint32_t)getpid();
    CHECK_EQ(bind(one, (void *)&a, sizeof a), 0);
    close(two);
    two = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    CHECK_ERRNO(bind(two, (void *)&a, sizeof a), EADDRINUSE);
    a.nl_pid = 12345678;
    CHECK_ERRNO(bind(one, (void *)&a, sizeof a), EINVAL);
    CHECK_ERRNO(send(two, &a, 0, 0), ENODATA);
    CHECK_ERRNO(sendto(two, &a, sizeof a, 0, (void *)&a, sizeof a), ECONNREFUSED);
    CHECK_ERRNO(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(AF_NETLINK, SOCK_RAW, 30), EPROTONOSUPPORT);
    CHECK_ERRNO(listen(one, 1), EOPNOTSUPP);
    CHECK_ERRNO(accept(one, NULL, NULL), EOPNOTSUPP);
    close(one);
    close(two);
}

static void reading(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    struct question q = question_of(RTM_GETLINK, 0, 9);
    char byte;
    REQUIRE(fd >= 0);
    q.info.ifi_index = 1;
    CHECK_ERRNO(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(inet_events(fd), POLLOUT);
    ask(fd, &q);
    CHECK_EQ(inet_events(fd), POLLIN | POLLOUT);
    long whole = recv(fd, &byte, 1, MSG_PEEK | MSG_TRUNC);
    CHECK(whole > (long)sizeof q);
    struct iovec v = { &byte, 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
    CHECK_EQ(recvmsg(fd, &m, MSG_PEEK), 1);
    CHECK_EQ(m.msg_flags, MSG_TRUNC);
    CHECK_EQ(hear(fd, 9, 0).links, 1);
    CHECK_ERRNO(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_ERRNO(sendto(fd, nowhere, sizeof q, 0, NULL, 0), EFAULT);
    /* Two requests in one send. */
    struct question both[2] = { q, q };
    both[0].head.nlmsg_len = both[1].head.nlmsg_len = sizeof q;
    CHECK_EQ(send(fd, both, sizeof both, 0), sizeof both);
    unsigned links = hear(fd, 9, 0).links;
    if (links == 1) /* Linux answers in two blocks */
        links += hear(fd, 9, 0).links;
    CHECK_EQ(links, 2);
    /* One that is longer than what was sent is none. */
    q.head.nlmsg_len = sizeof q;
    CHECK_EQ(send(fd, &q, sizeof q - 4, 0), sizeof q - 4);
    q.head.nlmsg_len = 15;
    CHECK_EQ(send(fd, &q, sizeof q, 0), sizeof q);
    CHECK_ERRNO(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    q.head.nlmsg_len = offsetof(struct question, name);
    ask(fd, &q); /* and it is closed with that unread */
    close(fd);
}

/* ---- All CPUs at once: sockets of their own, and one that all share ---- */

#define HAMMERS 8
#define ROUNDS  50

static int shared;

static void *hammer_main(void *arg) {
    unsigned first = (unsigned)(uintptr_t)arg * ROUNDS;
    for (unsigned i = 0; i < ROUNDS; i++) {
        int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
        struct question q = question_of(RTM_GETADDR, NLM_F_DUMP, first + i);
        char text[4096];
        if (!CHECK(fd >= 0))
            break;
        CHECK_EQ(ask(fd, &q), q.head.nlmsg_len);
        CHECK(hear(fd, first + i, 1).done);
        close(fd);
        q = question_of(RTM_GETLINK, 0, first + i);
        q.info.ifi_index = 1;
        CHECK_EQ(ask(shared, &q), q.head.nlmsg_len);
        CHECK(recv(shared, text, sizeof text, 0) > (long)sizeof q); /* anybody's */
    }
    return NULL;
}

static void hammer(void) {
    pthread_t threads[HAMMERS];
    char byte;
    shared = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    REQUIRE(shared >= 0);
    for (uintptr_t i = 0; i < HAMMERS; i++)
        REQUIRE(thread_start(&threads[i], hammer_main, (void *)i));
    for (unsigned i = 0; i < HAMMERS; i++)
        thread_join(threads[i]);
    CHECK_ERRNO(recv(shared, &byte, 1, MSG_DONTWAIT), EAGAIN);
    close(shared);
}

GUEST_MAIN(CASE(names), CASE(addresses), CASE(requests), CASE(ipv4_addresses), CASE(dumps),
           CASE(one_link), CASE(ports), CASE(reading), CASE(hammer))
