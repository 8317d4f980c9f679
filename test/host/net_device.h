/* SPDX-License-Identifier: MIT */
/*
 * A virtio network card for tests and fuzzers: the device's side of its queues.
 * It reads what the driver shows it, checks that, and writes what it is told to,
 * lies included.  One card; net_device_create() begins anew.
 */
#ifndef TEST_HOST_NET_DEVICE_H
#define TEST_HOST_NET_DEVICE_H

#include "dev/virtio.h"
#include "dev/virtio_net_header.h"

#define NET_DEVICE_QUEUES 9 /* four pairs and the control queue */

struct net_device_queue {
    struct virtio_queue *driver; /* NULL: not set up */
    struct virtq_desc *desc;
    struct virtq_avail *avail;
    struct virtq_used *used;
    unsigned size;
    uint16_t seen;     /* next available entry to look at */
    uint16_t told;     /* used index at which it last decided about an interrupt */
    unsigned notified; /* times */
};

struct net_device {
    struct virtio_device device;
    uint64_t offered;
    uint64_t accepted; /* what the driver wrote */
    uint8_t status;
    uint8_t config[12];
    unsigned size; /* of each queue, at most */
    unsigned vector_count;
    uint8_t control_answer; /* 0: done */
    bool control_silent;
    unsigned pairs; /* that the driver asked for; 0: it did not */
    struct net_device_queue queues[NET_DEVICE_QUEUES];
};
extern struct net_device net_device;

/* A card that offers `features` and VERSION_1, `pairs` pairs of queues of `size`. */
void net_device_create(uint64_t features, unsigned pairs, unsigned size);

/* A chain as the device sees it. */
struct net_device_chain {
    uint16_t head;
    unsigned count;
    struct {
        uint8_t *at;
        uint32_t length;
        bool writable;
    } piece[NETDEV_MAX_PIECES];
    uint32_t bytes;
};

/* The next chain that the driver has made available; false where there is none. */
bool net_device_pop(unsigned queue, struct net_device_chain *out);
/* The device is done with it. */
void net_device_push(unsigned queue, uint32_t id, uint32_t length);
/* Interrupts if the driver wants that. Returns whether it did. */
bool net_device_interrupt(unsigned queue);

/*
 * Gives the driver a frame as an honest card does, over as many buffers as it
 * takes; fills in `header`'s count.  Returns how many, or 0 without buffers.
 */
unsigned net_device_give(unsigned queue, struct virtio_net_header header, const void *frame,
                         size_t bytes);
/*
 * Takes a frame from a transmit queue, header included, and is done with it.
 * Returns its bytes, or 0 where there is none.
 */
size_t net_device_get(unsigned queue, void *to, size_t size);

#endif
