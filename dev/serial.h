/* SPDX-License-Identifier: MIT */
/* The first serial port (a 16550 at 0x3f8), polled: log, panics, and the console without a wire. */
#ifndef DEV_SERIAL_H
#define DEV_SERIAL_H

#include "base/types.h"

void serial_init(void);
/* Context: any; the log's lock serialises callers, a panic needs none. */
void serial_write(const char *text, size_t size);
/* A byte that has arrived, or -1. */
int serial_read(void);
/* Connects the receive interrupt; `ready` runs in interrupt context. Returns 0 or -errno. */
int serial_enable_receive(void (*ready)(void *), void *arg);

#endif
