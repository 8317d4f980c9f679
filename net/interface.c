/* SPDX-License-Identifier: MIT */
#include "net/interface.h"
#include <asm-generic/errno.h>
#include <linux/in.h>
#include <linux/sockios.h>
#include "arch/x86_64/uaccess.h"
#include "base/string.h"
#include "lwip/netif.h"
#include "net/net_impl.h"
#include "net/socket_abi.h"

_Static_assert(INTERFACE_ADDRESSES == 1 + LWIP_IPV6_NUM_ADDRESSES, "room for all of them");

#define IPV6_NETWORK_BITS 64
#define LOOPBACK_MTU      65536 /* as Linux tells it; nothing is cut there */

static uint8_t prefix_of(uint32_t mask) {
    uint32_t other = ~lwip_ntohl(mask);
    return other ? (uint8_t)__builtin_clz(other) : 32;
}

static void add_ipv4(struct interface *out, const struct netif *n) {
    const ip4_addr_t *address = netif_ip4_addr(n);
    if (ip4_addr_isany(address))
        return;
    struct interface_address *a = &out->addresses[out->address_count++];
    a->family = AF_INET;
    uint32_t mask = ip4_addr_get_u32(netif_ip4_netmask(n)), all = address->addr | ~mask;
    a->prefix_bits = prefix_of(mask);
    a->is_host_only = out->is_loopback;
    memcpy(a->bytes, &address->addr, 4);
    if (!out->is_loopback && a->prefix_bits < 31)
        memcpy(a->broadcast, &all, 4);
}

static void add_ipv6(struct interface *out, const struct netif *n, s8_t which) {
    const ip6_addr_t *address = netif_ip6_addr(n, which);
    if (!ip6_addr_isvalid(netif_ip6_addr_state(n, which)))
        return;
    struct interface_address *a = &out->addresses[out->address_count++];
    a->family = AF_INET6;
    a->is_host_only = ip6_addr_isloopback(address);
    a->is_link_local = ip6_addr_islinklocal(address);
    a->prefix_bits = a->is_host_only ? 128 : IPV6_NETWORK_BITS;
    memcpy(a->bytes, address->addr, 16);
}

static void describe(const struct netif *n, struct interface *out) {
    memset(out, 0, sizeof *out);
    out->index = netif_get_index(n);
    out->is_loopback = n->hwaddr_len == 0;
    out->hardware_type = out->is_loopback ? HARDWARE_LOOPBACK : HARDWARE_ETHERNET;
    memcpy(out->name, out->is_loopback ? "lo" : "eth0", out->is_loopback ? 2 : 4);
    out->flags = out->is_loopback ? INTERFACE_LOOPBACK : INTERFACE_BROADCAST | INTERFACE_MULTICAST;
    if (netif_is_up(n))
        out->flags |= INTERFACE_UP;
    if (netif_is_up(n) && (out->is_loopback || netif_is_link_up(n)))
        out->flags |= INTERFACE_RUNNING | INTERFACE_LOWER_UP;
    out->mtu = out->is_loopback ? LOOPBACK_MTU : n->mtu;
    memcpy(out->hardware, n->hwaddr, n->hwaddr_len);
    add_ipv4(out, n);
    for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        add_ipv6(out, n, i);
}

bool interface_next(unsigned from, struct interface *out) {
    const struct netif *n, *best = NULL;
    net_wait_address();
    net_lock();
    NETIF_FOREACH(n) {
        if (netif_get_index(n) >= from && (!best || netif_get_index(n) < netif_get_index(best)))
            best = n;
    }
    if (best)
        describe(best, out);
    net_unlock();
    return best;
}

/* ---- ioctl ---- */

/* Linux's struct ifreq and, of SIOCGIFCONF, struct ifconf. */
struct request {
    char name[INTERFACE_NAME_BYTES];
    union {
        int number;
        int16_t flags;
        struct sockaddr_in in;
        struct {
            uint16_t family;
            uint8_t bytes[6];
        } hardware;
        char room[24];
    };
};

struct list_request {
    int size, pad;
    uint64_t to;
};

_Static_assert(sizeof(struct request) == 40, "Linux's struct ifreq");

static bool find(const char *name, struct interface *out) {
    for (unsigned from = 1; interface_next(from, out); from = out->index + 1)
        if (!strncmp(out->name, name, INTERFACE_NAME_BYTES))
            return true;
    return false;
}

static const struct interface_address *ipv4_of(const struct interface *i) {
    return i->address_count && i->addresses[0].family == AF_INET ? &i->addresses[0] : NULL;
}

/* What only AF_INET sockets are told. */
static long answer_address(const struct interface *i, unsigned command, struct request *r) {
    const struct interface_address *a = ipv4_of(i);
    if (!a)
        return -EADDRNOTAVAIL;
    uint32_t mask = lwip_htonl(a->prefix_bits ? ~0u << (32 - a->prefix_bits) : 0);
    const void *told = command == SIOCGIFNETMASK   ? (const void *)&mask
                       : command == SIOCGIFBRDADDR ? a->broadcast
                                                   : a->bytes;
    r->in = (struct sockaddr_in){ .sin_family = AF_INET };
    memcpy(&r->in.sin_addr, told, 4);
    return 0;
}

static long answer(const struct interface *i, unsigned command, struct request *r) {
    switch (command) {
    case SIOCGIFINDEX:
        r->number = (int)i->index;
        return 0;
    case SIOCGIFFLAGS:
        r->flags = (int16_t)i->flags;
        return 0;
    case SIOCGIFMTU:
        r->number = (int)i->mtu;
        return 0;
    case SIOCGIFMETRIC:
        r->number = 0;
        return 0;
    case SIOCGIFTXQLEN:
        r->number = INTERFACE_QUEUE;
        return 0;
    case SIOCGIFMAP: /* a device without ports and memory of its own */
        memset(r->room, 0, sizeof r->room);
        return 0;
    case SIOCGIFHWADDR:
        memset(r->room, 0, sizeof r->room);
        r->hardware.family = i->hardware_type;
        memcpy(r->hardware.bytes, i->hardware, sizeof i->hardware);
        return 0;
    default:
        return answer_address(i, command, r);
    }
}

static long name_of(int index, struct request *r) {
    struct interface i;
    if (index <= 0 || !interface_next((unsigned)index, &i) || i.index != (unsigned)index)
        return -ENODEV;
    memcpy(r->name, i.name, sizeof r->name);
    return 0;
}

/* SIOCGIFCONF: those with an IPv4 address, as far as there is room; room NULL: how many bytes. */
static long list_all(uintptr_t arg) {
    struct list_request l;
    struct interface i;
    if (copy_from_user(&l, (const void *)arg, sizeof l))
        return -EFAULT;
    int done = 0;
    for (unsigned from = 1; interface_next(from, &i); from = i.index + 1) {
        struct request r;
        memset(&r, 0, sizeof r);
        if (!ipv4_of(&i))
            continue;
        if (l.to && l.size - done < (int)sizeof r)
            break;
        memcpy(r.name, i.name, sizeof r.name);
        (void)answer_address(&i, SIOCGIFADDR, &r);
        if (l.to && copy_to_user((void *)(l.to + (uint64_t)done), &r, sizeof r))
            return -EFAULT;
        done += (int)sizeof r;
    }
    l.size = done;
    return copy_to_user((void *)arg, &l, sizeof l);
}

static bool is_known(uint16_t family, unsigned command) {
    switch (command) {
    case SIOCGIFNAME:
    case SIOCGIFINDEX:
    case SIOCGIFFLAGS:
    case SIOCGIFMTU:
    case SIOCGIFMETRIC:
    case SIOCGIFTXQLEN:
    case SIOCGIFMAP:
    case SIOCGIFHWADDR:
        return true;
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
        return family == AF_INET;
    default:
        return false;
    }
}

long interface_ioctl(uint16_t family, unsigned command, uintptr_t arg) {
    struct request r;
    struct interface i;
    if (command == SIOCGIFCONF)
        return list_all(arg);
    if (!is_known(family, command))
        return -ENOTTY;
    if (copy_from_user(&r, (const void *)arg, sizeof r))
        return -EFAULT;
    r.name[sizeof r.name - 1] = 0;
    long err = command == SIOCGIFNAME ? name_of(r.number, &r)
               : find(r.name, &i)     ? answer(&i, command, &r)
                                      : -ENODEV;
    return err ? err : copy_to_user((void *)arg, &r, sizeof r);
}
