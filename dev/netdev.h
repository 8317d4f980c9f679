/* SPDX-License-Identifier: MIT */
/*
 * A network card, as net/ sees it: it takes frames and gives frames.
 *
 * Receiving: each queue's interrupt calls the function given to netdev_open()
 * (interrupt context) and is off from then on; a thread then calls
 * netdev_receive() until that finds no frame, and netdev_rest(), which turns the
 * interrupt on again, unless somebody is to come back without being told.
 * Sending: netdev_send() for each frame, netdev_flush() when there is no more for
 * now.
 *
 * What was sent is not announced: `done` waits for the next call on that queue
 * that has reason to look, and a full queue holds at most its 64 to 256 frames.
 * So the queue's thread calls netdev_reclaim() when it is awake anyway.  Only a
 * sender that was told -ENOSPC is waited for: the queue's `ready` comes once
 * there is room; then send again.
 *
 * Locks: two for each queue (RANK_DEVICE), inside the driver, never both.  The
 * card and the host behind it are not trusted: a card that breaks the rules of
 * its queue gets -EIO for ever, and keeps the frames that it had.
 */
#ifndef DEV_NETDEV_H
#define DEV_NETDEV_H

#include "base/types.h"

#define NETDEV_HEADER_BYTES 12 /* room that netdev_send() needs in front of a frame */
#define NETDEV_MAX_PIECES   64 /* of one frame to send */

struct netdev;

/* What is still to be done to a frame; from struct virtio_net_hdr. */
struct netdev_offload {
    /* Sending: fill in the checksum: from `checksum_start` to the end of the frame, stored
     * `checksum_offset` behind it, where the pseudo header's sum stands already.  Receiving: the
     * sender was on this host and left that undone; the data is as good as checked. */
    bool needs_checksum;
    bool checksum_valid; /* receiving: the card has checked it */
    uint16_t checksum_start, checksum_offset;
    /* Segmentation: 0 for none, else payload bytes of each segment. */
    uint16_t segment_bytes;
    uint16_t header_bytes; /* sending: Ethernet, IP and TCP headers together */
    bool is_ipv6;
};

/*
 * A received piece of a frame: `data` lies in a buffer that belongs to the
 * caller from then on; give it back with netdev_buffer_free(), from any thread.
 * A frame has at most 64 pieces, none of them empty, and 65,553 bytes; the first
 * holds the Ethernet header at least, and what follows that is 64-byte aligned.
 * Nothing else was checked, and a host may change the bytes behind our back.
 */
struct netdev_buffer {
    struct netdev_buffer *next; /* of the same frame */
    void *data;
    uint32_t length;
    struct netdev_offload offload; /* of the frame's first */
    /* For the owner, undefined at first: his own bookkeeping (lwIP's struct pbuf_custom). */
    uint64_t owner[6];
};

struct netdev_piece {
    const void *data; /* kernel memory in the direct map */
    uint32_t length;
};

struct netdev_features {
    uint8_t address[6];       /* Ethernet */
    uint16_t mtu;             /* 1500 unless the card says otherwise */
    unsigned queues;          /* receive queues, each with a transmit queue */
    bool sends_checksum;      /* netdev_offload.needs_checksum may be used */
    bool sends_segments;      /* and segment_bytes, over IPv4 */
    bool sends_segments_ipv6; /* over IPv6 */
};

/*
 * The first network card, started; NULL where there is none, or none that works.
 * `ready(queue)` is called with interrupts off when a queue has something, or
 * room again, and now and then without cause; perhaps before this returns.
 * Boot, thread context, after virtio_init().
 */
struct netdev *netdev_open(void (*ready)(unsigned queue));
const struct netdev_features *netdev_features(const struct netdev *n);

/*
 * The next frame of `queue`, as a chain of buffers; NULL when there is none.  The
 * queue's interrupt is off from then on.  Context: any thread, one at a time for
 * each queue if the order of frames matters.
 */
struct netdev_buffer *netdev_receive(struct netdev *n, unsigned queue);
/* Turns the interrupt on and returns false; or returns true: there is something to receive. */
bool netdev_rest(struct netdev *n, unsigned queue);
/* Whether there is something to receive.  Any thread. */
bool netdev_has_received(struct netdev *n, unsigned queue);
/* Whether `ready` will be called for the next frame.  Any context. */
bool netdev_will_tell(const struct netdev *n, unsigned queue);
/* Gives back one buffer (not the chain). */
void netdev_buffer_free(struct netdev_buffer *b);

/*
 * Queues a frame.  In front of pieces[0].data there are NETDEV_HEADER_BYTES that
 * the card may write.  `done(token)` is called, in thread context with no lock
 * of the driver's held, once the card needs the pieces no more: from a later
 * netdev_send() or netdev_reclaim(), perhaps of another thread.  Returns 0,
 * -ENOSPC (the queue is full and the card knows it: drop the frame, TCP sends
 * again, or wait for `ready`), -EIO (the card is broken).
 */
must_check int netdev_send(struct netdev *n, unsigned queue, const struct netdev_piece *pieces,
                           unsigned count, const struct netdev_offload *offload,
                           void (*done)(void *token), void *token);
/* Tells the card of what was queued. */
void netdev_flush(struct netdev *n, unsigned queue);
/* Calls `done` for all that the card has sent. */
void netdev_reclaim(struct netdev *n, unsigned queue);
/*
 * Notifies the card of both rings of `queue`, whether it asked for that or not.
 * For a clock: QEMU before 8.1 leaves our memory barriers out of some machines
 * (with one CPU, and with --icount), and a ring whose notification got lost is
 * never notified again.
 */
void netdev_remind(struct netdev *n, unsigned queue);

/* For /proc/mimosa. */
struct netdev_counts {
    uint64_t received_frames, received_bytes, sent_frames, sent_bytes;
    uint64_t dropped;           /* received frames that broke the rules */
    uint64_t full;              /* -ENOSPC from netdev_send */
    uint64_t buffers_out;       /* received buffers that net/ holds */
    uint64_t under_way;         /* frames to send that the card has, or had */
    uint64_t interrupts, kicks; /* kicks: times the card was told */
    uint64_t receiving;         /* queues on which frames have come in */
    uint64_t interrupted;       /* CPUs to which a queue's interrupt has come */
};
void netdev_count(const struct netdev *n, struct netdev_counts *out);

#endif
