/* SPDX-License-Identifier: MIT */
/* A comparison as a page: a row of plots for each load, tables, findings. */
#include "lab/html.h"
#include "lab/report.h"

#include <stddef.h>

/* What a panel of rates draws: one system's, for a load, in all shapes. */
struct rates {
    const struct results *results;
    unsigned system, load;
};

static const char *shape_label(const void *context, unsigned group, char *buffer) {
    const struct results *r = ((const struct rates *)context)->results;

    if (r->shapes[group].threads) {
        snprintf(buffer, 40, "%u on %u", r->shapes[group].threads, r->shapes[group].cpus);
        return buffer;
    }
    return report_shape(&r->shapes[group], buffer);
}

static bool rate_of(const void *context, unsigned group, unsigned heap,
                    struct stats_interval *interval) {
    const struct rates *at = context;

    return results_rate(at->results, results_cell(at->results, at->system, heap, at->load, group),
                        interval);
}

static void print_rates(const struct results *r, unsigned load, FILE *to) {
    html_heading(r->loads[load], to);
    html_key(r, to);
    for (unsigned system = 0; system < r->system_count; system++) {
        const struct rates at = { r, system, load };
        const struct html_panel panel = {
            .title = r->systems[system],
            .groups = r->shape_count,
            .label = shape_label,
            .value = rate_of,
            .context = &at,
        };

        html_panel(r, &panel, to);
    }
}

static void print_table_cell(const struct results *r, const struct cell *cell,
                             const struct cell *base, FILE *to) {
    struct stats_interval rate, ratio;
    char quantity[16];

    if (!results_rate(r, cell, &rate)) {
        fputs("<td>-<td>", to);
        return;
    }
    fprintf(to, "<td>%s &plusmn;%.0f&nbsp;%%", report_quantity(rate.median, quantity),
            stats_spread(&rate) * 100);
    if (cell != base && results_ratio(r, cell, base, &ratio)) {
        fprintf(to, "<td%s title=\"%.3f to %.3f\">%.2f",
                stats_within_noise(&ratio) ? " class=\"noise\"" : "", ratio.low, ratio.high,
                ratio.median);
    } else {
        fputs("<td>1", to);
    }
}

static void print_table(const struct results *r, unsigned load, FILE *to) {
    char shape_name[40];

    fputs("<details><summary>figures</summary><table><tr><th>system<th>heap", to);
    for (unsigned shape = 0; shape < r->shape_count; shape++) {
        fprintf(to, "<th>%s<th>/ %s", report_shape(&r->shapes[shape], shape_name),
                r->heaps[r->baseline]);
    }
    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned heap = 0; heap < r->heap_count && !r->system_dropped[system]; heap++) {
            fprintf(to, "\n<tr><td>%s<td>%s", r->systems[system], r->heaps[heap]);
            for (unsigned shape = 0; shape < r->shape_count; shape++) {
                print_table_cell(r, results_cell(r, system, heap, load, shape),
                                 results_cell(r, system, r->baseline, load, shape), to);
            }
        }
    }
    fputs("\n</table></details>\n", to);
}

/* What a panel of parallelism draws: rates of (2, 2) over (1, 1), a group for each load. */
struct parallelism {
    const struct results *results;
    unsigned system, one, two; /* shapes */
};

static const char *load_label(const void *context, unsigned group, char *buffer) {
    (void)buffer;
    return ((const struct parallelism *)context)->results->loads[group];
}

static bool parallelism_of(const void *context, unsigned group, unsigned heap,
                           struct stats_interval *ratio) {
    const struct parallelism *at = context;
    const struct results *r = at->results;

    return results_ratio(r, results_cell(r, at->system, heap, group, at->two),
                         results_cell(r, at->system, heap, group, at->one), ratio);
}

static void print_parallelism(const struct results *r, FILE *to) {
    int one = results_find_shape(r, 1, 1), two = results_find_shape(r, 2, 2);

    if (one < 0 || two < 0) {
        return;
    }
    fputs("<h2>Parallelism</h2><p>Rate of 2 threads on 2 CPUs over 1 thread on 1 CPU, same total "
          "work.  compute allocates nothing: it is what two CPUs were worth during this run.</p>",
          to);
    html_key(r, to);
    for (unsigned system = 0; system < r->system_count; system++) {
        const struct parallelism at = { r, system, (unsigned)one, (unsigned)two };
        const struct html_panel panel = {
            .title = r->systems[system],
            .groups = r->load_count,
            .top = 2, /* a lucky round may pass it */
            .label = load_label,
            .value = parallelism_of,
            .context = &at,
        };

        html_panel(r, &panel, to);
    }
}

static void say_finding(void *context, bool heading, const char *text) {
    FILE *to = context;

    if (heading) {
        html_heading(text, to);
    } else {
        fputs("<p>", to);
        html_text(text, to);
        fputs("</p>\n", to);
    }
}

void report_html(const struct results *r, FILE *to) {
    html_begin("mimosa bench", to);
    fprintf(to,
            "<p>%s per second, higher is better: medians of %u rounds; whiskers are intervals by "
            "the sign test.  Pale ratios are within the noise.  Point at a bar for its figures.  "
            "Systems have scales of their own; \"2 on 1\" means 2 threads on 1 CPU.</p>\n",
            r->whole_program ? "Runs" : "Operations", r->rounds_done);
    for (unsigned load = 0; load < r->load_count; load++) {
        print_rates(r, load, to);
        print_table(r, load, to);
    }
    print_parallelism(r, to);
    report_findings(r, say_finding, to);
    html_end(r, to);
}
