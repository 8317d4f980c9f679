/* SPDX-License-Identifier: MIT */
/* What all virtio devices have in common, whatever their transport. */
#include "dev/virtio.h"
#include <asm-generic/errno.h>
#include "arch/x86_64/paging.h"
#include "kernel/log.h"
#include "kernel/slab.h"

static struct list devices = LIST_INIT(devices); /* written during boot only */

void virtio_init(void) {
    virtio_mmio_probe();
    virtio_pci_probe();
}

void virtio_add_device(struct virtio_device *d) {
    list_init(&d->queues);
    list_add_tail(&devices, &d->link);
    log_debug("virtio: device type %u at %s", d->type, d->name);
}

struct virtio_device *virtio_find(unsigned type, unsigned n) {
    struct virtio_device *d;

    list_for_each(d, &devices, link)
        if (d->type == type && n-- == 0)
            return d;
    return NULL;
}

static void add_status(struct virtio_device *d, uint8_t bits) {
    d->transport->write_status(d, d->transport->read_status(d) | bits);
}

int virtio_begin(struct virtio_device *d, uint64_t wanted) {
    uint64_t offered;

    d->transport->write_status(d, 0);
    add_status(d, VIRTIO_ACKNOWLEDGE);
    add_status(d, VIRTIO_DRIVER);
    offered = (uint64_t)d->transport->read_features(d, 1) << 32 | d->transport->read_features(d, 0);
    d->features = offered & (wanted | VIRTIO_F_VERSION_1);
    if (!(offered & VIRTIO_F_VERSION_1))
        goto refuse;
    d->transport->write_features(d, 0, (uint32_t)d->features);
    d->transport->write_features(d, 1, (uint32_t)(d->features >> 32));
    add_status(d, VIRTIO_FEATURES_OK);
    if (d->transport->read_status(d) & VIRTIO_FEATURES_OK)
        return 0;
refuse:
    log_error("virtio: %s offers features %#lx, which we cannot accept", d->name, offered);
    virtio_fail(d);
    return -ENODEV;
}

static void free_memory(struct virtq_memory *m) {
    kfree(m->ring);
    kfree(m->slots);
    kfree(m->tables);
}

static int alloc_memory(struct virtq_memory *m, unsigned size, unsigned table_entries) {
    *m = (struct virtq_memory){
        .ring = kmalloc(virtq_memory_bytes(size)),
        .slots = kmalloc(size * sizeof(struct virtq_slot)),
        .table_entries = table_entries,
    };
    if (table_entries)
        m->tables = kmalloc((size_t)size * table_entries * sizeof(struct virtq_desc));
    if (!m->ring || !m->slots || (table_entries && !m->tables)) {
        free_memory(m);
        return -ENOMEM;
    }
    if (table_entries)
        m->tables_address = virt_to_phys(m->tables);
    return 0;
}

int virtio_queue_init(struct virtio_device *d, struct virtio_queue *q,
                      const struct virtio_queue_setup *setup) {
    unsigned max = d->transport->queue_max(d, setup->index), tables = 0;
    unsigned size = MIN(setup->size, (unsigned)VIRTQ_MAX_SIZE);
    int err;

    if (max == 0)
        return -ENODEV;
    while (size > max)
        size /= 2;
    /* A chain may not be longer than the queue, in a table or not. */
    if (d->features & VIRTIO_F_INDIRECT_DESC)
        tables = MIN(setup->pieces, size);
    *q = (struct virtio_queue){
        .device = d,
        .index = setup->index,
        .cpu = setup->cpu,
        .handler = setup->handler,
        .arg = setup->arg,
    };
    err = alloc_memory(&q->memory, size, tables);
    if (err)
        return err;
    virtq_init(&q->ring, size, &q->memory, d->features & VIRTIO_F_EVENT_IDX);
    list_add_tail(&d->queues, &q->link);
    err = d->transport->queue_enable(q);
    if (err) {
        list_remove(&q->link);
        free_memory(&q->memory);
    }
    return err;
}

void virtio_ready(struct virtio_device *d) {
    add_status(d, VIRTIO_DRIVER_OK);
}

void virtio_fail(struct virtio_device *d) {
    add_status(d, VIRTIO_FAILED);
}

void virtio_queue_notify(struct virtio_queue *q) {
    q->device->transport->notify(q);
}

static void report_broken(struct virtio_queue *q) {
    if (q->reported)
        return;
    q->reported = true;
    log_error("virtio: %s wrote nonsense into queue %u; it is out of use", q->device->name,
              q->index);
}

int virtio_queue_add_pieces(struct virtio_queue *q, const struct virtq_piece *pieces, unsigned out,
                            unsigned in, void *token) {
    int err = virtq_add(&q->ring, pieces, out, in, token);

    if (err == -EIO)
        report_broken(q);
    return err;
}

int virtio_queue_add(struct virtio_queue *q, void *buffer, size_t size, bool in, void *token) {
    struct virtq_piece piece = { virt_to_phys(buffer), (uint32_t)size };

    return virtio_queue_add_pieces(q, &piece, in ? 0 : 1, in ? 1 : 0, token);
}

int virtio_queue_take(struct virtio_queue *q, void **token, uint32_t *length) {
    int got = virtq_take(&q->ring, token, length);

    if (got < 0)
        report_broken(q);
    return got;
}

int virtio_queue_break(struct virtio_queue *q) {
    report_broken(q);
    return virtq_break(&q->ring);
}
