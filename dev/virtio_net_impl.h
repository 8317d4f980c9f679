/* SPDX-License-Identifier: MIT */
/* Private to dev/virtio_net*.c: a card, and its two kinds of queue. */
#ifndef DEV_VIRTIO_NET_IMPL_H
#define DEV_VIRTIO_NET_IMPL_H

#include <stdatomic.h>
#include "dev/virtio.h"
#include "dev/virtio_net_header.h"
#include "kernel/lock.h"
#include "kernel/timer.h"

#define NET_MIN_QUEUE 64 /* descriptors; a frame may need so many, sent or received */

/* Where a buffer of the receive ring begins in its half of a page: the IP header, behind
 * virtio's and Ethernet's, then lies on a cache line of its own. */
#define NET_BUFFER_SIZE  2048u
#define NET_BUFFER_START 102u
#define NET_BUFFER_ROOM  (NET_BUFFER_SIZE - NET_BUFFER_START)
_Static_assert(sizeof(struct netdev_buffer) <= NET_BUFFER_START, "the buffer's own header");

/*
 * An interrupt that tells net/ once.  `armed` is set by the thread that wants
 * to be told (release, before it looks at the ring for the last time) and
 * exchanged for false by whoever tells (acquire): the interrupt, or a thread
 * that took away what the interrupt would have come for.
 */
struct net_interrupt {
    atomic_bool armed;
    _Atomic(uint64_t) count;
    _Atomic(uint64_t) cpus; /* a bit for each that it has come to */
    struct netdev *card;
    unsigned pair;
};
void net_interrupt(void *arg); /* the queues' irq_handler */
/* Tells net/ if that is still wanted.  Interrupts are off. */
void net_tell(struct net_interrupt *i);

/* virtio_net_rx.c; the lock (RANK_DEVICE, threads) guards all below it. */
struct net_receiver {
    struct net_interrupt interrupt;
    struct timer retry; /* has the queue's thread look again */
    struct spinlock lock;
    struct virtio_queue queue;
    unsigned rests;              /* that found something, since the last good frame */
    struct netdev_buffer *spare; /* buffers that are neither in the ring nor net/'s */
    uint64_t frames, bytes, dropped, kicks;
    uint64_t buffers; /* handed to net/ in all */
};

/* A frame that the card has. */
struct net_sent {
    struct net_sent *next; /* of the free ones */
    void (*done)(void *token);
    void *token;
};

/* virtio_net_tx.c; the lock (RANK_DEVICE, threads) guards all below it. */
struct net_sender {
    struct net_interrupt interrupt;
    struct spinlock lock;
    struct virtio_queue queue;
    struct net_sent *sent; /* one for each descriptor */
    struct net_sent *free_sent;
    struct virtq_piece pieces[NETDEV_MAX_PIECES]; /* of the frame that is being queued */
    uint64_t frames, bytes, full, kicks;
};

struct net_pair {
    struct net_receiver receiver cache_aligned;
    struct net_sender sender cache_aligned;
};

struct netdev {
    struct virtio_device *virtio;
    struct netdev_features features;
    void (*ready)(unsigned queue);
    struct net_pair *pairs[MAX_CPUS];
    unsigned pair_count; /* that were set up; features.queues of them are used */
};

/* Sets up the receive queue of pair `n`, which is cleared.  0 or -errno. */
must_check int net_receiver_init(struct netdev *card, unsigned n, unsigned size);
/* Gives the card its first buffers and turns the interrupt on. */
void net_receiver_start(struct net_receiver *r);
/* Buffers that net/ has given back, of all cards and queues. */
uint64_t net_buffers_freed(void);

must_check int net_sender_init(struct netdev *card, unsigned n, unsigned size);

#endif
