/* SPDX-License-Identifier: MIT */
/* Addresses, masks and routes by the old ioctls, which the leanest kernel has. */
#include "lab/vm/linux-net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * What the DHCP server of --net user offers to the first machine that asks, and
 * there is never another: asking would only cost the time.
 */
#define USER_NETWORK "10.0.2.15/24,10.0.2.2,10.0.2.3"

static struct sockaddr address_of(uint32_t address) {
    const struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = address };
    struct sockaddr general;

    memcpy(&general, &in, sizeof(general));
    return general;
}

/* The address at *text, in network order, up to a comma or the end; *text passes both. */
static uint32_t take_address(const char **text) {
    char copy[INET_ADDRSTRLEN] = "";
    size_t length = strcspn(*text, ",/");
    struct in_addr in = { 0 };

    if (length < sizeof(copy)) {
        memcpy(copy, *text, length);
        inet_pton(AF_INET, copy, &in);
    }
    *text += length + ((*text)[length] != '\0');
    return in.s_addr;
}

static int bring_up(int fd, const char *name) {
    struct ifreq request = { .ifr_flags = IFF_UP | IFF_RUNNING };

    strcpy(request.ifr_name, name);
    return ioctl(fd, SIOCSIFFLAGS, &request);
}

/* Says who it is when it comes up, as Mimosa does: nobody waits for his next ARP request. */
static void announce(void) {
    int fd = open("/proc/sys/net/ipv4/conf/eth0/arp_notify", O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        ssize_t ignored = write(fd, "1", 1);
        (void)ignored;
        close(fd);
    }
}

static const char *set_address(int fd, uint32_t address, uint32_t mask) {
    struct ifreq request = { .ifr_name = "eth0", .ifr_addr = address_of(address) };

    if (ioctl(fd, SIOCSIFADDR, &request)) {
        return "this kernel has no driver for the network card";
    }
    announce();
    request.ifr_addr = address_of(mask);
    return ioctl(fd, SIOCSIFNETMASK, &request) || bring_up(fd, "eth0")
               ? "the network card does not take its address"
               : NULL;
}

static const char *set_gateway(int fd, uint32_t gateway) {
    struct rtentry route = {
        .rt_dst = address_of(0),
        .rt_genmask = address_of(0),
        .rt_gateway = address_of(gateway),
        .rt_flags = RTF_UP | RTF_GATEWAY,
    };

    return ioctl(fd, SIOCADDRT, &route) ? "the gateway is not taken" : NULL;
}

/* As long as the program brings no such file itself. */
static void set_name_server(uint32_t server) {
    int fd = open("/etc/resolv.conf", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    if (fd >= 0) {
        dprintf(fd, "nameserver %s\n", inet_ntoa((struct in_addr){ server }));
        close(fd);
    }
}

const char *net_begin(const char *text) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const char *why = NULL;

    if (fd < 0) {
        return text ? "this kernel has no network" : NULL;
    }
    bring_up(fd, "lo");
    if (text) {
        const char *at = strcmp(text, "dhcp") ? text : USER_NETWORK;
        uint32_t address = take_address(&at);
        long prefix = strtol(at, NULL, 10);

        why = set_address(fd, address, htonl(prefix > 0 ? UINT32_MAX << (32 - prefix) : 0));
        at += strcspn(at, ",");
        at += *at == ',';
        uint32_t gateway = take_address(&at), server = take_address(&at);
        if (!why && gateway) {
            why = set_gateway(fd, gateway);
        }
        if (server) {
            set_name_server(server);
        }
    }
    close(fd);
    return why;
}
