/* SPDX-License-Identifier: MIT */
/* Why a machine ended without an exit status. */
#ifndef CLI_EXPLAIN_H
#define CLI_EXPLAIN_H

#include "cli/log.h"
#include "cli/machine.h"

/* What the sentence says of a QEMU that ended without a word: its status. */
#define EXPLAIN_STATUS "(QEMU ended with status %d)"

struct end_facts {
    const struct machine *machine;
    struct log *log;
    char *messages; /* QEMU's own; cut up while they are printed */
    bool started;   /* the kernel said WIRE_HELLO */
    bool is_small;  /* a Linux VM with less memory than Debian's kernel needs */
};

/* Prints what is known, the last line saying it in one sentence; returns CLI_FAILED. */
int explain_end(const struct end_facts *facts);

#endif
