/* SPDX-License-Identifier: MIT */
/*
 * What the pages with plots share: their frame, the key of the heaps, provenance,
 * and one drawing, a panel of bars with whiskers, as inline SVG.  A page loads
 * nothing from anywhere.
 */
#ifndef LAB_HTML_H
#define LAB_HTML_H

#include "lab/results.h"

#include <stdio.h>

/*
 * Groups of bars, one bar for each heap in the colour of the heap.  `label` names a
 * group, in a buffer of 40 bytes of the caller's or elsewhere; `value` is false where
 * a bar is missing.
 */
struct html_panel {
    const char *title;
    unsigned groups;
    unsigned width; /* pixels; 0: as wide as three beside one another need */
    double top;     /* of the axis, and bars that pass it are cut; 0: of the highest bar */
    const char *(*label)(const void *context, unsigned group, char *buffer);
    bool (*value)(const void *context, unsigned group, unsigned heap,
                  struct stats_interval *interval);
    const void *context;
};

/* Head and heading of a page, and its last lines, notes and provenance among them. */
void html_begin(const char *title, FILE *to);
void html_end(const struct results *results, FILE *to);

void html_text(const char *text, FILE *to);       /* with what HTML takes for its own escaped */
void html_heading(const char *text, FILE *to);    /* of a section */
void html_key(const struct results *r, FILE *to); /* which colour is which heap */

/* Nothing where no bar has a value. */
void html_panel(const struct results *results, const struct html_panel *panel, FILE *to);

/* A width for so many bars in so many groups, so that bars and names can be told apart. */
unsigned html_width(unsigned groups, unsigned heaps);

#endif
