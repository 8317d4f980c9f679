/* SPDX-License-Identifier: MIT */
/*
 * The machine's network interfaces as a program sees them: by ioctl on any socket
 * (the older way), and by NETLINK_ROUTE (netlink.c).  There is "lo", and "eth0"
 * where the machine has a card.
 */
#ifndef NET_INTERFACE_H
#define NET_INTERFACE_H

#include "base/types.h"

#define INTERFACE_NAME_BYTES 16   /* Linux's IFNAMSIZ */
#define INTERFACE_ADDRESSES  5    /* one of IPv4, the others of IPv6 */
#define INTERFACE_QUEUE      1000 /* frames, as Linux tells it */

/* Linux's IFF_* and ARPHRD_*; its <linux/if.h> wants a C library. */
enum {
    INTERFACE_UP = 0x1,
    INTERFACE_BROADCAST = 0x2,
    INTERFACE_LOOPBACK = 0x8,
    INTERFACE_RUNNING = 0x40,
    INTERFACE_MULTICAST = 0x1000,
    INTERFACE_LOWER_UP = 0x10000,
};
enum { HARDWARE_ETHERNET = 1, HARDWARE_LOOPBACK = 772 };

struct interface_address {
    uint16_t family;     /* AF_INET, AF_INET6 */
    uint8_t prefix_bits; /* of the network */
    bool is_link_local, is_host_only;
    uint8_t bytes[16];    /* of IPv4 the first four */
    uint8_t broadcast[4]; /* of IPv4; zeros: there is none */
};

/* A copy, out of date at once. */
struct interface {
    unsigned index; /* from 1 */
    char name[INTERFACE_NAME_BYTES];
    uint32_t flags;         /* INTERFACE_* */
    uint16_t hardware_type; /* HARDWARE_* */
    uint32_t mtu;
    bool is_loopback;
    uint8_t hardware[6]; /* zeros for the loopback */
    unsigned address_count;
    struct interface_address addresses[INTERFACE_ADDRESSES];
};

/* The first whose index is at least `from`; false: there is none.  Waits a while for the card's
 * address.  Context: thread, without net_lock, which it takes. */
bool interface_next(unsigned from, struct interface *out);

/* SIOCGIF* on a socket of `family`, which decides whether addresses are told: `arg` is the
 * program's struct ifreq or ifconf.  -ENOTTY: it is none of them; -EFAULT, -ENODEV, -EADDRNOTAVAIL.
 */
long interface_ioctl(uint16_t family, unsigned command, uintptr_t arg);

#endif
