/* SPDX-License-Identifier: MIT */
/* The dispatcher's list in the host's test: the heaps that are all ours. */
#include "heaps/dispatch/dispatch.h"

const struct heap *const heap_known[] = { &heap_buddy, &heap_buddy_page, &heap_bump, NULL };
