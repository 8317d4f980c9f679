/* SPDX-License-Identifier: MIT */
/*
 * The `mimosa` command's parts: one entry point for each subcommand, and what
 * they share.  main.c dispatches; every cmd_* gets argv[0] = the subcommand's
 * name and returns the process's exit status.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

enum cli_status {
    CLI_USAGE = 2,     /* our own command line was wrong */
    CLI_TIMEOUT = 124, /* --timeout ended the run */
    CLI_FAILED = 125,  /* Mimosa itself failed; one line on standard error says why */
};

int cmd_run(int argc, char **argv);
int cmd_cc(int argc, char **argv);
int cmd_image(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_syscalls(int argc, char **argv);

/*
 * Prints "mimosa: TEXT\n" on standard error and returns CLI_FAILED, so that a
 * caller can write `return cli_fail("...")`.
 */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As cli_fail, plus a hint at --help; returns CLI_USAGE. */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Says what is wrong with the option at which getopt_long(), with opterr 0 and
 * an option string that begins with ':' or "+:", returned `result` ('?' or
 * ':').  Long options have values above 255.  Returns CLI_USAGE.
 */
int cli_bad_option(const char *command, int result, char **argv);

/* malloc, realloc, strdup and asprintf that end the command when memory is out. */
void *xmalloc(size_t bytes);
void *xrealloc(void *old, size_t bytes);
char *xstrdup(const char *text);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The folder that holds the running `mimosa` (its links resolved), without a
 * trailing slash: build/, or PREFIX/lib/mimosa, which is laid out like it.  Owned by the callee;
 * valid for ever.
 */
const char *cli_home(void);

/*
 * The first of `names` (NULL-terminated; relative to cli_home(), or absolute)
 * that can be read.  Returns a path the caller frees, or NULL.
 */
char *cli_find(const char *const *names);

#endif
