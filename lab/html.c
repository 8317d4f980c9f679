/* SPDX-License-Identifier: MIT */
#include "lab/html.h"

#include "lab/report.h"

#include <stddef.h>
#include <string.h>

#define PANEL_WIDTH  330u
#define PANEL_HEIGHT 220
#define PLOT_LEFT    52
#define PLOT_RIGHT   8
#define PLOT_TOP     24
#define PLOT_HEIGHT  (PANEL_HEIGHT - PLOT_TOP - 36)
#define PLOT_BASE    (PLOT_TOP + PLOT_HEIGHT)
#define BAR_ROOM     11u /* of a panel as wide as it needs, pixels */
#define GROUP_LEAST  62u
#define CUT          1.1 /* times the top: bars that pass it end there */

/* Okabe and Ito's palette: distinct for colour-blind readers too. */
static const char *const colours[] = { "#0072b2", "#56b4e9", "#d55e00", "#009e73",
                                       "#e69f00", "#cc79a7", "#999999", "#f0e442" };
#define COLOURS (sizeof(colours) / sizeof(colours[0]))

static const char style[] =
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:66em;padding:0 1em;"
    "color:#1c1c1c;background:#fff}"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin:1.8em 0 .4em}h3{font-size:1em;margin:1em 0 .2em}"
    "table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}"
    "td,th{padding:.15em .7em;text-align:right;border-bottom:1px solid #8884}"
    "td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}"
    "pre{font-size:12px;overflow-x:auto}"
    ".noise{opacity:.55}.key span{display:inline-block;margin-right:1.2em}"
    ".key i{display:inline-block;width:.9em;height:.9em;margin-right:.35em;vertical-align:-.1em}"
    "svg{max-width:100%;height:auto}svg text{fill:currentColor;font:10px system-ui,sans-serif}"
    ".axis{stroke:currentColor;stroke-opacity:.25}.bar{fill-opacity:.9}"
    ".whisker{stroke:currentColor;stroke-width:1.2}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}}";

void html_text(const char *text, FILE *to) {
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

void html_heading(const char *text, FILE *to) {
    fputs("<h2>", to);
    html_text(text, to);
    fputs("</h2>\n", to);
}

void html_key(const struct results *r, FILE *to) {
    fputs("<p class=\"key\">", to);
    for (unsigned heap = 0; heap < r->heap_count; heap++) {
        fprintf(to, "<span><i style=\"background:%s\"></i>%s</span>", colours[heap % COLOURS],
                r->heaps[heap]);
    }
    fputs("</p>\n", to);
}

/* ---- a panel ---- */

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

static double highest_bar(const struct results *r, const struct html_panel *panel) {
    double highest = 0;

    for (unsigned group = 0; group < panel->groups; group++) {
        for (unsigned heap = 0; heap < r->heap_count; heap++) {
            struct stats_interval value;

            if (panel->value(panel->context, group, heap, &value) && value.high > highest) {
                highest = value.high;
            }
        }
    }
    return highest;
}

static void print_axis(double top, unsigned width, FILE *to) {
    char quantity[16];

    for (int line = 0; line <= 4; line++) {
        int y = PLOT_BASE - PLOT_HEIGHT * line / 4;

        fprintf(to, "<line class=\"axis\" x1=\"%d\" y1=\"%d\" x2=\"%u\" y2=\"%d\"/>", PLOT_LEFT, y,
                width - PLOT_RIGHT, y);
        fprintf(to, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", PLOT_LEFT - 5, y + 4,
                report_quantity(top * line / 4, quantity));
    }
}

static double height_of(double value, double top) {
    return (value > top * CUT ? top * CUT : value) * PLOT_HEIGHT / top;
}

/* A bar with the whisker of its interval, and a tooltip. */
static void print_bar(const char *heap, const char *colour, double x, double width, double top,
                      const struct stats_interval *value, const char *tip, FILE *to) {
    double middle = x + width / 2, height = height_of(value->median, top);

    fputs("<g><title>", to);
    html_text(heap, to);
    fputs(", ", to);
    html_text(tip, to);
    fprintf(to,
            ": %.4g (%.4g to %.4g)</title><rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" "
            "width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>",
            value->median, value->low, value->high, x, PLOT_BASE - height, width, height, colour);
    fprintf(to, "<line class=\"whisker\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/></g>\n",
            middle, middle, PLOT_BASE - height_of(value->low, top),
            PLOT_BASE - height_of(value->high, top));
}

static void print_group(const struct results *r, const struct html_panel *panel, unsigned group,
                        double left, double room, double top, FILE *to) {
    double width = room / r->heap_count;
    char buffer[40];
    const char *label = panel->label(panel->context, group, buffer);

    for (unsigned heap = 0; heap < r->heap_count; heap++) {
        struct stats_interval value;

        if (panel->value(panel->context, group, heap, &value)) {
            print_bar(r->heaps[heap], colours[heap % COLOURS], left + width * heap, width * 0.9,
                      top, &value, label, to);
        }
    }
    fprintf(to, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", left + room / 2,
            PANEL_HEIGHT - 20);
    html_text(label, to);
    fputs("</text>\n", to);
}

void html_panel(const struct results *r, const struct html_panel *panel, FILE *to) {
    unsigned width = panel->width ? panel->width : PANEL_WIDTH;
    double highest = highest_bar(r, panel), top = panel->top > 0 ? panel->top : round_up(highest);
    double group_width = (double)(width - PLOT_LEFT - PLOT_RIGHT) / panel->groups;

    if (highest <= 0) {
        return;
    }
    fprintf(to, "<svg role=\"img\" width=\"%u\" height=\"%d\" viewBox=\"0 0 %u %d\">\n", width,
            PANEL_HEIGHT, width, PANEL_HEIGHT);
    fprintf(to, "<text x=\"%d\" y=\"14\" font-weight=\"bold\">", PLOT_LEFT);
    html_text(panel->title, to);
    fputs("</text>\n", to);
    print_axis(top, width, to);
    for (unsigned group = 0; group < panel->groups; group++) {
        print_group(r, panel, group, PLOT_LEFT + group_width * (group + 0.1), group_width * 0.8,
                    top, to);
    }
    fputs("</svg>\n", to);
}

unsigned html_width(unsigned groups, unsigned heaps) {
    unsigned bars = heaps * BAR_ROOM * 5 / 4, group = bars > GROUP_LEAST ? bars : GROUP_LEAST;
    unsigned width = PLOT_LEFT + PLOT_RIGHT + groups * group;

    return width > PANEL_WIDTH ? width : PANEL_WIDTH;
}

/* ---- the frame ---- */

void html_begin(const char *title, FILE *to) {
    fprintf(to,
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>%s</title>"
            "<meta name=\"viewport\" content=\"width=device-width\"><style>%s</style>\n"
            "<h1>%s</h1>\n",
            title, style, title);
}

void html_end(const struct results *r, FILE *to) {
    if (r->note_count) {
        fputs("<h2>Notes</h2><ul>\n", to);
        for (size_t i = 0; i < r->note_count; i++) {
            fputs("<li>", to);
            html_text(r->notes[i], to);
        }
        fputs("</ul>\n", to);
    }
    fputs("<h2>Where the figures come from</h2><table>\n", to);
    for (size_t i = 0; i < r->fact_count; i++) {
        fputs("<tr><td>", to);
        html_text(r->facts[i].key, to);
        fputs("<td>", to);
        html_text(r->facts[i].text, to);
        fputc('\n', to);
    }
    fputs("</table>\n</html>\n", to);
}
