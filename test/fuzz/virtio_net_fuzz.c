/* SPDX-License-Identifier: MIT */
/* tests: dev/virtio_net.c dev/virtio_net_rx.c dev/virtio_net_tx.c dev/virtio_net_header.c */
/* tests: dev/virtio.c dev/virtq.c base/string.c kernel/random.c kernel/lock.c */
/* tests: test/host/net_device.c */
/* tests: test/host/shim/shim.c test/host/shim/memory.c */
/*
 * An evil network card against its driver: the input says what the card offers,
 * what it writes into buffers and used rings, and what net/ does meanwhile.
 *
 * The card of net_device.c stays honest about memory: it writes to a buffer only
 * while it has it.  Once it has lied about which chain it used, the driver may
 * have that chain's memory back, so from then on it writes to that queue's used
 * ring only.
 */
#include <string.h>
#include "arch/x86_64/percpu.h"
#include "dev/netdev.h"
#include "kernel/machine.h"
#include "kernel/timer.h"
#include "test/fuzz/fuzz.h"
#include "test/host/net_device.h"
#include "test/host/shim/memory.h"
#include "kernel/thread.h"
#include "test/host/shim/shim.h"

#define MAX_HELD 8
#define MAX_SENT 1024

static struct netdev *card;
static unsigned queues;
static struct netdev_buffer *held[MAX_HELD]; /* frames that net/ keeps */
static unsigned held_buffers;
static void *sent[MAX_SENT]; /* frames that the card has; NULL: it is done */
static unsigned sent_count;
static bool lied[NET_DEVICE_QUEUES];
static uint16_t kept[NET_DEVICE_QUEUES]; /* a chain that the card took and did not use yet */
static bool has_kept[NET_DEVICE_QUEUES];

static void ready(unsigned queue) {
    must(queue < 4 && current->preempt_count == 0);
}

static void done(void *token) {
    void **frame = token;

    must(current->preempt_count == 0);
    must(frame >= sent && frame < sent + sent_count && *frame);
    free(*frame);
    *frame = NULL;
}

/* What the contract says of a received frame. */
static void check_frame(const struct netdev_buffer *first) {
    const struct netdev_offload *o = &first->offload;
    uint64_t agreed = net_device.accepted;
    size_t bytes = 0;
    unsigned count = 0, sum = 0;

    for (const struct netdev_buffer *b = first; b; b = b->next, count++) {
        const uint8_t *data = b->data;

        must(b->length > 0);
        must(data > (const uint8_t *)b && data + b->length <= (const uint8_t *)b + 2048);
        for (uint32_t i = 0; i < b->length; i++)
            sum += data[i];
        bytes += b->length;
    }
    must(count <= VIRTIO_NET_MAX_BUFFERS && first->length >= VIRTIO_NET_ETHERNET_BYTES);
    must(bytes <= VIRTIO_NET_MAX_FRAME && sum <= 255 * bytes);
    if (o->needs_checksum)
        must(o->checksum_start + o->checksum_offset + 2u <= bytes);
    if (o->needs_checksum || o->checksum_valid)
        must(agreed & VIRTIO_NET_F_GUEST_CSUM);
    if (o->segment_bytes)
        must(agreed & (o->is_ipv6 ? VIRTIO_NET_F_GUEST_TSO6 : VIRTIO_NET_F_GUEST_TSO4));
    held_buffers += count;
}

static void free_frame(unsigned slot) {
    struct netdev_buffer *b = held[slot], *next;

    for (held[slot] = NULL; b; b = next) {
        next = b->next;
        memset(b->owner, 0xff, sizeof b->owner);
        netdev_buffer_free(b);
        held_buffers--;
    }
}

/* As whoever receives does when there was no frame. */
static void net_rests(unsigned queue) {
    bool has = netdev_has_received(card, queue);

    if (netdev_rest(card, queue))
        must(has && !netdev_will_tell(card, queue));
}

static void net_receives(struct input *in) {
    uint8_t what = input_u8(in);
    unsigned slot = what % MAX_HELD, queue = (what >> 3) % queues;
    struct netdev_buffer *b = netdev_receive(card, queue);

    must(!netdev_will_tell(card, queue));
    free_frame(slot);
    held[slot] = b;
    if (b)
        check_frame(b);
    else
        net_rests(queue);
}

static void net_sends(uint8_t what, unsigned count, uint32_t length) {
    const struct netdev_features *f = netdev_features(card);
    struct netdev_piece pieces[NETDEV_MAX_PIECES];
    struct netdev_offload o = { .needs_checksum = f->sends_checksum && what & 0x80,
                                .is_ipv6 = what & 0x40,
                                .checksum_start = 34 };
    uint8_t *frame;

    if (what & 0x20 && (o.is_ipv6 ? f->sends_segments_ipv6 : f->sends_segments))
        o.segment_bytes = 1000;
    if (sent_count == MAX_SENT)
        return;
    frame = malloc(NETDEV_HEADER_BYTES + length * count);
    memset(frame, 0x11, NETDEV_HEADER_BYTES + length * count);
    for (unsigned i = 0; i < count; i++)
        pieces[i] = (struct netdev_piece){ frame + NETDEV_HEADER_BYTES + length * i, length };
    sent[sent_count++] = frame;
    if (netdev_send(card, what % queues, pieces, count, &o, done, &sent[sent_count - 1])) {
        sent[sent_count - 1] = NULL;
        free(frame);
    }
}

static void net_sends_some(struct input *in) {
    uint8_t what = input_u8(in), pieces = input_u8(in), length = input_u8(in);
    unsigned frames = pieces & 0x80 ? 40 : 1;

    for (unsigned i = 0; i < frames; i++)
        net_sends(what, 1 + pieces % NETDEV_MAX_PIECES, length);
}

/* How many bytes of a frame's buffer the card says that it used. */
static uint16_t choose_used(struct input *in, uint8_t how, bool first) {
    switch (how & 3) {
    case 0:
        return 1946; /* all */
    case 1:
        return 100;
    case 2: /* hardly a header */
        return first ? input_u8(in) % 32 : 100;
    default: /* few, or more than there is room for */
        return (uint16_t)(input_u8(in) * (how & 0x20 ? 16 : 1));
    }
}

/* Fills `count` buffers, the first with a header that the input chooses. */
static void card_gives(struct input *in, unsigned queue, unsigned count) {
    uint8_t how = input_u8(in);
    struct virtio_net_header h = {
        .flags = how >> 2 & 3,
        .segment_kind = how & 0x40 ? input_u8(in) : 0,
        .segment_bytes = how & 0x40 ? input_u16(in) : 0,
        .checksum_start = input_u8(in),
        .checksum_offset = how & 0x80 ? input_u16(in) : 16,
        .buffers = how & 0x10 ? input_u16(in) : (uint16_t)count,
    };

    for (unsigned i = 0; i < count; i++) {
        struct net_device_chain c;

        if (lied[queue] || !net_device_pop(queue, &c))
            return;
        must(c.count == 1 && c.piece[0].writable);
        memset(c.piece[0].at, 0xee, 64);
        if (i == 0)
            memcpy(c.piece[0].at, &h, sizeof h);
        net_device_push(queue, c.head, choose_used(in, how, i == 0));
    }
}

static void card_takes(unsigned queue) {
    static uint8_t frame[NETDEV_HEADER_BYTES + NETDEV_MAX_PIECES * 256];

    if (!lied[queue])
        net_device_get(queue, frame, sizeof frame);
}

/* Takes a chain, and uses the one that it took before. */
static void card_swaps(struct input *in, unsigned queue) {
    struct net_device_chain c;

    if (has_kept[queue])
        net_device_push(queue, kept[queue], input_u16(in));
    has_kept[queue] = !lied[queue] && net_device_pop(queue, &c);
    kept[queue] = has_kept[queue] ? c.head : 0;
}

static void card_lies(struct input *in, unsigned queue) {
    struct net_device_queue *q = &net_device.queues[queue];
    uint8_t what = input_u8(in);

    if (what & 1) {
        lied[queue] = true;
        net_device_push(queue, what & 2 ? input_u32(in) : input_u8(in), input_u16(in));
    } else if (what & 2) {
        lied[queue] = true;
        q->used->index = input_u16(in);
    } else if (what & 4) {
        q->used->flags = input_u16(in);
    } else { /* when it wants to be told */
        *(uint16_t *)(void *)&q->used->ring[q->size] = input_u16(in);
    }
}

static void step(struct input *in) {
    uint8_t what = input_u8(in);
    unsigned pair = (what >> 4) % queues, queue = (what >> 4) % (2 * queues);

    switch (what & 15) {
    case 0:
    case 1:
        net_receives(in);
        break;
    case 2:
        net_sends_some(in);
        break;
    case 3:
        netdev_flush(card, pair);
        break;
    case 4:
        netdev_reclaim(card, pair);
        break;
    case 5:
        free_frame(what >> 4 & 7);
        break;
    case 6:
        host_timers_fire(host_now_ns + NS_PER_SEC);
        break;
    case 7:
        host_pages_left = input_u8(in);
        break;
    case 8:
    case 9:
        card_gives(in, 2 * pair, 1);
        break;
    case 10:
        card_gives(in, 2 * pair, input_u8(in));
        break;
    case 11:
    case 12:
        card_takes(2 * pair + 1);
        break;
    case 13:
        card_swaps(in, queue);
        break;
    case 14:
        net_device_interrupt(queue);
        break;
    case 15:
        card_lies(in, queue);
        break;
    }
}

/* Whether there is a card that works. */
static bool open_card(struct input *in) {
    uint64_t features = input_u32(in);
    uint8_t options = input_u8(in);

    host_objects_create();
    host_cpu_start(0);
    for (unsigned n = 1; n < 4; n++)
        percpu_offsets[n] = percpu_offsets[0];
    cpu_count = 1u << (options & 3) & 7;
    cpu_count += cpu_count == 0;
    machine.memory_bytes = MIB(32);
    net_device_create(features, 1 + (options >> 2 & 3), options & 0x10 ? 128 : 64);
    net_device.control_answer = options & 0x20 ? 1 : 0;
    net_device.control_silent = options & 0x40;
    net_device.config[10] = input_u8(in);
    net_device.config[11] = input_u8(in);
    card = netdev_open(ready);
    return card != NULL;
}

static void close_card(void) {
    for (unsigned i = 0; i < MAX_HELD; i++)
        free_frame(i);
    must(held_buffers == 0);
    while (sent_count > 0)
        free(sent[--sent_count]);
    memset(lied, 0, sizeof lied);
    memset(has_kept, 0, sizeof has_kept);
    host_objects_free();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = { data, size };

    if (open_card(&in)) {
        unsigned ring = net_device.queues[0].size;

        queues = netdev_features(card)->queues;
        while (in.left) {
            step(&in);
            /* In the ring or spare, or net/'s. */
            must(host_pages_used <= 4 * (ring + 1) + held_buffers);
        }
    }
    close_card();
    return 0;
}
