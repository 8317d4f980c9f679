/* SPDX-License-Identifier: MIT */
/* Reads the network's options; card.c makes a network card of them. */
#include "cli/net.h"

#include "cli/commands.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *net_address(uint32_t address) {
    static char texts[4][INET_ADDRSTRLEN];
    static unsigned turn;
    struct in_addr in = { htonl(address) };
    char *text = texts[turn++ % 4];

    return inet_ntop(AF_INET, &in, text, INET_ADDRSTRLEN);
}

/* The IPv4 address in the first `length` bytes of `text`: whether there is one. */
static bool parse_address(const char *text, size_t length, uint32_t *address) {
    char copy[INET_ADDRSTRLEN];
    struct in_addr in;

    if (length >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (inet_pton(AF_INET, copy, &in) != 1) {
        return false;
    }
    *address = ntohl(in.s_addr);
    return true;
}

/* A decimal number at *text of at most six digits, which is passed; -1 where there is none. */
static long parse_number(const char **text) {
    size_t length = strspn(*text, "0123456789");
    long number = length && length <= 6 ? strtol(*text, NULL, 10) : -1;

    *text += length;
    return number;
}

/* ---- --net ---- */

/*
 * Commas begin further words to QEMU's -netdev, of which a socket may have
 * one, localaddr=.
 */
static bool is_socket(const char *text) {
    static const char *const kinds[] = { "listen=", "connect=", "mcast=", "udp=", "fd=" };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const char *value = text + strlen(kinds[i]);
        if (strncmp(text, kinds[i], strlen(kinds[i]))) {
            continue;
        }
        size_t length = strcspn(value, ",");
        const char *rest = value + length;
        if (!strcmp(kinds[i], "fd=")) {
            return length && strspn(value, "0123456789") == length && !*rest;
        }
        const char *colon = memchr(value, ':', length);
        if (!colon || !colon[1] || colon[1] == ',') {
            return false;
        }
        bool local = !strncmp(rest, ",localaddr=", 11) && rest[11] && !strchr(rest + 1, ',');
        return !strcmp(kinds[i], "udp=") ? local : !*rest || (local && !strcmp(kinds[i], "mcast="));
    }
    return false;
}

int net_parse(struct run_options *options, const char *text) {
    options->net_given = true;
    if (!strcmp(text, "none")) {
        options->net = NET_NONE;
    } else if (!strcmp(text, "user")) {
        options->net = NET_USER;
    } else if (!strncmp(text, "tap:", 4)) {
        options->net = NET_TAP;
        options->net_detail = text + 4;
        if (!text[4] || strlen(text + 4) >= IFNAMSIZ) {
            return cli_usage("run", "--net tap:IFNAME names a tap device, such as tap:mimosa0");
        }
    } else if (!strncmp(text, "socket:", 7)) {
        options->net = NET_SOCKET;
        options->net_detail = text + 7;
        if (!is_socket(text + 7)) {
            return cli_usage("run",
                             "--net socket: takes listen=[HOST]:PORT, connect=HOST:PORT, "
                             "mcast=ADDR:PORT[,localaddr=ADDR], "
                             "udp=HOST:PORT,localaddr=HOST:PORT or fd=N, not '%s'",
                             text + 7);
        }
    } else {
        return cli_usage("run", "--net is one of user, tap:IFNAME, socket:ARGS, none, not '%s'",
                         text);
    }
    return -1;
}

/* ---- --port ---- */

/* NULL, or what is wrong with it. */
static const char *parse_port(struct net_port *port, const char *text) {
    const char *at = strrchr(text, ':');
    size_t length = 0;

    *port = (struct net_port){ .address = INADDR_LOOPBACK };
    while (at && at > text && at[-1] != ':') {
        at--;
    }
    if (!at) {
        return "it takes HOST:GUEST, such as 8080:80";
    }
    if (at > text) { /* an address before the host's port */
        length = (size_t)(at - text) - 1;
        if (!parse_address(text, length, &port->address)) {
            return "before HOST:GUEST stands an IPv4 address of this host";
        }
    }
    long host = parse_number(&at);
    if (*at++ != ':') {
        return "it takes HOST:GUEST, such as 8080:80";
    }
    long guest = parse_number(&at);
    port->is_udp = !strcmp(at, "/udp");
    if (host < 0 || guest < 0 || (*at && !port->is_udp && strcmp(at, "/tcp"))) {
        return "it takes HOST:GUEST, two numbers, with /udp for that protocol";
    }
    if (!host || !guest || host > UINT16_MAX || guest > UINT16_MAX) {
        return "ports go from 1 to 65535";
    }
    port->host = (uint16_t)host;
    port->guest = (uint16_t)guest;
    return NULL;
}

void net_port_read(struct net_port *port, const char *text) {
    parse_port(port, text);
}

int net_parse_port(struct run_options *options, char *text) {
    struct net_port port, other;
    const char *why = parse_port(&port, text);

    if (why) {
        return cli_usage("run", "--port %s: %s", text, why);
    }
    for (size_t i = 0; i < options->ports.count; i++) {
        net_port_read(&other, options->ports.items[i]);
        if (other.host == port.host && other.address == port.address &&
            other.is_udp == port.is_udp) {
            return cli_usage("run", "--port %s and --port %s both take port %u of this host",
                             options->ports.items[i], text, port.host);
        }
    }
    words_add(&options->ports, text);
    return -1;
}

/* ---- --ip ---- */

/* NULL, or what is wrong with it. */
static const char *parse_ip(struct net_ip *ip, const char *text) {
    size_t length = strcspn(text, "/");

    *ip = (struct net_ip){ 0 };
    if (!parse_address(text, length, &ip->address) || !text[length]) {
        return "it takes ADDR/PREFIX[,GATEWAY[,DNS]], such as 10.0.9.2/24,10.0.9.1";
    }
    text += length + 1;
    long prefix = parse_number(&text);
    if (prefix < 1 || prefix > 32) {
        return "the prefix behind the / goes from 1 to 32";
    }
    ip->prefix = (unsigned)prefix;
    ip->mask = UINT32_MAX << (32 - prefix);
    uint32_t *const more[] = { &ip->gateway, &ip->dns };
    for (size_t i = 0; i < 2 && *text == ','; i++) {
        length = strcspn(++text, ",");
        if (!parse_address(text, length, more[i]) || !*more[i]) {
            return i ? "the name server is an IPv4 address" : "the gateway is an IPv4 address";
        }
        text += length;
    }
    if (*text) {
        return "it takes ADDR/PREFIX[,GATEWAY[,DNS]] and nothing behind";
    }
    uint32_t host = ip->address & ~ip->mask;
    if (!ip->address || (prefix < 31 && (!host || host == ~ip->mask))) {
        return "that is the address of a network, not of a machine in it";
    }
    if (ip->gateway && ((ip->gateway ^ ip->address) & ip->mask)) {
        return "the gateway is not in that network";
    }
    return ip->gateway == ip->address ? "the gateway is another machine" : NULL;
}

void net_ip_read(struct net_ip *ip, const char *text) {
    parse_ip(ip, text);
}

int net_parse_ip(struct run_options *options, const char *command, const char *text) {
    struct net_ip ip;
    const char *why = parse_ip(&ip, text);

    if (why) {
        return cli_usage(command, "--ip %s: %s", text, why);
    }
    options->ip = text;
    return -1;
}

/* ---- all of them ---- */

int net_settle(struct run_options *options) {
    struct net_ip ip;

    if (options->ports.count && !options->net_given) {
        options->net = NET_USER;
    }
    if (options->ports.count && options->net != NET_USER) {
        return cli_usage("run", "--port goes with --net user; %s",
                         options->net == NET_NONE
                             ? "--net none has no ports"
                             : "on this network the program's address is reached directly");
    }
    if (options->ip && options->net == NET_NONE) {
        return cli_usage("run", "--ip needs a network: --net user, tap:IFNAME or socket:ARGS");
    }
    if (options->on == ON_LINUX_LEAN && options->net > NET_USER && !options->ip) {
        return cli_usage("run", "--on linux-lean asks nobody for its address: on this network, "
                                "give it with --ip ADDR/PREFIX[,GATEWAY[,DNS]]");
    }
    if (options->ip && options->net == NET_USER) {
        net_ip_read(&ip, options->ip);
        if (ip.prefix < 8 || ip.prefix > 29) {
            return cli_usage("run", "--ip %s: with --net user, the prefix goes from 8 to 29",
                             options->ip);
        }
    }
    return -1;
}

const char *net_manifest(const struct run_options *options) {
    if (options->net == NET_NONE && !options->image_net) {
        return NULL;
    }
    return options->ip ? options->ip : "dhcp";
}

void net_note(const struct run_options *options) {
    struct net_port port;
    bool moved = false;

    if (options->net == NET_NONE || options->on == ON_QEMU || options->on == ON_LINUX_LEAN) {
        return;
    }
    if (options->on == ON_LINUX_VM) {
        fprintf(stderr, "mimosa: note: --on linux-vm has the network card, but its kernel no "
                        "driver for it; --on linux-lean has one\n");
        return;
    }
    fprintf(stderr, "mimosa: note: with --on linux the program is in this host's network as it "
                    "is: --net and what goes with it change nothing");
    for (size_t i = 0; i < options->ports.count; i++) {
        net_port_read(&port, options->ports.items[i]);
        if (port.host != port.guest) {
            fprintf(stderr, "%s %u", moved ? "," : "; look for it at port", port.guest);
            moved = true;
        }
    }
    fputc('\n', stderr);
}
