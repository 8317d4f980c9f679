/* SPDX-License-Identifier: MIT */
/*
 * How lwIP is built.  Everything in it runs under net_lock (net/net_impl.h), and
 * memory comes from the kernel's slabs, so that no table has a fixed size.
 */
#ifndef NET_LWIP_LWIPOPTS_H
#define NET_LWIP_LWIPOPTS_H

#include "base/checksum.h"
#include "base/types.h"
#include "net/lwip/hooks.h"

#define NO_SYS                    1
#define SYS_LIGHTWEIGHT_PROT      0
#define LWIP_TIMERS               0 /* net/net.c calls them */
#define LWIP_ASSERT_CORE_LOCKED() net_assert_locked()

#define MEM_LIBC_MALLOC              1
#define MEMP_MEM_MALLOC              1
#define MEM_ALIGNMENT                8
#define mem_clib_malloc(size)        net_malloc(size)
#define mem_clib_calloc(count, size) kmalloc((count) * (size))
#define mem_clib_free                kfree

#define LWIP_NETCONN                 0
#define LWIP_SOCKET                  0
#define LWIP_STATS                   0
#define LWIP_NETIF_TX_SINGLE_PBUF    0
#define PBUF_LINK_ENCAPSULATION_HLEN 16 /* NETDEV_HEADER_BYTES, and alignment */

/* IPv4 and IPv6. */
#define LWIP_ARP                      1
#define ARP_QUEUEING                  1
#define ARP_QUEUE_LEN                 128 /* a burst of connections before the first answer */
#define ARP_TABLE_SIZE                64
#define LWIP_ICMP                     1
#define IP_DEFAULT_TTL                64
#define IP_REASS_MAX_PBUFS            256
#define IP_SOF_BROADCAST              0 /* net/udp.c looks itself */
#define IP_SOF_BROADCAST_RECV         0
#define LWIP_IPV6                     1
#define LWIP_IPV6_NUM_ADDRESSES       4
#define IPV6_FRAG_COPYHEADER          1 /* pointers are 64 bits wide */
#define LWIP_ND6_NUM_NEIGHBORS        32
#define LWIP_ND6_NUM_DESTINATIONS     32
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 1
#define LWIP_DHCP                     1
#define DHCP_DOES_ARP_CHECK           0
/* Not lwIP's resolver, only what DHCP hears of servers: dns_setserver() is ours (net/address.c). */
#define LWIP_DNS            1
#define DNS_MAX_SERVERS     3
#define LWIP_NETIF_HOSTNAME 0

#define LWIP_NETIF_STATUS_CALLBACK 1

/* The loopback interface, and our own addresses through the card's. */
#define LWIP_NETIF_LOOPBACK     1
#define LWIP_HAVE_LOOPIF        1
#define LWIP_LOOPBACK_MAX_PBUFS 0 /* windows and queues bound it */

#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_CHKSUM(data, size)      checksum_sum(data, (size_t)(size))

/* UDP: net/udp.c looks at where a datagram was sent to. */
#define LWIP_UDP             1
#define LWIP_NETBUF_RECVINFO 0

/* TCP.  A segment is as long as its interface's MTU allows: TCP_MSS only bounds it. */
#define LWIP_TCP          1
#define SO_REUSE          1
#define TCP_MSS           32768
#define LWIP_WND_SCALE    1
#define TCP_RCV_SCALE     4
#define TCP_WND           net_tcp_window
#define TCP_SND_BUF       net_tcp_send_buffer
#define TCP_SYNMAXRTX     7 /* lwIP gives up with the last; Linux asks six times and waits */
#define TCP_SND_QUEUELEN  4096
#define TCP_SNDLOWAT      (TCP_SND_BUF / 3)
#define TCP_SNDQUEUELOWAT (TCP_SND_QUEUELEN / 2)
#define TCP_OVERSIZE      256
/* Of closed connections; net/tcp_window.c tells the peer of others. */
#define TCP_WND_UPDATE_THRESHOLD   (TCP_WND_MAX(pcb) / 4)
#define TCP_LISTEN_BACKLOG         1
#define LWIP_TCP_KEEPALIVE         1
#define LWIP_TCP_PCB_NUM_EXT_ARGS  2 /* PCB_LIFETIME, PCB_SEGMENT: net/net_impl.h */
#define LWIP_TCP_SACK_OUT          1
#define TCP_OOSEQ_BYTES_LIMIT(pcb) (net_memory_is_short() ? 0 : TCP_WND)
/* Each may be a buffer of the card's with one byte in it. */
#define TCP_OOSEQ_PBUFS_LIMIT(pcb)     ((pcb)->rcv_wnd / 512 + 2)
#define TCP_MSL                        30000ul /* TIME_WAIT is 60 seconds, as Linux's */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1       /* the preprocessor cannot see the variables */

#endif
