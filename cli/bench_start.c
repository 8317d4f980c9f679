/* SPDX-License-Identifier: MIT */
/*
 * --boot: milliseconds from the start of `mimosa run` to the first line that
 * the program prints, and the same less what a null kernel takes with the same
 * options (which is QEMU's own share).
 *
 * Systems and numbers of CPUs come in random order in each round, and the
 * difference is taken round by round, as in the comparison of heaps.
 */
#include "cli/bench.h"

#include "cli/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NULL_KERNEL, MIMOSA, LINUX_VM, SYSTEMS };

static const char *const names[SYSTEMS] = { "null kernel", "mimosa", "linux-vm" };

struct start_cell {
    unsigned system, cpus;
    bool skipped;         /* not asked for, or failed before */
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

/* The words of `mimosa run` for one cell. */
static void start_command(const struct bench *bench, const struct start_cell *cell,
                          struct word_list *list) {
    words_push(list, xstrdup(bench->mimosa));
    words_push(list, xstrdup("run"));
    words_push(list, xstrdup("--on"));
    words_push(list, xstrdup(cell->system == LINUX_VM ? "linux-vm" : "qemu"));
    words_push(list, xstrdup("--cpus"));
    words_push(list, xasprintf("%u", cell->cpus));
    words_push(list, xstrdup("--mem"));
    words_push(list, xstrdup(bench->memory));
    if (bench->machine && cell->system != LINUX_VM) {
        words_push(list, xstrdup("--machine"));
        words_push(list, xstrdup(bench->machine));
    }
    if (cell->system == NULL_KERNEL) {
        words_push(list, xstrdup("--kernel"));
        words_push(list, xasprintf("%s/lab/null", cli_home()));
    }
    words_push(list, xasprintf("%s/bin/hello", cli_home()));
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
    if (cell->system == NULL_KERNEL && status != CLI_TIMEOUT) {
        watch.first_line_ms = all_ms; /* it says nothing: its end counts */
    } else if (status || watch.first_line_ms <= 0) {
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
    printf("  %-12s %3u CPU%s", names[cell->system], cell->cpus, cell->cpus > 1 ? "s" : " ");
    if (!count) {
        puts("           -");
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
    unsigned order[SYSTEMS * RESULTS_MAX];
    unsigned failures = 0;

    for (unsigned i = 0; i < count; i++) {
        order[i] = i;
    }
    bench_shuffle(bench, order, count, sizeof(order[0]));
    for (unsigned i = 0; i < count; i++) {
        struct start_cell *cell = &cells[order[i]];
        char *error;

        if (cell->skipped) {
            continue;
        }
        fprintf(stderr, "mimosa: round %u: %s, %u CPUs\n", round + 1, names[cell->system],
                cell->cpus);
        cell->ms[round] = start_measure(bench, cell, &error);
        if (error) {
            fprintf(stderr, "mimosa: %s, %u CPUs: %s\n", names[cell->system], cell->cpus, error);
            cell->skipped = true;
            failures += cell->system != LINUX_VM; /* it may just not be there */
            free(error);
        }
    }
    return failures;
}

int start_run(struct bench *bench, const char *on, const unsigned *cpus, unsigned cpu_count,
              unsigned rounds) {
    unsigned count = SYSTEMS * cpu_count;
    struct start_cell *cells = xmalloc(count * sizeof(*cells));
    unsigned failures = 0;

    memset(cells, 0, count * sizeof(*cells));
    for (unsigned i = 0; i < count; i++) {
        cells[i].system = i % SYSTEMS;
        cells[i].cpus = cpus[i / SYSTEMS];
        cells[i].skipped = (cells[i].system == LINUX_VM && !strstr(on, "linux-vm")) ||
                           (cells[i].system == MIMOSA && !strstr(on, "qemu"));
    }
    for (unsigned round = 0; round < rounds; round++) {
        failures += run_round(bench, cells, count, round);
    }
    printf("\nFrom `mimosa run` to the program's first line, median of %u rounds, %s\n", rounds,
           bench->memory);
    for (unsigned i = 0; i < count; i++) {
        print_cell(&cells[i], &cells[i - i % SYSTEMS], rounds);
    }
    free(cells);
    return failures ? 1 : 0;
}
