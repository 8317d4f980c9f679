/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration space through ports 0xcf8 and 0xcfc.  Bridges and base
 * addresses stay as the firmware set them.
 */
#ifndef DEV_PCI_H
#define DEV_PCI_H

#include "base/types.h"

struct pci_function {
    uint8_t bus, device, function;
};

#define PCI_BARS 6 /* base address registers */

/* Registers of every function's header. */
#define PCI_VENDOR        0x00
#define PCI_DEVICE        0x02
#define PCI_COMMAND       0x04
#define PCI_STATUS        0x06
#define PCI_HEADER_TYPE   0x0e
#define PCI_BAR(n)        (0x10u + 4 * (n))
#define PCI_SECONDARY_BUS 0x19 /* of a bridge */
#define PCI_SUBSYSTEM_ID  0x2e
#define PCI_CAPABILITIES  0x34

#define PCI_COMMAND_MEMORY  2u
#define PCI_COMMAND_MASTER  4u
#define PCI_COMMAND_NO_INTX 0x400u

#define PCI_CONFIG_BYTES 256 /* that the ports reach */

#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX   0x11

/* Whether the configuration ports answer. */
bool pci_is_present(void);

/* Aligned reads and writes of configuration space, offsets 0 to 255.  Context: any. */
uint32_t pci_read32(struct pci_function f, unsigned offset);
uint16_t pci_read16(struct pci_function f, unsigned offset);
uint8_t pci_read8(struct pci_function f, unsigned offset);
void pci_write32(struct pci_function f, unsigned offset, uint32_t v);
void pci_write16(struct pci_function f, unsigned offset, uint16_t v);

/* Calls `visit` for every function on bus 0 and behind its bridges. */
void pci_scan(void (*visit)(struct pci_function f));

/*
 * The next capability `id` behind offset `after` (0: from the start); its offset,
 * or 0 where there is none.
 */
unsigned pci_capability(struct pci_function f, uint8_t id, unsigned after);

/* What a function's base address registers name; bytes 0: nothing, or ports. */
struct pci_bars {
    struct {
        uint64_t start, bytes;
    } at[PCI_BARS];
};

/* Finds them out.  Meanwhile the function does not answer at these addresses. */
void pci_read_bars(struct pci_function f, struct pci_bars *out);

static inline bool pci_is_memory(const struct pci_bars *bars, unsigned bar) {
    return bar < PCI_BARS && bars->at[bar].bytes;
}

/*
 * Maps `bytes` at `offset` of memory region `bar`, which the device says.  0, -ENOMEM, or -EIO
 * where that is not within the region, or where a device cannot be; it is logged with `what` it is.
 */
must_check int pci_map(struct pci_function f, const struct pci_bars *bars, unsigned bar,
                       uint32_t offset, uint32_t bytes, const char *what, volatile void **out);

/*
 * Message-signalled interrupts.  pci_msix_enable() maps the table with all
 * entries masked, or fails as pci_map() does, or with -ENODEV; pci_msix_set()
 * fills and unmasks one, pci_msix_get() asks the device what it has there.
 */
struct pci_msix {
    volatile uint32_t *table; /* four words an entry */
    unsigned count;
};
must_check int pci_msix_enable(struct pci_function f, const struct pci_bars *bars,
                               struct pci_msix *out);
void pci_msix_set(struct pci_msix *m, unsigned entry, uint64_t address, uint32_t data);
void pci_msix_get(const struct pci_msix *m, unsigned entry, uint64_t *address, uint32_t *data);

#endif
