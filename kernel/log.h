/* SPDX-License-Identifier: MIT */
/*
 * The kernel's log: lines in a ring in memory, each with time stamp and CPU,
 * printed on the serial port at once when `verbose` is on or the level is
 * LOG_ERROR.  Context: any, interrupts and panics included.
 */
#ifndef KERNEL_LOG_H
#define KERNEL_LOG_H

#include "base/types.h"

enum log_level { LOG_ERROR, LOG_INFO, LOG_DEBUG };

/* One line, without its newline. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* Who carries text; log and panics lie below the drivers. */
struct log_output {
    void (*log)(const char *text, size_t size);    /* any context */
    void (*panic)(const char *text, size_t size);  /* the same, without a lock */
    void (*report)(const char *text, size_t size); /* thread context */
};
/* Once, before there is anything to say; `output` stays. */
void log_set_output(const struct log_output *output);

extern bool log_verbose; /* set once at boot from the manifest */

/* Text for the person at the command's standard error (reports, strace): over the wire where there
 * is one, else the serial port.  Context: thread; may sleep. */
void report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
