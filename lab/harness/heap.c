/* SPDX-License-Identifier: MIT */
/* What the heap that serves this process says about itself. */
#include "lab/harness/harness.h"

#include "heaps/include/mimosa/heap.h"

#include <string.h>

/* Built by an ordinary compiler, the program has its libc's malloc only. */
#pragma weak mimosa_heap_name
#pragma weak mimosa_heap_stats

void heap_report(struct heap_report *report) {
    struct mimosa_heap_stats stats;

    memset(report, 0xff, sizeof(*report));
    report->name = mimosa_heap_name ? mimosa_heap_name() : "libc";
    if (mimosa_heap_stats) {
        mimosa_heap_stats(&stats);
        report->requested_bytes = stats.requested;
        report->live_bytes = stats.live;
        report->committed_bytes = stats.committed;
        report->peak_bytes = stats.peak;
    }
}
