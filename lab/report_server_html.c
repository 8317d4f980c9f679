/* SPDX-License-Identifier: MIT */
/*
 * The report of a server as a page.  One plot holds what can be compared: the tests
 * of one size and pipeline, all heaps, on one system with so many CPUs.
 */
#include "lab/html.h"
#include "lab/report.h"
#include "lab/report_server.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* What is drawn of a kind of load. */
static const struct metric {
    enum server_kind kind;
    const char *title;
    size_t offset;
    double scale;
} metrics[] = {
    { SERVER_REQUESTS, "requests a second; more is better", offsetof(struct sample, rate), 1 },
    { SERVER_REQUESTS, "p99, milliseconds; less is better", offsetof(struct sample, p99_ns), 1e-6 },
    { SERVER_COUNTED, "the kernel's instructions of a request; less is better",
      offsetof(struct sample, kernel_instructions), 1 },
    { SERVER_COUNTED, "the program's instructions of a request",
      offsetof(struct sample, user_instructions), 1 },
    { SERVER_START, "milliseconds; less is better", offsetof(struct sample, p50_ns), 1e-6 },
    { SERVER_MEMORY, "keys a second; more is better", offsetof(struct sample, rate), 1 },
    { SERVER_MEMORY, "then resident, MiB; less is better", offsetof(struct sample, peak_rss_kib),
      1.0 / 1024 },
};
#define METRICS (sizeof(metrics) / sizeof(metrics[0]))

/* The loads that share a plot, and where they are measured. */
struct plot {
    const struct results *results;
    const struct metric *metric;
    unsigned loads[RESULTS_MAX], load_count;
    unsigned system, shape;
};

/* Of "get 3B P16", "3B P16"; NULL for what is no test of a size and a pipeline. */
static const char *variant_of(const char *load) {
    const char *blank = strchr(load, ' ');

    return blank && isdigit((unsigned char)blank[1]) ? blank + 1 : NULL;
}

static bool same_plot(const char *load, const char *other) {
    const char *a = variant_of(load), *b = variant_of(other);

    return a && b ? !strcmp(a, b) : !strcmp(load, other);
}

static const char *load_label(const void *context, unsigned group, char *buffer) {
    const struct plot *plot = context;
    const char *load = plot->results->loads[plot->loads[group]];

    if (variant_of(load)) {
        snprintf(buffer, 40, "%.*s", (int)strcspn(load, " "), load);
        return buffer;
    }
    return load;
}

static bool value_of(const void *context, unsigned group, unsigned heap,
                     struct stats_interval *interval) {
    const struct plot *plot = context;
    const struct results *r = plot->results;
    const struct cell *cell = results_cell(r, plot->system, heap, plot->loads[group], plot->shape);

    if (!results_interval_of(r, cell, plot->metric->offset, interval)) {
        return false;
    }
    interval->median *= plot->metric->scale;
    interval->low *= plot->metric->scale;
    interval->high *= plot->metric->scale;
    return true;
}

/* All systems and numbers of CPUs, each a panel with a scale of its own. */
static void print_panels(struct plot *plot, FILE *to) {
    const struct results *r = plot->results;
    char title[80], shape[40];

    for (plot->shape = 0; plot->shape < r->shape_count; plot->shape++) {
        for (plot->system = 0; plot->system < r->system_count; plot->system++) {
            snprintf(title, sizeof(title), "%s, %s", r->systems[plot->system],
                     report_shape(&r->shapes[plot->shape], shape));
            const struct html_panel panel = {
                .title = title,
                .groups = plot->load_count,
                .width = html_width(plot->load_count, r->heap_count),
                .label = load_label,
                .value = value_of,
                .context = plot,
            };

            html_panel(r, &panel, to);
        }
    }
}

/* All that is drawn of the loads like this one. */
static void print_section(const struct results *r, unsigned first, FILE *to) {
    struct plot plot = { .results = r };
    enum server_kind kind = server_kind(r, first);
    const char *variant = variant_of(r->loads[first]);
    unsigned size = 0, pipeline = 0;
    char heading[80];

    snprintf(heading, sizeof(heading), "%s", r->loads[first]);
    if (variant && sscanf(variant, "%uB P%u", &size, &pipeline) == 2) {
        snprintf(heading, sizeof(heading), "Values of %u bytes, a pipeline of %u", size, pipeline);
    }
    for (unsigned load = first; load < r->load_count; load++) {
        if (same_plot(r->loads[load], r->loads[first]) && server_kind(r, load) == kind) {
            plot.loads[plot.load_count++] = load;
        }
    }
    html_heading(heading, to);
    html_key(r, to);
    for (size_t i = 0; i < METRICS; i++) {
        if (metrics[i].kind == kind) {
            plot.metric = &metrics[i];
            fprintf(to, "<h3>%s</h3>\n", metrics[i].title);
            print_panels(&plot, to);
        }
    }
}

/* The text report, for its figures. */
static void print_figures(const struct results *r, FILE *to) {
    char *text = NULL;
    size_t size;
    FILE *memory = open_memstream(&text, &size);

    if (!memory) {
        return;
    }
    report_server(r, memory);
    if (!fclose(memory)) {
        fputs("<details><summary>figures</summary><pre>", to);
        html_text(text, to);
        fputs("</pre></details>\n", to);
    }
    free(text);
}

void report_server_html(const struct results *r, FILE *to) {
    html_begin("mimosa bench --app", to);
    fprintf(to,
            "<p>Medians of %u rounds; whiskers are intervals by the sign test.  Point at a bar for "
            "its figures.  Systems have scales of their own.</p>\n",
            r->rounds_done);
    print_figures(r, to);
    for (unsigned load = 0; load < r->load_count; load++) {
        bool drawn = server_kind(r, load) == SERVER_NOTHING;

        for (unsigned before = 0; before < load && !drawn; before++) {
            drawn = same_plot(r->loads[before], r->loads[load]) &&
                    server_kind(r, before) == server_kind(r, load);
        }
        if (!drawn) {
            print_section(r, load, to);
        }
    }
    html_end(r, to);
}
