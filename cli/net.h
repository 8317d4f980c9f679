/* SPDX-License-Identifier: MIT */
/*
 * What --net, --port and --ip ask for.  The functions that read an option
 * return -1 to go on, or the status to exit with after saying what is wrong.
 */
#ifndef CLI_NET_H
#define CLI_NET_H

#include "cli/options.h"

#include <stdint.h>

/* One --port; addresses and ports in the host's byte order. */
struct net_port {
    uint32_t address;
    uint16_t host, guest;
    bool is_udp;
};

/* One --ip; 0: not given. */
struct net_ip {
    uint32_t address, mask, gateway, dns;
    unsigned prefix;
};

int net_parse(struct run_options *options, const char *text);
int net_parse_port(struct run_options *options, char *text);
/* `command` is whose usage an error names. */
int net_parse_ip(struct run_options *options, const char *command, const char *text);

/* Once all options are read: what they imply, and which do not go together. */
int net_settle(struct run_options *options);

/* What options->ports and options->ip hold, which was checked when it was taken. */
void net_port_read(struct net_port *port, const char *text);
void net_ip_read(struct net_ip *ip, const char *text);

/* The value of the manifest's key `net` (base/wire.h), or NULL where there is no network. */
const char *net_manifest(const struct run_options *options);

/* Says on standard error where the system that was chosen makes less of these options. */
void net_note(const struct run_options *options);

/* An address as text, in one of a few buffers in turn. */
const char *net_address(uint32_t address);

#endif
