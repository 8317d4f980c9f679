/* SPDX-License-Identifier: MIT */
/* For tests that list memory.c besides shim.c, instead of kernel/pages.c and kernel/slab.c. */
#ifndef TEST_HOST_SHIM_MEMORY_H
#define TEST_HOST_SHIM_MEMORY_H

#include "base/types.h"

/* Before the first allocation of a test; and the end of all that is left of it. */
void host_objects_create(void);
void host_objects_free(void);

extern unsigned host_pages_left; /* that pages_alloc() still gives */
extern unsigned host_pages_used;
extern unsigned host_objects_used; /* of kmalloc and the slabs */

/* Time goes on by a tenth of a second each time that somebody looks, and by this. */
extern uint64_t host_now_ns;
/* Fires every timer that is due at `until_ns`; returns how many. */
unsigned host_timers_fire(uint64_t until_ns);

#endif
