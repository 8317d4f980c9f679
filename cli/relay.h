/* SPDX-License-Identifier: MIT */
/*
 * Stands between a running machine and the outside until the program ends:
 * input, output, signals, the terminal, the kernel's log.
 */
#ifndef CLI_RELAY_H
#define CLI_RELAY_H

#include "cli/log.h"
#include "cli/machine.h"

/*
 * Call before machine_start: blocks the signals that the relay takes, and sees
 * to it that descriptors 0 to 2 are open.
 */
void relay_prepare(void);

/*
 * Relays until the machine ends.  Returns the command's exit status; what went
 * wrong, if anything, is printed.  The machine may still run: machine_end it.
 */
int relay_run(struct machine *machine, const struct run_options *options,
              const struct log_names *names);

#endif
