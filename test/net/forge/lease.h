/* SPDX-License-Identifier: MIT */
/* A DHCP server for the one machine on the cable (RFC 2131). */
#ifndef TEST_NET_FORGE_LEASE_H
#define TEST_NET_FORGE_LEASE_H

#include "test/net/forge/wire.h"

#define DHCP_SERVER_PORT 67

/* The machine's address is 10.0.9.`host`.  Who has another and asks to keep it is refused. */
struct lease {
    unsigned host;
    unsigned given, renewed, refused; /* how often */
    unsigned late_ms;                 /* how long the first offer takes */
};
extern struct lease lease;

/* A datagram for DHCP_SERVER_PORT, its header included. */
void see_dhcp(const struct packet *p);

#endif
