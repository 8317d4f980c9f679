/* SPDX-License-Identifier: MIT */
/* The report for programs: raw samples, medians, ratios and provenance. */
#include "lab/report.h"

#include <stddef.h>
#include <string.h>

static void print_string(const char *text, FILE *to) {
    fputc('"', to);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\') {
            fprintf(to, "\\%c", c);
        } else if (c < ' ') {
            fprintf(to, "\\u%04x", c);
        } else {
            fputc(c, to);
        }
    }
    fputc('"', to);
}

static void print_names(const char *key, char *const *names, unsigned count, FILE *to) {
    fprintf(to, "  \"%s\": [", key);
    for (unsigned i = 0; i < count; i++) {
        fputs(i ? ", " : "", to);
        print_string(names[i], to);
    }
    fputs("],\n", to);
}

static void print_interval(const char *key, const struct stats_interval *interval, FILE *to) {
    fprintf(to, ", \"%s\": {\"median\": %.6g, \"low\": %.6g, \"high\": %.6g, \"confidence\": %.4f}",
            key, interval->median, interval->low, interval->high, interval->confidence);
}

static void print_samples(const struct results *r, const struct cell *cell, FILE *to) {
    bool first = true;

    fputs(",\n     \"samples\": [", to);
    for (unsigned round = 0; round < r->rounds; round++) {
        const struct sample *sample = &cell->samples[round];

        if (sample->rate <= 0) {
            continue;
        }
        fprintf(to, "%s\n      {\"round\": %u, \"rate\": %.6g, \"seconds\": %.9g", first ? "" : ",",
                round + 1, sample->rate, sample->seconds);
        if (sample->line) {
            fprintf(to, ", \"raw\": %s", sample->line);
        }
        fputc('}', to);
        first = false;
    }
    fputc(']', to);
}

/* What a server's figures are in parts of the peer's. */
static void print_peer(const struct results *r, const struct cell *cell, const struct cell *peer,
                       FILE *to) {
    static const struct {
        const char *key;
        size_t offset;
    } ratios[] = {
        { "rate_to_peer", offsetof(struct sample, rate) },
        { "p50_to_peer", offsetof(struct sample, p50_ns) },
        { "p99_to_peer", offsetof(struct sample, p99_ns) },
        { "p999_to_peer", offsetof(struct sample, p999_ns) },
        { "kernel_instructions_to_peer", offsetof(struct sample, kernel_instructions) },
        { "resident_to_peer", offsetof(struct sample, peak_rss_kib) },
    };
    struct stats_interval ratio;

    for (size_t i = 0; i < sizeof(ratios) / sizeof(ratios[0]); i++) {
        if (results_ratio_of(r, cell, peer, ratios[i].offset, &ratio)) {
            print_interval(ratios[i].key, &ratio, to);
        }
    }
}

static void print_cell(const struct results *r, const unsigned at[4], FILE *to) {
    const struct cell *cell = results_cell(r, at[0], at[1], at[2], at[3]);
    const struct shape *shape = &r->shapes[at[3]];
    struct stats_interval rate, ratio;
    int single = results_find_shape(r, 1, 1), control = results_find_load(r, "compute");

    fputs("    {\"system\": ", to);
    print_string(r->systems[at[0]], to);
    fputs(", \"heap\": ", to);
    print_string(r->heaps[at[1]], to);
    fputs(", \"load\": ", to);
    print_string(r->loads[at[2]], to);
    fprintf(to, ", \"cpus\": %u, \"threads\": %u", shape->cpus, shape->threads);
    if (results_rate(r, cell, &rate)) {
        print_interval("rate", &rate, to);
    }
    if (results_ratio(r, cell, results_cell(r, at[0], r->baseline, at[2], at[3]), &ratio)) {
        print_interval("ratio_to_baseline", &ratio, to);
        fprintf(to, ", \"within_noise\": %s", stats_within_noise(&ratio) ? "true" : "false");
    }
    if (r->is_server && r->peer >= 0) {
        print_peer(r, cell, results_cell(r, (unsigned)r->peer, at[1], at[2], at[3]), to);
    }
    if (single >= 0) {
        const struct cell *alone = results_cell(r, at[0], at[1], at[2], (unsigned)single);

        if (results_ratio(r, cell, alone, &ratio)) {
            print_interval("parallelism", &ratio, to);
        }
        if (control >= 0 &&
            results_ratio_of_ratios(
                r, cell, alone, results_cell(r, at[0], at[1], (unsigned)control, at[3]),
                results_cell(r, at[0], at[1], (unsigned)control, (unsigned)single), &ratio)) {
            print_interval("parallelism_of_compute", &ratio, to);
        }
    }
    print_samples(r, cell, to);
    fputc('}', to);
}

void report_json(const struct results *r, FILE *to) {
    unsigned at[4];
    bool first = true;

    fprintf(to, "{\n  \"format\": 1,\n  \"rounds\": %u,\n  \"unit\": \"%s/s\",\n", r->rounds_done,
            r->whole_program ? "runs" : "operations");
    if (r->is_server && r->peer >= 0) {
        fputs("  \"peer\": ", to);
        print_string(r->systems[r->peer], to);
        fputs(",\n", to);
    }
    print_names("systems", r->systems, r->system_count, to);
    print_names("heaps", r->heaps, r->heap_count, to);
    print_names("loads", r->loads, r->load_count, to);
    fputs("  \"baseline\": ", to);
    print_string(r->heaps[r->baseline], to);
    fputs(",\n  \"provenance\": {", to);
    for (size_t i = 0; i < r->fact_count; i++) {
        fputs(i ? ",\n    " : "\n    ", to);
        print_string(r->facts[i].key, to);
        fputs(": ", to);
        print_string(r->facts[i].text, to);
    }
    fputs("},\n", to);
    print_names("notes", r->notes, (unsigned)r->note_count, to);
    fputs("  \"cells\": [\n", to);
    for (at[0] = 0; at[0] < r->system_count; at[0]++) {
        for (at[1] = 0; at[1] < r->heap_count; at[1]++) {
            for (at[2] = 0; at[2] < r->load_count; at[2]++) {
                for (at[3] = 0; at[3] < r->shape_count; at[3]++) {
                    fputs(first ? "" : ",\n", to);
                    first = false;
                    print_cell(r, at, to);
                }
            }
        }
    }
    fputs("\n  ]\n}\n", to);
}
