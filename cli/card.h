/* SPDX-License-Identifier: MIT */
/* The machine's network card, as QEMU is told of it. */
#ifndef CLI_CARD_H
#define CLI_CARD_H

#include "cli/options.h"

#define CARD_MAX_QUEUES 8u

struct card {
    int taps[CARD_MAX_QUEUES]; /* one for each pair of queues of a tap device */
    unsigned queues;           /* how many of them are open */
};

/*
 * Opens what the card needs of this host, and tries what QEMU would take for
 * itself, for its own words would not say what to do.  Returns 0, or -1 after
 * saying why not.
 */
int card_open(struct card *card, const struct run_options *options);
void card_close(struct card *card);

/* Adds QEMU's options for the card and for a source of random numbers: keys need them. */
void card_add(const struct card *card, struct words *command, const struct run_options *options);

/* What a message of QEMU's about the card means; NULL where it is about something else. */
const char *card_explain(const char *message);

#endif
