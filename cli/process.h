/* SPDX-License-Identifier: MIT */
/* --on linux: the same program as a plain process of this machine. */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H

#include "cli/options.h"

/*
 * Runs the program at `path` with the environment it would have on Mimosa.
 * --cpus N pins it to the first N CPUs that this process may use.  Returns the
 * exit status by the rules of `run`.
 */
int process_run(const struct run_options *options, const char *path);

#endif
