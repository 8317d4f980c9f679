/* SPDX-License-Identifier: MIT */
/* A virtio console device's port: finding it, and its two queues. */
#ifndef DEV_CONSOLE_PORT_H
#define DEV_CONSOLE_PORT_H

#include "dev/virtio.h"

#define CONSOLE_PORT_FRAMES 64 /* descriptors of a transmit queue at most */

struct console_port {
    struct virtio_queue receive, transmit;
};

/*
 * Finds the first console device and a port of it that is connected on the
 * host's side: port 1 rather than port 0.  The handlers run on the queues'
 * interrupts, which begin switched off.  Returns the port, which lives for
 * ever, or NULL.  Context: boot.
 */
struct console_port *console_port_find(irq_handler *receive, irq_handler *transmit);

/* Tells the host that we listen; without it a virtserialport sends nothing. */
void console_port_open(struct console_port *port);

#endif
