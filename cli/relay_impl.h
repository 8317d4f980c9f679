/* SPDX-License-Identifier: MIT */
/* Private to cli/relay*.c: what one run knows, and what its two halves ask of each other. */
#ifndef CLI_RELAY_IMPL_H
#define CLI_RELAY_IMPL_H

#include "cli/frame.h"
#include "cli/log.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/relay.h"

#include <stdbool.h>

#define LEAVE_WAIT_NS    2000000000ull /* for QEMU to end after WIRE_EXIT */
#define LOG_WAITING_MOST (4u << 20)
#define MESSAGES_KEPT    4096u

enum phase { STARTING, RUNNING, DUMPING, ENDING, LEAVING };

struct relay {
    struct machine *machine;
    const struct run_options *options;
    enum phase phase;
    uint64_t deadline_ns; /* of the phase, on CLOCK_MONOTONIC */
    uint64_t timeout_ns;  /* of the run */
    int forced_status;    /* the status after a dump */
    bool killed;          /* by us: nothing more to wait for */
    unsigned interrupts;
    bool said_hello, protocol_broken, machine_gone;
    bool wire_open, serial_open, messages_open;
    bool input_open;
    uint64_t input_credit;
    struct wire_exit exit;
    bool has_exit;
    int signals; /* signalfd */
    struct output outputs[2];
    struct output *standard_output, *standard_error;
    bool told_closed[OUTPUT_STREAMS];
    uint32_t owed[OUTPUT_STREAMS]; /* credit not given back yet */
    struct frame_writer writer;
    struct log log;
    size_t messages_used;
    char messages[MESSAGES_KEPT + 1];
    struct frame_reader reader;
};

/* CLOCK_MONOTONIC. */
uint64_t relay_now_ns(void);

/* Text of the kernel's or our own for standard error; `relay` as in struct log's context. */
void relay_show(void *relay, const char *text, size_t length);

/* --- relay_wire.c: the wire's side. --- */

/* Takes what QEMU sent and acts on its frames; a breach of the rules ends the run. */
void relay_read_wire(struct relay *relay);
/* Sends what waits, as far as the wire takes it. */
void relay_write_wire(struct relay *relay);
/* Tells the kernel the terminal's size, if there is one. */
void relay_send_winsize(struct relay *relay);
/* Gives back credit for what left, and tells the kernel of readers that are gone. */
void relay_settle_output(struct relay *relay, unsigned stream);

#endif
