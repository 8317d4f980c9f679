/* SPDX-License-Identifier: MIT */
/*
 * What the figures say, in sentences.  Each is made from the samples of this
 * very run; nothing is remembered from another.
 */
#include "lab/report.h"

#include <stdarg.h>
#include <string.h>

#define LIST_BYTES  320u
#define CONTROL_LOW 1.7 /* of two idle cores; about 1.9 is what they give */

struct speaker {
    void (*say)(void *context, bool heading, const char *text);
    void *context;
};

static void speak(const struct speaker *speaker, bool heading, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void speak(const struct speaker *speaker, bool heading, const char *format, ...) {
    char text[4 * LIST_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    speaker->say(speaker->context, heading, text);
}

/* Adds "larson 0.93", behind a comma unless it is the first. */
static void list_add(char *list, const char *load, double ratio, const char *mark) {
    size_t used = strlen(list);

    snprintf(list + used, LIST_BYTES - used, "%s%s %.2f%s", used ? ", " : "", load, ratio, mark);
}

/* One heap against the baseline in one shape on one system, over all loads. */
static void compare_heap(const struct results *r, const struct speaker *speaker, unsigned system,
                         unsigned heap, unsigned shape) {
    char wins[LIST_BYTES] = "", losses[LIST_BYTES] = "", noise[LIST_BYTES] = "", where[40];

    for (unsigned load = 0; load < r->load_count; load++) {
        struct stats_interval ratio;

        if (!strcmp(r->loads[load], "compute") ||
            !results_ratio(r, results_cell(r, system, heap, load, shape),
                           results_cell(r, system, r->baseline, load, shape), &ratio)) {
            continue;
        }
        char *list = stats_within_noise(&ratio) ? noise : ratio.median > 1 ? wins : losses;
        list_add(list, r->loads[load], ratio.median, "");
    }
    if (*wins || *losses || *noise) {
        speak(speaker, false, "%s, %s: %s%s%s%s%s%s%s%s", r->systems[system],
              report_shape(&r->shapes[shape], where), *losses ? "loses " : "", losses,
              *losses && (*wins || *noise) ? "; " : "", *wins ? "wins " : "", wins,
              *wins && *noise ? "; " : "", *noise ? "within the noise " : "", noise);
    }
}

/* The heap that the question is about: mimalloc, or else the first other one. */
static unsigned heap_of_interest(const struct results *r) {
    int mimalloc = results_find_heap(r, "mimalloc");

    if (mimalloc >= 0 && (unsigned)mimalloc != r->baseline) {
        return (unsigned)mimalloc;
    }
    return r->baseline ? 0 : 1;
}

static void heap_findings(const struct results *r, const struct speaker *speaker) {
    if (r->heap_count < 2) {
        return;
    }
    unsigned heap = heap_of_interest(r);
    speak(speaker, true, "Where does %s win or lose against %s? (ratio of the rates)",
          r->heaps[heap], r->heaps[r->baseline]);
    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned shape = 0; shape < r->shape_count; shape++) {
            compare_heap(r, speaker, system, heap, shape);
        }
    }
}

/*
 * The buddy has one lock.  On one CPU two threads cannot run at once, so what
 * they lose against one thread is waiting and switching; on two CPUs it is
 * what is missing from the parallelism that the control had in the same round.
 * The figure of a heap without a shared lock stands beside it.
 */
static void lock_finding(const struct results *r, const struct speaker *speaker, unsigned system,
                         unsigned heap, unsigned shape) {
    unsigned one = (unsigned)results_find_shape(r, 1, 1);
    unsigned compute = (unsigned)results_find_load(r, "compute");
    char list[LIST_BYTES] = "", where[40];

    for (unsigned load = 0; load < r->load_count; load++) {
        struct stats_interval ratio;

        if (load != compute &&
            results_ratio_of_ratios(r, results_cell(r, system, heap, load, shape),
                                    results_cell(r, system, heap, load, one),
                                    results_cell(r, system, heap, compute, shape),
                                    results_cell(r, system, heap, compute, one), &ratio)) {
            list_add(list, r->loads[load], ratio.median, stats_within_noise(&ratio) ? "~" : "");
        }
    }
    if (*list) {
        speak(speaker, false, "%s, %s, %s: %s", r->systems[system],
              report_shape(&r->shapes[shape], where), r->heaps[heap], list);
    }
}

static void lock_findings(const struct results *r, const struct speaker *speaker) {
    int buddy = results_find_heap(r, "buddy"), mimalloc = results_find_heap(r, "mimalloc");

    if (buddy < 0 || results_find_load(r, "compute") < 0 || results_find_shape(r, 1, 1) < 0 ||
        r->load_count < 2 || r->shape_count < 2) {
        return;
    }
    speak(speaker, true,
          "What does the buddy's one lock cost? Rate over that of 1 thread on 1 CPU, as a part of "
          "compute's (1.00: nothing lost)");
    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned shape = 0; shape < r->shape_count; shape++) {
            if (r->shapes[shape].threads < 2) {
                continue;
            }
            lock_finding(r, speaker, system, (unsigned)buddy, shape);
            if (mimalloc >= 0) {
                lock_finding(r, speaker, system, (unsigned)mimalloc, shape);
            }
        }
    }
}

/* Two CPUs that were not worth two make every figure of parallelism a guess. */
static void control_findings(const struct results *r, const struct speaker *speaker) {
    int compute = results_find_load(r, "compute");
    int one = results_find_shape(r, 1, 1), two = results_find_shape(r, 2, 2);
    bool said = false;

    for (unsigned system = 0; system < r->system_count; system++) {
        double ratios[RESULTS_MAX];
        size_t count = 0;

        for (unsigned heap = 0; heap < r->heap_count; heap++) {
            struct stats_interval ratio;

            if (compute >= 0 && one >= 0 && two >= 0 &&
                results_ratio(r, results_cell(r, system, heap, (unsigned)compute, (unsigned)two),
                              results_cell(r, system, heap, (unsigned)compute, (unsigned)one),
                              &ratio)) {
                ratios[count++] = ratio.median;
            }
        }
        if (!count || stats_median(ratios, count) >= CONTROL_LOW) {
            continue;
        }
        if (!said) {
            speak(speaker, true, "A busy machine");
            said = true;
        }
        speak(speaker, false,
              "%s: the control gained only %.2f from a second CPU. Something else ran on this "
              "machine; what is said about 2 CPUs is worth little.",
              r->systems[system], stats_median(ratios, count));
    }
}

void report_findings(const struct results *results,
                     void (*say)(void *context, bool heading, const char *text), void *context) {
    struct speaker speaker = { say, context };

    if (results->whole_program) {
        return;
    }
    control_findings(results, &speaker);
    heap_findings(results, &speaker);
    lock_findings(results, &speaker);
}
