/* SPDX-License-Identifier: MIT */
/* Puts an initrd into a kernel's ELF file. */
#ifndef CLI_PACK_H
#define CLI_PACK_H

#include "cli/initrd.h"

struct packed {
    uint8_t *bytes; /* the new file; the caller frees it */
    size_t size;
    uint64_t address;      /* physical, where the initrd will lie */
    uint64_t least_memory; /* bytes of memory up to the end of the initrd */
};

/*
 * Makes one ELF file of `kernel` and `initrd`: a further loaded segment behind
 * the kernel's last one, and its place written into the kernel's
 * `struct image_initrd`.  Returns NULL, or why the kernel cannot take it.
 */
const char *pack_image(struct packed *packed, const struct mapped *kernel,
                       const struct mapped *initrd);

#endif
