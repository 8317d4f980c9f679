/* SPDX-License-Identifier: MIT */
/*
 * The card's address, from DHCP or as given, and the name servers that go with
 * it.  /proc/net/pnp lists them, as on a Linux that configures itself at boot,
 * and /etc/resolv.conf leads there: a reader waits for the address, so that a
 * program that looks a name up as its first act finds the server.
 */
#include <asm-generic/errno.h>
#include <linux/stat.h>
#include "base/string.h"
#include "fs/proc.h"
#include "fs/vfs.h"
#include "kernel/log.h"
#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "net/net_impl.h"

static ip_addr_t servers[DNS_MAX_SERVERS]; /* net_lock */

void dns_init(void) {} /* lwIP's resolver is not built: musl has one */

/* lwIP: DHCP has heard of a name server. */
void dns_setserver(u8_t n, const ip_addr_t *server) {
    if (n < DNS_MAX_SERVERS)
        servers[n] = *server;
}

/* The part of `text` up to a comma, as an address; moves behind the comma. */
static bool take_address(const char **text, ip4_addr_t *out) {
    char part[16];
    const char *end = strchr(*text, ',');
    size_t length = end ? (size_t)(end - *text) : strlen(*text);
    if (length >= sizeof part)
        return false;
    memcpy(part, *text, length);
    part[length] = '\0';
    *text += length + (end != NULL);
    return ip4addr_aton(part, out);
}

/* ADDRESS/PREFIX[,GATEWAY[,DNS]] */
static int set_static(struct netif *card, const char *config) {
    ip4_addr_t address, netmask, gateway = *IP4_ADDR_ANY4, server;
    char text[16];
    const char *slash = strchr(config, '/');
    uint64_t prefix;

    if (!slash || (size_t)(slash - config) >= sizeof text)
        return -EINVAL;
    memcpy(text, config, (size_t)(slash - config));
    text[slash - config] = '\0';
    const char *rest = slash + 1;
    if (!ip4addr_aton(text, &address) || !string_number(&rest, &prefix) || prefix > 32)
        return -EINVAL;
    netmask.addr = prefix ? lwip_htonl(UINT32_MAX << (32 - prefix)) : 0;
    if (*rest == ',') {
        rest++;
        if (!take_address(&rest, &gateway))
            return -EINVAL;
        for (u8_t n = 0; *rest && n < DNS_MAX_SERVERS; n++) {
            if (!take_address(&rest, &server))
                return -EINVAL;
            ip_addr_copy_from_ip4(servers[n], server);
        }
    }
    if (*rest)
        return -EINVAL;
    netif_set_addr(card, &address, &netmask, &gateway);
    return 0;
}

int address_start(struct netif *card, const char *config) {
    if (strcmp(config, "dhcp") != 0)
        return set_static(card, config);
    return dhcp_start(card) == ERR_OK ? 0 : -ENOMEM;
}

static void generate_pnp(struct proc_buffer *b) {
    net_wait_address();
    net_lock();
    for (unsigned n = 0; n < DNS_MAX_SERVERS; n++)
        if (!ip_addr_isany_val(servers[n])) {
            char text[IPADDR_STRLEN_MAX];
            ipaddr_ntoa_r(&servers[n], text, sizeof text);
            proc_printf(b, "nameserver %s\n", text);
        }
    net_unlock();
}

void address_register(void) {
    proc_register("net/pnp", generate_pnp);
    /* A root with a file of its own keeps that. */
    int err = vfs_create(vfs_root, "/etc", S_IFDIR | 0755, 0, NULL);
    if (err && err != -EEXIST)
        return;
    err = vfs_create(vfs_root, "/etc/resolv.conf", S_IFLNK | 0777, 0, "/proc/net/pnp");
    if (err == -EEXIST)
        return;
    if (err)
        log_debug("net: /etc/resolv.conf: %d", err);
}
