/* SPDX-License-Identifier: MIT */
/*
 * Reports of a comparison: for the terminal, for programs (JSON), and as one
 * HTML page that needs nothing from outside.
 */
#ifndef LAB_REPORT_H
#define LAB_REPORT_H

#include "lab/results.h"

#include <stdio.h>

/* The table, what it says, and where the figures come from; 96 columns at most. */
void report_text(const struct results *results, FILE *to);

/* The same of a server: requests, latencies, memory, in parts of the peer's; and, of several
 * heaps, of the baseline's. */
void report_server(const struct results *results, FILE *to);

/* Notes as sentences, wrapped; nothing where there are none. */
void report_notes(const struct results *results, FILE *to);

/* Everything: raw samples as the harness printed them, medians, provenance. */
void report_json(const struct results *results, FILE *to);

/* The tables and plots (inline SVG); of a server, the second. */
void report_html(const struct results *results, FILE *to);
void report_server_html(const struct results *results, FILE *to);

/* "12.3 M": three digits and a unit, into a buffer of at least 16 bytes. */
const char *report_quantity(double value, char *buffer);

/* "1 thread, 1 CPU", into a buffer of at least 40 bytes. */
const char *report_shape(const struct shape *shape, char *buffer);

/*
 * The sentences that answer the lab's questions (where the baseline wins or
 * loses, what parallelism is worth, what a lock costs).  Calls `say` for each,
 * with a heading flag for the lines that begin a group.
 */
void report_findings(const struct results *results,
                     void (*say)(void *context, bool heading, const char *text), void *context);

#endif
