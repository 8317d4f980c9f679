/* SPDX-License-Identifier: MIT */
/*
 * A virtio console device has port 0, and more with VIRTIO_CONSOLE_F_MULTIPORT,
 * which then are announced and opened by messages on two control queues.  All
 * queues must be set up before the device starts, before we know its ports: we
 * set up those of ports 0 and 1.
 *
 * Port 0 is a `virtconsole` of QEMU's, which loses output when the host does
 * not read in time; port 1 is what the mimosa command uses.
 *
 * The messages are exchanged once, during boot, by polling with a time limit.
 */
#include "dev/console_port.h"
#include <asm-generic/errno.h>
#include "arch/x86_64/cpu.h"
#include "kernel/log.h"
#include "kernel/slab.h"
#include "kernel/timer.h"

#define F_MULTIPORT      (1ul << 1)
#define CONFIG_MAX_PORTS 4 /* offset */

#define PORTS               2 /* that we look at */
#define CONTROL_RECEIVE     2
#define CONTROL_TRANSMIT    3
#define RECEIVE_QUEUE(port) ((port) == 0 ? 0u : 2 * (port) + 2)

#define RECEIVE_SIZE    32
#define CONTROL_SIZE    8
#define ANSWER_LIMIT_NS (500 * NS_PER_MS)

enum control_event {
    DEVICE_READY = 0,
    PORT_ADD = 1,
    PORT_READY = 3,
    PORT_OPEN = 6,
};

struct control_message {
    uint32_t port;
    uint16_t event; /* enum control_event */
    uint16_t value;
};

#define MESSAGE_BYTES 128 /* of a receive buffer: a port's name may follow the message */

/* All of one device's state; there is at most one. */
struct console_device {
    struct virtio_device *virtio;
    struct console_port ports[PORTS];
    unsigned port_count;
    struct virtio_queue control_receive, control_transmit;
    uint8_t messages[CONTROL_SIZE][MESSAGE_BYTES];
    struct control_message out[CONTROL_SIZE];
    unsigned sent;
    uint32_t added, connected; /* bit per port */
};

static struct console_device *console_device; /* NULL: none, or without control queues */

static int init_port(struct console_device *c, unsigned n, irq_handler *receive,
                     irq_handler *transmit) {
    struct console_port *port = &c->ports[n];
    struct virtio_queue_setup in = {
        .index = RECEIVE_QUEUE(n), .size = RECEIVE_SIZE, .handler = receive, .arg = port
    };
    struct virtio_queue_setup out = {
        .index = in.index + 1, .size = CONSOLE_PORT_FRAMES, .handler = transmit, .arg = port
    };
    int err = virtio_queue_init(c->virtio, &port->receive, &in);

    return err ? err : virtio_queue_init(c->virtio, &port->transmit, &out);
}

static int init_control(struct console_device *c) {
    const struct virtio_queue_setup in = { .index = CONTROL_RECEIVE, .size = CONTROL_SIZE };
    const struct virtio_queue_setup out = { .index = CONTROL_TRANSMIT, .size = CONTROL_SIZE };
    int err = virtio_queue_init(c->virtio, &c->control_receive, &in);

    if (!err)
        err = virtio_queue_init(c->virtio, &c->control_transmit, &out);
    for (unsigned i = 0; i < CONTROL_SIZE && !err; i++)
        err = virtio_queue_add(&c->control_receive, c->messages[i], MESSAGE_BYTES, true,
                               c->messages[i]);
    return err == -ENOSPC ? 0 : err; /* a shorter queue takes fewer buffers */
}

static void send(struct console_device *c, uint32_t port, enum control_event event) {
    struct control_message *m = &c->out[c->sent++ % CONTROL_SIZE];
    void *token;
    uint32_t length;

    while (virtio_queue_take(&c->control_transmit, &token, &length) > 0)
        continue;
    *m = (struct control_message){ .port = port, .event = (uint16_t)event, .value = 1 };
    if (virtio_queue_add(&c->control_transmit, m, sizeof *m, false, m) == 0)
        virtio_queue_kick(&c->control_transmit);
}

static void receive_message(struct console_device *c, const struct control_message *m) {
    uint32_t bit;

    if (m->port >= c->port_count)
        return;
    bit = 1u << m->port;
    if (m->event == PORT_ADD && !(c->added & bit)) {
        c->added |= bit;
        send(c, m->port, PORT_READY);
    } else if (m->event == PORT_OPEN && m->value) {
        c->connected |= bit;
    }
}

/* Handles the messages that have come.  Returns 0 or -EIO. */
static int receive_messages(struct console_device *c) {
    void *token;
    uint32_t length;
    int got;

    while ((got = virtio_queue_take(&c->control_receive, &token, &length)) > 0) {
        if (length >= sizeof(struct control_message))
            receive_message(c, token);
        if (virtio_queue_add(&c->control_receive, token, MESSAGE_BYTES, true, token) == 0)
            virtio_queue_kick(&c->control_receive);
    }
    return got;
}

/* Talks until every port that was announced is connected, or time is up. */
static struct console_port *choose_port(struct console_device *c) {
    uint64_t limit = clock_now_ns() + ANSWER_LIMIT_NS;

    virtio_queue_kick(&c->control_receive);
    send(c, UINT32_MAX, DEVICE_READY);
    while (receive_messages(c) == 0 && clock_now_ns() < limit) {
        if (c->added && c->added == c->connected)
            break;
        cpu_relax();
    }
    for (unsigned n = PORTS; n-- > 0;)
        if (c->connected & 1u << n)
            return &c->ports[n];
    log_info("console: the device has no connected port");
    return NULL;
}

/* Returns how many ports we may use, or -errno; the device then knows its queues. */
static int init_queues(struct console_device *c, irq_handler *receive, irq_handler *transmit) {
    int err = virtio_begin(c->virtio, VIRTIO_F_EVENT_IDX | F_MULTIPORT);

    if (err)
        return err;
    c->port_count = 1;
    if (c->virtio->features & F_MULTIPORT && virtio_config(c->virtio, CONFIG_MAX_PORTS, 4) >= PORTS)
        c->port_count = PORTS;
    /* Port 1 first: it gets vectors of its own where there are few. */
    for (unsigned n = c->port_count; n-- > 0 && !err;)
        err = init_port(c, n, receive, transmit);
    if (!err && c->virtio->features & F_MULTIPORT)
        err = init_control(c);
    return err;
}

struct console_port *console_port_find(irq_handler *receive, irq_handler *transmit) {
    struct virtio_device *virtio = virtio_find(VIRTIO_ID_CONSOLE, 0);
    struct console_device *c;
    int err;

    if (!virtio)
        return NULL;
    c = kmalloc(sizeof *c);
    if (!c)
        return NULL;
    c->virtio = virtio;
    err = init_queues(c, receive, transmit);
    if (err) {
        /* The queues' memory stays: the device may know it. */
        log_error("console: cannot set up %s (%d)", virtio->name, err);
        virtio_fail(virtio);
        return NULL;
    }
    virtio_ready(virtio);
    if (!(virtio->features & F_MULTIPORT))
        return &c->ports[0];
    console_device = c;
    return choose_port(c);
}

void console_port_open(struct console_port *port) {
    if (console_device)
        send(console_device, (uint32_t)(port - console_device->ports), PORT_OPEN);
}
