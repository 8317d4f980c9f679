/* SPDX-License-Identifier: MIT */
/* Of Linux's <linux/netlink.h> and <linux/rtnetlink.h> what the tests need: musl has neither. */
#ifndef TEST_GUEST_NETLINK_ABI_H
#define TEST_GUEST_NETLINK_ABI_H

#include <stdint.h>
#include <sys/socket.h>

#define NETLINK_ROUTE 0

enum { NLM_F_REQUEST = 1, NLM_F_ACK = 4, NLM_F_DUMP = 0x300 };
enum { NLMSG_NOOP = 1, NLMSG_ERROR = 2, NLMSG_DONE = 3 };
enum { RTM_NEWLINK = 16, RTM_GETLINK = 18, RTM_NEWADDR = 20, RTM_GETADDR = 22 };
enum { IFLA_IFNAME = 3 };

struct sockaddr_nl {
    sa_family_t nl_family;
    unsigned short nl_pad;
    uint32_t nl_pid, nl_groups;
};

struct nlmsghdr {
    uint32_t nlmsg_len;
    uint16_t nlmsg_type, nlmsg_flags;
    uint32_t nlmsg_seq, nlmsg_pid;
};

struct nlmsgerr {
    int error;
    struct nlmsghdr msg;
};

struct ifinfomsg {
    unsigned char ifi_family, pad;
    unsigned short ifi_type;
    int ifi_index;
    unsigned ifi_flags, ifi_change;
};

struct rtattr {
    unsigned short rta_len, rta_type;
};

/* Messages and attributes begin at multiples of four. */
#define NL_ALIGN(size) (((size) + 3u) & ~3u)

#endif
