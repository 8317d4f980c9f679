/* SPDX-License-Identifier: MIT */
/*
 * A virtio network card: what is agreed with it, how many queues it gets, and
 * how big they are.  There is one card, opened once, during boot; from then on
 * everything here is constant, and its queues (virtio_net_rx.c, virtio_net_tx.c)
 * have locks of their own.
 *
 * Memory.  Receive buffers are what a card costs: all of them together take at
 * most a 64th of the machine's memory, but for the 64 that a queue needs at
 * least.  24 MiB: one queue of 128 buffers, 256 KiB; 128 MiB: one of 1,024.
 */
#include <asm-generic/errno.h>
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/percpu.h"
#include "dev/virtio_net_impl.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/slab.h"

#define F_MTU        (1ul << 3)
#define F_MAC        (1ul << 5)
#define F_CONTROL_VQ (1ul << 17)
#define F_MQ         (1ul << 22) /* several pairs of queues */

#define CONFIG_MAC   0 /* offsets */
#define CONFIG_PAIRS 8
#define CONFIG_MTU   10

#define CONTROL_CLASS_MQ  4
#define CONTROL_SET_PAIRS 0
#define CONTROL_LIMIT_NS  (500 * NS_PER_MS)

#define GUEST_TSO (VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6)
#define HOST_TSO  (VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6)
#define WANTED                                                                                     \
    (VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM |   \
     GUEST_TSO | HOST_TSO | VIRTIO_NET_F_MRG_RXBUF | F_MTU | F_MAC | F_CONTROL_VQ | F_MQ)

#define MTU_DEFAULT 1500
#define MTU_MIN     576 /* RFC 791; a datagram is no more pieces than a pbuf can count */

#define MEMORY_PART      64   /* receive buffers take at most this part of the memory */
#define RECEIVE_SIZE_MAX 1024 /* descriptors */
#define SEND_SIZE_MAX    256

struct control_message { /* little-endian, like the CPU */
    uint8_t class, command;
    uint16_t pairs;
    uint8_t answer; /* 0: done */
};

void net_tell(struct net_interrupt *i) {
    /* Acquire; pairs with the release of who armed it. */
    if (atomic_exchange_explicit(&i->armed, false, memory_order_acquire))
        i->card->ready(i->pair);
}

void net_interrupt(void *arg) {
    struct net_interrupt *i = arg;
    uint64_t here = 1ul << cpu_id();

    if (!(atomic_load_explicit(&i->cpus, memory_order_relaxed) & here))
        atomic_fetch_or_explicit(&i->cpus, here, memory_order_relaxed);
    atomic_fetch_add_explicit(&i->count, 1, memory_order_relaxed);
    net_tell(i);
}

/* Takes out what makes no sense without something that is not there. */
static uint64_t consistent(uint64_t f) {
    /* A buffer of ours holds an ordinary frame, and nothing longer. */
    if (!(f & VIRTIO_NET_F_MRG_RXBUF))
        f &= ~(GUEST_TSO | F_MTU);
    if (!(f & VIRTIO_NET_F_GUEST_CSUM))
        f &= ~GUEST_TSO;
    if (!(f & VIRTIO_NET_F_CSUM))
        f &= ~HOST_TSO;
    if (!(f & F_CONTROL_VQ))
        f &= ~F_MQ;
    return f;
}

static int agree(struct virtio_device *virtio) {
    int err = virtio_begin(virtio, WANTED);

    if (!err && consistent(virtio->features) != virtio->features)
        err = virtio_begin(virtio, consistent(virtio->features));
    return err;
}

static void read_features(struct netdev *card) {
    struct virtio_device *virtio = card->virtio;
    struct netdev_features *f = &card->features;

    for (unsigned i = 0; i < sizeof f->address; i++)
        f->address[i] = (uint8_t)virtio_config(virtio, CONFIG_MAC + i, 1);
    if (!(virtio->features & F_MAC)) {
        random_bytes(f->address, sizeof f->address);
        f->address[0] = (uint8_t)((f->address[0] & ~1u) | 2); /* of one station, given locally */
    }
    uint16_t mtu = virtio->features & F_MTU ? (uint16_t)virtio_config(virtio, CONFIG_MTU, 2) : 0;
    f->mtu = mtu >= MTU_MIN ? mtu : MTU_DEFAULT;
    f->sends_checksum = virtio->features & VIRTIO_NET_F_CSUM;
    f->sends_segments = virtio->features & VIRTIO_NET_F_HOST_TSO4;
    f->sends_segments_ipv6 = virtio->features & VIRTIO_NET_F_HOST_TSO6;
}

static uint64_t receive_buffers(void) {
    return machine.memory_bytes / MEMORY_PART / NET_BUFFER_SIZE;
}

/* How many pairs of queues: one for each CPU, if there are vectors and memory for that. */
static unsigned choose_pairs(struct virtio_device *virtio) {
    uint64_t pairs = 1;

    if (virtio->features & F_MQ) {
        /* The last vector is shared by all that have none of their own. */
        unsigned vectors = (virtio->transport->vectors(virtio) - 1) / 2;

        pairs = MIN(virtio_config(virtio, CONFIG_PAIRS, 2), vectors);
        pairs = MIN(MIN(pairs, cpu_count), receive_buffers() / NET_MIN_QUEUE);
    }
    return (unsigned)MAX(pairs, 1ul);
}

static unsigned choose_receive_size(unsigned pairs) {
    unsigned size = NET_MIN_QUEUE;

    while (size < RECEIVE_SIZE_MAX && 2ul * size * pairs <= receive_buffers())
        size *= 2;
    return size;
}

static int init_pairs(struct netdev *card) {
    unsigned count = choose_pairs(card->virtio), size = choose_receive_size(count);
    struct slab_cache *cache =
        slab_cache_create("network queues", sizeof(struct net_pair), CACHE_LINE);

    for (unsigned n = 0; n < count; n++) {
        int err;

        card->pairs[n] = slab_alloc(cache);
        if (!card->pairs[n])
            return -ENOMEM;
        err = net_receiver_init(card, n, size);
        if (!err)
            err = net_sender_init(card, n, MIN(size, (unsigned)SEND_SIZE_MAX));
        if (err)
            return err;
        card->pair_count = n + 1;
    }
    return 0;
}

void netdev_remind(struct netdev *n, unsigned queue) {
    virtio_queue_notify(&n->pairs[queue]->receiver.queue);
    virtio_queue_notify(&n->pairs[queue]->sender.queue);
}

/* Has the card use all pairs; 0 or -errno, and then it uses the first. */
static int set_pairs(struct netdev *card, struct virtio_queue *control) {
    uint64_t limit = clock_now_ns() + CONTROL_LIMIT_NS;
    struct control_message *m = kmalloc(sizeof *m);
    struct virtq_piece pieces[3];
    void *token;
    uint32_t length;
    int err;

    if (!m)
        return -ENOMEM;
    *m = (struct control_message){ CONTROL_CLASS_MQ, CONTROL_SET_PAIRS, (uint16_t)card->pair_count,
                                   255 };
    pieces[0] = (struct virtq_piece){ virt_to_phys(&m->class), 2 };
    pieces[1] = (struct virtq_piece){ virt_to_phys(&m->pairs), 2 };
    pieces[2] = (struct virtq_piece){ virt_to_phys(&m->answer), 1 };
    err = virtio_queue_add_pieces(control, pieces, 2, 1, m);
    if (err)
        return err;
    virtio_queue_kick(control);
    while ((err = virtio_queue_take(control, &token, &length)) == 0 && clock_now_ns() < limit)
        cpu_relax();
    if (err <= 0)
        return err ? err : -ETIMEDOUT; /* the message stays: the card may still write to it */
    err = m->answer == 0 ? 0 : -EIO;
    kfree(m);
    return err;
}

/* Sets up the card's queues and starts it. */
static int start(struct netdev *card) {
    struct virtio_queue *control = NULL;
    int err = init_pairs(card);

    if (!err && card->pair_count > 1) {
        /* Behind all pairs that there could be. */
        struct virtio_queue_setup setup = { .index =
                                                2 * virtio_config(card->virtio, CONFIG_PAIRS, 2),
                                            .size = 4 };

        control = kmalloc(sizeof *control);
        err = control ? virtio_queue_init(card->virtio, control, &setup) : -ENOMEM;
    }
    if (err)
        return err;
    virtio_ready(card->virtio);
    card->features.queues = card->pair_count;
    if (control && (err = set_pairs(card, control))) {
        log_error("virtio-net: %s refuses %u queues (%d)", card->virtio->name, card->pair_count,
                  err);
        card->features.queues = 1;
    }
    return 0;
}

static void describe(const struct netdev *card) {
    const struct netdev_features *f = &card->features;
    const uint8_t *a = f->address;
    uint64_t agreed = card->virtio->features;

    log_info("virtio-net: %s, %02x:%02x:%02x:%02x:%02x:%02x, MTU %u, %u pair%s of queues (%u, %u)",
             card->virtio->name, a[0], a[1], a[2], a[3], a[4], a[5], f->mtu, f->queues,
             f->queues == 1 ? "" : "s", card->pairs[0]->receiver.queue.ring.size,
             card->pairs[0]->sender.queue.ring.size);
    log_info("virtio-net: features %#lx; receives frames%s%s%s%s; sends frames%s%s%s", agreed,
             agreed & VIRTIO_NET_F_MRG_RXBUF ? " in pieces" : "",
             agreed & VIRTIO_NET_F_GUEST_CSUM ? ", checked" : "",
             agreed & VIRTIO_NET_F_GUEST_TSO4 ? ", segments" : "",
             agreed & VIRTIO_NET_F_GUEST_TSO6 ? ", segments over IPv6" : "",
             f->sends_checksum ? ", checksums" : "", f->sends_segments ? ", segments" : "",
             f->sends_segments_ipv6 ? ", segments over IPv6" : "");
}

/* How queue `n` of those of the pairs interrupts. */
static struct virtio_message message_of(const struct netdev *card, unsigned n) {
    struct net_pair *pair = card->pairs[n / 2];

    return card->virtio->transport->message(n % 2 ? &pair->sender.queue : &pair->receiver.queue);
}

/* By how many different interrupts, and at how many CPUs: as the card says, not as we meant it. */
static void describe_interrupts(const struct netdev *card) {
    struct virtio_message seen[2 * MAX_CPUS];
    unsigned queues = 2 * card->pair_count, vectors = 0, cpus = 0;

    for (unsigned n = 0; n < queues; n++) {
        bool same = false, same_cpu = false;

        seen[n] = message_of(card, n);
        for (unsigned before = 0; before < n; before++) {
            bool cpu = seen[before].address == seen[n].address;

            same_cpu |= cpu;
            same |= cpu && seen[before].data == seen[n].data;
        }
        vectors += !same;
        cpus += !same_cpu;
    }
    log_info("virtio-net: %u queues interrupt by %u vector%s at %u CPU%s", queues, vectors,
             vectors == 1 ? "" : "s", cpus, cpus == 1 ? "" : "s");
}

struct netdev *netdev_open(void (*ready)(unsigned queue)) {
    struct virtio_device *virtio = virtio_find(VIRTIO_ID_NET, 0);
    struct netdev *card;
    int err;

    if (!virtio)
        return NULL;
    card = kmalloc(sizeof *card);
    if (!card)
        return NULL;
    card->virtio = virtio;
    card->ready = ready;
    err = agree(virtio);
    if (!err) {
        read_features(card);
        err = start(card);
    }
    if (err) {
        /* The queues' memory stays: the device may know it. */
        log_error("virtio-net: cannot set up %s (%d)", virtio->name, err);
        virtio_fail(virtio);
        return NULL;
    }
    describe(card);
    describe_interrupts(card);
    for (unsigned n = 0; n < card->features.queues; n++)
        net_receiver_start(&card->pairs[n]->receiver);
    return card;
}

const struct netdev_features *netdev_features(const struct netdev *n) {
    return &n->features;
}

static uint64_t load(const _Atomic(uint64_t) *count) {
    return atomic_load_explicit(count, memory_order_relaxed);
}

void netdev_count(const struct netdev *n, struct netdev_counts *out) {
    uint64_t freed = net_buffers_freed(); /* first: what is handed out later only adds */
    uint64_t cpus = 0;

    *out = (struct netdev_counts){ 0 };
    for (unsigned i = 0; i < n->pair_count; i++) {
        struct net_receiver *r = &n->pairs[i]->receiver;
        struct net_sender *s = &n->pairs[i]->sender;

        spin_lock(&r->lock);
        out->received_frames += r->frames;
        out->receiving += r->frames > 0;
        out->received_bytes += r->bytes;
        out->dropped += r->dropped;
        out->buffers_out += r->buffers;
        out->kicks += r->kicks;
        spin_unlock(&r->lock);
        spin_lock(&s->lock);
        out->sent_frames += s->frames;
        out->sent_bytes += s->bytes;
        out->full += s->full;
        out->under_way += virtq_in_flight(&s->queue.ring);
        out->kicks += s->kicks;
        spin_unlock(&s->lock);
        out->interrupts += load(&r->interrupt.count) + load(&s->interrupt.count);
        cpus |= load(&r->interrupt.cpus) | load(&s->interrupt.cpus);
    }
    for (; cpus; cpus &= cpus - 1)
        out->interrupted++;
    out->buffers_out -= freed;
}
