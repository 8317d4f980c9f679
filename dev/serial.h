/* SPDX-License-Identifier: MIT */
/* The first serial port (a 16550 at 0x3f8), polled: log, panics, and the console without a wire. */
#ifndef DEV_SERIAL_H
#define DEV_SERIAL_H

#include "base/types.h"

void serial_init(void); /* once, before all else here; a machine without the port loses output */
/*
 * All of it, waiting while the port is full; what a port that nobody empties does
 * not take in some seconds is lost.  Context: any; serial_write_in_panic takes no
 * lock.
 */
void serial_write(const char *text, size_t size);
void serial_write_in_panic(const char *text, size_t size);
/* What fits now: how much, 0 while the port is full.  Context: any. */
size_t serial_write_some(const char *text, size_t size);
bool serial_has_room(void);
/* Whether the last byte has left the port. */
bool serial_is_drained(void);
/* A byte that has arrived, or -1. */
int serial_read(void);
/* Connects the receive interrupt; `ready` runs in interrupt context. Returns 0 or -errno. */
int serial_enable_receive(void (*ready)(void *), void *arg);

#endif
