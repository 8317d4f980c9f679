/* SPDX-License-Identifier: MIT */
/*
 * Private to dev/console*.c: input buffers what has come, output queues frames,
 * console.c ties them to the port and the wire's protocol.
 */
#ifndef DEV_CONSOLE_IMPL_H
#define DEV_CONSOLE_IMPL_H

#include "dev/console.h"
#include "dev/console_port.h"

/* --- console_input.c: what has come and was not read yet. --- */

/* Allocates the first buffer; its bytes are the first credit.  0 or -ENOMEM. */
must_check int input_init(void);
uint32_t input_size(void);
/* Stores bytes; returns how many there was room for. */
size_t input_put(const void *bytes, size_t size);
/* Doubles the buffer where the stream is worth it; returns the bytes gained. */
uint32_t input_grow(void);
/* Takes up to `size` bytes. */
size_t input_get(void *to, size_t size);
void input_set_eof(void);
bool input_has_room(void);
/*
 * Bytes that were read since it said so last, once they are worth a credit
 * frame; else 0.
 */
uint32_t input_take_consumed(void);
/* Gives back what could not be announced. */
void input_return_consumed(uint32_t size);

/* --- console_output.c: frames to the host; only with a port. --- */

/* Who may take the last frames: data leaves some to reports, reports to control. */
enum output_class { OUTPUT_DATA, OUTPUT_REPORT, OUTPUT_CONTROL };

/* 0 or -ENOMEM. */
must_check int output_init(struct virtio_queue *transmit);
/* Takes up to `size` bytes of a stream as credit and frames allow; -EPIPE, or how many. */
long output_write(enum wire_stream stream, const void *from, size_t size);
/* Sends what small writes left waiting for more. */
void output_push(void);
/* Whether that has waited for long enough; console_output_due() announced it. */
bool output_is_due(void);
bool output_writable(enum wire_stream stream);
/* The host read `size` bytes of a stream.  0, or -EPROTO where it cannot have. */
must_check int output_add_credit(enum wire_stream stream, uint32_t size);
/* Nobody reads the stream any more. */
void output_close(enum wire_stream stream);
/* Queues one frame with at most 4,000 bytes of payload.  False where there is no room now;
 * then an interrupt will wake console_room. */
bool output_send(enum output_class class, enum wire_type type, enum wire_stream stream,
                 const void *payload, size_t size);
/* Whether output_send() would work; asks for the interrupt if not. */
bool output_has_room(enum output_class class);
/* Waits until the device has taken every frame; false when it stopped taking any. May sleep. */
bool output_flush(void);

/* console.c: wakes all who wait for frames.  Context: any. */
void console_room_appeared(void);
/* console.c: has the receiving thread call output_push().  Context: any. */
void console_output_due(void);

#define OUTPUT_SEND_MAX 4000
#define OUTPUT_STALL_NS (5 * NS_PER_SEC) /* a device that takes nothing for so long is dead */

#endif
