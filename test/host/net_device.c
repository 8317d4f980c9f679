/* SPDX-License-Identifier: MIT */
/* The device's side of a virtio network card, for tests and fuzzers. */
#include "test/host/net_device.h"
#include <stdlib.h>
#include <string.h>
#include "arch/x86_64/paging.h"

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

/* Also in the fuzzers: what the driver does wrong ends the test. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

struct net_device net_device;

static uint32_t read_features(struct virtio_device *d, unsigned half) {
    (void)d;
    return (uint32_t)(net_device.offered >> 32 * half);
}

static void write_features(struct virtio_device *d, unsigned half, uint32_t features) {
    (void)d;
    net_device.accepted &= half ? UINT32_MAX : ~(uint64_t)UINT32_MAX;
    net_device.accepted |= (uint64_t)features << 32 * half;
}

static uint8_t read_status(struct virtio_device *d) {
    (void)d;
    return net_device.status;
}

static void write_status(struct virtio_device *d, uint8_t status) {
    (void)d;
    net_device.status = status;
}

static uint32_t read_config(struct virtio_device *d, unsigned offset, unsigned bytes) {
    uint32_t v = 0;

    (void)d;
    must(offset % bytes == 0 && offset + bytes <= sizeof net_device.config);
    memcpy(&v, net_device.config + offset, bytes);
    return v;
}

static unsigned queue_max(struct virtio_device *d, unsigned index) {
    (void)d;
    return index < NET_DEVICE_QUEUES && !net_device.queues[index].driver ? net_device.size : 0;
}

static unsigned vectors(struct virtio_device *d) {
    (void)d;
    return net_device.vector_count;
}

static int queue_enable(struct virtio_queue *q) {
    must(q->index < NET_DEVICE_QUEUES);
    net_device.queues[q->index] = (struct net_device_queue){
        .driver = q,
        .desc = q->ring.desc,
        .avail = q->ring.avail,
        .used = q->ring.used,
        .size = q->ring.size,
    };
    return 0;
}

static void answer_control(unsigned index) {
    struct net_device_chain c;

    while (net_device_pop(index, &c)) {
        must(c.count == 3 && c.piece[0].length == 2 && c.piece[1].length == 2);
        must(c.piece[2].writable && c.piece[2].length == 1);
        net_device.pairs = (unsigned)(c.piece[1].at[0] | c.piece[1].at[1] << 8);
        if (net_device.control_silent)
            continue;
        *c.piece[2].at = net_device.control_answer;
        net_device_push(index, c.head, 1);
    }
}

static void notify(struct virtio_queue *q) {
    must(net_device.status & VIRTIO_DRIVER_OK);
    net_device.queues[q->index].notified++;
    if (q->index == 2u * (net_device.config[8] | net_device.config[9] << 8))
        answer_control(q->index);
}

static struct virtio_message message(struct virtio_queue *q) {
    return (struct virtio_message){ .data = q->index };
}

static const struct virtio_transport transport = {
    .read_features = read_features,
    .write_features = write_features,
    .read_status = read_status,
    .write_status = write_status,
    .read_config = read_config,
    .queue_max = queue_max,
    .vectors = vectors,
    .queue_enable = queue_enable,
    .notify = notify,
    .message = message,
};

void virtio_mmio_probe(void) {}

void virtio_pci_probe(void) {
    virtio_add_device(&net_device.device);
}

void net_device_create(uint64_t features, unsigned pairs, unsigned size) {
    static const uint8_t address[6] = { 0x52, 0x54, 0, 1, 2, 3 };
    static bool known;
    struct list link = net_device.device.link; /* the list of devices stays */

    net_device = (struct net_device){
        .device = { .transport = &transport, .type = VIRTIO_ID_NET, .name = "test" },
        .offered = features | VIRTIO_F_VERSION_1,
        .size = size,
        .vector_count = 2 * pairs + 1,
    };
    memcpy(net_device.config, address, sizeof address);
    net_device.config[8] = (uint8_t)pairs;
    if (known) {
        net_device.device.link = link;
        list_init(&net_device.device.queues);
    } else {
        virtio_init();
        known = true;
    }
}

static void add_piece(struct net_device_chain *c, const struct virtq_desc *d) {
    must(c->count < ARRAY_SIZE(c->piece));
    must(d->length > 0); /* virtio 1.x forbids it */
    must(!(d->flags & ~(DESC_NEXT | DESC_WRITE)));
    must(c->count == 0 || !c->piece[c->count - 1].writable || d->flags & DESC_WRITE);
    c->piece[c->count].at = phys_to_virt(PADDR(d->address));
    c->piece[c->count].length = d->length;
    c->piece[c->count++].writable = d->flags & DESC_WRITE;
    c->bytes += d->length;
}

bool net_device_pop(unsigned queue, struct net_device_chain *out) {
    struct net_device_queue *q = &net_device.queues[queue];
    const struct virtq_desc *table = q->desc, *d;
    unsigned count = q->size;

    if (q->avail->index == q->seen)
        return false;
    out->head = q->avail->ring[q->seen++ % q->size];
    if (net_device.accepted & VIRTIO_F_EVENT_IDX)
        *(uint16_t *)&q->used->ring[q->size] = q->seen;
    out->count = 0;
    out->bytes = 0;
    /* It may be the fuzzer's own device that wrote this. */
    if (out->head >= q->size)
        return false;
    d = &q->desc[out->head];
    if (d->flags & DESC_INDIRECT) {
        must(net_device.accepted & VIRTIO_F_INDIRECT_DESC && !(d->flags & DESC_NEXT));
        must(d->length % sizeof *d == 0 && d->length > 0);
        count = d->length / sizeof *d;
        must(count <= q->size);
        d = table = phys_to_virt(PADDR(d->address));
    }
    for (;; d = &table[d->next]) {
        add_piece(out, d);
        if (!(d->flags & DESC_NEXT))
            return true;
        must(d->next < count);
    }
}

void net_device_push(unsigned queue, uint32_t id, uint32_t length) {
    struct net_device_queue *q = &net_device.queues[queue];

    q->used->ring[q->used->index % q->size] = (struct virtq_used_entry){ id, length };
    q->used->index++;
}

bool net_device_interrupt(unsigned queue) {
    struct net_device_queue *q = &net_device.queues[queue];
    uint16_t new = q->used->index, old = q->told, event = q->avail->ring[q->size];
    bool wanted = net_device.accepted & VIRTIO_F_EVENT_IDX
                      ? (uint16_t)(new - event - 1) < (uint16_t)(new - old)
                      : new != old && !(q->avail->flags & 1);

    q->told = new;
    if (wanted)
        q->driver->handler(q->driver->arg);
    return wanted;
}

unsigned net_device_give(unsigned queue, struct virtio_net_header header, const void *frame,
                         size_t bytes) {
    struct net_device_queue *q = &net_device.queues[queue];
    const uint8_t *from = frame;
    uint16_t ids[256];
    uint32_t lengths[256];
    uint8_t *first = NULL;
    unsigned count = 0;

    do {
        struct net_device_chain c;
        uint32_t skip = count == 0 ? sizeof header : 0, part;

        if (!net_device_pop(queue, &c))
            return 0;
        must(c.count == 1 && c.piece[0].writable && c.bytes > skip);
        part = (uint32_t)MIN(bytes, c.bytes - skip);
        if (count == 0)
            first = c.piece[0].at;
        memcpy(c.piece[0].at + skip, from, part);
        from += part;
        bytes -= part;
        ids[count] = c.head;
        lengths[count++] = part + skip;
    } while (bytes > 0);
    header.buffers = (uint16_t)count;
    memcpy(first, &header, sizeof header);
    for (unsigned i = 0; i < count; i++)
        q->used->ring[(uint16_t)(q->used->index + i) % q->size] =
            (struct virtq_used_entry){ ids[i], lengths[i] };
    q->used->index += (uint16_t)count;
    return count;
}

size_t net_device_get(unsigned queue, void *to, size_t size) {
    struct net_device_chain c;
    size_t bytes = 0;

    if (!net_device_pop(queue, &c))
        return 0;
    for (unsigned i = 0; i < c.count; i++) {
        must(!c.piece[i].writable && bytes + c.piece[i].length <= size);
        memcpy((char *)to + bytes, c.piece[i].at, c.piece[i].length);
        bytes += c.piece[i].length;
    }
    net_device_push(queue, c.head, 0);
    return bytes;
}
