/* SPDX-License-Identifier: MIT */
/*
 * The machine's network interfaces as a program sees them: by ioctl on any socket
 * (the older way), and by NETLINK_ROUTE (netlink.c).  There is "lo", and "eth0"
 * where the machine has a card.
 */
#ifndef NET_INTERFACE_H
#define NET_INTERFACE_H

#include "base/types.h"

#define INTERFACE_NAME_BYTES 16 /* Linux's IFNAMSIZ */
#define INTERFACE_ADDRESSES  5  /* one of IPv4, the others of IPv6 */

struct interface_address {
    uint16_t family;     /* AF_INET, AF_INET6 */
    uint8_t prefix_bits; /* of the network */
    bool is_link_local, is_host_only;
    uint8_t bytes[16]; /* of IPv4 the first four */
};

/* A copy, out of date at once. */
struct interface {
    unsigned index; /* from 1 */
    char name[INTERFACE_NAME_BYTES];
    uint32_t flags; /* IFF_* */
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
