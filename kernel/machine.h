/* SPDX-License-Identifier: MIT */
/* What the loader told us about the machine, and how to end it. */
#ifndef KERNEL_MACHINE_H
#define KERNEL_MACHINE_H

#include "base/types.h"
#include "kernel/random.h"

#define MACHINE_MEMORY_RANGES 16 /* that we use; more of them stay unused */

struct machine_range {
    uint64_t start, end; /* physical */
};

struct machine {
    const char *command_line; /* NUL-terminated copy */
    const void *initrd;       /* in the direct map, page aligned memory; NULL: none */
    size_t initrd_size;
    struct paddr rsdp;     /* ACPI root, value 0: none */
    uint64_t memory_bytes; /* usable memory at boot */
    /* All memory that we use, the kernel's image included, in whole pages. */
    struct machine_range memory[MACHINE_MEMORY_RANGES];
    unsigned memory_count;
    uint64_t address_end; /* first physical address that the CPU does not have */
    uint8_t build_id[20];
};
extern struct machine machine; /* constant after boot */

/*
 * The n-th word of the command line that starts with `prefix` ("name="), copied
 * behind the prefix into `to`.  Returns false where there is none.
 */
bool machine_option(const char *prefix, unsigned n, char *to, size_t size);

/*
 * Whether a device's registers can be at [start, start + size), as a host or firmware
 * says: the CPU has these addresses, and none of them is memory.
 */
bool machine_may_be_device(uint64_t start, uint64_t size);

/*
 * Ends the machine at once: isa-debug-exit, then ACPI or reset. QEMU's status is 1, or 125 after a
 * failure of ours. Context: any.
 */
noreturn_fn void machine_power_off(void);
noreturn_fn void machine_power_off_failed(void);

#endif
