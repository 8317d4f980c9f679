/* SPDX-License-Identifier: MIT */
/* For host tests: physical memory is an array of the test's, host_memory. */
#ifndef ARCH_PAGING_H
#define ARCH_PAGING_H

#include <stdatomic.h>
#include "base/types.h"

extern char *host_memory;

static inline void *phys_to_virt(struct paddr p) {
    return host_memory + p.value;
}

static inline struct paddr virt_to_phys(const void *v) {
    return PADDR((uint64_t)((const char *)v - host_memory));
}

/* A test that lists a transport has this function. */
volatile void *paging_map_device(struct paddr phys, size_t size);

#endif
