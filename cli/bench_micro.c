/* SPDX-License-Identifier: MIT */
/*
 * --micro: instructions of single operations, on Mimosa and beside it in the
 * Linux VM, and the file of kept figures that a test holds them against.
 *
 * Under --icount the guest's clock counts instructions and a run repeats to a
 * fraction of a percent, so that one run is enough and 5 % is a real change.
 *
 * The file has one line for each figure, `SYSTEM MEASURE INSTRUCTIONS [CEILING]`,
 * and comments that begin with '#'.  A ceiling is what the figure may never
 * exceed: keeping new figures leaves it as it was, so that small steps do not
 * add up to a large one.
 */
#include "cli/bench.h"

#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOLERANCE    0.05
#define MEASURES_MAX 16u

static const char *const systems[] = { "mimosa", "linux-vm", "linux-lean" };
#define SYSTEMS (sizeof(systems) / sizeof(systems[0]))

static const struct {
    const char *measure, *title;
} titles[] = {
    { "first-touch", "first touch of a 4 KiB page" },
    { "sparse-touch", "first touch, every 16th page" },
    { "munmap", "munmap, per touched page" },
    { "thread", "pthread create and join" },
    { "getppid", "getppid" },
    { "clock", "clock_gettime through libc" },
    { "futex-wake", "futex wake to the woken thread running" },
    { "yield", "sched_yield to the other thread" },
};
#define TITLES (sizeof(titles) / sizeof(titles[0]))

struct micro {
    double each[SYSTEMS][TITLES];    /* instructions; 0: not measured */
    double kept[SYSTEMS][TITLES];    /* as the file has them; 0: it has none */
    double ceiling[SYSTEMS][TITLES]; /* likewise */
    unsigned system;
};

static int measure_find(const char *measure) {
    for (size_t i = 0; i < TITLES; i++) {
        if (!strcmp(titles[i].measure, measure)) {
            return (int)i;
        }
    }
    return -1;
}

static int system_find(const char *system) {
    for (size_t i = 0; i < SYSTEMS; i++) {
        if (!strcmp(systems[i], system)) {
            return (int)i;
        }
    }
    return -1;
}

static void take_line(void *context, char *text) {
    struct micro *micro = context;
    char measure[64];
    double each;

    if (*text == '{' && json_text(text, "measure", measure, sizeof(measure)) &&
        json_number(text, "each", &each) && measure_find(measure) >= 0) {
        micro->each[micro->system][measure_find(measure)] = each;
    }
}

/* 0, or -1 after a note on why the system has no figures. */
static int measure_system(struct bench *bench, struct micro *micro, unsigned system) {
    const char *name = bench->results.systems[system];
    struct word_list command = { 0 };
    char *errors;

    fprintf(stderr, "mimosa: counting instructions on %s\n", name);
    micro->system = (unsigned)system_find(name);
    boot_command(bench, system, 1, NULL, &command);
    words_push(&command, xstrdup("micro"));
    int status = child_run(command.items, 0, bench->timeout_s, take_line, micro, &errors);
    words_release(&command);
    if (status) {
        fprintf(stderr, "mimosa: %s: status %d: %s\n", name, status, errors);
    }
    free(errors);
    return status ? -1 : 0;
}

static void print_table(const struct micro *micro) {
    printf("\nInstructions, 1 CPU, counted by the emulator\n%-42s", "");
    for (size_t s = 0; s < SYSTEMS; s++) {
        printf(" %12s", systems[s]);
    }
    putchar('\n');
    for (size_t i = 0; i < TITLES; i++) {
        printf("  %-40s", titles[i].title);
        for (size_t s = 0; s < SYSTEMS; s++) {
            if (micro->each[s][i] > 0) {
                printf(" %12.0f", micro->each[s][i]);
            } else {
                printf(" %12s", "-");
            }
        }
        putchar('\n');
    }
}

/* The kept figures and ceilings of a file.  0, or an errno. */
static int read_kept(struct micro *micro, const char *path) {
    FILE *from = fopen(path, "r");
    char line[256], system[64], measure[64];

    if (!from) {
        return errno;
    }
    while (fgets(line, sizeof(line), from)) {
        double kept, ceiling = 0;

        if (*line == '#' ||
            sscanf(line, "%63s %63s %lf %lf", system, measure, &kept, &ceiling) < 3 ||
            system_find(system) < 0 || measure_find(measure) < 0) {
            continue;
        }
        micro->kept[system_find(system)][measure_find(measure)] = kept;
        micro->ceiling[system_find(system)][measure_find(measure)] = ceiling;
    }
    fclose(from);
    return 0;
}

static int keep_figures(struct micro *micro, const char *path) {
    int error = read_kept(micro, path); /* for the ceilings, which stay */
    FILE *to;

    if (error && error != ENOENT) {
        return cli_fail("%s: %s", path, strerror(error));
    }
    to = fopen(path, "w");
    if (!to) {
        return cli_fail("%s: %s", path, strerror(errno));
    }
    fputs("# Instructions of single operations: SYSTEM MEASURE INSTRUCTIONS [CEILING].\n"
          "# Written by `mimosa bench --micro --keep`, which leaves the ceilings as they are;\n"
          "# `make check-instructions` fails when a figure of Mimosa's grows by more than 5 %\n"
          "# or is above its ceiling.\n",
          to);
    for (size_t s = 0; s < SYSTEMS; s++) {
        for (size_t i = 0; i < TITLES; i++) {
            double each = micro->each[s][i] > 0 ? micro->each[s][i] : micro->kept[s][i];

            if (each > 0) {
                fprintf(to, "%s %s %.1f", systems[s], titles[i].measure, each);
            }
            if (each > 0 && micro->ceiling[s][i] > 0) {
                fprintf(to, " %.0f", micro->ceiling[s][i]);
            }
            fputs(each > 0 ? "\n" : "", to);
        }
    }
    return fclose(to) ? cli_fail("%s: %s", path, strerror(errno)) : 0;
}

/* One figure of ours against the file's; whether it may be so. */
static bool check_figure(const struct micro *micro, size_t i, const char *path) {
    const char *measure = titles[i].measure;
    double now = micro->each[0][i], kept = micro->kept[0][i], ceiling = micro->ceiling[0][i];

    if (now <= 0) {
        printf("WORSE  %s: not measured, kept is %.0f\n", measure, kept);
        return false;
    }
    if (ceiling > 0 && now > ceiling) {
        printf("ABOVE  %s: %.0f, its ceiling is %.0f\n", measure, now, ceiling);
        return false;
    }
    if (now > kept * (1 + TOLERANCE)) {
        printf("WORSE  %s: %.0f, kept is %.0f\n", measure, now, kept);
        return false;
    }
    if (now < kept * (1 - TOLERANCE)) {
        printf("better %s: %.0f, kept is %.0f (keep it: mimosa bench --micro --keep %s)\n", measure,
               now, kept, path);
    }
    return true;
}

/* Our own figures only: another system's are there for comparison. */
static int check_figures(struct micro *micro, const char *path) {
    int worse = 0, compared = 0, error = read_kept(micro, path);

    if (error) {
        return cli_fail("%s: %s", path, strerror(error));
    }
    for (size_t i = 0; i < TITLES; i++) {
        if (micro->kept[0][i] > 0) {
            compared++;
            worse += !check_figure(micro, i, path);
        }
    }
    if (!compared) {
        return cli_fail("%s holds no figure of Mimosa's", path);
    }
    printf("%d of %d figures below their ceilings and within 5 %% of %s or better\n",
           compared - worse, compared, path);
    return worse ? 1 : 0;
}

int micro_run(struct bench *bench, const char *compare, const char *keep) {
    struct micro micro = { 0 };
    int measured = 0, status = 0;

    bench->icount = true;
    for (unsigned s = 0; s < bench->results.system_count; s++) {
        measured += !measure_system(bench, &micro, s);
    }
    if (!measured) {
        return CLI_FAILED;
    }
    print_table(&micro);
    if (keep) {
        status = keep_figures(&micro, keep);
    }
    if (!status && compare) {
        status = check_figures(&micro, compare);
    }
    return status;
}
