/* SPDX-License-Identifier: MIT */
/* The heaps that every program gets, in the order in which they are listed. */
#include "heaps/dispatch/dispatch.h"

const struct heap *const heap_known[] = {
    &heap_buddy, &heap_buddy_page, &heap_mimalloc, &heap_musl, &heap_bump, NULL,
};
