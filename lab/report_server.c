/* SPDX-License-Identifier: MIT */
/* The report of a server: what it serves, how late, in how much memory. */
#include "lab/report.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* "1.52 " or "1.02~": a ratio to the peer; blank for the peer itself. */
static const char *ratio_text(const struct results *r, const struct cell *cell,
                              const struct cell *peer, size_t offset, char *buffer) {
    struct stats_interval ratio;

    buffer[0] = '\0';
    if (cell != peer && peer && results_ratio_of(r, cell, peer, offset, &ratio)) {
        snprintf(buffer, 16, "%.2f%s", ratio.median, stats_within_noise(&ratio) ? "~" : " ");
    }
    return buffer;
}

static void print_rate(const struct results *r, const struct cell *cell, const struct cell *peer,
                       FILE *to) {
    struct stats_interval rate = { 0 };
    char quantity[16], spread[16], ratio[16];

    results_rate(r, cell, &rate);
    snprintf(spread, sizeof(spread), "±%.0f%%", stats_spread(&rate) * 100);
    /* One column more: the plus-minus sign is two bytes. */
    fprintf(to, " %8s %-6s %6s", report_quantity(rate.median, quantity), spread,
            ratio_text(r, cell, peer, offsetof(struct sample, rate), ratio));
}

static void print_latency(const struct results *r, const struct cell *cell, const struct cell *peer,
                          FILE *to) {
    char ratio[16];

    fprintf(to, "  %7.2f %7.2f %6s %8.2f",
            results_median_of(r, cell, offsetof(struct sample, p50_ns)) / 1e6,
            results_median_of(r, cell, offsetof(struct sample, p99_ns)) / 1e6,
            ratio_text(r, cell, peer, offsetof(struct sample, p99_ns), ratio),
            results_median_of(r, cell, offsetof(struct sample, p999_ns)) / 1e6);
}

static void print_instructions(const struct results *r, const struct cell *cell,
                               const struct cell *peer, FILE *to) {
    char ratio[16];

    fprintf(to, "  %9.0f %6s %9.0f",
            results_median_of(r, cell, offsetof(struct sample, kernel_instructions)),
            ratio_text(r, cell, peer, offsetof(struct sample, kernel_instructions), ratio),
            results_median_of(r, cell, offsetof(struct sample, user_instructions)));
}

static void print_memory(const struct results *r, const struct cell *cell, const struct cell *peer,
                         FILE *to) {
    char ratio[16];

    fprintf(to, "  resident %.1f MiB %s, mem_fragmentation_ratio %.2f",
            results_median_of(r, cell, offsetof(struct sample, peak_rss_kib)) / 1024,
            ratio_text(r, cell, peer, offsetof(struct sample, peak_rss_kib), ratio),
            results_median_of(r, cell, offsetof(struct sample, fragmentation)));
}

/* What a sample of the load has beside its rate says which kind it is. */
static void print_cell(const struct results *r, const struct cell *cell, const struct cell *peer,
                       FILE *to) {
    print_rate(r, cell, peer, to);
    if (results_median_of(r, cell, offsetof(struct sample, kernel_instructions)) > 0) {
        print_instructions(r, cell, peer, to);
    } else if (results_median_of(r, cell, offsetof(struct sample, peak_rss_kib)) > 0) {
        print_memory(r, cell, peer, to);
    } else if (results_median_of(r, cell, offsetof(struct sample, p99_ns)) > 0) {
        print_latency(r, cell, peer, to);
    } else {
        fprintf(to, "  %.0f ms", results_median_of(r, cell, offsetof(struct sample, p50_ns)) / 1e6);
    }
    fputc('\n', to);
}

static bool counts_instructions(const struct results *r, unsigned heap, unsigned shape) {
    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned load = 0; load < r->load_count; load++) {
            const struct cell *cell = results_cell(r, system, heap, load, shape);

            if (results_median_of(r, cell, offsetof(struct sample, kernel_instructions)) > 0) {
                return true;
            }
        }
    }
    return false;
}

static void print_table(const struct results *r, unsigned heap, unsigned shape, FILE *to) {
    const char *peer = r->peer >= 0 ? r->systems[r->peer] : "";
    char text[40];

    fprintf(to, "\n%s, %s%s%s\n  %-18s %-10s %22s  %s\n", r->heaps[heap],
            report_shape(&r->shapes[shape], text), *peer ? "; ratios to " : "", peer, "", "",
            "each second      ratio",
            counts_instructions(r, heap, shape) ? "   kernel  ratio   program  (instructions)"
                                                : "    p50     p99  ratio    p99.9 (ms)");
    for (unsigned load = 0; load < r->load_count; load++) {
        bool named = false;

        for (unsigned system = 0; system < r->system_count; system++) {
            const struct cell *cell = results_cell(r, system, heap, load, shape);
            struct stats_interval rate;

            if (!results_rate(r, cell, &rate)) {
                continue;
            }
            fprintf(to, "  %-18s %-10s", named ? "" : r->loads[load], r->systems[system]);
            named = true;
            print_cell(r, cell,
                       r->peer >= 0 ? results_cell(r, (unsigned)r->peer, heap, load, shape) : NULL,
                       to);
        }
    }
}

void report_server(const struct results *r, FILE *to) {
    fprintf(to,
            "\nMedians of %u round%s, ± half the width of the rate's interval; ratios are taken\n"
            "round by round, and \"~\" marks one within the noise: its interval holds 1.\n",
            r->rounds_done, r->rounds_done == 1 ? "" : "s");
    for (unsigned heap = 0; heap < r->heap_count; heap++) {
        for (unsigned shape = 0; shape < r->shape_count; shape++) {
            print_table(r, heap, shape, to);
        }
    }
    report_notes(r, to);
}
