/* SPDX-License-Identifier: MIT */
/*
 * What the figures say, in sentences.  Each is made from the samples of this
 * very run; nothing is remembered from another.
 */
#include "lab/report.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

struct speaker {
    void (*say)(void *context, bool heading, const char *text);
    void *context;
};

static void speak(const struct speaker *speaker, bool heading, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void speak(const struct speaker *speaker, bool heading, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    speaker->say(speaker->context, heading, text);
}

static void append(char *text, size_t bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *text, size_t bytes, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + used, bytes - used, format, arguments);
    va_end(arguments);
}

/* One heap against the baseline in one shape on one system, over all loads. */
static void compare_heap(const struct results *r, const struct speaker *speaker, unsigned system,
                         unsigned heap, unsigned shape)
{
    char wins[256] = "", losses[256] = "", noise[256] = "", where[40];

    for (unsigned load = 0; load < r->load_count; load++) {
        struct stats_interval ratio;

        if (!strcmp(r->loads[load], "compute") ||
            !results_ratio(r, results_cell(r, system, heap, load, shape),
                           results_cell(r, system, r->baseline, load, shape), &ratio)) {
            continue;
        }
        char *list = stats_within_noise(&ratio) ? noise : ratio.median > 1 ? wins : losses;
        append(list, sizeof(wins), "%s%s %.2f", *list ? ", " : "", r->loads[load], ratio.median);
    }
    if (!*wins && !*losses && !*noise) {
        return;
    }
    speak(speaker, false, "%s, %s: %s%s%s%s%s%s%s", r->systems[system],
          report_shape(&r->shapes[shape], where), *losses ? "loses on " : "", losses,
          *losses && (*wins || *noise) ? "; " : "", *wins ? "wins on " : "", wins,
          *wins && *noise ? "; " : "", *noise ? "within noise: " : "");
    if (*noise) {
        speak(speaker, false, "    %s", noise);
    }
}

static void heap_findings(const struct results *r, const struct speaker *speaker)
{
    int mimalloc = results_find_heap(r, "mimalloc");
    unsigned heap = mimalloc >= 0 && (unsigned)mimalloc != r->baseline ? (unsigned)mimalloc : 0;

    if (r->heap_count < 2) {
        return;
    }
    if (heap == r->baseline) {
        heap = r->baseline ? 0 : 1;
    }
    speak(speaker, true, "Where does %s win or lose against %s?", r->heaps[heap],
          r->heaps[r->baseline]);
    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned shape = 0; shape < r->shape_count; shape++) {
            if (r->shapes[shape].threads > 1) {
                compare_heap(r, speaker, system, heap, shape);
            }
        }
    }
}

/*
 * The buddy has one lock.  Its price is what is lost of the parallelism that
 * the control had in the same rounds, and what a second thread on one CPU
 * costs, where nothing but waiting and switching can change.
 */
static void lock_findings(const struct results *r, const struct speaker *speaker)
{
    int buddy = results_find_heap(r, "buddy"), compute = results_find_load(r, "compute");
    int one = results_find_shape(r, 1, 1), shared = results_find_shape(r, 1, 2);
    int two = results_find_shape(r, 2, 2);

    if (buddy < 0 || compute < 0 || one < 0 || (shared < 0 && two < 0)) {
        return;
    }
    speak(speaker, true, "What does the buddy's one lock cost?  (1.00: nothing)");
    for (unsigned system = 0; system < r->system_count; system++) {
        char text[512] = "";

        for (unsigned load = 0; load < r->load_count; load++) {
            struct stats_interval ratio;
            struct cell *alone =
                results_cell(r, system, (unsigned)buddy, load, (unsigned)one);
            struct cell *control =
                results_cell(r, system, (unsigned)buddy, (unsigned)compute, (unsigned)one);

            if ((int)load == compute) {
                continue;
            }
            for (int i = 0; i < 2; i++) {
                int shape = i ? two : shared;
                if (shape < 0 ||
                    !results_ratio_of_ratios(
                        r, results_cell(r, system, (unsigned)buddy, load, (unsigned)shape), alone,
                        results_cell(r, system, (unsigned)buddy, (unsigned)compute,
                                     (unsigned)shape),
                        control, &ratio)) {
                    continue;
                }
                append(text, sizeof(text), "%s%s %.2f%s", i && shared >= 0 ? " and " : "",
                       i ? "on two CPUs" : *text ? "" : "", ratio.median,
                       stats_within_noise(&ratio) ? "~" : "");
                if (!i) {
                    append(text, sizeof(text), " on one CPU");
                }
            }
            append(text, sizeof(text), " (%s); ", r->loads[load]);
        }
        if (*text) {
            text[strlen(text) - 2] = '\0';
            speak(speaker, false, "%s, 2 threads, rate beside 1 thread and the control: %s",
                  r->systems[system], text);
        }
    }
}

void report_findings(const struct results *results,
                     void (*say)(void *context, bool heading, const char *text), void *context)
{
    struct speaker speaker = {say, context};

    if (results->whole_program) {
        return;
    }
    heap_findings(results, &speaker);
    lock_findings(results, &speaker);
}
