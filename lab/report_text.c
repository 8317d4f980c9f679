/* SPDX-License-Identifier: MIT */
/* The report for a terminal. */
#include "lab/report.h"

#include <stddef.h>
#include <string.h>

#define WIDTH 96

const char *report_quantity(double value, char *buffer) {
    static const struct {
        double from;
        const char *unit;
    } units[] = { { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" }, { 0, "" } };
    unsigned u = 0;

    while (value < units[u].from) {
        u++;
    }
    double scaled = units[u].from > 0 ? value / units[u].from : value;
    snprintf(buffer, 16, "%.*f%s%s",
             scaled < 10    ? 2
             : scaled < 100 ? 1
                            : 0,
             scaled, *units[u].unit ? " " : "", units[u].unit);
    return buffer;
}

const char *report_shape(const struct shape *shape, char *buffer) {
    if (!shape->threads) {
        snprintf(buffer, 40, "%u CPU%s", shape->cpus, shape->cpus > 1 ? "s" : "");
        return buffer;
    }
    snprintf(buffer, 40, "%u thread%s, %u CPU%s", shape->threads, shape->threads > 1 ? "s" : "",
             shape->cpus, shape->cpus > 1 ? "s" : "");
    return buffer;
}

static void print_cell(const struct results *r, const struct cell *cell, const struct cell *base,
                       FILE *to) {
    struct stats_interval rate, ratio;
    char quantity[16], text[40];

    if (!results_rate(r, cell, &rate)) {
        fprintf(to, " %21s", "-");
        return;
    }
    int used = snprintf(text, sizeof(text), "%s", report_quantity(rate.median, quantity));
    used +=
        snprintf(text + used, sizeof(text) - (size_t)used, " ±%.0f%%", stats_spread(&rate) * 100);
    if (cell != base && results_ratio(r, cell, base, &ratio)) {
        snprintf(text + used, sizeof(text) - (size_t)used, " %5.2f%s", ratio.median,
                 stats_within_noise(&ratio) ? "~" : " ");
    } else {
        snprintf(text + used, sizeof(text) - (size_t)used, "  base ");
    }
    fprintf(to, " %22s", text); /* one more: the plus-minus sign is two bytes */
}

static bool row_has_figures(const struct results *r, unsigned system, unsigned heap,
                            unsigned load) {
    struct stats_interval rate;

    for (unsigned shape = 0; shape < r->shape_count; shape++) {
        if (results_rate(r, results_cell(r, system, heap, load, shape), &rate)) {
            return true;
        }
    }
    return false;
}

static void print_load(const struct results *r, unsigned load, FILE *to) {
    char text[40];

    fprintf(to, "\n%-21s", r->loads[load]);
    for (unsigned shape = 0; shape < r->shape_count; shape++) {
        fprintf(to, " %21s", report_shape(&r->shapes[shape], text));
    }
    fputc('\n', to);
    for (unsigned system = 0; system < r->system_count; system++) {
        bool named = false;

        for (unsigned heap = 0; heap < r->heap_count; heap++) {
            if (!row_has_figures(r, system, heap, load)) {
                continue;
            }
            fprintf(to, "  %-8s %-10s", named ? "" : r->systems[system], r->heaps[heap]);
            named = true;
            for (unsigned shape = 0; shape < r->shape_count; shape++) {
                print_cell(r, results_cell(r, system, heap, load, shape),
                           results_cell(r, system, r->baseline, load, shape), to);
            }
            fputc('\n', to);
        }
    }
}

/* Two threads on two CPUs over one on one, and the same in parts of the control's. */
static void print_parallelism(const struct results *r, FILE *to) {
    int one = results_find_shape(r, 1, 1), two = results_find_shape(r, 2, 2);
    int control = results_find_load(r, "compute");

    if (one < 0 || two < 0) {
        return;
    }
    fputs("\nParallelism: 2 threads on 2 CPUs over 1 on 1, same total work", to);
    fputs(control >= 0 ? "; in brackets: as a part of compute's\n" : "\n", to);
    fprintf(to, "%-21s", "");
    for (unsigned load = 0; load < r->load_count; load++) {
        fprintf(to, " %18s", r->loads[load]);
    }
    fputc('\n', to);
    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned heap = 0; heap < r->heap_count && !r->system_dropped[system]; heap++) {
            fprintf(to, "  %-8s %-10s", heap ? "" : r->systems[system], r->heaps[heap]);
            for (unsigned load = 0; load < r->load_count; load++) {
                struct cell *pair[4];
                struct stats_interval ratio, part;
                char text[40] = "-";

                for (int i = 0; i < 4; i++) {
                    pair[i] = results_cell(r, system, heap,
                                           i < 2 || control < 0 ? load : (unsigned)control,
                                           (unsigned)(i % 2 ? one : two));
                }
                if (results_ratio(r, pair[0], pair[1], &ratio)) {
                    int used = snprintf(text, sizeof(text), "%.2f", ratio.median);
                    if ((int)load != control && control >= 0 &&
                        results_ratio_of_ratios(r, pair[0], pair[1], pair[2], pair[3], &part)) {
                        snprintf(text + used, sizeof(text) - (size_t)used, " (%.2f ±%.2f)",
                                 part.median, (part.high - part.low) / 2);
                        used = 1;
                    } else {
                        used = 0;
                    }
                    fprintf(to, " %*s", 18 + used, text);
                } else {
                    fprintf(to, " %18s", text);
                }
            }
            fputc('\n', to);
        }
    }
}

static void print_latency(const struct results *r, FILE *to) {
    unsigned last = r->shape_count - 1;
    char shape[40];

    if (r->whole_program) {
        return;
    }
    fprintf(to, "\nLatency of one operation (%s), median / 99th percentile, in ns\n%-21s",
            report_shape(&r->shapes[last], shape), "");
    for (unsigned load = 0; load < r->load_count; load++) {
        fprintf(to, " %17s", r->loads[load]);
    }
    fputc('\n', to);
    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned heap = 0; heap < r->heap_count && !r->system_dropped[system]; heap++) {
            fprintf(to, "  %-8s %-10s", heap ? "" : r->systems[system], r->heaps[heap]);
            for (unsigned load = 0; load < r->load_count; load++) {
                struct cell *cell = results_cell(r, system, heap, load, last);
                char text[40];

                snprintf(text, sizeof(text), "%.0f / %.0f",
                         results_median_of(r, cell, offsetof(struct sample, p50_ns)),
                         results_median_of(r, cell, offsetof(struct sample, p99_ns)));
                fprintf(to, " %17s", text);
            }
            fputc('\n', to);
        }
    }
}

/* Wraps at WIDTH, with an indent for lines after the first. */
static void print_wrapped(const char *text, unsigned indent, FILE *to) {
    unsigned column = (unsigned)fprintf(to, "%*s", (int)indent, "");

    while (*text) {
        size_t blanks = strspn(text, " "), word = strcspn(text + blanks, " ");

        if (column + blanks + word > WIDTH && column > indent + 2) {
            fprintf(to, "\n%*s", (int)indent + 2, "");
            column = indent + 2;
            text += blanks;
            blanks = 0;
        }
        column += (unsigned)fprintf(to, "%.*s", (int)(blanks + word), text);
        text += blanks + word;
    }
    fputc('\n', to);
}

static void say_finding(void *context, bool heading, const char *text) {
    FILE *to = context;

    if (heading) {
        fputc('\n', to);
    }
    print_wrapped(text, heading ? 0 : 2, to);
}

void report_text(const struct results *results, FILE *to) {
    double ones[STATS_MAX] = { 0 };
    size_t rounds = results->rounds_done ? results->rounds_done : 1;
    char line[512];

    snprintf(line, sizeof(line),
             "%s per second (higher is better): median of %zu rounds, ± half the width of its "
             "interval; then the ratio to %s on the same system and shape, round by round. "
             "\"~\" marks a ratio within the noise: its %.0f %% interval holds 1.",
             results->whole_program ? "Runs" : "Operations", rounds,
             results->heaps[results->baseline],
             100 * stats_sign_interval(ones, rounds, RESULTS_CONFIDENCE).confidence);
    fputc('\n', to);
    print_wrapped(line, 0, to);
    for (unsigned load = 0; load < results->load_count; load++) {
        print_load(results, load, to);
    }
    print_parallelism(results, to);
    print_latency(results, to);
    report_findings(results, say_finding, to);
    report_notes(results, to);
}

void report_notes(const struct results *results, FILE *to) {
    if (results->note_count) {
        fputs("\nNotes\n", to);
        for (size_t i = 0; i < results->note_count; i++) {
            print_wrapped(results->notes[i], 2, to);
        }
    }
}
