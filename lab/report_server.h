/* SPDX-License-Identifier: MIT */
/* What the reports of a server share (lab/report_server.c, lab/report_server_html.c). */
#ifndef LAB_REPORT_SERVER_H
#define LAB_REPORT_SERVER_H

#include "lab/results.h"

/* What a load of a server measured; its samples say so by what they hold. */
enum server_kind {
    SERVER_NOTHING,  /* no sample */
    SERVER_REQUESTS, /* requests and their latencies */
    SERVER_COUNTED,  /* instructions of a request */
    SERVER_START,    /* the time to the first answer */
    SERVER_MEMORY,   /* what is resident after fill and churn */
};

enum server_kind server_kind(const struct results *results, unsigned load);

/*
 * One number of struct sample, by its offset: system and heap `at` over those of `base`
 * in a shape.  Of each round the geometric mean over all loads of requests; of these
 * means the median and its interval.  False where no round has one.
 */
struct server_at {
    unsigned system, heap;
};
bool server_mean_ratio(const struct results *results, unsigned shape, struct server_at at,
                       struct server_at base, size_t offset, struct stats_interval *ratio);

#endif
