/* SPDX-License-Identifier: MIT */
/* The report of a server: what it serves, how late, in how much memory. */
#include "lab/report_server.h"

#include "lab/report.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define RATE     offsetof(struct sample, rate)
#define P99      offsetof(struct sample, p99_ns)
#define RESIDENT offsetof(struct sample, peak_rss_kib)
#define COUNTED  offsetof(struct sample, kernel_instructions)

/* ---- what both reports ask ---- */

static enum server_kind kind_of(const struct results *r, const struct cell *cell) {
    struct stats_interval rate;

    if (!results_rate(r, cell, &rate)) {
        return SERVER_NOTHING;
    }
    if (results_median_of(r, cell, COUNTED) > 0) {
        return SERVER_COUNTED;
    }
    if (results_median_of(r, cell, RESIDENT) > 0) {
        return SERVER_MEMORY;
    }
    return results_median_of(r, cell, P99) > 0 ? SERVER_REQUESTS : SERVER_START;
}

enum server_kind server_kind(const struct results *r, unsigned load) {
    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned heap = 0; heap < r->heap_count; heap++) {
            for (unsigned shape = 0; shape < r->shape_count; shape++) {
                enum server_kind kind = kind_of(r, results_cell(r, system, heap, load, shape));

                if (kind != SERVER_NOTHING) {
                    return kind;
                }
            }
        }
    }
    return SERVER_NOTHING;
}

/* Of one round; 0: no load has both. */
static double mean_of_round(const struct results *r, unsigned shape, struct server_at at,
                            struct server_at base, size_t offset, unsigned round) {
    double sum = 0;
    unsigned count = 0;

    for (unsigned load = 0; load < r->load_count; load++) {
        enum server_kind kind = server_kind(r, load);
        double a = results_number(results_cell(r, at.system, at.heap, load, shape), round, offset);
        double b =
            results_number(results_cell(r, base.system, base.heap, load, shape), round, offset);

        if ((kind == SERVER_REQUESTS || kind == SERVER_COUNTED) && a > 0 && b > 0) {
            sum += log(a / b);
            count++;
        }
    }
    return count ? exp(sum / count) : 0;
}

bool server_mean_ratio(const struct results *r, unsigned shape, struct server_at at,
                       struct server_at base, size_t offset, struct stats_interval *ratio) {
    double means[STATS_MAX];
    size_t count = 0;

    for (unsigned round = 0; round < r->rounds && count < STATS_MAX; round++) {
        double mean = mean_of_round(r, shape, at, base, offset, round);

        if (mean > 0) {
            means[count++] = mean;
        }
    }
    if (count) {
        *ratio = stats_sign_interval(means, count, RESULTS_CONFIDENCE);
    }
    return count > 0;
}

static const char *put_ratio(const struct stats_interval *ratio, char *buffer) {
    snprintf(buffer, 16, "%.2f%s", ratio->median, stats_within_noise(ratio) ? "~" : " ");
    return buffer;
}

/* "1.52 " or "1.02~": a ratio to the peer or baseline; blank for that itself. */
static const char *ratio_text(const struct results *r, const struct cell *cell,
                              const struct cell *base, size_t offset, char *buffer) {
    struct stats_interval ratio;

    buffer[0] = '\0';
    if (cell != base && base && results_ratio_of(r, cell, base, offset, &ratio)) {
        put_ratio(&ratio, buffer);
    }
    return buffer;
}

/* The same of a mean. */
static const char *mean_text(const struct results *r, unsigned shape, struct server_at at,
                             struct server_at base, size_t offset, char *buffer) {
    struct stats_interval ratio;

    buffer[0] = '\0';
    if (server_mean_ratio(r, shape, at, base, offset, &ratio)) {
        put_ratio(&ratio, buffer);
    }
    return buffer;
}

/* ---- one heap: its systems beside the peer ---- */

static void print_rate(const struct results *r, const struct cell *cell, const struct cell *peer,
                       FILE *to) {
    struct stats_interval rate = { 0 };
    char quantity[16], spread[16], ratio[16];

    results_rate(r, cell, &rate);
    snprintf(spread, sizeof(spread), "±%.0f%%", stats_spread(&rate) * 100);
    /* One column more: the plus-minus sign is two bytes. */
    fprintf(to, " %8s %-6s %6s", report_quantity(rate.median, quantity), spread,
            ratio_text(r, cell, peer, RATE, ratio));
}

static void print_latency(const struct results *r, const struct cell *cell, const struct cell *peer,
                          FILE *to) {
    char ratio[16];

    fprintf(to, "  %7.2f %7.2f %6s %8.2f",
            results_median_of(r, cell, offsetof(struct sample, p50_ns)) / 1e6,
            results_median_of(r, cell, P99) / 1e6, ratio_text(r, cell, peer, P99, ratio),
            results_median_of(r, cell, offsetof(struct sample, p999_ns)) / 1e6);
}

static void print_instructions(const struct results *r, const struct cell *cell,
                               const struct cell *peer, FILE *to) {
    char ratio[16];

    fprintf(to, "  %9.0f %6s %9.0f", results_median_of(r, cell, COUNTED),
            ratio_text(r, cell, peer, COUNTED, ratio),
            results_median_of(r, cell, offsetof(struct sample, user_instructions)));
}

static void print_memory(const struct results *r, const struct cell *cell, const struct cell *peer,
                         FILE *to) {
    char ratio[16];

    fprintf(to, "  resident %.1f MiB %s, mem_fragmentation_ratio %.2f",
            results_median_of(r, cell, RESIDENT) / 1024, ratio_text(r, cell, peer, RESIDENT, ratio),
            results_median_of(r, cell, offsetof(struct sample, fragmentation)));
}

static void print_cell(const struct results *r, const struct cell *cell, const struct cell *peer,
                       FILE *to) {
    print_rate(r, cell, peer, to);
    switch (kind_of(r, cell)) {
    case SERVER_COUNTED:
        print_instructions(r, cell, peer, to);
        break;
    case SERVER_MEMORY:
        print_memory(r, cell, peer, to);
        break;
    case SERVER_REQUESTS:
        print_latency(r, cell, peer, to);
        break;
    default:
        fprintf(to, "  %.0f ms", results_median_of(r, cell, offsetof(struct sample, p50_ns)) / 1e6);
    }
    fputc('\n', to);
}

static bool counts_instructions(const struct results *r) {
    for (unsigned load = 0; load < r->load_count; load++) {
        if (server_kind(r, load) == SERVER_COUNTED) {
            return true;
        }
    }
    return false;
}

static void print_means_to_peer(const struct results *r, unsigned heap, unsigned shape, FILE *to) {
    const struct server_at peer = { (unsigned)r->peer, heap };
    size_t offset = counts_instructions(r) ? COUNTED : P99;
    bool named = false;
    char rate[16], second[16];

    for (unsigned system = 0; system < r->system_count; system++) {
        const struct server_at at = { system, heap };

        mean_text(r, shape, at, peer, RATE, rate);
        if (*rate && system != peer.system) {
            fprintf(to, "  %-20s %-10s%22s  %*s\n", named ? "" : "geometric mean",
                    r->systems[system], rate, offset == P99 ? 22 : 16,
                    mean_text(r, shape, at, peer, offset, second));
            named = true;
        }
    }
}

static void print_table(const struct results *r, unsigned heap, unsigned shape, FILE *to) {
    const char *peer = r->peer >= 0 ? r->systems[r->peer] : "";
    char text[40];

    fprintf(to, "\n%s, %s%s%s\n  %-20s %-10s %22s  %s\n", r->heaps[heap],
            report_shape(&r->shapes[shape], text), *peer ? "; ratios to " : "", peer, "", "",
            "each second      ratio",
            counts_instructions(r) ? "   kernel  ratio   program  (instructions)"
                                   : "    p50     p99  ratio    p99.9 (ms)");
    for (unsigned load = 0; load < r->load_count; load++) {
        bool named = false;

        for (unsigned system = 0; system < r->system_count; system++) {
            const struct cell *cell = results_cell(r, system, heap, load, shape);

            if (kind_of(r, cell) == SERVER_NOTHING) {
                continue;
            }
            fprintf(to, "  %-20s %-10s", named ? "" : r->loads[load], r->systems[system]);
            named = true;
            print_cell(r, cell,
                       r->peer >= 0 ? results_cell(r, (unsigned)r->peer, heap, load, shape) : NULL,
                       to);
        }
    }
    if (r->peer >= 0) {
        print_means_to_peer(r, heap, shape, to);
    }
}

/* ---- one system: its heaps beside the baseline ---- */

/* What a row of heaps compares beside rates; RATE: nothing. */
static size_t second_number(const struct results *r, unsigned load) {
    switch (server_kind(r, load)) {
    case SERVER_REQUESTS:
        return P99;
    case SERVER_COUNTED:
        return COUNTED;
    case SERVER_MEMORY:
        return RESIDENT;
    default:
        return RATE;
    }
}

static void print_heaps_row(const struct results *r, unsigned system, unsigned load, unsigned shape,
                            FILE *to) {
    const struct cell *base = results_cell(r, system, r->baseline, load, shape);
    size_t second = second_number(r, load);
    struct stats_interval rate;
    char text[16];

    if (!results_rate(r, base, &rate)) {
        return;
    }
    fprintf(to, "  %-20s %8s", r->loads[load], report_quantity(rate.median, text));
    for (unsigned heap = 0; heap < r->heap_count; heap++) {
        const struct cell *cell = results_cell(r, system, heap, load, shape);

        if (heap != r->baseline) {
            fprintf(to, "  %6s", ratio_text(r, cell, base, RATE, text));
            fprintf(to, " %6s", second == RATE ? "" : ratio_text(r, cell, base, second, text));
        }
    }
    fputc('\n', to);
}

static void print_heaps(const struct results *r, unsigned system, unsigned shape, FILE *to) {
    const struct server_at base = { system, r->baseline };
    size_t second = counts_instructions(r) ? COUNTED : P99;
    char text[40];

    fprintf(to, "\n%s, %s: what a heap is worth\n  %-20s %8s", r->systems[system],
            report_shape(&r->shapes[shape], text), "", r->heaps[r->baseline]);
    for (unsigned heap = 0; heap < r->heap_count; heap++) {
        if (heap != r->baseline) {
            fprintf(to, "  %13s", r->heaps[heap]);
        }
    }
    fputc('\n', to);
    for (unsigned load = 0; load < r->load_count; load++) {
        print_heaps_row(r, system, load, shape, to);
    }
    fprintf(to, "  %-29s", "geometric mean");
    for (unsigned heap = 0; heap < r->heap_count; heap++) {
        const struct server_at at = { system, heap };

        if (heap != r->baseline) {
            fprintf(to, "  %6s", mean_text(r, shape, at, base, RATE, text));
            fprintf(to, " %6s", mean_text(r, shape, at, base, second, text));
        }
    }
    fputc('\n', to);
}

static void print_all_heaps(const struct results *r, FILE *to) {
    fprintf(to,
            "\nHeaps on the same system: what %s serves in a second; then, of each other heap,\n"
            "two ratios to it: of the rate (more is better), and of %s (less is better).\n",
            r->heaps[r->baseline],
            counts_instructions(r) ? "the kernel's instructions" : "p99 or resident memory");
    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned shape = 0; shape < r->shape_count && !r->system_dropped[system]; shape++) {
            print_heaps(r, system, shape, to);
        }
    }
}

void report_server(const struct results *r, FILE *to) {
    fprintf(
        to,
        "\nMedians of %u round%s, ± half the width of the rate's interval; ratios are taken\n"
        "round by round, and \"~\" marks one within the noise: its interval holds 1.  Geometric\n"
        "means are of all requests' ratios.\n",
        r->rounds_done, r->rounds_done == 1 ? "" : "s");
    for (unsigned heap = 0; heap < r->heap_count; heap++) {
        for (unsigned shape = 0; shape < r->shape_count; shape++) {
            print_table(r, heap, shape, to);
        }
    }
    if (r->heap_count > 1) {
        print_all_heaps(r, to);
    }
    report_notes(r, to);
}
