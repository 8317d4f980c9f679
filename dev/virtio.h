/* SPDX-License-Identifier: MIT */
/*
 * Virtio 1.x devices, over MMIO or PCI.  A driver does:
 *
 *     struct virtio_device *d = virtio_find(VIRTIO_ID_CONSOLE, 0);
 *     virtio_begin(d, features)        d->features is then what was agreed
 *     virtio_queue_init(d, &q, ...)    for each queue; virtio_config() reads what it says of itself
 *     virtio_ready(d)
 *     virtio_queue_add(&q, ...); virtio_queue_kick(&q)
 *
 * Finding and starting belong to boot, on one CPU.  Afterwards each queue needs
 * a lock of its driver's.
 */
#ifndef DEV_VIRTIO_H
#define DEV_VIRTIO_H

#include "arch/x86_64/irq.h"
#include "base/list.h"
#include "base/types.h"
#include "dev/virtq.h"

#define VIRTIO_ID_NET     1
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_RNG     4

#define VIRTIO_F_INDIRECT_DESC (1ul << 28)
#define VIRTIO_F_EVENT_IDX     (1ul << 29)
#define VIRTIO_F_VERSION_1     (1ul << 32)

/* Device status bits. */
#define VIRTIO_ACKNOWLEDGE 1u
#define VIRTIO_DRIVER      2u
#define VIRTIO_DRIVER_OK   4u
#define VIRTIO_FEATURES_OK 8u
#define VIRTIO_FAILED      128u

struct virtio_device;
struct virtio_queue;

/* What an interrupt is made of. */
struct virtio_message {
    uint64_t address; /* one for each CPU */
    uint32_t data;
};

/* What a transport does for all devices; constant. */
struct virtio_transport {
    /* Half 0: bits 0 to 31 of the features; half 1: the rest. */
    uint32_t (*read_features)(struct virtio_device *d, unsigned half);
    void (*write_features)(struct virtio_device *d, unsigned half, uint32_t features);
    uint8_t (*read_status)(struct virtio_device *d);
    void (*write_status)(struct virtio_device *d, uint8_t status); /* 0 resets, and waits for it */
    /* An aligned 1, 2 or 4 bytes of the device's own configuration; 0 beyond its end. */
    uint32_t (*read_config)(struct virtio_device *d, unsigned offset, unsigned bytes);
    unsigned (*queue_max)(struct virtio_device *d, unsigned index); /* descriptors; 0: no queue */
    unsigned (*vectors)(struct virtio_device *d); /* interrupts it can tell apart, at least 1 */
    /* Tells the device where q->ring lies and connects the interrupt. 0 or -errno. */
    int (*queue_enable)(struct virtio_queue *q);
    void (*notify)(struct virtio_queue *q);
    /* How the queue interrupts, as the device says itself; all zero where all do by one line. */
    struct virtio_message (*message)(struct virtio_queue *q);
};

struct virtio_device {
    const struct virtio_transport *transport;
    unsigned type;      /* VIRTIO_ID_* */
    uint64_t features;  /* agreed upon */
    struct list link;   /* all devices */
    struct list queues; /* struct virtio_queue.link */
    char name[32];      /* where it was found, for the log */
};

struct virtio_queue {
    struct virtq ring;
    struct virtio_device *device;
    unsigned index, cpu;
    struct virtq_memory memory;
    volatile uint16_t *doorbell; /* PCI only */
    bool shares_vector;          /* PCI only */
    irq_handler *handler;        /* interrupt context; may be called without cause */
    void *arg;
    bool reported; /* the log line about a broken ring is out */
    struct list link;
};

/* Looks for devices on every transport that the machine may have; once. */
void virtio_init(void);
/* For the transports: makes a device known. */
void virtio_add_device(struct virtio_device *d);
/* The n-th device of a type in the order found, or NULL. */
struct virtio_device *virtio_find(unsigned type, unsigned n);

/*
 * Resets the device and agrees on those of `wanted` that it offers, and
 * VERSION_1.  Returns 0 or -ENODEV if it insists on something else.
 */
must_check int virtio_begin(struct virtio_device *d, uint64_t wanted);

static inline uint32_t virtio_config(struct virtio_device *d, unsigned offset, unsigned bytes) {
    return d->transport->read_config(d, offset, bytes);
}

/* What a driver wants of a queue. */
struct virtio_queue_setup {
    unsigned index;
    unsigned size;        /* descriptors at most; a power of two */
    unsigned pieces;      /* of a usual chain: up to so many, a chain takes one descriptor where
                           * VIRTIO_F_INDIRECT_DESC was agreed; 0: no tables */
    irq_handler *handler; /* runs on its interrupts; NULL: none */
    void *arg;
    unsigned cpu; /* that interrupts come to, where the transport leaves the choice */
};

/* Sets up a queue.  0, -ENODEV (no such queue) or another -errno. */
must_check int virtio_queue_init(struct virtio_device *d, struct virtio_queue *q,
                                 const struct virtio_queue_setup *setup);

/* Lets the device work. */
void virtio_ready(struct virtio_device *d);
/* Gives the device up. */
void virtio_fail(struct virtio_device *d);

/* Publishes what was added; the caller calls virtio_queue_notify() if this says so. */
static inline bool virtio_queue_publish(struct virtio_queue *q) {
    return virtq_publish(&q->ring);
}
/* Tells the device to look; needs no lock, and may take long: the device works meanwhile. */
void virtio_queue_notify(struct virtio_queue *q);
static inline void virtio_queue_kick(struct virtio_queue *q) {
    if (virtio_queue_publish(q))
        virtio_queue_notify(q);
}

/* As virtq_add(); logs once when the ring is broken. */
must_check int virtio_queue_add_pieces(struct virtio_queue *q, const struct virtq_piece *pieces,
                                       unsigned out, unsigned in, void *token);
/* One buffer of one piece. */
must_check int virtio_queue_add(struct virtio_queue *q, void *buffer, size_t size, bool in,
                                void *token);
/* As virtq_take(); logs once when the ring is broken. */
must_check int virtio_queue_take(struct virtio_queue *q, void **token, uint32_t *length);
/* As virtq_break(), and logs it. */
int virtio_queue_break(struct virtio_queue *q);

/* The transports. */
void virtio_mmio_probe(void);
void virtio_pci_probe(void);

#endif
