/* SPDX-License-Identifier: MIT */
/*
 * A virtio network card's transmit queues.
 *
 * A frame is one chain; virtio's header lies in front of its first piece, in
 * the same descriptor.  What the card has sent is collected late, by whoever
 * queues when half of the ring is in flight, and the card does not interrupt
 * for it: most frames cost one pass through the lock and a share of a
 * notification.
 *
 * Full.  A sender who finds no room shows the card all that is queued, turns
 * the interrupt on, and is told (`ready`) once there is some.  As the card
 * decides after it has published a used entry whether to interrupt, whoever
 * collects that entry in between may have prevented the interrupt: so who
 * collects while it is armed tells net/ himself.
 *
 * Callbacks run without the lock: what was collected is copied to the stack
 * first, a batch at a time.
 *
 * Lock: net_sender.lock (RANK_DEVICE), for threads; notification, `done` and
 * `ready` are outside.
 */
#include <asm-generic/errno.h>
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/percpu.h"
#include "base/string.h"
#include "dev/virtio_net_impl.h"
#include "kernel/panic.h"
#include "kernel/slab.h"

#define USUAL_PIECES 16 /* up to so many share a table, where tables were agreed upon */
#define BATCH        32 /* frames whose callbacks are run in one go */

/* What a call has to do once it has let go of the lock. */
struct afterwards {
    bool kick, tell;
    unsigned count; /* of `sent`; the rest is undefined */
    struct {
        void (*done)(void *token);
        void *token;
    } sent[BATCH];
};

static void afterwards_init(struct afterwards *a) {
    a->kick = a->tell = false;
    a->count = 0;
}

int net_sender_init(struct netdev *card, unsigned n, unsigned size) {
    struct net_sender *s = &card->pairs[n]->sender;
    const struct virtio_queue_setup setup = {
        .index = 2 * n + 1,
        .size = size,
        .pieces = USUAL_PIECES,
        .handler = net_interrupt,
        .arg = &s->interrupt,
        .cpu = n % cpu_count,
    };
    int err;

    s->interrupt.card = card;
    s->interrupt.pair = n;
    spin_init(&s->lock, RANK_DEVICE);
    err = virtio_queue_init(card->virtio, &s->queue, &setup);
    if (err)
        return err;
    if (s->queue.ring.size < NET_MIN_QUEUE)
        return -ENOSPC;
    s->sent = kmalloc(s->queue.ring.size * sizeof *s->sent);
    if (!s->sent)
        return -ENOMEM;
    for (unsigned i = 0; i < s->queue.ring.size; i++) {
        s->sent[i].next = s->free_sent;
        s->free_sent = &s->sent[i];
    }
    return 0;
}

/* Collects a batch of what the card has sent; the lock is held. */
static void collect(struct net_sender *s, struct afterwards *a) {
    unsigned before = a->count;
    void *token;
    uint32_t length;

    while (a->count < BATCH && virtio_queue_take(&s->queue, &token, &length) > 0) {
        struct net_sent *f = token;

        a->sent[a->count].done = f->done;
        a->sent[a->count++].token = f->token;
        f->next = s->free_sent;
        s->free_sent = f;
    }
    if (a->count == before || !s->queue.ring.interrupt_wanted)
        return;
    virtq_disable_interrupt(&s->queue.ring);
    a->tell = true;
}

static void publish(struct net_sender *s, struct afterwards *a) {
    if (virtio_queue_publish(&s->queue)) {
        a->kick = true;
        s->kicks++;
    }
}

/* The lock is not held any more. */
static void finish(struct net_sender *s, const struct afterwards *a) {
    if (a->kick)
        virtio_queue_notify(&s->queue);
    for (unsigned i = 0; i < a->count; i++)
        a->sent[i].done(a->sent[i].token);
    if (a->tell) {
        uint64_t flags = irq_save();

        net_tell(&s->interrupt);
        irq_restore(flags);
    }
}

/* The frame as the card sees it, header included, in s->pieces; returns how many there are. */
static unsigned map_pieces(struct net_sender *s, const struct netdev_piece *pieces, unsigned count,
                           const struct netdev_offload *offload) {
    struct virtio_net_header header;
    uintptr_t start = (uintptr_t)pieces[0].data - sizeof header;
    unsigned mapped = 1;

    virtio_net_header_build(&header, offload);
    memcpy((void *)start, &header, sizeof header);
    s->pieces[0].address = virt_to_phys((void *)start);
    s->pieces[0].length = pieces[0].length + (uint32_t)sizeof header;
    for (unsigned i = 1; i < count; i++) {
        if (pieces[i].length == 0) /* which virtio forbids */
            continue;
        s->pieces[mapped].address = virt_to_phys(pieces[i].data);
        s->pieces[mapped++].length = pieces[i].length;
    }
    return mapped;
}

/* Adds what map_pieces() left.  0, -ENOSPC or -EIO. */
static int queue_frame(struct net_sender *s, unsigned mapped, void (*done)(void *token),
                       void *token) {
    struct net_sent *f = s->free_sent; /* there is one wherever there is a descriptor */
    int err = virtio_queue_add_pieces(&s->queue, s->pieces, mapped, 0, f);

    if (err)
        return err;
    s->free_sent = f->next;
    f->done = done;
    f->token = token;
    s->frames++;
    for (unsigned i = 0; i < mapped; i++)
        s->bytes += s->pieces[i].length;
    s->bytes -= sizeof(struct virtio_net_header);
    return 0;
}

/* There was no room: collects and tries again until there is nothing left to collect.  If there
 * is still no room then, an interrupt will say when there is. */
static int queue_when_full(struct net_sender *s, unsigned mapped, void (*done)(void *token),
                           void *token, struct afterwards *a) {
    int err;

    publish(s, a);
    for (;;) {
        collect(s, a);
        err = queue_frame(s, mapped, done, token);
        if (err != -ENOSPC)
            return err;
        /* Release; pairs with net_tell(). */
        atomic_store_explicit(&s->interrupt.armed, true, memory_order_release);
        if (a->count == BATCH) {
            a->tell = true; /* more is there, but only so much can be called back at once */
            return err;
        }
        if (!virtq_enable_interrupt(&s->queue.ring))
            return err;
    }
}

int netdev_send(struct netdev *n, unsigned queue, const struct netdev_piece *pieces, unsigned count,
                const struct netdev_offload *offload, void (*done)(void *token), void *token) {
    struct net_sender *s = &n->pairs[queue]->sender;
    struct afterwards a;
    unsigned mapped;
    int err;

    assert(count > 0 && count <= NETDEV_MAX_PIECES);
    assert(!offload->needs_checksum || n->features.sends_checksum);
    assert(!offload->segment_bytes ||
           (offload->is_ipv6 ? n->features.sends_segments_ipv6 : n->features.sends_segments));
    afterwards_init(&a);
    spin_lock(&s->lock);
    if (virtq_in_flight(&s->queue.ring) >= s->queue.ring.size / 2)
        collect(s, &a);
    mapped = map_pieces(s, pieces, count, offload);
    err = queue_frame(s, mapped, done, token);
    if (err == -ENOSPC)
        err = queue_when_full(s, mapped, done, token, &a);
    s->full += err == -ENOSPC;
    spin_unlock(&s->lock);
    finish(s, &a);
    return err;
}

void netdev_flush(struct netdev *n, unsigned queue) {
    struct net_sender *s = &n->pairs[queue]->sender;
    struct afterwards a;

    afterwards_init(&a);
    spin_lock(&s->lock);
    publish(s, &a);
    spin_unlock(&s->lock);
    finish(s, &a);
}

void netdev_reclaim(struct netdev *n, unsigned queue) {
    struct net_sender *s = &n->pairs[queue]->sender;
    struct afterwards a;

    do {
        afterwards_init(&a);
        spin_lock(&s->lock);
        collect(s, &a);
        spin_unlock(&s->lock);
        finish(s, &a);
    } while (a.count == BATCH);
}
