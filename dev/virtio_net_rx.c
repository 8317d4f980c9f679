/* SPDX-License-Identifier: MIT */
/*
 * A virtio network card's receive queues.
 *
 * Buffers.  One is half a page: `struct netdev_buffer`, then room that the card
 * writes to.  The halves of a page count its references, so that giving one
 * back is page_put() from any CPU, without a lock of ours, and nothing is
 * cleared, which a slab would do.  A buffer is in the ring, on the `spare` list
 * (after a frame that was dropped, or the second half of a page), or net/'s.
 *
 * The ring is filled up in batches; when there is no memory for that, or the
 * card does nothing but send nonsense, a timer has net/ look again: a ring with
 * too few buffers for the next frame would otherwise wait for ever.
 *
 * Interrupts.  After one the queue is silent until netdev_rest() finds it empty.
 * Handlers take no lock (RANK_DEVICE is for threads): struct net_interrupt says
 * how they know whether they are wanted.
 *
 * Trust.  virtq checks ids and lengths; here the header is copied before it is
 * read, and a frame's buffers are limited by VIRTIO_NET_MAX_BUFFERS and by what
 * is in the used ring at this moment, so that no half frame is ever kept.  The
 * frame itself may change while net/ reads it, if the host is malicious: it
 * could as well write to any other memory of ours.
 *
 * Lock: net_receiver.lock (RANK_DEVICE), for threads; the notification is outside.
 */
#include <asm-generic/errno.h>
#include "arch/x86_64/paging.h"
#include "arch/x86_64/percpu.h"
#include "base/string.h"
#include "dev/virtio_net_impl.h"
#include "kernel/pages.h"
#include "kernel/thread.h"

#define RETRY_NS     (10 * NS_PER_MS)
#define REFILL_PART  4 /* of the ring, that may be empty before it is filled up */
#define EMPTY_ROUNDS 4 /* of finding only nonsense in a ring that is never empty */

/* Buffers given back on this CPU; others read it (relaxed: a statistic). */
static PERCPU _Atomic(uint64_t) buffers_freed;

static void retry(struct timer *t) {
    struct net_receiver *r = container_of(t, struct net_receiver, retry);

    r->interrupt.card->ready(r->interrupt.pair);
}

int net_receiver_init(struct netdev *card, unsigned n, unsigned size) {
    struct net_receiver *r = &card->pairs[n]->receiver;
    const struct virtio_queue_setup setup = {
        .index = 2 * n,
        .size = size,
        .handler = net_interrupt,
        .arg = &r->interrupt,
        .cpu = n % cpu_count,
    };
    int err;

    r->interrupt.card = card;
    r->interrupt.pair = n;
    spin_init(&r->lock, RANK_DEVICE);
    timer_init(&r->retry, retry);
    err = virtio_queue_init(card->virtio, &r->queue, &setup);
    return err ? err : r->queue.ring.size < NET_MIN_QUEUE ? -ENOSPC : 0;
}

static void *room_of(struct netdev_buffer *b) {
    return (char *)b + NET_BUFFER_START;
}

static void put_spare(struct net_receiver *r, struct netdev_buffer *b) {
    b->next = r->spare;
    r->spare = b;
}

/* A buffer to be given to the card; NULL without memory. */
static struct netdev_buffer *get_spare(struct net_receiver *r) {
    struct netdev_buffer *b = r->spare;
    struct page *p;

    if (b) {
        r->spare = b->next;
        return b;
    }
    p = pages_alloc(0);
    if (!p)
        return NULL;
    page_get(p); /* a reference for each half */
    b = page_address(p);
    put_spare(r, (void *)((char *)b + NET_BUFFER_SIZE));
    return b;
}

void netdev_buffer_free(struct netdev_buffer *b) {
    preempt_disable();
    atomic_fetch_add_explicit(this_cpu(buffers_freed), 1, memory_order_relaxed);
    preempt_enable();
    page_put(phys_to_page(virt_to_phys(b)));
}

uint64_t net_buffers_freed(void) {
    uint64_t sum = 0;

    for (unsigned cpu = 0; cpu < cpu_count; cpu++)
        sum += atomic_load_explicit(cpu_of(buffers_freed, cpu), memory_order_relaxed);
    return sum;
}

/* Fills the ring up; the lock is held. */
static void refill(struct net_receiver *r) {
    while (r->queue.ring.free_count > 0 && !r->queue.ring.broken) {
        struct netdev_buffer *b = get_spare(r);

        if (!b) {
            timer_arm(&r->retry, clock_now_ns() + RETRY_NS);
            return;
        }
        if (virtio_queue_add(&r->queue, room_of(b), NET_BUFFER_ROOM, true, b)) {
            put_spare(r, b);
            return;
        }
    }
}

/* Takes the next used buffer: 1, 0 (there is none) or -EIO. */
static int take_buffer(struct net_receiver *r, struct netdev_buffer **out) {
    struct netdev_buffer *b;
    void *token;
    uint32_t length;
    int got = virtio_queue_take(&r->queue, &token, &length);

    if (got <= 0)
        return got;
    b = token;
    if (length == 0) { /* used for nothing: no honest card does that */
        put_spare(r, b);
        virtio_queue_break(&r->queue);
        return -EIO;
    }
    b->next = NULL;
    b->data = room_of(b);
    b->length = length;
    *out = b;
    return 1;
}

static void drop(struct net_receiver *r, struct netdev_buffer *frame) {
    r->dropped++;
    while (frame) {
        struct netdev_buffer *next = frame->next;

        put_spare(r, frame);
        frame = next;
    }
}

/* Appends the other `count` buffers of the frame that begins with `first`; returns its length, or
 * 0 where they are not there. */
static size_t take_rest(struct net_receiver *r, struct netdev_buffer *first, unsigned count) {
    struct netdev_buffer *last = first;
    size_t bytes = first->length;

    for (unsigned i = 0; i < count; i++) {
        if (take_buffer(r, &last->next) <= 0)
            return 0;
        last = last->next;
        bytes += last->length;
    }
    return bytes;
}

/* Takes the next frame: 1, 0 (there is none), -EPROTO (it was dropped) or -EIO. */
static int take_frame(struct net_receiver *r, struct netdev_buffer **out, size_t *bytes) {
    uint64_t features = r->interrupt.card->virtio->features;
    struct virtio_net_header header;
    struct netdev_buffer *first;
    unsigned buffers;
    int got = take_buffer(r, &first);

    if (got <= 0)
        return got;
    if (first->length < sizeof header + VIRTIO_NET_ETHERNET_BYTES) {
        drop(r, first);
        return -EPROTO;
    }
    memcpy(&header, first->data, sizeof header);
    first->data = (char *)first->data + sizeof header;
    first->length -= (uint32_t)sizeof header;
    buffers = virtio_net_header_buffers(&header, features);
    *bytes = buffers ? take_rest(r, first, buffers - 1) : 0;
    if (virtio_net_header_parse(&header, features, *bytes, &first->offload)) {
        drop(r, first);
        return -EPROTO;
    }
    r->frames++;
    r->bytes += *bytes;
    r->buffers += buffers;
    *out = first;
    return 1;
}

/* The next good frame among those that are there, or NULL. */
static struct netdev_buffer *take_good_frame(struct net_receiver *r) {
    struct netdev_buffer *frame = NULL;
    size_t bytes;
    int got;

    /* Ends: what is dropped goes back into the ring only later. */
    do
        got = take_frame(r, &frame, &bytes);
    while (got == -EPROTO);
    return frame;
}

static void disarm(struct net_receiver *r) {
    atomic_store_explicit(&r->interrupt.armed, false, memory_order_relaxed);
    if (r->queue.ring.interrupt_wanted)
        virtq_disable_interrupt(&r->queue.ring);
}

/* Turns the interrupt on.  Returns whether something came meanwhile; then it is off again. */
static bool arm(struct net_receiver *r) {
    /* Release; pairs with net_tell(). */
    atomic_store_explicit(&r->interrupt.armed, true, memory_order_release);
    if (!virtq_enable_interrupt(&r->queue.ring))
        return false;
    disarm(r);
    return true;
}

static bool publish(struct net_receiver *r) {
    bool kick = virtio_queue_publish(&r->queue);

    r->kicks += kick;
    return kick;
}

bool netdev_has_received(struct netdev *n, unsigned queue) {
    struct net_receiver *r = &n->pairs[queue]->receiver;
    bool has;

    spin_lock(&r->lock);
    has = virtq_has_used(&r->queue.ring);
    spin_unlock(&r->lock);
    return has;
}

bool netdev_will_tell(const struct netdev *n, unsigned queue) {
    return atomic_load_explicit(&n->pairs[queue]->receiver.interrupt.armed, memory_order_relaxed);
}

struct netdev_buffer *netdev_receive(struct netdev *n, unsigned queue) {
    struct net_receiver *r = &n->pairs[queue]->receiver;
    struct netdev_buffer *frame;
    bool kick = false;

    spin_lock(&r->lock);
    disarm(r);
    frame = take_good_frame(r);
    if (frame)
        r->rests = 0;
    if (!frame || r->queue.ring.free_count >= r->queue.ring.size / REFILL_PART) {
        refill(r);
        kick = publish(r);
    }
    spin_unlock(&r->lock);
    if (kick)
        virtio_queue_notify(&r->queue);
    return frame;
}

bool netdev_rest(struct netdev *n, unsigned queue) {
    struct net_receiver *r = &n->pairs[queue]->receiver;
    bool some;

    spin_lock(&r->lock);
    some = !r->queue.ring.broken && arm(r);
    if (some && r->rests++ == EMPTY_ROUNDS) {
        r->rests = 0;
        timer_arm(&r->retry, clock_now_ns() + RETRY_NS);
        some = false;
    }
    spin_unlock(&r->lock);
    return some;
}

void net_receiver_start(struct net_receiver *r) {
    bool kick;

    spin_lock(&r->lock);
    refill(r);
    kick = publish(r);
    /* What came already waits for nobody yet: net/ hears of it as of any other frame. */
    atomic_store_explicit(&r->interrupt.armed, true, memory_order_release);
    if (virtq_enable_interrupt(&r->queue.ring))
        timer_arm(&r->retry, clock_now_ns());
    spin_unlock(&r->lock);
    if (kick)
        virtio_queue_notify(&r->queue);
}
