/* SPDX-License-Identifier: MIT */
/*
 * A virtio 1.x split virtqueue: descriptors, the available ring, the used ring.
 *
 * Pure: it knows memory and addresses, but neither transport nor interrupts.
 *
 *     virtq_add() ...; if (virtq_publish()) tell the device;
 *     while (virtq_take(&token, &length) > 0) ...
 *
 * A chain of several pieces takes as many descriptors of the ring, or one and a
 * table beside the ring where the queue has tables (VIRTIO_F_RING_INDIRECT_DESC)
 * and the chain fits into one.
 *
 * What the device writes is not trusted: every index and length is checked, and
 * the first bad one marks the queue broken for good (-EIO from then on).
 * Locking is the caller's: one lock over all functions of a queue.
 */
#ifndef DEV_VIRTQ_H
#define DEV_VIRTQ_H

#include "base/types.h"

#define VIRTQ_MAX_SIZE 1024 /* descriptors */

/* The three areas as the device sees them; little-endian like the CPU. */
struct virtq_desc {
    uint64_t address; /* physical */
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

struct virtq_avail {
    uint16_t flags;
    uint16_t index;
    uint16_t ring[]; /* then uint16_t used_event */
};

struct virtq_used_entry {
    uint32_t id;
    uint32_t length;
};

struct virtq_used {
    uint16_t flags;
    uint16_t index;
    struct virtq_used_entry ring[]; /* then uint16_t avail_event */
};

/* One physically contiguous piece of a buffer. */
struct virtq_piece {
    struct paddr address;
    uint32_t length;
};

/* Our own record of a descriptor; the device cannot write here. */
struct virtq_slot {
    void *token;       /* of a chain's first descriptor */
    uint32_t writable; /* bytes of the chain that the device may write */
    uint16_t next;     /* free list, or chain */
    uint16_t count;    /* of the ring's descriptors in the chain that starts here; 0: none does */
};

/* What a queue of `size` descriptors lives in; all of it zeroed. */
struct virtq_memory {
    void *ring;               /* virtq_memory_bytes(size), 16-byte aligned; the device's, too */
    struct virtq_slot *slots; /* `size` of them; ours alone */
    /* `size` tables of `table_entries` descriptors, 16-byte aligned, for the device to read;
     * table_entries 0: none. */
    struct virtq_desc *tables;
    struct paddr tables_address;
    unsigned table_entries; /* at most `size` */
};

struct virtq {
    struct virtq_desc *desc;
    struct virtq_avail *avail;
    struct virtq_used *used;
    struct virtq_slot *slots;
    struct virtq_desc *tables;
    struct paddr tables_address;
    uint16_t table_entries;
    uint16_t size; /* descriptors, a power of two */
    bool event_index;
    bool interrupt_wanted;
    bool broken;
    uint16_t free_head, free_count;
    uint16_t added;     /* next available index, this side's */
    uint16_t published; /* what the device has been shown of it */
    uint16_t taken;     /* next used index to look at */
};

/* Where the three areas begin inside the queue's memory. */
size_t virtq_avail_offset(unsigned size);
size_t virtq_used_offset(unsigned size);
/* Bytes of all three. */
size_t virtq_memory_bytes(unsigned size);

/*
 * Prepares `q` over `memory`; interrupts are off.  `size` is a power of two up
 * to VIRTQ_MAX_SIZE, `event_index` whether VIRTIO_F_EVENT_IDX was agreed upon.
 */
void virtq_init(struct virtq *q, unsigned size, const struct virtq_memory *memory,
                bool event_index);

/*
 * Adds a buffer of `out` pieces for the device to read and then `in` pieces for
 * it to write; the device sees it after virtq_publish().  `token` comes back
 * from virtq_take().  Returns 0, -ENOSPC, or -EIO when broken.
 */
must_check int virtq_add(struct virtq *q, const struct virtq_piece *pieces, unsigned out,
                         unsigned in, void *token);

/* Shows the device what was added.  Returns whether it wants to be told. */
must_check bool virtq_publish(struct virtq *q);

/*
 * Takes one buffer that the device has finished: 1 and its token, with the
 * bytes written to it in *length; 0 if there is none; -EIO when broken.
 */
must_check int virtq_take(struct virtq *q, void **token, uint32_t *length);

/* For a driver that was told nonsense one layer up: marks `q` broken; -EIO. */
int virtq_break(struct virtq *q);

/* Whether virtq_take() would not return 0. */
bool virtq_has_used(const struct virtq *q);

/* Buffers that the device still owns. */
static inline unsigned virtq_in_flight(const struct virtq *q) {
    return (uint16_t)(q->added - q->taken);
}

/*
 * Asks for an interrupt at the next finished buffer.  Returns whether one is
 * there already: then look again, the interrupt may not come.
 */
must_check bool virtq_enable_interrupt(struct virtq *q);
void virtq_disable_interrupt(struct virtq *q);

#endif
