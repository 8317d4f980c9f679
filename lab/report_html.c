/* SPDX-License-Identifier: MIT */
/*
 * The report as one HTML page: plots as inline SVG, tables, provenance.  It
 * loads nothing from anywhere.
 */
#include "lab/report.h"

#include <stddef.h>
#include <string.h>

#define PANEL_WIDTH  330
#define PANEL_HEIGHT 220
#define PLOT_LEFT    52
#define PLOT_TOP     24
#define PLOT_WIDTH   (PANEL_WIDTH - PLOT_LEFT - 8)
#define PLOT_HEIGHT  (PANEL_HEIGHT - PLOT_TOP - 36)

/* Okabe and Ito's palette: distinct for colour-blind readers too. */
static const char *const colours[] = { "#0072b2", "#56b4e9", "#d55e00", "#009e73",
                                       "#e69f00", "#cc79a7", "#999999", "#f0e442" };
#define COLOURS (sizeof(colours) / sizeof(colours[0]))

static const char style[] =
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:66em;padding:0 1em;"
    "color:#1c1c1c;background:#fff}"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin:1.8em 0 .4em}"
    "table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}"
    "td,th{padding:.15em .7em;text-align:right;border-bottom:1px solid #8884}"
    "td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}"
    ".noise{opacity:.55}.key span{display:inline-block;margin-right:1.2em}"
    ".key i{display:inline-block;width:.9em;height:.9em;margin-right:.35em;vertical-align:-.1em}"
    "svg{max-width:100%}svg text{fill:currentColor;font:10px system-ui,sans-serif}"
    ".axis{stroke:currentColor;stroke-opacity:.25}.bar{fill-opacity:.9}"
    ".whisker{stroke:currentColor;stroke-width:1.2}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}}";

static void print_escaped(const char *text, FILE *to) {
    for (; *text; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", to);
            break;
        case '>':
            fputs("&gt;", to);
            break;
        case '&':
            fputs("&amp;", to);
            break;
        case '"':
            fputs("&quot;", to);
            break;
        default:
            fputc(*text, to);
        }
    }
}

/* The next of 1, 2, 5 times a power of ten that is not below `value`. */
static double round_up(double value) {
    static const double steps[] = { 1, 2, 5, 10 };
    double scale = 1;

    while (value >= scale * 10) {
        scale *= 10;
    }
    while (value > 0 && value < scale) {
        scale /= 10;
    }
    for (unsigned i = 0; i < 4; i++) {
        if (value <= steps[i] * scale) {
            return steps[i] * scale;
        }
    }
    return value;
}

static double highest_rate(const struct results *r, unsigned system, unsigned load) {
    double highest = 0;

    for (unsigned heap = 0; heap < r->heap_count; heap++) {
        for (unsigned shape = 0; shape < r->shape_count; shape++) {
            struct stats_interval rate;

            if (results_rate(r, results_cell(r, system, heap, load, shape), &rate) &&
                rate.high > highest) {
                highest = rate.high;
            }
        }
    }
    return highest;
}

static void print_axis(double top, FILE *to) {
    char quantity[16];

    for (int line = 0; line <= 4; line++) {
        int y = PLOT_TOP + PLOT_HEIGHT - PLOT_HEIGHT * line / 4;

        fprintf(to, "<line class=\"axis\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>", PLOT_LEFT, y,
                PLOT_LEFT + PLOT_WIDTH, y);
        fprintf(to, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", PLOT_LEFT - 5, y + 4,
                report_quantity(top * line / 4, quantity));
    }
}

/* A bar with the whisker of its interval, and a tooltip. */
static void print_bar(const struct results *r, unsigned heap, double x, double width, double top,
                      const struct stats_interval *value, const char *tip, FILE *to) {
    double base = PLOT_TOP + PLOT_HEIGHT, scale = PLOT_HEIGHT / top;
    double middle = x + width / 2;

    fprintf(to,
            "<g><title>%s, %s: %.4g (%.4g to %.4g)</title><rect class=\"bar\" x=\"%.1f\" "
            "y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>",
            r->heaps[heap], tip, value->median, value->low, value->high, x,
            base - value->median * scale, width, value->median * scale, colours[heap % COLOURS]);
    fprintf(to, "<line class=\"whisker\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/></g>\n",
            middle, middle, base - value->low * scale, base - value->high * scale);
}

/* One system's rates for a load: a group of bars for each shape. */
static void print_panel(const struct results *r, unsigned system, unsigned load, FILE *to) {
    double highest = highest_rate(r, system, load), top = round_up(highest);
    double group = (double)PLOT_WIDTH / r->shape_count;
    double width = group * 0.8 / r->heap_count;
    char shape_name[40];

    if (highest <= 0) {
        return;
    }
    fprintf(to, "<svg role=\"img\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n",
            PANEL_WIDTH, PANEL_HEIGHT, PANEL_WIDTH, PANEL_HEIGHT);
    fprintf(to, "<text x=\"%d\" y=\"14\" font-weight=\"bold\">%s</text>\n", PLOT_LEFT,
            r->systems[system]);
    print_axis(top, to);
    for (unsigned shape = 0; shape < r->shape_count; shape++) {
        double left = PLOT_LEFT + group * shape + group * 0.1;

        report_shape(&r->shapes[shape], shape_name);
        for (unsigned heap = 0; heap < r->heap_count; heap++) {
            struct stats_interval rate;

            if (results_rate(r, results_cell(r, system, heap, load, shape), &rate)) {
                print_bar(r, heap, left + width * heap, width * 0.9, top, &rate, shape_name, to);
            }
        }
        fprintf(to, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", left + group * 0.4,
                PANEL_HEIGHT - 20);
        if (r->shapes[shape].threads) {
            fprintf(to, "%u on %u</text>\n", r->shapes[shape].threads, r->shapes[shape].cpus);
        } else {
            fprintf(to, "%s</text>\n", shape_name);
        }
    }
    fputs("</svg>\n", to);
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

static void print_key(const struct results *r, FILE *to) {
    fputs("<p class=\"key\">", to);
    for (unsigned heap = 0; heap < r->heap_count; heap++) {
        fprintf(to, "<span><i style=\"background:%s\"></i>%s</span>", colours[heap % COLOURS],
                r->heaps[heap]);
    }
    fputs("</p>\n", to);
}

/* Ratios of (2, 2) over (1, 1): groups are loads, bars are heaps. */
static void print_parallelism_panel(const struct results *r, unsigned system, unsigned one,
                                    unsigned two, FILE *to) {
    double group = (double)PLOT_WIDTH / r->load_count;
    double width = group * 0.8 / r->heap_count, top = 2.0;

    fprintf(to, "<svg role=\"img\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n",
            PANEL_WIDTH, PANEL_HEIGHT, PANEL_WIDTH, PANEL_HEIGHT);
    fprintf(to, "<text x=\"%d\" y=\"14\" font-weight=\"bold\">%s</text>\n", PLOT_LEFT,
            r->systems[system]);
    print_axis(top, to);
    for (unsigned load = 0; load < r->load_count; load++) {
        double left = PLOT_LEFT + group * load + group * 0.1;

        for (unsigned heap = 0; heap < r->heap_count; heap++) {
            struct stats_interval ratio;

            if (results_ratio(r, results_cell(r, system, heap, load, two),
                              results_cell(r, system, heap, load, one), &ratio)) {
                struct stats_interval drawn = ratio;

                /* A lucky round may pass the top of the plot. */
                drawn.high = drawn.high > 2.2 ? 2.2 : drawn.high;
                drawn.median = drawn.median > 2.2 ? 2.2 : drawn.median;
                print_bar(r, heap, left + width * heap, width * 0.9, top, &drawn, r->loads[load],
                          to);
            }
        }
        fprintf(to, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                left + group * 0.4, PANEL_HEIGHT - 20, r->loads[load]);
    }
    fputs("</svg>\n", to);
}

static void print_parallelism(const struct results *r, FILE *to) {
    int one = results_find_shape(r, 1, 1), two = results_find_shape(r, 2, 2);

    if (one < 0 || two < 0) {
        return;
    }
    fputs("<h2>Parallelism</h2><p>Rate of 2 threads on 2 CPUs over 1 thread on 1 CPU, same total "
          "work.  compute allocates nothing: it is what two CPUs were worth during this run.</p>",
          to);
    print_key(r, to);
    for (unsigned system = 0; system < r->system_count; system++) {
        if (!r->system_dropped[system]) {
            print_parallelism_panel(r, system, (unsigned)one, (unsigned)two, to);
        }
    }
}

static void say_finding(void *context, bool heading, const char *text) {
    FILE *to = context;

    fputs(heading ? "<h2>" : "<p>", to);
    print_escaped(text, to);
    fputs(heading ? "</h2>\n" : "</p>\n", to);
}

static void print_provenance(const struct results *r, FILE *to) {
    if (r->note_count) {
        fputs("<h2>Notes</h2><ul>\n", to);
        for (size_t i = 0; i < r->note_count; i++) {
            fputs("<li>", to);
            print_escaped(r->notes[i], to);
        }
        fputs("</ul>\n", to);
    }
    fputs("<h2>Where the figures come from</h2><table>\n", to);
    for (size_t i = 0; i < r->fact_count; i++) {
        fputs("<tr><td>", to);
        print_escaped(r->facts[i].key, to);
        fputs("<td>", to);
        print_escaped(r->facts[i].text, to);
        fputc('\n', to);
    }
    fputs("</table>\n", to);
}

void report_html(const struct results *r, FILE *to) {
    fprintf(to,
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>mimosa bench</title>"
            "<meta name=\"viewport\" content=\"width=device-width\"><style>%s</style>\n"
            "<h1>mimosa bench</h1>\n"
            "<p>%s per second, higher is better: medians of %u rounds; whiskers are intervals by "
            "the sign test.  Pale ratios are within the noise.  Point at a bar for its figures.  "
            "Systems have scales of their own; \"2 on 1\" means 2 threads on 1 CPU.</p>\n",
            style, r->whole_program ? "Runs" : "Operations", r->rounds_done);
    for (unsigned load = 0; load < r->load_count; load++) {
        fputs("<h2>", to);
        print_escaped(r->loads[load], to);
        fputs("</h2>\n", to);
        print_key(r, to);
        for (unsigned system = 0; system < r->system_count; system++) {
            print_panel(r, system, load, to);
        }
        print_table(r, load, to);
    }
    print_parallelism(r, to);
    report_findings(r, say_finding, to);
    print_provenance(r, to);
    fputs("</html>\n", to);
}
