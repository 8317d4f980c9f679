/* SPDX-License-Identifier: MIT */
/* The matrix of results, and the ratios that the reports are made of. */
#include "lab/results.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void *grown(void *old, size_t count, size_t size) {
    void *memory = realloc(old, count * size);

    if (!memory) {
        fputs("mimosa: out of memory for the results\n", stderr);
        exit(125);
    }
    return memory;
}

static char *copied(const char *text) {
    size_t bytes = strlen(text) + 1;

    return memcpy(grown(NULL, bytes, 1), text, bytes);
}

static size_t cell_count(const struct results *results) {
    return (size_t)results->system_count * results->heap_count * results->load_count *
           results->shape_count;
}

void results_make_cells(struct results *results) {
    size_t count = cell_count(results);

    results->cells = grown(NULL, count ? count : 1, sizeof(*results->cells));
    for (size_t i = 0; i < count; i++) {
        size_t bytes = (results->rounds ? results->rounds : 1) * sizeof(struct sample);

        results->cells[i].samples = grown(NULL, bytes, 1);
        memset(results->cells[i].samples, 0, bytes);
    }
}

void results_free(struct results *results) {
    for (size_t i = 0; results->cells && i < cell_count(results); i++) {
        for (unsigned round = 0; round < results->rounds; round++) {
            free(results->cells[i].samples[round].line);
        }
        free(results->cells[i].samples);
    }
    free(results->cells);
    for (unsigned i = 0; i < RESULTS_MAX; i++) {
        free(results->systems[i]);
        free(results->heaps[i]);
        free(results->loads[i]);
    }
    for (size_t i = 0; i < results->fact_count; i++) {
        free(results->facts[i].key);
        free(results->facts[i].text);
    }
    for (size_t i = 0; i < results->note_count; i++) {
        free(results->notes[i]);
    }
    free(results->facts);
    free(results->notes);
    memset(results, 0, sizeof(*results));
}

struct cell *results_cell(const struct results *results, unsigned system, unsigned heap,
                          unsigned load, unsigned shape) {
    size_t index = system;

    index = index * results->heap_count + heap;
    index = index * results->load_count + load;
    index = index * results->shape_count + shape;
    return &results->cells[index];
}

void results_fact(struct results *results, const char *key, const char *text) {
    results->facts = grown(results->facts, results->fact_count + 1, sizeof(*results->facts));
    results->facts[results->fact_count].key = copied(key);
    results->facts[results->fact_count].text = copied(text);
    results->fact_count++;
}

void results_note(struct results *results, const char *format, ...) {
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    results->notes = grown(results->notes, results->note_count + 1, sizeof(*results->notes));
    results->notes[results->note_count++] = copied(text);
}

static int find(char *const *names, unsigned count, const char *name) {
    for (unsigned i = 0; i < count; i++) {
        if (!strcmp(names[i], name)) {
            return (int)i;
        }
    }
    return -1;
}

int results_find_system(const struct results *results, const char *system) {
    return find(results->systems, results->system_count, system);
}

int results_find_load(const struct results *results, const char *load) {
    return find(results->loads, results->load_count, load);
}

int results_find_heap(const struct results *results, const char *heap) {
    return find(results->heaps, results->heap_count, heap);
}

int results_find_shape(const struct results *results, unsigned cpus, unsigned threads) {
    for (unsigned i = 0; i < results->shape_count; i++) {
        if (results->shapes[i].cpus == cpus && results->shapes[i].threads == threads) {
            return (int)i;
        }
    }
    return -1;
}

double results_number(const struct cell *cell, unsigned round, size_t offset) {
    double number;

    memcpy(&number, (const char *)&cell->samples[round] + offset, sizeof(number));
    return number;
}

bool results_interval_of(const struct results *results, const struct cell *cell, size_t offset,
                         struct stats_interval *interval) {
    double numbers[STATS_MAX];
    size_t count = 0;

    for (unsigned i = 0; i < results->rounds && count < STATS_MAX; i++) {
        double number = results_number(cell, i, offset);

        if (number > 0) {
            numbers[count++] = number;
        }
    }
    if (count) {
        *interval = stats_sign_interval(numbers, count, RESULTS_CONFIDENCE);
    }
    return count > 0;
}

bool results_rate(const struct results *results, const struct cell *cell,
                  struct stats_interval *rate) {
    return results_interval_of(results, cell, offsetof(struct sample, rate), rate);
}

bool results_ratio_of(const struct results *results, const struct cell *cell,
                      const struct cell *base, size_t offset, struct stats_interval *ratio) {
    double above[STATS_MAX], below[STATS_MAX];
    size_t count = 0;

    for (unsigned i = 0; i < results->rounds && count < STATS_MAX; i++) {
        double a = results_number(cell, i, offset), b = results_number(base, i, offset);

        if (a > 0 && b > 0) {
            above[count] = a;
            below[count++] = b;
        }
    }
    if (count) {
        *ratio = stats_ratio_paired(above, below, count, RESULTS_CONFIDENCE);
    }
    return count > 0;
}

bool results_ratio(const struct results *results, const struct cell *cell, const struct cell *base,
                   struct stats_interval *ratio) {
    return results_ratio_of(results, cell, base, offsetof(struct sample, rate), ratio);
}

bool results_ratio_of_ratios(const struct results *results, const struct cell *cell,
                             const struct cell *base, const struct cell *control,
                             const struct cell *control_base, struct stats_interval *ratio) {
    double above[STATS_MAX], below[STATS_MAX];
    size_t count = 0;

    for (unsigned i = 0; i < results->rounds && count < STATS_MAX; i++) {
        double a = cell->samples[i].rate, b = base->samples[i].rate;
        double c = control->samples[i].rate, d = control_base->samples[i].rate;

        if (a > 0 && b > 0 && c > 0 && d > 0) {
            above[count] = a / b;
            below[count++] = c / d;
        }
    }
    if (count) {
        *ratio = stats_ratio_paired(above, below, count, RESULTS_CONFIDENCE);
    }
    return count > 0;
}

double results_median_of(const struct results *results, const struct cell *cell, size_t offset) {
    double values[STATS_MAX];
    size_t count = 0;

    for (unsigned i = 0; i < results->rounds && count < STATS_MAX; i++) {
        if (cell->samples[i].rate > 0) {
            values[count++] = results_number(cell, i, offset);
        }
    }
    return count ? stats_median(values, count) : 0;
}
