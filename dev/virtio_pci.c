/* SPDX-License-Identifier: MIT */
/*
 * Virtio over PCI, the modern interface only: vendor capabilities say where in
 * the base address regions the common configuration, the doorbells and the
 * device's own configuration lie.  Every queue with a handler has an MSI-X
 * vector of its own, on the CPU that its driver names, as far as the device has
 * them; the last one, which the rest share, is on CPU 0.  An interrupt then needs
 * no register access at all.
 */
#include <asm-generic/errno.h>
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/paging.h"
#include "base/format.h"
#include "dev/pci.h"
#include "dev/virtio.h"
#include "kernel/log.h"
#include "kernel/slab.h"

#define VENDOR_VIRTIO       0x1af4
#define DEVICE_MODERN       0x1040 /* plus the device's type */
#define DEVICE_TRANSITIONAL 0x1000 /* to 0x103f; the type is the subsystem's id */

/* A vendor capability: offsets in it, and what kind it can be. */
#define CAP_BYTES             2
#define CAP_KIND              3
#define CAP_BAR               4
#define CAP_OFFSET            8
#define CAP_LENGTH            12
#define CAP_NOTIFY_MULTIPLIER 16
#define CAP_END               16 /* of the kinds without a multiplier */
#define CAP_NOTIFY_END        20
#define KIND_COMMON           1
#define KIND_NOTIFY           2
#define KIND_CONFIG           4

#define MAX_REGION  MIB(1) /* what there is beyond is not used */
#define NO_VECTOR   0xffff
#define RESET_POLLS 1000000

/* The common configuration. */
enum {
    COMMON_DEVICE_FEATURE_SELECT = 0x00, /* 32 bits */
    COMMON_DEVICE_FEATURE = 0x04,        /* 32 */
    COMMON_DRIVER_FEATURE_SELECT = 0x08, /* 32 */
    COMMON_DRIVER_FEATURE = 0x0c,        /* 32 */
    COMMON_CONFIG_VECTOR = 0x10,         /* 16 */
    COMMON_QUEUES = 0x12,                /* 16 */
    COMMON_STATUS = 0x14,                /* 8 */
    COMMON_QUEUE_SELECT = 0x16,          /* 16 */
    COMMON_QUEUE_SIZE = 0x18,            /* 16 */
    COMMON_QUEUE_VECTOR = 0x1a,          /* 16 */
    COMMON_QUEUE_ENABLE = 0x1c,          /* 16 */
    COMMON_QUEUE_NOTIFY_OFFSET = 0x1e,   /* 16 */
    COMMON_QUEUE_DESC = 0x20,            /* 64, as two halves */
    COMMON_QUEUE_DRIVER = 0x28,
    COMMON_QUEUE_DEVICE = 0x30,
    COMMON_BYTES = 0x38,
};

struct region {
    volatile uint8_t *at;
    uint32_t length;
};

struct pci_device {
    struct virtio_device device;
    struct region common, notify, config;
    uint32_t notify_multiplier;
    struct pci_msix msix;
    unsigned vectors_used;
};

static struct pci_device *pci_of(struct virtio_device *d) {
    return container_of(d, struct pci_device, device);
}

static uint8_t get8(const struct region *r, unsigned offset) {
    return r->at[offset];
}

static void set8(struct region *r, unsigned offset, uint8_t v) {
    r->at[offset] = v;
}

static uint16_t get16(const struct region *r, unsigned offset) {
    return *(volatile uint16_t *)(r->at + offset);
}

static void set16(struct region *r, unsigned offset, uint16_t v) {
    *(volatile uint16_t *)(r->at + offset) = v;
}

static uint32_t get32(const struct region *r, unsigned offset) {
    return *(volatile uint32_t *)(r->at + offset);
}

static void set32(struct region *r, unsigned offset, uint32_t v) {
    *(volatile uint32_t *)(r->at + offset) = v;
}

static uint32_t pci_read_features(struct virtio_device *d, unsigned half) {
    set32(&pci_of(d)->common, COMMON_DEVICE_FEATURE_SELECT, half);
    return get32(&pci_of(d)->common, COMMON_DEVICE_FEATURE);
}

static void pci_write_features(struct virtio_device *d, unsigned half, uint32_t features) {
    set32(&pci_of(d)->common, COMMON_DRIVER_FEATURE_SELECT, half);
    set32(&pci_of(d)->common, COMMON_DRIVER_FEATURE, features);
}

static uint8_t pci_read_status(struct virtio_device *d) {
    return get8(&pci_of(d)->common, COMMON_STATUS);
}

static void pci_write_status(struct virtio_device *d, uint8_t status) {
    struct pci_device *p = pci_of(d);

    set8(&p->common, COMMON_STATUS, status);
    for (unsigned polls = 0; status == 0 && polls < RESET_POLLS; polls++) {
        if (get8(&p->common, COMMON_STATUS) == 0)
            break;
        cpu_relax();
    }
}

static uint32_t pci_read_config(struct virtio_device *d, unsigned offset, unsigned bytes) {
    struct region *config = &pci_of(d)->config;

    if (offset + bytes > config->length)
        return 0;
    return bytes == 1   ? get8(config, offset)
           : bytes == 2 ? get16(config, offset)
                        : get32(config, offset);
}

static unsigned pci_queue_max(struct virtio_device *d, unsigned index) {
    struct region *common = &pci_of(d)->common;

    if (index >= get16(common, COMMON_QUEUES))
        return 0;
    set16(common, COMMON_QUEUE_SELECT, (uint16_t)index);
    return get16(common, COMMON_QUEUE_ENABLE) ? 0 : get16(common, COMMON_QUEUE_SIZE);
}

static unsigned pci_vectors(struct virtio_device *d) {
    return pci_of(d)->msix.count;
}

static void shared_interrupt(void *arg) {
    struct pci_device *p = arg;
    struct virtio_queue *q;

    list_for_each(q, &p->device.queues, link)
        if (q->shares_vector)
            q->handler(q->arg);
}

/* Makes the next entry of the table call `handler` on `cpu`. */
static int fill_entry(struct pci_device *p, unsigned cpu, irq_handler *handler, void *arg) {
    uint64_t address;
    uint32_t data;
    int err = irq_connect_message(cpu, handler, arg, &address, &data);

    if (!err)
        pci_msix_set(&p->msix, p->vectors_used++, address, data);
    return err;
}

/* Gives the selected queue an interrupt vector: its own, or the last, which the rest share. */
static int connect(struct pci_device *p, struct virtio_queue *q) {
    unsigned last = p->msix.count - 1, entry = MIN(p->vectors_used, last);
    int err = 0;

    q->shares_vector = entry == last;
    if (!q->shares_vector)
        err = fill_entry(p, q->cpu, q->handler, q->arg);
    else if (p->vectors_used == last)
        err = fill_entry(p, 0, shared_interrupt, p);
    if (err)
        return err;
    set16(&p->common, COMMON_QUEUE_VECTOR, (uint16_t)entry);
    return get16(&p->common, COMMON_QUEUE_VECTOR) == entry ? 0 : -ENOSPC;
}

static void write_address(struct pci_device *p, unsigned offset, const void *area) {
    uint64_t phys = virt_to_phys(area).value;

    set32(&p->common, offset, (uint32_t)phys);
    set32(&p->common, offset + 4, (uint32_t)(phys >> 32));
}

static int pci_queue_enable(struct virtio_queue *q) {
    struct pci_device *p = pci_of(q->device);
    uint64_t doorbell;

    set16(&p->common, COMMON_QUEUE_SELECT, (uint16_t)q->index);
    doorbell = (uint64_t)get16(&p->common, COMMON_QUEUE_NOTIFY_OFFSET) * p->notify_multiplier;
    if (doorbell + 2 > p->notify.length || !IS_ALIGNED(doorbell, 2))
        return -EIO;
    q->doorbell = (volatile uint16_t *)(p->notify.at + doorbell);
    set16(&p->common, COMMON_QUEUE_VECTOR, NO_VECTOR);
    if (q->handler) {
        int err = connect(p, q);

        if (err) {
            log_error("virtio: %s: no interrupt for queue %u (%d)", q->device->name, q->index, err);
            return err;
        }
    }
    set16(&p->common, COMMON_QUEUE_SIZE, q->ring.size);
    write_address(p, COMMON_QUEUE_DESC, q->ring.desc);
    write_address(p, COMMON_QUEUE_DRIVER, q->ring.avail);
    write_address(p, COMMON_QUEUE_DEVICE, q->ring.used);
    set16(&p->common, COMMON_QUEUE_ENABLE, 1);
    return 0;
}

static void pci_notify(struct virtio_queue *q) {
    *q->doorbell = (uint16_t)q->index;
}

static struct virtio_message pci_message(struct virtio_queue *q) {
    struct pci_device *p = pci_of(q->device);
    struct virtio_message m = { 0 };
    unsigned entry;

    set16(&p->common, COMMON_QUEUE_SELECT, (uint16_t)q->index);
    entry = get16(&p->common, COMMON_QUEUE_VECTOR);
    if (entry < p->msix.count)
        pci_msix_get(&p->msix, entry, &m.address, &m.data);
    return m;
}

static const struct virtio_transport pci_transport = {
    .read_features = pci_read_features,
    .write_features = pci_write_features,
    .read_status = pci_read_status,
    .write_status = pci_write_status,
    .read_config = pci_read_config,
    .queue_max = pci_queue_max,
    .vectors = pci_vectors,
    .queue_enable = pci_queue_enable,
    .notify = pci_notify,
    .message = pci_message,
};

/* A kind of region: what the driver accesses at the least, and how that is aligned. */
struct region_rule {
    const char *name;
    unsigned capability_bytes;
    uint32_t least, align;
};

static const struct region_rule rules[] = {
    [KIND_COMMON] = { "common configuration", CAP_END, COMMON_BYTES, 4 },
    [KIND_NOTIFY] = { "doorbells", CAP_NOTIFY_END, 2, 2 },
    [KIND_CONFIG] = { "configuration", CAP_END, 1, 4 },
};

/* Maps what the capability at `cap` describes, if it keeps the rule. */
static int map_region(struct pci_function f, const struct pci_bars *bars, unsigned cap,
                      const struct region_rule *rule, struct region *out) {
    unsigned bytes = pci_read8(f, cap + CAP_BYTES);
    uint32_t offset = pci_read32(f, cap + CAP_OFFSET), length = pci_read32(f, cap + CAP_LENGTH);
    volatile void *at;
    int err;

    if (bytes < rule->capability_bytes || cap + rule->capability_bytes > PCI_CONFIG_BYTES ||
        length < rule->least || !IS_ALIGNED(offset, rule->align)) {
        log_error("pci %02x:%02x.%x: cannot have its %s at %#x, %#x bytes (capability: %u bytes at "
                  "%#x)",
                  f.bus, f.device, f.function, rule->name, offset, length, bytes, cap);
        return -EIO;
    }
    length = MIN(length, MAX_REGION); /* where each of 1,024 queues has a page: page-per-vq */
    err = pci_map(f, bars, pci_read8(f, cap + CAP_BAR), offset, length, rule->name, &at);
    if (!err)
        *out = (struct region){ at, length };
    return err;
}

/* Finds the regions; of a kind, the first capability in memory counts. */
static int map_regions(struct pci_function f, const struct pci_bars *bars, struct pci_device *p) {
    unsigned cap = 0;

    while ((cap = pci_capability(f, PCI_CAP_VENDOR, cap))) {
        uint8_t kind = pci_read8(f, cap + CAP_KIND);
        struct region *r = kind == KIND_COMMON   ? &p->common
                           : kind == KIND_NOTIFY ? &p->notify
                           : kind == KIND_CONFIG ? &p->config
                                                 : NULL;
        int err;

        /* Virtio 1.x has a driver use the first of a kind that it can: one in ports comes first
         * where there is one (QEMU's modern-pio-notify). */
        if (!r || r->at || !pci_is_memory(bars, pci_read8(f, cap + CAP_BAR)))
            continue;
        err = map_region(f, bars, cap, &rules[kind], r);
        if (err)
            return err;
        if (kind == KIND_NOTIFY)
            p->notify_multiplier = pci_read32(f, cap + CAP_NOTIFY_MULTIPLIER);
    }
    return p->common.at && p->notify.at ? 0 : -ENODEV;
}

static int set_up(struct pci_function f, struct pci_device *p) {
    uint16_t command = pci_read16(f, PCI_COMMAND);
    struct pci_bars bars;
    int err;

    pci_read_bars(f, &bars);
    err = map_regions(f, &bars, p);
    if (err)
        return err;
    pci_write16(f, PCI_COMMAND,
                command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX);
    err = pci_msix_enable(f, &bars, &p->msix);
    if (err)
        pci_write16(f, PCI_COMMAND, command);
    return err;
}

static void visit_function(struct pci_function f) {
    uint16_t id = pci_read16(f, PCI_DEVICE);
    struct pci_device *p;
    int err;

    if (pci_read16(f, PCI_VENDOR) != VENDOR_VIRTIO || id < DEVICE_TRANSITIONAL ||
        id > DEVICE_MODERN + 0x3f)
        return;
    p = kmalloc(sizeof *p);
    if (!p)
        return;
    p->device.transport = &pci_transport;
    p->device.type = id >= DEVICE_MODERN ? id - DEVICE_MODERN : pci_read16(f, PCI_SUBSYSTEM_ID);
    format(p->device.name, sizeof p->device.name, "pci %02x:%02x.%x", f.bus, f.device, f.function);

    err = set_up(f, p);
    if (err) {
        if (err != -EIO) /* which was logged where it was found out */
            log_error("virtio: %s is not a modern device with MSI-X (%d)", p->device.name, err);
        kfree(p);
        return;
    }
    set16(&p->common, COMMON_CONFIG_VECTOR, NO_VECTOR);
    virtio_add_device(&p->device);
}

void virtio_pci_probe(void) {
    if (pci_is_present())
        pci_scan(visit_function);
}
