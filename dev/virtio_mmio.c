/* SPDX-License-Identifier: MIT */
/*
 * Virtio over MMIO, as QEMU's microvm has it.  Without ACPI the devices are on
 * the kernel's command line (virtio_mmio.device=SIZE@ADDRESS:LINE); with ACPI
 * they are not, and we look at the board's 24 fixed slots, whose interrupt
 * lines belong to the second IOAPIC.  An empty slot answers with device type 0.
 *
 * The one interrupt of a device serves all its queues.
 */
#include <asm-generic/errno.h>
#include "arch/x86_64/paging.h"
#include "base/format.h"
#include "base/string.h"
#include "dev/pci.h"
#include "dev/virtio.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/slab.h"

#define SLOTS_BASE             0xfeb00000ul
#define SLOT_SIZE              0x200u
#define SLOT_COUNT             24
#define SLOT_FIRST_LINE        24 /* first line of the second IOAPIC */
#define SLOT_FIRST_LINE_SINGLE 16 /* where the board was told to have only one */

#define MAGIC          0x74726976u /* "virt" */
#define VERSION_MODERN 2u

enum {
    REG_MAGIC = 0x00,
    REG_VERSION = 0x04,
    REG_DEVICE_ID = 0x08,
    REG_DEVICE_FEATURES = 0x10,
    REG_DEVICE_FEATURES_SELECT = 0x14,
    REG_DRIVER_FEATURES = 0x20,
    REG_DRIVER_FEATURES_SELECT = 0x24,
    REG_QUEUE_SELECT = 0x30,
    REG_QUEUE_MAX = 0x34,
    REG_QUEUE_SIZE = 0x38,
    REG_QUEUE_READY = 0x44,
    REG_QUEUE_NOTIFY = 0x50,
    REG_INTERRUPT_STATUS = 0x60,
    REG_INTERRUPT_ACK = 0x64,
    REG_STATUS = 0x70,
    REG_QUEUE_DESC = 0x80, /* low half, then high half */
    REG_QUEUE_DRIVER = 0x90,
    REG_QUEUE_DEVICE = 0xa0,
    REG_CONFIG = 0x100,
};

struct mmio_device {
    struct virtio_device device;
    volatile uint8_t *registers;
    unsigned config_bytes;     /* of the device's own configuration, at most */
    unsigned line, other_line; /* IOAPIC lines to try */
    bool connected;
};

static uint32_t read_register(const struct mmio_device *m, unsigned offset) {
    return *(volatile uint32_t *)(m->registers + offset);
}

static void write_register(struct mmio_device *m, unsigned offset, uint32_t v) {
    *(volatile uint32_t *)(m->registers + offset) = v;
}

static struct mmio_device *mmio_of(struct virtio_device *d) {
    return container_of(d, struct mmio_device, device);
}

static uint32_t mmio_read_features(struct virtio_device *d, unsigned half) {
    write_register(mmio_of(d), REG_DEVICE_FEATURES_SELECT, half);
    return read_register(mmio_of(d), REG_DEVICE_FEATURES);
}

static void mmio_write_features(struct virtio_device *d, unsigned half, uint32_t features) {
    write_register(mmio_of(d), REG_DRIVER_FEATURES_SELECT, half);
    write_register(mmio_of(d), REG_DRIVER_FEATURES, features);
}

static uint8_t mmio_read_status(struct virtio_device *d) {
    return (uint8_t)read_register(mmio_of(d), REG_STATUS);
}

static void mmio_write_status(struct virtio_device *d, uint8_t status) {
    write_register(mmio_of(d), REG_STATUS, status); /* a reset is complete when this returns */
}

static uint32_t mmio_read_config(struct virtio_device *d, unsigned offset, unsigned bytes) {
    struct mmio_device *m = mmio_of(d);
    volatile uint8_t *at = m->registers + REG_CONFIG + offset;

    if (offset + bytes > m->config_bytes)
        return 0;
    return bytes == 1 ? *at : bytes == 2 ? *(volatile uint16_t *)at : *(volatile uint32_t *)at;
}

static unsigned mmio_queue_max(struct virtio_device *d, unsigned index) {
    struct mmio_device *m = mmio_of(d);

    write_register(m, REG_QUEUE_SELECT, index);
    return read_register(m, REG_QUEUE_READY) ? 0 : read_register(m, REG_QUEUE_MAX);
}

static unsigned mmio_vectors(struct virtio_device *d) {
    (void)d;
    return 1;
}

static void mmio_interrupt(void *arg) {
    struct mmio_device *m = arg;
    struct virtio_queue *q;
    uint32_t status = read_register(m, REG_INTERRUPT_STATUS);

    if (!status)
        return;
    write_register(m, REG_INTERRUPT_ACK, status);
    list_for_each(q, &m->device.queues, link)
        if (q->handler)
            q->handler(q->arg);
}

static int connect(struct mmio_device *m) {
    int err = irq_connect_line(m->line, true, 0, mmio_interrupt, m);

    if (err == -ENODEV && m->other_line != m->line)
        err = irq_connect_line(m->other_line, true, 0, mmio_interrupt, m);
    if (err)
        log_error("virtio: %s: no interrupt line %u (%d)", m->device.name, m->line, err);
    else
        m->connected = true;
    return err;
}

static void write_address(struct mmio_device *m, unsigned offset, const void *area) {
    uint64_t phys = virt_to_phys(area).value;

    write_register(m, offset, (uint32_t)phys);
    write_register(m, offset + 4, (uint32_t)(phys >> 32));
}

static int mmio_queue_enable(struct virtio_queue *q) {
    struct mmio_device *m = mmio_of(q->device);

    if (!m->connected) {
        int err = connect(m);

        if (err)
            return err;
    }
    write_register(m, REG_QUEUE_SELECT, q->index);
    write_register(m, REG_QUEUE_SIZE, q->ring.size);
    write_address(m, REG_QUEUE_DESC, q->ring.desc);
    write_address(m, REG_QUEUE_DRIVER, q->ring.avail);
    write_address(m, REG_QUEUE_DEVICE, q->ring.used);
    write_register(m, REG_QUEUE_READY, 1);
    return 0;
}

static void mmio_notify(struct virtio_queue *q) {
    write_register(mmio_of(q->device), REG_QUEUE_NOTIFY, q->index);
}

static struct virtio_message mmio_message(struct virtio_queue *q) {
    (void)q;
    return (struct virtio_message){ 0 };
}

static const struct virtio_transport mmio_transport = {
    .read_features = mmio_read_features,
    .write_features = mmio_write_features,
    .read_status = mmio_read_status,
    .write_status = mmio_write_status,
    .read_config = mmio_read_config,
    .queue_max = mmio_queue_max,
    .vectors = mmio_vectors,
    .queue_enable = mmio_queue_enable,
    .notify = mmio_notify,
    .message = mmio_message,
};

/* Makes a device of what was found at `base`, if there is one. */
static void probe_slot(const struct mmio_device *found, uint64_t base) {
    unsigned type;
    struct mmio_device *m;

    if (read_register(found, REG_MAGIC) != MAGIC)
        return;
    type = read_register(found, REG_DEVICE_ID);
    if (type == 0)
        return;
    if (read_register(found, REG_VERSION) != VERSION_MODERN) {
        log_error("virtio: the device at %#lx is a legacy one; start QEMU with "
                  "-global virtio-mmio.force-legacy=false",
                  base);
        return;
    }
    m = kmalloc(sizeof *m);
    if (!m) {
        log_error("virtio: no memory for the device at %#lx", base);
        return;
    }
    *m = *found;
    m->device.transport = &mmio_transport;
    m->device.type = type;
    format(m->device.name, sizeof m->device.name, "mmio %#lx line %u", base, m->line);
    virtio_add_device(&m->device);
}

/* SIZE@ADDRESS:LINE, SIZE perhaps with a K behind. */
static bool parse_device(const char *text, uint64_t *size, uint64_t *base, uint64_t *line) {
    uint64_t unit = 1;

    if (!string_number(&text, size))
        return false;
    if (*text == 'K' || *text == 'k') {
        unit = 1024;
        text++;
    }
    if (*text++ != '@' || !string_number(&text, base) || *text++ != ':' ||
        !string_number(&text, line) || *size > MIB(1) / unit)
        return false;
    *size *= unit;
    return *size >= REG_CONFIG && IS_ALIGNED(*base, 4) && *line < 1024;
}

/* Returns how many devices the command line named. */
static unsigned probe_command_line(void) {
    char text[64];
    unsigned n;

    for (n = 0; machine_option("virtio_mmio.device=", n, text, sizeof text); n++) {
        uint64_t size, base, line;
        struct mmio_device found = { 0 };

        if (!parse_device(text, &size, &base, &line)) {
            log_error("virtio: cannot read virtio_mmio.device=%s", text);
            continue;
        }
        if (!machine_may_be_device(base, size)) {
            log_error("virtio: no device can be at virtio_mmio.device=%s", text);
            continue;
        }
        found.registers = paging_map_device(PADDR(base), size);
        found.config_bytes = (unsigned)size - REG_CONFIG;
        found.line = found.other_line = (unsigned)line;
        if (found.registers)
            probe_slot(&found, base);
    }
    return n;
}

/* The slots of a microvm with ACPI.  On another machine without PCI nothing answers there. */
static void probe_slots(void) {
    volatile uint8_t *registers;

    if (!machine_may_be_device(SLOTS_BASE, SLOT_COUNT * SLOT_SIZE))
        return;
    registers = paging_map_device(PADDR(SLOTS_BASE), SLOT_COUNT * SLOT_SIZE);
    if (!registers)
        return;
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        struct mmio_device found = {
            .registers = registers + i * SLOT_SIZE,
            .config_bytes = SLOT_SIZE - REG_CONFIG,
            .line = SLOT_FIRST_LINE + i,
            .other_line = SLOT_FIRST_LINE_SINGLE + i,
        };

        probe_slot(&found, SLOTS_BASE + i * SLOT_SIZE);
    }
}

void virtio_mmio_probe(void) {
    if (probe_command_line() == 0 && machine.rsdp.value != 0 && !pci_is_present())
        probe_slots();
}
