/* SPDX-License-Identifier: MIT */
/*
 * What the parts of net/ share.
 *
 * lwIP keeps its state in global variables, and is made for one caller at a
 * time: net_lock() is that one, a mutex.  It covers all of lwIP (pcbs, pbufs on
 * its way, interfaces) and what a callback of lwIP's touches.  It is taken
 * before any spinlock; the program's memory is not touched under it, so that no
 * page fault prolongs it.
 *
 * A pbuf that has been handed to a socket belongs to that socket alone
 * (reference count 1), and may be read and freed without the lock.
 */
#ifndef NET_NET_IMPL_H
#define NET_NET_IMPL_H

#include <stdatomic.h>
#include "base/types.h"
#include "lwip/err.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"

/* Context: thread, no spinlock held, not the lock itself. */
void net_lock(void);
/* Delivers what was sent over the loopback, tells the card of what was queued, and unlocks. */
void net_unlock(void);

/* The counting build: for how long the lock was held in all; else 0.  Under net_lock. */
uint64_t net_lock_held_ns(void);

/* What lwIP says as Linux does: 0, or a negative errno. */
int net_errno_or_0(err_t err);

/* Waits until the card has an address, or it is clear that it gets none soon: a program that
 * connects as its first act should not be told ENETUNREACH, nor who asks for addresses none.
 * Context: thread, nothing held but what lets a caller wait. */
void net_wait_address(void);

/* What goes with a pcb besides its argument: net/tcp.c hears of its end; payload bytes of the
 * segments that the card makes of its long ones, 0: it makes none. */
enum { PCB_LIFETIME, PCB_SEGMENT };

/* card.c: the card as an interface of lwIP's; NULL where there is none. */
must_check struct netif *card_open(void);
/* A connection is complete: where the card can cut, lwIP makes long segments.  Under net_lock. */
struct tcp_pcb;
void card_lengthen_segments(struct tcp_pcb *pcb);
/* Bytes of a full segment on the wire, whatever the card makes it of.  Under net_lock. */
unsigned card_segment_bytes(const struct tcp_pcb *pcb);
/* Whether the packet that is about to be sent is one that the card cuts.  Under net_lock. */
bool card_cuts_next(void);
/* Takes in up to `most` frames of a queue; whether there may be more.  Under net_lock. */
bool card_receive(unsigned queue, unsigned most);
/* netdev_rest(), netdev_has_received() and netdev_will_tell().  There is a card. */
bool card_rest(unsigned queue);
bool card_has_received(unsigned queue);
bool card_will_tell(unsigned queue);
/* What we send to our own address went over no wire: its sums need not be right. */
void card_trust_loopback(void);
/* Tells the card of frames that wait for that.  Under net_lock. */
void card_flush(void);
/* Frees what the card has sent: lwIP repeats no segment that is still held.  Under net_lock. */
void card_reclaim(void);
/* Has it look at its rings, in case that a notification got lost.  Under net_lock. */
void card_remind(void);
/* Whether it had no room for a frame since this was last asked.  Under net_lock. */
bool card_refused(void);
/* The same without forgetting it: net_take_in() will see it.  Under net_lock. */
bool card_is_full(void);
/* What it has done so far; zeros without a card.  Under net_lock. */
struct netdev_counts;
void card_count(struct netdev_counts *out);
/* How many receive queues; 0 without a card. */
unsigned card_queues(void);
/* net.c: the card has something in `queue`, or it is time to look.  Any context. */
void net_wake_queue(unsigned queue);
/* Woken, and counted up before, when a card that was full may have room: who finds it full has read
 * the count before he tried, and waits for another. */
extern struct wait_queue net_room;
extern atomic_uint net_room_count;
/* A batch of a queue's frames; whether there may be more.  Context: thread, nothing held. */
bool net_take_in(unsigned queue);

/* visit.c: boot, where there is a card. */
void visit_init(void);
/* Whether the interrupts, which are off, may stay off: somebody is awake, and nobody sleeps beside
 * the `woken` that were just woken; whoever is awake will look for frames.  Context: thread. */
bool visit_is_expected(uint64_t woken);

/* address.c: gives the card its address; -EINVAL.  Under net_lock. */
must_check int address_start(struct netif *card, const char *config);
/* Boot, without the lock: /proc/net/pnp, and /etc/resolv.conf where the root has none. */
void address_register(void);

/* count.c: boot, once. */
void count_register(void);

#endif
