/* SPDX-License-Identifier: MIT */
/*
 * NETLINK_ROUTE: which interfaces there are (RTM_GETLINK), and their addresses
 * (RTM_GETADDR), as getifaddrs() of every libc asks.  man 7 rtnetlink.
 */
#include <asm-generic/errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include "base/string.h"
#include "kernel/slab.h"
#include "net/interface.h"
#include "net/netlink.h"

#define OPERATION_UNKNOWN 0 /* IFLA_OPERSTATE of a loopback: RFC 2863 */
#define OPERATION_DOWN    2
#define OPERATION_UP      6

void *netlink_put(struct netlink_reply *r, uint16_t type, uint16_t flags, size_t size) {
    size_t whole = NLMSG_SPACE(size);
    if (r->size + whole > r->capacity) {
        size_t capacity = MAX(2 * r->capacity, r->size + whole);
        char *bytes = kmalloc(capacity);
        if (!bytes) {
            r->failed = true;
            return NULL;
        }
        memcpy(bytes, r->bytes, r->size);
        kfree(r->bytes);
        r->bytes = bytes;
        r->capacity = capacity;
    }
    struct nlmsghdr *h = (void *)(r->bytes + r->size);
    *h = (struct nlmsghdr){ .nlmsg_len = (uint32_t)NLMSG_LENGTH(size),
                            .nlmsg_type = type,
                            .nlmsg_flags = flags,
                            .nlmsg_seq = r->sequence,
                            .nlmsg_pid = r->port };
    r->size += whole;
    return NLMSG_DATA(h);
}

/* ---- attributes: a message is made in a block of its own first ---- */

#define MESSAGE_MOST 512

struct message {
    size_t size;
    char bytes[MESSAGE_MOST];
};

static void put_attribute(struct message *m, uint16_t type, const void *value, size_t size) {
    struct rtattr a = { .rta_len = (uint16_t)RTA_LENGTH(size), .rta_type = type };
    assert(m->size + RTA_SPACE(size) <= sizeof m->bytes);
    memcpy(m->bytes + m->size, &a, sizeof a);
    memcpy(m->bytes + m->size + RTA_LENGTH(0), value, size);
    m->size += RTA_SPACE(size);
}

static void put_u32(struct message *m, uint16_t type, uint32_t value) {
    put_attribute(m, type, &value, sizeof value);
}

static void put_message(struct netlink_reply *r, uint16_t type, uint16_t flags,
                        const struct message *m) {
    void *to = netlink_put(r, type, flags, m->size);
    if (to)
        memcpy(to, m->bytes, m->size);
}

static void put_link(struct netlink_reply *r, uint16_t flags, const struct interface *i) {
    struct message m = { .size = NLMSG_ALIGN(sizeof(struct ifinfomsg)) };
    struct ifinfomsg info = {
        .ifi_type = i->hardware_type,
        .ifi_index = (int)i->index,
        .ifi_flags = i->flags,
    };
    static const uint8_t everybody[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    const uint8_t *broadcast = i->is_loopback ? i->hardware : everybody;
    uint8_t state = i->is_loopback                 ? OPERATION_UNKNOWN
                    : i->flags & INTERFACE_RUNNING ? OPERATION_UP
                                                   : OPERATION_DOWN;
    memcpy(m.bytes, &info, sizeof info);
    put_attribute(&m, IFLA_IFNAME, i->name, strlen(i->name) + 1);
    put_u32(&m, IFLA_TXQLEN, INTERFACE_QUEUE);
    put_attribute(&m, IFLA_OPERSTATE, &state, sizeof state);
    put_u32(&m, IFLA_MTU, i->mtu);
    put_attribute(&m, IFLA_ADDRESS, i->hardware, sizeof i->hardware);
    put_attribute(&m, IFLA_BROADCAST, broadcast, sizeof i->hardware);
    put_message(r, RTM_NEWLINK, flags, &m);
}

static void put_address(struct netlink_reply *r, const struct interface *i,
                        const struct interface_address *a) {
    struct message m = { .size = NLMSG_ALIGN(sizeof(struct ifaddrmsg)) };
    bool v4 = a->family == AF_INET;
    size_t size = v4 ? 4 : 16;
    struct ifaddrmsg head = {
        .ifa_family = (uint8_t)a->family,
        .ifa_prefixlen = a->prefix_bits,
        .ifa_flags = IFA_F_PERMANENT,
        .ifa_scope = a->is_host_only    ? RT_SCOPE_HOST
                     : a->is_link_local ? RT_SCOPE_LINK
                                        : RT_SCOPE_UNIVERSE,
        .ifa_index = i->index,
    };
    memcpy(m.bytes, &head, sizeof head);
    put_attribute(&m, IFA_ADDRESS, a->bytes, size);
    if (v4) {
        put_attribute(&m, IFA_LOCAL, a->bytes, size);
        put_attribute(&m, IFA_LABEL, i->name, strlen(i->name) + 1);
    }
    static const uint8_t none[4];
    if (v4 && memcmp(a->broadcast, none, sizeof none) != 0)
        put_attribute(&m, IFA_BROADCAST, a->broadcast, sizeof a->broadcast);
    put_u32(&m, IFA_FLAGS, IFA_F_PERMANENT);
    put_message(r, RTM_NEWADDR, NLM_F_MULTI, &m);
}

static void put_done(struct netlink_reply *r) {
    void *zero = netlink_put(r, NLMSG_DONE, NLM_F_MULTI, sizeof(int));
    if (zero)
        memset(zero, 0, sizeof(int));
}

/* ---- requests ---- */

static void dump_links(struct netlink_reply *r) {
    struct interface i;
    for (unsigned from = 1; interface_next(from, &i); from = i.index + 1)
        put_link(r, NLM_F_MULTI, &i);
    put_done(r);
}

static void dump_addresses(struct netlink_reply *r, uint8_t family) {
    static const uint16_t families[] = { AF_INET, AF_INET6 };
    for (unsigned f = 0; f < 2; f++) {
        struct interface i;
        bool asks_one = family == AF_INET || family == AF_INET6; /* any other: for all */
        if (asks_one && family != families[f])
            continue;
        for (unsigned from = 1; interface_next(from, &i); from = i.index + 1)
            for (unsigned n = 0; n < i.address_count; n++)
                if (i.addresses[n].family == families[f])
                    put_address(r, &i, &i.addresses[n]);
    }
    put_done(r);
}

/* The name in a request for one link; NULL: it has none. */
static const char *name_in(const char *at, size_t size) {
    for (struct rtattr a; size >= sizeof a;
         at += RTA_ALIGN(a.rta_len), size -= RTA_ALIGN(a.rta_len)) {
        memcpy(&a, at, sizeof a);
        if (a.rta_len < sizeof a || a.rta_len > size)
            return NULL;
        if (a.rta_type == IFLA_IFNAME && a.rta_len > sizeof a && !at[a.rta_len - 1])
            return at + sizeof a;
        if (RTA_ALIGN(a.rta_len) > size)
            return NULL;
    }
    return NULL;
}

static int get_link(const struct ifinfomsg *info, const char *name, struct netlink_reply *r) {
    struct interface i;
    if (info->ifi_index <= 0 && !name)
        return -EINVAL;
    for (unsigned from = 1; interface_next(from, &i); from = i.index + 1)
        if (info->ifi_index > 0 ? i.index == (unsigned)info->ifi_index : !strcmp(i.name, name)) {
            put_link(r, 0, &i);
            return 0;
        }
    return -ENODEV;
}

static int dump(const struct nlmsghdr *h, uint8_t family, struct netlink_reply *r) {
    if (h->nlmsg_type == RTM_GETLINK)
        dump_links(r);
    else
        dump_addresses(r, family);
    return 1;
}

int netlink_route_answer(const void *request, size_t size, struct netlink_reply *r) {
    const struct nlmsghdr *h = request;
    const char *body = (const char *)request + NLMSG_HDRLEN;
    struct ifinfomsg info;
    size_t head = NLMSG_ALIGN(sizeof info);
    size -= NLMSG_HDRLEN;
    if (size < sizeof(struct rtgenmsg)) /* not even a family: Linux takes no notice */
        return 0;
    if (h->nlmsg_type != RTM_GETLINK && h->nlmsg_type != RTM_GETADDR)
        return -EOPNOTSUPP;
    if (h->nlmsg_flags & NLM_F_DUMP)
        return dump(h, (uint8_t)body[0], r);
    if (h->nlmsg_type != RTM_GETLINK)
        return -EOPNOTSUPP;
    if (size < sizeof info)
        return -EINVAL;
    memcpy(&info, body, sizeof info);
    return get_link(&info, size > head ? name_in(body + head, size - head) : NULL, r);
}
