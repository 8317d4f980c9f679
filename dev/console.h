/* SPDX-License-Identifier: MIT */
/*
 * The program's standard streams: over the wire (base/wire.h) where a virtio
 * console port is there, else raw over the first serial port.
 *
 * Nothing here sleeps unless stated; wait with the queues.  Context: thread.
 */
#ifndef DEV_CONSOLE_H
#define DEV_CONSOLE_H

#include "base/types.h"
#include "base/wire.h"
#include "kernel/wait.h"

/* Finds the device and says WIRE_HELLO.  Returns 0, or -ENODEV (serial fallback is then in use). */
int console_init(void);

/* Input: takes up to `size` bytes that have arrived; 0 if none yet. */
size_t console_read(void *to, size_t size);
size_t console_readable_bytes(void);
bool console_at_eof(void);                 /* no byte is left and none will come */
extern struct wait_queue console_readable; /* woken by arrival and end of file */

/*
 * Output on WIRE_STDOUT or WIRE_STDERR: accepts up to `size` bytes and returns
 * how many (0: no room now), or -EPIPE once the reader is gone.
 */
long console_write(enum wire_stream stream, const void *from, size_t size);
bool console_writable(enum wire_stream stream); /* room, or the reader is gone */
extern struct wait_queue console_room;          /* woken when room appears or a reader leaves */

/* Text for the command's standard error (report(), --strace). May sleep. */
void console_report(const char *text, size_t size);

/* Terminal: the host's terminal does the line discipline; we pass its settings through. */
struct wire_winsize console_winsize(void);
/* What it is at first; before the program starts.  Later sizes come over the wire. */
void console_set_winsize(unsigned rows, unsigned columns);
void console_set_termios(const struct wire_termios *t);

/*
 * What the command asks of the program: the handlers run in thread context.
 * `signal`: WIRE_SIGNAL and a window change (SIGWINCH); `dump`: WIRE_DUMP (the
 * answer frame is sent when it returns).  Set once, before the program starts.
 */
void console_set_handlers(void (*signal)(int signo), void (*dump)(void));

/* Waits until everything written has reached the host, says WIRE_EXIT and returns. May sleep. */
void console_exit(unsigned status, unsigned signal);

/* Counters for /proc/mimosa; read without a lock, so they may lag. */
struct console_stats {
    uint64_t bytes_sent, frames_sent; /* on the wire; bytes: of the data streams */
    uint64_t notifications;           /* times that the device had to be told */
    uint64_t bytes_received, buffers_received;
};
extern struct console_stats console_stats;

#endif
