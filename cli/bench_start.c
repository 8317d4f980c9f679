/* SPDX-License-Identifier: MIT */
/*
 * --boot: milliseconds from the start of `mimosa run` to the first line that
 * the program prints, and the same less what a null kernel takes in a machine
 * of the same type with the same options (which is QEMU's own share).  A q35
 * takes QEMU longer than a microvm, so each type has a null kernel of its own.
 *
 * Systems and numbers of CPUs come in random order in each round, and the
 * difference is taken round by round, as in the comparison of heaps.
 */
#include "cli/bench.h"

#include "cli/commands.h"
#include "cli/explain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NULL_STATUS 85 /* of a QEMU that lab/null.S ended */

struct start_cell {
    const char *system;  /* "mimosa", "linux-vm", "linux-lean"; NULL: the null kernel */
    const char *machine; /* its type */
    unsigned cpus;
    unsigned null;        /* index of the cell of the null kernel in such a machine */
    bool skipped;         /* failed before */
    double ms[STATS_MAX]; /* by round; 0: not measured */
};

struct stopwatch {
    uint64_t begin_ns;
    double first_line_ms;
};

static void take_line(void *context, char *text) {
    struct stopwatch *watch = context;

    (void)text;
    if (watch->first_line_ms <= 0) {
        watch->first_line_ms = (double)(bench_now_ns() - watch->begin_ns) / 1e6;
    }
}

static bool is_linux(const struct start_cell *cell) {
    return cell->system && bench_is_linux(cell->system);
}

/* To be freed. */
static char *null_path(void) {
    return xasprintf("%s/lab/null", cli_home());
}

/* The words of `mimosa run` for one cell. */
static void start_command(const struct bench *bench, const struct start_cell *cell,
                          struct word_list *list) {
    words_push(list, xstrdup(bench->mimosa));
    words_push(list, xstrdup("run"));
    words_push(list, xstrdup("--on"));
    words_push(list, xstrdup(is_linux(cell) ? cell->system : "qemu"));
    words_push(list, xstrdup("--cpus"));
    words_push(list, xasprintf("%u", cell->cpus));
    words_push(list, xstrdup("--mem"));
    words_push(list, xstrdup(bench->memory));
    words_push(list, xstrdup("--machine"));
    words_push(list, xstrdup(cell->machine));
    if (bench->icount) {
        words_push(list, xstrdup("--icount"));
    }
    if (!cell->system) {
        words_push(list, xstrdup("--kernel"));
        words_push(list, null_path());
    } else if (is_linux(cell) && bench->linux_kernel) {
        words_push(list, xstrdup("--linux-kernel"));
        words_push(list, xstrdup(bench->linux_kernel));
    }
    words_push(list, xasprintf("%s/bin/hello", cli_home()));
}

/* Whether a run that said this was ended by the null kernel, and by nothing else. */
static bool null_ended(int status, const char *errors) {
    char *words = xasprintf(EXPLAIN_STATUS, NULL_STATUS);
    bool ended = status == CLI_FAILED && strstr(errors, words);

    free(words);
    return ended;
}

/* For a line of the table and of the progress. */
static char *cell_title(const struct start_cell *cell) {
    return xasprintf("%s, %s, %u CPU%s", cell->system ? cell->system : "null kernel", cell->machine,
                     cell->cpus, cell->cpus > 1 ? "s" : "");
}

/* Milliseconds, or 0 after a failure with *error set (to be freed). */
static double start_measure(const struct bench *bench, const struct start_cell *cell,
                            char **error) {
    struct word_list command = { 0 };
    struct stopwatch watch = { 0 };
    char *errors;

    start_command(bench, cell, &command);
    watch.begin_ns = bench_now_ns();
    int status = child_run(command.items, 0, bench->timeout_s, take_line, &watch, &errors);
    double all_ms = (double)(bench_now_ns() - watch.begin_ns) / 1e6;
    words_release(&command);

    *error = NULL;
    if (!cell->system && null_ended(status, errors)) {
        watch.first_line_ms = all_ms; /* it prints nothing: its end counts */
    } else if (!cell->system || status || watch.first_line_ms <= 0) {
        *error = xasprintf("status %d: %s", status, errors);
        watch.first_line_ms = 0;
    }
    free(errors);
    return watch.first_line_ms;
}

static void print_cell(const struct start_cell *cell, const struct start_cell *null,
                       unsigned rounds) {
    double own[STATS_MAX], over[STATS_MAX];
    size_t count = 0;

    for (unsigned i = 0; i < rounds; i++) {
        if (cell->ms[i] > 0 && null->ms[i] > 0) {
            own[count] = cell->ms[i];
            over[count++] = cell->ms[i] - null->ms[i];
        }
    }
    char *title = cell_title(cell);
    printf("  %-34s", title);
    free(title);
    if (!count) {
        puts("        -");
        return;
    }
    struct stats_interval all = stats_sign_interval(own, count, RESULTS_CONFIDENCE);
    struct stats_interval beyond = stats_sign_interval(over, count, RESULTS_CONFIDENCE);
    printf(" %8.0f ms", all.median);
    if (cell != null) {
        printf("  %8.0f ms beyond QEMU's own (%.0f to %.0f)", beyond.median, beyond.low,
               beyond.high);
    }
    putchar('\n');
}

/* Returns how many of our own boots failed. */
static unsigned run_round(struct bench *bench, struct start_cell *cells, unsigned count,
                          unsigned round) {
    unsigned *order = xmalloc(count * sizeof(*order));
    unsigned failures = 0;

    for (unsigned i = 0; i < count; i++) {
        order[i] = i;
    }
    bench_shuffle(bench, order, count, sizeof(order[0]));
    for (unsigned i = 0; i < count; i++) {
        struct start_cell *cell = &cells[order[i]];
        char *title = cell_title(cell), *error = NULL;

        if (!cell->skipped) {
            fprintf(stderr, "mimosa: round %u: %s\n", round + 1, title);
            cell->ms[round] = start_measure(bench, cell, &error);
        }
        if (error) {
            fprintf(stderr, "mimosa: %s: %s\n", title, error);
            cell->skipped = true;
            failures += !is_linux(cell); /* it may just not be there */
        }
        free(error);
        free(title);
    }
    free(order);
    return failures;
}

/* Adds a system's cell, before it the null kernel's if there is none in such a machine yet. */
static unsigned add_cells(struct start_cell *cells, unsigned first, unsigned count,
                          const struct start_cell *cell) {
    unsigned null = first;

    while (null < count && (cells[null].system || strcmp(cells[null].machine, cell->machine))) {
        null++;
    }
    if (null == count) {
        cells[count] = *cell;
        cells[count].system = NULL;
        cells[count++].null = null;
    }
    cells[count] = *cell;
    cells[count++].null = null;
    return count;
}

int start_run(struct bench *bench, const unsigned *cpus, unsigned cpu_count, unsigned rounds) {
    const struct results *r = &bench->results;
    unsigned most = 2 * r->system_count * cpu_count, count = 0, failures = 0;
    char *null = null_path();

    if (access(null, R_OK)) {
        int status = cli_fail("the null kernel %s: %s (make lab builds it)", null, strerror(errno));
        free(null);
        return status;
    }
    free(null);
    struct start_cell *cells = xmalloc(most * sizeof(*cells));
    for (unsigned i = 0; i < cpu_count; i++) {
        unsigned first = count;

        for (unsigned system = 0; system < r->system_count; system++) {
            const struct start_cell cell = { .system = r->systems[system],
                                             .machine = boot_machine(bench, r->systems[system]),
                                             .cpus = cpus[i] };
            count = add_cells(cells, first, count, &cell);
        }
    }
    for (unsigned round = 0; round < rounds; round++) {
        failures += run_round(bench, cells, count, round);
    }
    printf("\nFrom `mimosa run` to the program's first line, median of %u rounds, %s\n", rounds,
           bench->memory);
    for (unsigned i = 0; i < count; i++) {
        print_cell(&cells[i], &cells[cells[i].null], rounds);
    }
    free(cells);
    return failures ? 1 : 0;
}
