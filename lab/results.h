/* SPDX-License-Identifier: MIT */
/*
 * The results of a comparison: a matrix of cells, each with its raw samples.
 *
 * A cell is one load on one heap in one shape (CPUs and threads) on one
 * system; a sample is what one round measured there.  Samples of the same
 * round belong together: ratios are taken round by round (lab/stats.h).
 *
 * One thread; results_free() frees everything inside.
 */
#ifndef LAB_RESULTS_H
#define LAB_RESULTS_H

#include "lab/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define RESULTS_MAX        48u  /* systems, heaps, loads, shapes: of each at most */
#define RESULTS_CONFIDENCE 0.93 /* what five rounds can give (the sign test: 93.75 %) */

struct shape {
    unsigned cpus;
    unsigned threads; /* 0: the program decides */
};

/* One measurement.  `rate` 0 means that it failed or never ran. */
struct sample {
    double rate; /* operations (or runs of a program) in a second */
    double seconds;
    double p50_ns, p99_ns; /* latency of one operation */
    double faults, peak_rss_kib;
    /* Of a server: */
    double p999_ns, fragmentation;
    double kernel_instructions, user_instructions; /* for each request */
    char *line; /* what the harness printed; NULL for other programs */
};

struct cell {
    struct sample *samples; /* one for each round, index = round */
};

/* A fact about where figures come from: a key and a text, both owned. */
struct fact {
    char *key, *text;
};

struct results {
    char *systems[RESULTS_MAX], *heaps[RESULTS_MAX], *loads[RESULTS_MAX];
    struct shape shapes[RESULTS_MAX];
    unsigned system_count, heap_count, load_count, shape_count;
    bool system_dropped[RESULTS_MAX];            /* could not run at all */
    double operations[RESULTS_MAX][RESULTS_MAX]; /* of a cell, by system and load */
    unsigned rounds, rounds_done;
    unsigned baseline;  /* a heap */
    int peer;           /* the system that a server's figures are compared with; -1: none */
    bool is_server;     /* loads are requests to a server that somebody else makes */
    unsigned failures;  /* cells that should have run and did not */
    bool whole_program; /* samples are runs of a program of the user's */

    struct cell *cells;
    struct fact *facts; /* provenance, in order */
    size_t fact_count;
    char **notes; /* what went wrong or was left out, in sentences */
    size_t note_count;
};

/* Makes the cells, once the four lists and `rounds` stand. */
void results_make_cells(struct results *results);
void results_free(struct results *results);

struct cell *results_cell(const struct results *results, unsigned system, unsigned heap,
                          unsigned load, unsigned shape);

/* Texts are copied; a note is made by printf's rules. */
void results_fact(struct results *results, const char *key, const char *text);
void results_note(struct results *results, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Index of a name or shape, or -1. */
int results_find_system(const struct results *results, const char *system);
int results_find_load(const struct results *results, const char *load);
int results_find_heap(const struct results *results, const char *heap);
int results_find_shape(const struct results *results, unsigned cpus, unsigned threads);

/* Any of a sample's numbers, by its offset in struct sample; 0: it was not measured. */
double results_number(const struct cell *cell, unsigned round, size_t offset);

/*
 * Median and interval of any of a sample's numbers, by its offset in struct sample.
 * Samples of which the number is 0 do not count; false when none is left.
 */
bool results_interval_of(const struct results *results, const struct cell *cell, size_t offset,
                         struct stats_interval *interval);

/* The same of the rate. */
bool results_rate(const struct results *results, const struct cell *cell,
                  struct stats_interval *rate);

/*
 * Ratio of the rates of two cells over the rounds that both have.  False when
 * there are none.
 */
bool results_ratio(const struct results *results, const struct cell *cell, const struct cell *base,
                   struct stats_interval *ratio);

/*
 * The same for any of a sample's numbers, by its offset in struct sample.
 * Samples of which the number is 0 do not count.
 */
bool results_ratio_of(const struct results *results, const struct cell *cell,
                      const struct cell *base, size_t offset, struct stats_interval *ratio);

/*
 * The ratio above, divided round by round by the ratio of two control cells:
 * (cell / base) / (control / control_base).  False when no round has all four.
 */
bool results_ratio_of_ratios(const struct results *results, const struct cell *cell,
                             const struct cell *base, const struct cell *control,
                             const struct cell *control_base, struct stats_interval *ratio);

/*
 * The median over rounds of any of a sample's numbers, by its offset in struct
 * sample; 0 when there are none.
 */
double results_median_of(const struct results *results, const struct cell *cell, size_t offset);

#endif
