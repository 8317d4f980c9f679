/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration.  The address port and the data port are one register pair
 * for the whole machine: config_lock (RANK_DEVICE, irqsave) covers both accesses.
 */
#include "dev/pci.h"
#include <asm-generic/errno.h>
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/paging.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "kernel/machine.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc

#define HEADER_MULTI            0x80
#define HEADER_BRIDGE           0x01
#define STATUS_HAS_CAPABILITIES 0x10
#define BAR_IS_IO               1u
#define BAR_IS_64               4u
#define BAR_FLAGS               0xfu

#define MAX_DEPTH        8  /* bridges behind bridges */
#define MAX_CAPABILITIES 48 /* all that fit in 256 bytes; ends a loop in the list */

#define MSIX_CONTROL      2 /* offsets in the capability */
#define MSIX_TABLE        4
#define MSIX_BYTES        12
#define MSIX_ENABLE       0x8000u
#define MSIX_MASK_ALL     0x4000u
#define MSIX_COUNT        0x7ffu
#define MSIX_ENTRY_WORDS  4
#define MSIX_ENTRY_MASKED 1u

static struct spinlock config_lock = SPINLOCK_INIT(RANK_DEVICE);

static void select(struct pci_function f, unsigned offset) {
    outl(CONFIG_ADDRESS, 1u << 31 | (uint32_t)f.bus << 16 | (uint32_t)(f.device & 31) << 11 |
                             (uint32_t)(f.function & 7) << 8 | (offset & 0xfc));
}

bool pci_is_present(void) {
    struct pci_function root = { 0, 0, 0 };

    /* The address register keeps what was written; a missing port reads as ones. */
    (void)pci_read32(root, PCI_VENDOR);
    return inl(CONFIG_ADDRESS) == 1u << 31;
}

uint32_t pci_read32(struct pci_function f, unsigned offset) {
    uint64_t flags = spin_lock_irqsave(&config_lock);
    uint32_t v;

    select(f, offset);
    v = inl(CONFIG_DATA);
    spin_unlock_irqrestore(&config_lock, flags);
    return v;
}

uint16_t pci_read16(struct pci_function f, unsigned offset) {
    return (uint16_t)(pci_read32(f, offset) >> (offset & 2) * 8);
}

uint8_t pci_read8(struct pci_function f, unsigned offset) {
    return (uint8_t)(pci_read32(f, offset) >> (offset & 3) * 8);
}

void pci_write32(struct pci_function f, unsigned offset, uint32_t v) {
    uint64_t flags = spin_lock_irqsave(&config_lock);

    select(f, offset);
    outl(CONFIG_DATA, v);
    spin_unlock_irqrestore(&config_lock, flags);
}

void pci_write16(struct pci_function f, unsigned offset, uint16_t v) {
    uint64_t flags = spin_lock_irqsave(&config_lock);

    select(f, offset);
    outw((uint16_t)(CONFIG_DATA + (offset & 2)), v);
    spin_unlock_irqrestore(&config_lock, flags);
}

static void scan_bus(uint8_t bus, unsigned depth, void (*visit)(struct pci_function f));

static void scan_function(struct pci_function f, unsigned depth,
                          void (*visit)(struct pci_function f)) {
    if (pci_read16(f, PCI_VENDOR) == 0xffff)
        return;
    if ((pci_read8(f, PCI_HEADER_TYPE) & ~HEADER_MULTI) == HEADER_BRIDGE) {
        uint8_t behind = pci_read8(f, PCI_SECONDARY_BUS);

        /* Firmware numbers buses from the root down; anything else could loop. */
        if (behind > f.bus && depth < MAX_DEPTH)
            scan_bus(behind, depth + 1, visit);
        return;
    }
    visit(f);
}

static void scan_bus(uint8_t bus, unsigned depth, void (*visit)(struct pci_function f)) {
    for (uint8_t device = 0; device < 32; device++) {
        struct pci_function f = { bus, device, 0 };
        unsigned functions = pci_read8(f, PCI_HEADER_TYPE) & HEADER_MULTI ? 8 : 1;

        if (pci_read16(f, PCI_VENDOR) == 0xffff)
            continue;
        for (; f.function < functions; f.function++)
            scan_function(f, depth, visit);
    }
}

void pci_scan(void (*visit)(struct pci_function f)) {
    scan_bus(0, 0, visit);
}

unsigned pci_capability(struct pci_function f, uint8_t id, unsigned after) {
    unsigned at;

    if (!(pci_read16(f, PCI_STATUS) & STATUS_HAS_CAPABILITIES))
        return 0;
    at = pci_read8(f, after ? after + 1 : PCI_CAPABILITIES) & 0xfcu;
    for (unsigned n = 0; at >= 0x40 && n < MAX_CAPABILITIES; n++) {
        if (pci_read8(f, at) == id)
            return at;
        at = pci_read8(f, at + 1) & 0xfcu;
    }
    return 0;
}

/* What of `bits`, a register's, stays when all are written: where its region can be. */
static uint32_t probe_bits(struct pci_function f, unsigned bar, uint32_t bits) {
    uint32_t stays;

    pci_write32(f, PCI_BAR(bar), UINT32_MAX);
    stays = pci_read32(f, PCI_BAR(bar));
    pci_write32(f, PCI_BAR(bar), bits);
    return stays;
}

void pci_read_bars(struct pci_function f, struct pci_bars *out) {
    uint16_t command = pci_read16(f, PCI_COMMAND);

    *out = (struct pci_bars){ 0 };
    /* A region must not wander over others, memory included, while its bits are probed. */
    pci_write16(f, PCI_COMMAND, command & (uint16_t)~PCI_COMMAND_MEMORY);
    for (unsigned bar = 0; bar < PCI_BARS; bar++) {
        uint32_t low = pci_read32(f, PCI_BAR(bar));
        uint64_t start = low & ~BAR_FLAGS, bits;
        unsigned first = bar;

        if (low & BAR_IS_IO || (low & BAR_IS_64 && bar == PCI_BARS - 1))
            continue;
        bits = probe_bits(f, bar, low) & ~BAR_FLAGS;
        if (low & BAR_IS_64) {
            uint32_t high = pci_read32(f, PCI_BAR(++bar));

            start |= (uint64_t)high << 32;
            bits |= (uint64_t)probe_bits(f, bar, high) << 32;
        } else if (bits) {
            bits |= ~(uint64_t)UINT32_MAX;
        }
        /* Where all bits from one on can be set, that one is the size; where not, it has none. */
        if (start != 0 && bits == -(bits & -bits)) {
            out->at[first].start = start;
            out->at[first].bytes = bits & -bits;
        }
    }
    pci_write16(f, PCI_COMMAND, command);
}

int pci_map(struct pci_function f, const struct pci_bars *bars, unsigned bar, uint32_t offset,
            uint32_t bytes, const char *what, volatile void **out) {
    uint64_t start = bar < PCI_BARS ? bars->at[bar].start : 0;
    uint64_t room = bar < PCI_BARS ? bars->at[bar].bytes : 0;

    if (offset > room || bytes > room - offset || start > UINT64_MAX - offset ||
        !machine_may_be_device(start + offset, bytes)) {
        log_error("pci %02x:%02x.%x: cannot have its %s at %#x of region %u, %#x bytes (region: "
                  "%#lx at %#lx)",
                  f.bus, f.device, f.function, what, offset, bar, bytes, room, start);
        return -EIO;
    }
    *out = paging_map_device(PADDR(start + offset), bytes);
    return *out ? 0 : -ENOMEM;
}

int pci_msix_enable(struct pci_function f, const struct pci_bars *bars, struct pci_msix *out) {
    unsigned cap = pci_capability(f, PCI_CAP_MSIX, 0);
    volatile void *table;
    uint32_t where;
    uint16_t control;
    unsigned count;
    int err;

    if (!cap || cap + MSIX_BYTES > PCI_CONFIG_BYTES)
        return -ENODEV;
    where = pci_read32(f, cap + MSIX_TABLE);
    control = pci_read16(f, cap + MSIX_CONTROL);
    count = (control & MSIX_COUNT) + 1u;
    err =
        pci_map(f, bars, where & 7, where & ~7u,
                count * MSIX_ENTRY_WORDS * (uint32_t)sizeof *out->table, "interrupt table", &table);
    if (err)
        return err;
    out->table = table;
    out->count = count;

    /* Masked as a whole while the entries are masked one by one. */
    pci_write16(f, cap + MSIX_CONTROL, (uint16_t)(control | MSIX_ENABLE | MSIX_MASK_ALL));
    for (unsigned i = 0; i < count; i++)
        out->table[i * MSIX_ENTRY_WORDS + 3] = MSIX_ENTRY_MASKED;
    pci_write16(f, cap + MSIX_CONTROL, (uint16_t)((control | MSIX_ENABLE) & ~MSIX_MASK_ALL));
    return 0;
}

void pci_msix_set(struct pci_msix *m, unsigned entry, uint64_t address, uint32_t data) {
    volatile uint32_t *e = m->table + entry * MSIX_ENTRY_WORDS;

    e[3] = MSIX_ENTRY_MASKED;
    e[0] = (uint32_t)address;
    e[1] = (uint32_t)(address >> 32);
    e[2] = data;
    e[3] = 0;
}

void pci_msix_get(const struct pci_msix *m, unsigned entry, uint64_t *address, uint32_t *data) {
    const volatile uint32_t *e = m->table + entry * MSIX_ENTRY_WORDS;

    *address = (uint64_t)e[1] << 32 | e[0];
    *data = e[2];
}
