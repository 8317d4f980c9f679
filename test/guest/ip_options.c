/* SPDX-License-Identifier: MIT */
/* Options at the levels of IP and IPv6: values, sizes, limits, and who has which. */
#define _GNU_SOURCE
#include "test/guest/inet.h"

struct option {
    int level, name, first, least; /* least: -1, it takes that for "as before" */
};
static const struct option options[] = {
    { IPPROTO_IP, IP_TTL, 64, 1 },
    { IPPROTO_IP, IP_TOS, 0, 0 },
    { IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64, 0 },
    { IPPROTO_IPV6, IPV6_TCLASS, 0, 0 },
};

static int set(int fd, const struct option *o, int value) {
    return setsockopt(fd, o->level, o->name, &value, sizeof value);
}

static int get(int fd, const struct option *o) {
    int value = -2;
    socklen_t size = sizeof value;
    return getsockopt(fd, o->level, o->name, &value, &size) ? -2 : value;
}

static int is_class(const struct option *o) {
    return o->name == (o->level == IPPROTO_IP ? IP_TOS : IPV6_TCLASS);
}

/* The lowest two bits of a class are ECN's, which TCP keeps for itself. */
static int told(const struct option *o, int type, int value) {
    return is_class(o) && type == SOCK_STREAM ? value & ~3 : value;
}

static void check_values(int fd, int type, const struct option *o) {
    static const int good[] = { 1, 3, 16, 64, 255 };
    CHECK_EQ(get(fd, o), o->first);
    for (unsigned i = 0; i < LENGTH(good); i++) {
        CHECK_EQ(set(fd, o, good[i]), 0);
        CHECK_EQ(get(fd, o), told(o, type, good[i]));
    }
    if (o->least)
        CHECK_ERRNO(set(fd, o, 0), EINVAL);
    else
        CHECK_EQ(set(fd, o, 0), 0);
    if (o->name == IP_TOS && o->level == IPPROTO_IP) { /* its lowest eight bits */
        CHECK_EQ(set(fd, o, 300), 0);
        CHECK_EQ(get(fd, o), 44);
        CHECK_EQ(set(fd, o, -1), 0);
        CHECK_EQ(get(fd, o), told(o, type, 255));
    } else {
        CHECK_EQ(set(fd, o, 7 * 4), 0);
        CHECK_ERRNO(set(fd, o, 256), EINVAL);
        CHECK_ERRNO(set(fd, o, -2), EINVAL);
        CHECK_EQ(get(fd, o), 28);
        CHECK_EQ(set(fd, o, -1), 0);
        CHECK_EQ(get(fd, o), o->first);
    }
}

/* At the level of IP a byte will do, and is what a short buffer gets. */
static void check_sizes(int fd, const struct option *o) {
    int value = 0x55555555;
    short two = 12;
    unsigned char byte = 8;
    socklen_t size = 1;
    int ip = o->level == IPPROTO_IP;
    CHECK_EQ(set(fd, o, 252), 0);
    if (ip) {
        CHECK_EQ(setsockopt(fd, o->level, o->name, &byte, 1), 0);
        CHECK_EQ(get(fd, o), 8);
        CHECK_EQ(setsockopt(fd, o->level, o->name, &two, 2), 0);
        CHECK_EQ(get(fd, o), 12);
    } else {
        CHECK_ERRNO(setsockopt(fd, o->level, o->name, &byte, 1), EINVAL);
        CHECK_ERRNO(setsockopt(fd, o->level, o->name, &two, 2), EINVAL);
        CHECK_ERRNO(setsockopt(fd, o->level, o->name, &two, 0), EINVAL);
    }
    CHECK_EQ(getsockopt(fd, o->level, o->name, &value, &size), 0);
    CHECK_EQ(value, ip ? 0x5555550c : 0x555555fc);
    size = 2;
    CHECK_EQ(getsockopt(fd, o->level, o->name, &value, &size), 0);
    CHECK_EQ(size, ip ? 1 : 2);
    CHECK_EQ(value, ip ? 0x5555550c : 0x555500fc);
    size = 0;
    CHECK_EQ(getsockopt(fd, o->level, o->name, &value, &size), 0);
    CHECK_ERRNO(setsockopt(fd, o->level, o->name, nowhere, sizeof value), EFAULT);
    if (o->name == IP_TTL && ip)
        CHECK_ERRNO(setsockopt(fd, o->level, o->name, &value, 0), EINVAL);
}

/* Any number but 0 is 1; the queue of errors is empty in any case. */
static void errors(void) {
    static const struct option wanted[] = { { IPPROTO_IP, IP_RECVERR, 0, 0 },
                                            { IPPROTO_IPV6, IPV6_RECVERR, 0, 0 } };
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
    char byte;
    for (unsigned t = 0; t < LENGTH(types); t++) {
        int v4 = socket(AF_INET, types[t], 0), v6 = socket(AF_INET6, types[t], 0);
        REQUIRE(v4 >= 0 && v6 >= 0);
        for (unsigned i = 0; i < LENGTH(wanted); i++) {
            CHECK_EQ(get(v6, &wanted[i]), 0);
            CHECK_EQ(set(v6, &wanted[i], 5), 0);
            CHECK_EQ(get(v6, &wanted[i]), 1);
        }
        CHECK_EQ(set(v6, &wanted[0], 0), 0);
        CHECK_EQ(get(v6, &wanted[0]), 0);
        CHECK_EQ(get(v6, &wanted[1]), 1);
        CHECK_EQ(set(v4, &wanted[0], 1), 0);
        CHECK_EQ(get(v4, &wanted[0]), 1);
        CHECK_ERRNO(set(v4, &wanted[1], 1), ENOPROTOOPT);
        if (types[t] == SOCK_DGRAM)
            CHECK_ERRNO(recv(v4, &byte, 1, MSG_ERRQUEUE | MSG_DONTWAIT), EAGAIN);
        close(v4);
        close(v6);
    }
}

static void every(void) {
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
    for (unsigned t = 0; t < LENGTH(types); t++)
        for (unsigned i = 0; i < LENGTH(options); i++) {
            int v4 = socket(AF_INET, types[t], 0), v6 = socket(AF_INET6, types[t], 0), value = 1;
            socklen_t size = sizeof value;
            REQUIRE(v4 >= 0 && v6 >= 0);
            check_values(v6, types[t], &options[i]);
            check_sizes(v6, &options[i]);
            if (options[i].level == IPPROTO_IP) {
                check_values(v4, types[t], &options[i]);
                check_sizes(v4, &options[i]);
            } else {
                CHECK_ERRNO(set(v4, &options[i], 1), ENOPROTOOPT);
                CHECK_ERRNO(getsockopt(v4, IPPROTO_IPV6, options[i].name, &value, &size),
                            EOPNOTSUPP);
            }
            close(v4);
            close(v6);
        }
}

/* What a listener was told holds for those that it accepts; over IPv6 its other pair. */
static void accepted(void) {
    int listener = inet_listen(AF_INET6, 1);
    REQUIRE(listener >= 0);
    for (unsigned i = 0; i < LENGTH(options); i++)
        CHECK_EQ(set(listener, &options[i], 40 + 4 * (int)i), 0);
    int to = inet_connect(AF_INET6, inet_port(listener)), from = accept(listener, NULL, NULL);
    REQUIRE(to >= 0 && from >= 0);
    for (unsigned i = 0; i < LENGTH(options); i++) {
        CHECK_EQ(get(from, &options[i]), 40 + 4 * (int)i);
        CHECK_EQ(get(to, &options[i]), options[i].first);
        CHECK_EQ(set(to, &options[i], 80), 0);
    }
    char byte = 'x';
    CHECK_EQ(write(to, &byte, 1), 1);
    CHECK_EQ(read(from, &byte, 1), 1);
    close(to);
    close(from);
    close(listener);
}

GUEST_MAIN(CASE(every), CASE(errors), CASE(accepted))
