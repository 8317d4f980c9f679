/* SPDX-License-Identifier: MIT */
/*
 * Text from the kernel: its log on the serial port and its reports.  Addresses
 * come as <k:HEX> (kernel) and <u:HEX> (program, as linked: a kernel that moved
 * a position-independent program takes the distance off again) and leave as
 * function+0x12.
 */
#ifndef CLI_LOG_H
#define CLI_LOG_H

#include "cli/elf.h"
#include "cli/initrd.h"

#include <stdbool.h>

struct log_names {
    struct mapped kernel_file, program_file;
    struct symbols kernel, program;
};

/* Reads both files' symbols; a path may be NULL, and a file without any is no error. */
void log_names_open(struct log_names *names, const char *kernel, const char *program);
void log_names_close(struct log_names *names);

/* A copy of `text` with its addresses named; the caller frees it. */
char *log_symbolize(const struct log_names *names, const char *text, size_t length);

#define LOG_KEPT     64u   /* last lines that are kept */
#define LOG_LINE_MAX 2048u /* a longer line is cut in parts */

struct log {
    const struct log_names *names;
    void (*show)(void *context, const char *text, size_t length);
    void *context;
    bool live;        /* show every line */
    bool panicked;    /* a panic began: what was kept is shown, and every line after it */
    bool linux_panic; /* the same, in a Linux kernel's words */
    char *refusal;    /* why the kernel would not start, in its words; NULL: it did not say so */
    size_t used;
    char line[LOG_LINE_MAX];
    char *kept[LOG_KEPT];
    size_t count; /* lines seen so far */
};

/* Takes serial text in pieces; whole lines are kept, and shown if they should be. */
void log_feed(struct log *log, const char *text, size_t length);

/* Takes a last line without an end as a line. */
void log_flush(struct log *log);

/* Shows the last `lines` lines that were not shown already. */
void log_show_last(struct log *log, size_t lines);
void log_free(struct log *log);

#endif
