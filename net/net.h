/* SPDX-License-Identifier: MIT */
/*
 * The network: lwIP below our sockets, the card above the driver.
 * Sockets themselves are in net/socket.h.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/types.h"

/*
 * Starts the loopback interface and, where there is a card, that: `config` is
 * "dhcp" or "ADDRESS/PREFIX[,GATEWAY[,DNS]]", NULL: no card is asked for.
 * 0; -ENODEV where a card is asked for and there is none; -EINVAL for a config
 * that is none; -ENOMEM.  Boot: thread context.
 */
must_check int net_init(const char *config);

/*
 * The program has ended and its sockets are closed: waits, for two seconds at
 * most, until its peers have all that it sent them.  Thread context.
 */
void net_drain(void);

#endif
