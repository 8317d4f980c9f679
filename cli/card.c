/* SPDX-License-Identifier: MIT */
/*
 * A port that is taken, a tap device that is not there: found out before the
 * machine starts, by trying.  A tap device is opened here and handed to QEMU as
 * a descriptor, so that its errors are known exactly; a host's port is bound
 * and let go, since QEMU's user network takes no descriptors.
 */
#include "cli/card.h"

#include "cli/commands.h"
#include "cli/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- ports of --net user ---- */

static void say_port(const char *text, const struct net_port *port, int error) {
    const char *address = net_address(port->address);

    if (error == EADDRINUSE) {
        cli_fail("--port %s: port %u of %s is in use on this host, perhaps by another machine; "
                 "take another",
                 text, port->host, address);
    } else if (error == EACCES) {
        cli_fail("--port %s: port %u of this host is for root only; take one from 1024 on, such "
                 "as %u:%u",
                 text, port->host, port->host + 8000, port->guest);
    } else if (error == EADDRNOTAVAIL) {
        cli_fail("--port %s: this host has no address %s", text, address);
    } else {
        cli_fail("--port %s: cannot take the port: %s", text, strerror(error));
    }
}

static int try_port(const char *text) {
    struct net_port port;
    int one = 1, error = 0;

    net_port_read(&port, text);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(port.address),
        .sin_port = htons(port.host),
    };
    int fd = socket(AF_INET, (port.is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    /* As QEMU does it; but for datagrams, two machines would then share a port unawares. */
    if (fd < 0 || (!port.is_udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one))) ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) || (!port.is_udp && listen(fd, 1))) {
        error = errno;
        say_port(text, &port, error);
    }
    if (fd >= 0) {
        close(fd);
    }
    return error ? -1 : 0;
}

/* ---- tap devices ---- */

/* Opens one pair of queues of the device `name`: a descriptor or a negative errno. */
static int open_tap(const char *name, short flags) {
    struct ifreq request = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags) };
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        return -errno;
    }
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(fd, TUNSETIFF, &request)) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

static int say_tap(const char *name, int error) {
    switch (error) {
    case ENODEV:
        cli_fail("there is no network device %s; make it: sudo ip tuntap add dev %s mode tap "
                 "user $USER && sudo ip link set %s up",
                 name, name, name);
        break;
    case EPERM:
        cli_fail("the tap device %s belongs to another user; make it with `user $USER`", name);
        break;
    case EBUSY:
        cli_fail("the tap device %s is in use, perhaps by another machine", name);
        break;
    case EINVAL:
        cli_fail("the network device %s is not a tap device", name);
        break;
    default:
        cli_fail("cannot open the tap device %s (/dev/net/tun): %s", name, strerror(error));
    }
    return -1;
}

/*
 * A device that was made with several queues must be opened so, even for one.
 * Where there is none of that name, root would make one by opening it, which
 * nothing has configured: hence the look beforehand.
 */
static int open_taps(struct card *card, const struct run_options *options) {
    const char *name = options->net_detail;
    unsigned wanted = options->machine == MACHINE_Q35 && options->on == ON_QEMU ? options->cpus : 1;

    if (!if_nametoindex(name)) {
        return say_tap(name, ENODEV);
    }
    int fd = open_tap(name, 0);
    if (fd != -EINVAL) {
        wanted = 1;
    }
    for (;;) {
        if (fd == -EINVAL) {
            fd = open_tap(name, IFF_MULTI_QUEUE);
        }
        if (fd < 0) {
            return say_tap(name, -fd);
        }
        card->taps[card->queues++] = fd;
        if (card->queues >= wanted || card->queues == CARD_MAX_QUEUES) {
            return 0;
        }
        fd = -EINVAL;
    }
}

/* ---- the card ---- */

int card_open(struct card *card, const struct run_options *options) {
    int fd;

    *card = (struct card){ .queues = 0 };
    switch (options->net) {
    case NET_USER:
        for (size_t i = 0; i < options->ports.count; i++) {
            if (try_port(options->ports.items[i])) {
                return -1;
            }
        }
        return 0;
    case NET_TAP:
        return open_taps(card, options);
    case NET_SOCKET:
        if (sscanf(options->net_detail, "fd=%d", &fd) == 1 && fcntl(fd, F_GETFD) < 0) {
            cli_fail("--net socket:fd=%d: there is no open descriptor %d", fd, fd);
            return -1;
        }
        return 0;
    default:
        return 0;
    }
}

void card_close(struct card *card) {
    for (unsigned i = 0; i < card->queues; i++) {
        close(card->taps[i]);
    }
    card->queues = 0;
}

/* Appends to *text, which is the caller's. */
static void append(char **text, char *more) {
    char *both = xasprintf("%s%s", *text, more);

    free(*text);
    free(more);
    *text = both;
}

/* The lowest address of the network that is none of these. */
static uint32_t free_address(const struct net_ip *ip, uint32_t other) {
    uint32_t address = (ip->address & ip->mask) + 1;

    while (address == ip->address || address == ip->gateway || address == ip->dns ||
           address == other) {
        address++;
    }
    return address;
}

/*
 * QEMU's own network about a fixed address: its gateway and its name server
 * where the program will look for them, and ports that lead to the address.
 * A name server outside is one that the gateway reaches as it reaches all else.
 */
static char *user_network(const char *text) {
    struct net_ip ip;

    net_ip_read(&ip, text);
    uint32_t gateway = ip.gateway ? ip.gateway : free_address(&ip, 0);
    bool dns_within = ip.dns && !((ip.dns ^ ip.address) & ip.mask) && ip.dns != gateway;
    return xasprintf(",net=%s/%u,host=%s,dns=%s,dhcpstart=%s", net_address(ip.address & ip.mask),
                     ip.prefix, net_address(gateway),
                     net_address(dns_within ? ip.dns : free_address(&ip, gateway)),
                     net_address(ip.address));
}

static char *netdev(const struct card *card, const struct run_options *options) {
    struct net_port port;
    char *text = NULL;

    if (options->net == NET_SOCKET) {
        return xasprintf("socket,id=net,%s", options->net_detail);
    }
    if (options->net == NET_TAP) {
        text = xasprintf("tap,id=net,fd%s=%d", card->queues > 1 ? "s" : "", card->taps[0]);
        for (unsigned i = 1; i < card->queues; i++) {
            append(&text, xasprintf(":%d", card->taps[i]));
        }
        return text;
    }
    text = xstrdup("user,id=net");
    if (options->ip) {
        append(&text, user_network(options->ip));
    }
    for (size_t i = 0; i < options->ports.count; i++) {
        net_port_read(&port, options->ports.items[i]);
        append(&text, xasprintf(",hostfwd=%s:%s:%u-:%u", port.is_udp ? "udp" : "tcp",
                                net_address(port.address), port.host, port.guest));
    }
    return text;
}

/*
 * QEMU gives the first card of every machine the same hardware address, which
 * would not do on a network of several.
 */
static char *hardware_address(const struct run_options *options) {
    uint8_t random[3];

    if (options->net == NET_USER || getrandom(random, sizeof(random), 0) != sizeof(random)) {
        return xstrdup("");
    }
    return xasprintf(",mac=52:54:00:%02x:%02x:%02x", random[0], random[1], random[2]);
}

void card_add(const struct card *card, struct words *command, const struct run_options *options) {
    bool pci = options_machine(options) == MACHINE_Q35;

    if (options->net == NET_NONE) {
        return;
    }
    char *address = hardware_address(options);
    words_add(command, xstrdup("-netdev"));
    words_add(command, netdev(card, options));
    words_add(command, xstrdup("-device"));
    if (pci) {
        /* Interrupts for each queue, the control queue and the configuration; no firmware of its
         * own, which would cost boot time. */
        unsigned pairs = card->queues > 1 ? card->queues : 1;
        words_add(command, xasprintf("virtio-net-pci,netdev=net,disable-legacy=on,romfile=,"
                                     "mq=%s,vectors=%u%s",
                                     pairs > 1 ? "on" : "off", 2 * pairs + 2, address));
    } else {
        words_add(command, xasprintf("virtio-net-device,netdev=net%s", address));
    }
    free(address);
    words_add(command, xstrdup("-object"));
    words_add(command, xstrdup("rng-random,id=rng,filename=/dev/urandom"));
    words_add(command, xstrdup("-device"));
    words_add(command, xstrdup(pci ? "virtio-rng-pci,rng=rng,disable-legacy=on"
                                   : "virtio-rng-device,rng=rng"));
}

const char *card_explain(const char *message) {
    if (strstr(message, "Could not set up host forwarding rule")) {
        return "a port of --port was taken on this host just now; take another";
    }
    if (strstr(message, "network backend 'user' is not compiled") ||
        strstr(message, "'user' is not a valid netdev")) {
        return "this QEMU was built without the network that --net user needs";
    }
    return NULL;
}
