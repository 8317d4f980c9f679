/* SPDX-License-Identifier: MIT */
/* Brings up the network of a Linux machine, as Mimosa's kernel does its own. */
#ifndef LAB_LINUX_NET_H
#define LAB_LINUX_NET_H

/*
 * Gives the first card the address that the manifest says (ADDR/PREFIX[,GATEWAY[,DNS]],
 * or "dhcp": what QEMU's own network gives everybody) and brings it up, and the loopback
 * device too; NULL: that alone.  Returns NULL, or what went wrong.
 */
const char *net_begin(const char *text);

#endif
