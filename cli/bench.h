/* SPDX-License-Identifier: MIT */
/*
 * `mimosa bench`: what its parts share.
 *
 *   bench.c             options, and the order of events
 *   bench_lists.c       lists of names and numbers among the options
 *   bench_plan.c        which cells, in which boots, how much work, in what order
 *   bench_boot.c        one boot: starts the machine, reads the samples
 *   bench_micro.c       --micro: the table of single operations
 *   bench_start.c       --boot: how long a machine takes to its program
 *   bench_app.c         --app: a real server, its requests, its memory
 *   bench_provenance.c  where the figures come from
 *   bench_report.c      files of reports
 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "lab/results.h"

#include <stdbool.h>
#include <stdint.h>

struct bench {
    struct results results;
    char *mimosa;             /* this very program */
    char *program;            /* the workloads, or the user's own */
    char **program_arguments; /* of the user's program; "{threads}" is replaced */
    const char *memory;       /* as given to --mem */
    const char *machine;      /* NULL: run's default */
    const char *linux_kernel;
    char *const *more_options; /* of `mimosa run`, for the next boots; NULL: none */
    bool icount, populate;
    bool lazy_memory;           /* the next boots take no memory before it is touched */
    const char *parameters[16]; /* key=value, for every workload that knows the key */
    unsigned parameter_count;
    unsigned timeout_s; /* of one boot */
    double budget_s;    /* for all; 0: cells of `cell_s` seconds each */
    double cell_s;
    uint64_t seed;              /* of the order, and of the workloads' random numbers */
    uint64_t random;            /* state */
    uint64_t started_ns;        /* host's monotonic clock */
    double boot_s[RESULTS_MAX]; /* what a boot costs beside its cells, by system */
};

/* Where a system's cells of one boot come from. */
struct boot_cell {
    unsigned heap, load, shape;
};

/* One boot: a system, a number of CPUs, and the cells to run there in order. */
struct boot {
    unsigned system, cpus;
    int heap; /* for all cells; -1: the program changes heaps by itself (execve) */
    struct boot_cell *cells;
    unsigned cell_count;
};

/* Operations that the cells of a system and load do; set by the calibration. */
uint64_t bench_operations(const struct bench *bench, unsigned system, unsigned load);

/*
 * Runs one boot and files its samples under `round`.  Returns 0, or -1 with
 * *error set to a sentence that the caller frees; samples that came before the
 * failure are kept.  *wall_s and *cells_s: the whole, and the sum of the
 * cells' own times.
 */
int boot_run(struct bench *bench, const struct boot *boot, unsigned round, double *wall_s,
             double *cells_s, char **error);

/*
 * The command line of a boot: `mimosa run ...` without the program's own
 * arguments.  Items and array are the caller's, freed by words_release().
 */
struct word_list {
    char **items; /* NULL-terminated */
    unsigned count;
};
void words_push(struct word_list *list, char *item);
void words_release(struct word_list *list);
void boot_command(const struct bench *bench, unsigned system, unsigned cpus, const char *heap,
                  struct word_list *list);

/*
 * Runs a command with standard input from /dev/null.  `line` gets each line of
 * standard output (may be NULL).  Returns the exit status, 128 + signal, or
 * 124 after timeout_s.  *errors gets the end of standard error, to be freed.
 */
int child_run(char *const *argv, int pin_cpus, unsigned timeout_s,
              void (*line)(void *context, char *text), void *context, char **errors);

/* Whether the system is a Linux machine ("linux-vm", "linux-lean"), not the host ("linux"). */
bool bench_is_linux(const char *system);

/* The type of machine that `run` makes for a system ("mimosa", "linux-vm"). */
const char *boot_machine(const struct bench *bench, const char *system);

/* Flat JSON, as the harness prints it: false when the key is not there. */
bool json_number(const char *line, const char *key, double *value);
bool json_text(const char *line, const char *key, char *text, size_t bytes);

/*
 * The whole comparison: calibration, rounds, progress.  Returns 0, or -1 when
 * no system could run at all (a note says why).
 */
int plan_run(struct bench *bench);

/* The first line that a command prints, as a fact; no fact when it fails. */
void provenance_first_line(struct bench *bench, const char *key, char *const *argv);

/* Adds the facts that do not need a run. */
void provenance_collect(struct bench *bench);

/*
 * --micro: measures under --icount on the systems of `results` and prints the table.
 * `compare`: a file of kept figures to hold it against (NULL: none); `keep`:
 * write them there.  Returns the exit status.
 */
int micro_run(struct bench *bench, const char *compare, const char *keep);

/*
 * `list`, names (of which `known` has all, ",A,B,") or numbers from 1 to 64 with
 * commas between, as the value of `option`: 0, or the status to exit with.
 * Names are copies, the caller's.
 */
int bench_names(const char *option, const char *list, const char *known, char **names,
                unsigned *count);
int bench_numbers(const char *option, const char *list, unsigned *numbers, unsigned *count);

/* Puts `count` items of `size` bytes (64 at most) in random order. */
void bench_shuffle(struct bench *bench, void *items, size_t count, size_t size);

/*
 * --boot: how long a machine takes to its program's first line, on the systems
 * of `results`.  Returns the exit status.
 */
int start_run(struct bench *bench, const unsigned *cpus, unsigned cpu_count, unsigned rounds);

/* A line that says what goes on: in place on a terminal, else now and then (or `always`). */
struct progress {
    bool live;
    uint64_t last_ns;
};
void progress_show(struct progress *progress, const struct bench *bench, bool always,
                   const char *text);
void progress_clear(const struct progress *progress);

struct app_wishes {
    const char *net, *tests; /* tests NULL: all, or the quick ones */
    const unsigned *cpus;
    unsigned cpu_count;
    bool quick;
};

/*
 * --app: systems, heaps, rounds and `program` of `bench` stand; measures,
 * prints the table and leaves the results there.  Returns the exit status.
 */
int app_run(struct bench *bench, const struct app_wishes *wishes);

/*
 * Files of reports; `path` NULL: none is wanted.  report_try() finds out beforehand whether one
 * can be written, and leaves what is there.  Both return 0, or the status after an explanation.
 */
int report_try(const char *path);
int report_write(const char *path, void (*report)(const struct results *, FILE *),
                 const struct results *results);

uint64_t bench_now_ns(void);

#endif
