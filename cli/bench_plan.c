/* SPDX-License-Identifier: MIT */
/*
 * The plan of a comparison.
 *
 * A boot costs much more than a cell, so one boot runs many cells.  The heap
 * of a process is chosen once: on systems with execve the program starts
 * itself again for each heap and one boot has them all; elsewhere there is one
 * boot for each heap.
 *
 * A round runs every cell once.  Within a round the boots come in random
 * order, and within a boot the heaps and the cells do; the seed is recorded.
 * What the machine does meanwhile (another job, a slower clock) thus meets all
 * alike, and ratios are taken within a round.
 *
 * Round 0 is the calibration: a little work of every load on every heap.  It
 * finds out which systems run at all, what a boot costs and what an operation
 * costs, and from that how many operations fit into the budget.  Its samples
 * are thrown away.  Then every cell of a system and load does the same number
 * of operations, whatever its heap, CPUs and threads.
 */
#include "cli/bench.h"

#include "cli/commands.h"
#include "cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALIBRATION_OPERATIONS 30000 /* fewer, and the emulator's translation is most of it */
#define CELL_MIN_S             0.02
#define OPERATIONS_MIN         1000
#define OPERATIONS_MOST        10e6
#define PAGE_BYTES             4096.0
#define FAULTS_MOST_BYTES      (256.0 * (1 << 20)) /* beyond, a page costs the same */
#define LARSON_BLOCK_BYTES     272.0               /* mean, with what a heap adds */
#define SHRINK_MOST            0.3                 /* of a cell's work from one round to the next */
#define CELL_S                 0.1                 /* where nothing fits the budget */
#define CELL_MAX_S             0.5
#define PLAIN_LINE_EVERY_S     10.0 /* progress where the terminal is none */

struct plan {
    struct boot *boots; /* of one round */
    unsigned count;
};

uint64_t bench_operations(const struct bench *bench, unsigned system, unsigned load) {
    double operations = bench->results.operations[system][load];

    return operations > 0 ? (uint64_t)operations : CALIBRATION_OPERATIONS;
}

static uint64_t random_u64(struct bench *bench) {
    uint64_t x = bench->random;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    bench->random = x;
    return x * 0x2545f4914f6cdd1dull;
}

void bench_shuffle(struct bench *bench, void *items, size_t count, size_t size) {
    char *bytes = items, spare[64];

    for (size_t i = count; i > 1; i--) {
        size_t other = random_u64(bench) % i;

        memcpy(spare, bytes + (i - 1) * size, size);
        memcpy(bytes + (i - 1) * size, bytes + other * size, size);
        memcpy(bytes + other * size, spare, size);
    }
}

/* Mimosa has no execve yet; a program of the user's does not know of heaps. */
static bool heaps_share_boot(const struct results *r, unsigned system) {
    return !r->whole_program && bench_is_linux(r->systems[system]);
}

static void boot_add_cells(struct bench *bench, struct boot *boot, unsigned heap) {
    const struct results *r = &bench->results;
    unsigned first = boot->cell_count;

    for (unsigned load = 0; load < r->load_count; load++) {
        for (unsigned shape = 0; shape < r->shape_count; shape++) {
            if (r->shapes[shape].cpus != boot->cpus) {
                continue;
            }
            boot->cells = xrealloc(boot->cells, (boot->cell_count + 1) * sizeof(*boot->cells));
            boot->cells[boot->cell_count++] = (struct boot_cell){ heap, load, shape };
        }
    }
    bench_shuffle(bench, boot->cells + first, boot->cell_count - first, sizeof(*boot->cells));
}

static struct boot *plan_add(struct plan *plan, unsigned system, unsigned cpus, int heap) {
    plan->boots = xrealloc(plan->boots, (plan->count + 1) * sizeof(*plan->boots));
    plan->boots[plan->count] = (struct boot){ .system = system, .cpus = cpus, .heap = heap };
    return &plan->boots[plan->count++];
}

static void plan_free(struct plan *plan) {
    for (unsigned i = 0; i < plan->count; i++) {
        free(plan->boots[i].cells);
    }
    free(plan->boots);
}

/* The boots of a system with so many CPUs. */
static void plan_system(struct bench *bench, struct plan *plan, unsigned system, unsigned cpus) {
    const struct results *r = &bench->results;
    unsigned order[RESULTS_MAX];

    for (unsigned i = 0; i < r->heap_count; i++) {
        order[i] = i;
    }
    bench_shuffle(bench, order, r->heap_count, sizeof(order[0]));
    if (heaps_share_boot(r, system)) {
        struct boot *boot = plan_add(plan, system, cpus, -1);

        for (unsigned i = 0; i < r->heap_count; i++) {
            boot_add_cells(bench, boot, order[i]);
        }
        return;
    }
    for (unsigned i = 0; i < r->heap_count; i++) {
        if (!r->whole_program) {
            boot_add_cells(bench, plan_add(plan, system, cpus, (int)order[i]), order[i]);
            continue;
        }
        for (unsigned shape = 0; shape < r->shape_count; shape++) {
            if (r->shapes[shape].cpus == cpus) {
                struct boot *boot = plan_add(plan, system, cpus, (int)order[i]);

                boot->cells = xmalloc(sizeof(*boot->cells));
                boot->cells[boot->cell_count++] = (struct boot_cell){ order[i], 0, shape };
            }
        }
    }
}

/* Every number of CPUs that a shape wants, once. */
static unsigned cpu_counts(const struct results *r, unsigned *counts) {
    unsigned count = 0;

    for (unsigned shape = 0; shape < r->shape_count; shape++) {
        unsigned i = 0;

        while (i < count && counts[i] != r->shapes[shape].cpus) {
            i++;
        }
        if (i == count) {
            counts[count++] = r->shapes[shape].cpus;
        }
    }
    return count;
}

static void plan_round(struct bench *bench, struct plan *plan) {
    const struct results *r = &bench->results;
    unsigned counts[RESULTS_MAX], count = cpu_counts(r, counts);

    memset(plan, 0, sizeof(*plan));
    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned i = 0; i < count && !r->system_dropped[system]; i++) {
            plan_system(bench, plan, system, counts[i]);
        }
    }
    bench_shuffle(bench, plan->boots, plan->count, sizeof(*plan->boots));
}

void progress_show(struct progress *progress, const struct bench *bench, bool always,
                   const char *text) {
    uint64_t now = bench_now_ns();
    double elapsed = (double)(now - bench->started_ns) / 1e9;

    if (progress->live) {
        fprintf(stderr, "\r\033[K%3.0f s  %s", elapsed, text);
        fflush(stderr);
    } else if (always || (double)(now - progress->last_ns) / 1e9 >= PLAIN_LINE_EVERY_S) {
        fprintf(stderr, "mimosa: %3.0f s  %s\n", elapsed, text);
        progress->last_ns = now;
    }
}

void progress_clear(const struct progress *progress) {
    if (progress->live) {
        fprintf(stderr, "\r\033[K");
    }
}

/*
 * Calibrates one system.  Returns 0, or -1 when one of its boots failed; the
 * system is dropped then, and a note says why.
 */
static int calibrate_system(struct bench *bench, unsigned system, struct progress *progress) {
    struct results *r = &bench->results;
    unsigned counts[RESULTS_MAX];
    double over_s = 0, wall_s, cells_s;
    struct plan plan = { 0 };

    /* Just the first number of CPUs: the others cost about the same. */
    cpu_counts(r, counts);
    plan_system(bench, &plan, system, counts[0]);
    for (unsigned i = 0; i < plan.count; i++) {
        char text[128], *error;

        snprintf(text, sizeof(text), "calibration: %s, %s", r->systems[system],
                 plan.boots[i].heap >= 0 ? r->heaps[plan.boots[i].heap] : "all heaps");
        progress_show(progress, bench, i == 0, text);
        if (boot_run(bench, &plan.boots[i], 0, &wall_s, &cells_s, &error)) {
            progress_clear(progress);
            results_note(&bench->results, "%s%s%s is left out: %s", r->systems[system],
                         plan.boots[i].heap >= 0 ? " with " : "",
                         plan.boots[i].heap >= 0 ? r->heaps[plan.boots[i].heap] : "", error);
            fprintf(stderr, "mimosa: %s\n", r->notes[r->note_count - 1]);
            r->system_dropped[system] = true;
            free(error);
            plan_free(&plan);
            return -1;
        }
        over_s += wall_s - cells_s;
    }
    bench->boot_s[system] = over_s / plan.count;
    plan_free(&plan);
    return 0;
}

/* Mean seconds of an operation over all calibration samples of a load. */
static double operation_seconds(const struct results *r, unsigned system, unsigned load) {
    double sum = 0;
    unsigned count = 0;

    for (unsigned heap = 0; heap < r->heap_count; heap++) {
        for (unsigned shape = 0; shape < r->shape_count; shape++) {
            double rate = results_cell(r, system, heap, load, shape)->samples[0].rate;

            if (rate > 0) {
                sum += 1 / rate;
                count++;
            }
        }
    }
    return count ? sum / count : 0;
}

/* The value with its first two digits kept, so that it reads well; value >= 1. */
static double two_digits(double value) {
    uint64_t scale = 1;

    while (value / (double)scale >= 100) {
        scale *= 10;
    }
    return (double)((uint64_t)(value / (double)scale) * scale);
}

/* Bounds that keep a heap that never frees, or a region, within a part of --mem. */
static double operations_max(const struct results *r, const char *load, double memory_bytes) {
    if (!strcmp(load, "larson") && results_find_heap(r, "bump") >= 0) {
        return two_digits(memory_bytes / 4 / LARSON_BLOCK_BYTES);
    }
    if (!strcmp(load, "faults")) {
        double bytes = memory_bytes / 2;

        return (bytes < FAULTS_MOST_BYTES ? bytes : FAULTS_MOST_BYTES) / PAGE_BYTES;
    }
    return OPERATIONS_MOST;
}

static void forget_samples(struct results *r) {
    size_t cells = (size_t)r->system_count * r->heap_count * r->load_count * r->shape_count;

    for (size_t i = 0; i < cells; i++) {
        free(r->cells[i].samples[0].line);
        memset(&r->cells[i].samples[0], 0, sizeof(struct sample));
    }
}

/* How long a cell may take so that all rounds end within the budget. */
static double cell_seconds(struct bench *bench) {
    struct results *r = &bench->results;
    unsigned counts[RESULTS_MAX], cpus = cpu_counts(r, counts), cells = 0;
    double boots_s = 0;

    for (unsigned system = 0; system < r->system_count; system++) {
        if (!r->system_dropped[system]) {
            unsigned boots = cpus * (heaps_share_boot(r, system) ? 1 : r->heap_count);

            cells += r->heap_count * r->load_count * r->shape_count;
            /* A boot with more CPUs takes somewhat longer than the one timed. */
            boots_s += boots * bench->boot_s[system] * 1.2;
        }
    }
    if (bench->budget_s <= 0 || !cells) {
        return bench->cell_s > 0 ? bench->cell_s : CELL_S;
    }
    double elapsed_s = (double)(bench_now_ns() - bench->started_ns) / 1e9;
    double seconds = (0.9 * (bench->budget_s - elapsed_s) / r->rounds - boots_s) / cells;
    if (seconds < CELL_MIN_S) {
        results_note(&bench->results,
                     "the budget of %.0f s is too short for this matrix: %.0f s of it are boots; "
                     "cells got %.0f ms and the run took longer",
                     bench->budget_s, boots_s * r->rounds, CELL_MIN_S * 1e3);
        return CELL_MIN_S;
    }
    return seconds < CELL_MAX_S ? seconds : CELL_MAX_S;
}

/* What a cell of each load does from this round on, for the reports; round 0 is the first. */
static void note_operations(struct bench *bench, unsigned round) {
    struct results *r = &bench->results;

    for (unsigned system = 0; system < r->system_count; system++) {
        char *key = xasprintf("operations on %s", r->systems[system]);
        char text[512] = "";

        if (round) {
            char *later = xasprintf("%s from round %u", key, round + 1);
            free(key);
            key = later;
        }
        for (unsigned load = 0; load < r->load_count; load++) {
            size_t used = strlen(text);

            if (r->operations[system][load] > 0) {
                snprintf(text + used, sizeof(text) - used, "%s%s %.0f", used ? ", " : "",
                         r->loads[load], r->operations[system][load]);
            }
        }
        if (*text) {
            results_fact(r, key, text);
        }
        free(key);
    }
}

static void set_operations(struct bench *bench) {
    struct results *r = &bench->results;
    double seconds = cell_seconds(bench);
    uint64_t memory_bytes = 0;
    char text[256];

    (void)size_parse(bench->memory, &memory_bytes); /* the options are checked */
    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned load = 0; load < r->load_count; load++) {
            double each = operation_seconds(r, system, load);
            double most = operations_max(r, r->loads[load], (double)memory_bytes);

            if (each > 0) {
                double operations = seconds / each;
                double least = most < OPERATIONS_MIN ? most : OPERATIONS_MIN;

                /* A bound is not rounded: 65536 pages are 256 MiB. */
                r->operations[system][load] =
                    operations >= most ? most : two_digits(operations < least ? least : operations);
            }
        }
    }
    note_operations(bench, 0);
    snprintf(text, sizeof(text), "%.1f ms for a cell, at most", seconds * 1e3);
    results_fact(r, "time planned", text);
}

/* Returns the seconds that were not the cells' own. */
static double run_boot(struct bench *bench, const struct boot *boot, unsigned round) {
    struct results *r = &bench->results;
    double wall_s, cells_s;
    char *error;

    if (!boot_run(bench, boot, round, &wall_s, &cells_s, &error)) {
        return wall_s - cells_s;
    }
    results_note(&bench->results, "round %u, %s, %u CPU%s, %s: %s", round + 1,
                 r->systems[boot->system], boot->cpus, boot->cpus == 1 ? "" : "s",
                 boot->heap >= 0 ? r->heaps[boot->heap] : "all heaps", error);
    r->failures++;
    free(error);
    return wall_s - cells_s;
}

/*
 * The machine may have become slower than it was in the calibration.  Rounds
 * that are left then get less work; within a round all cells of a system and
 * load still do the same, and only there are they compared.
 */
static void shrink_work(struct bench *bench, double round_s, double boots_s, unsigned rounds_left) {
    struct results *r = &bench->results;
    double left_s = bench->budget_s - (double)(bench_now_ns() - bench->started_ns) / 1e9;
    double cells_s = round_s - boots_s, may_s = left_s / rounds_left - boots_s;

    if (bench->budget_s <= 0 || r->whole_program || cells_s <= 0 || may_s >= cells_s) {
        return;
    }
    double factor = may_s > cells_s * SHRINK_MOST ? may_s / cells_s : SHRINK_MOST;
    bool shrunk = false;
    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned load = 0; load < r->load_count; load++) {
            double operations = r->operations[system][load] * factor;

            if (operations >= OPERATIONS_MIN) {
                r->operations[system][load] = two_digits(operations);
                shrunk = true;
            }
        }
    }
    if (shrunk) {
        note_operations(bench, r->rounds - rounds_left);
    }
}

static void run_rounds(struct bench *bench, struct progress *progress) {
    struct results *r = &bench->results;
    uint64_t begin = bench_now_ns();

    for (unsigned round = 0; round < r->rounds; round++) {
        struct plan plan;
        uint64_t round_begin = bench_now_ns();
        double boots_s = 0;

        plan_round(bench, &plan);
        for (unsigned i = 0; i < plan.count; i++) {
            const struct boot *boot = &plan.boots[i];
            unsigned done = round * plan.count + i, all = r->rounds * plan.count;
            double spent = (double)(bench_now_ns() - begin) / 1e9;
            char text[160], left[32] = "";

            if (done) {
                snprintf(left, sizeof(left), ", %.0f s left", spent / done * (all - done));
            }
            snprintf(text, sizeof(text), "round %u of %u, boot %u of %u%s: %s, %u CPU%s, %s",
                     round + 1, r->rounds, i + 1, plan.count, left, r->systems[boot->system],
                     boot->cpus, boot->cpus > 1 ? "s" : "",
                     boot->heap >= 0 ? r->heaps[boot->heap] : "all heaps");
            progress_show(progress, bench, false, text);
            boots_s += run_boot(bench, boot, round);
        }
        plan_free(&plan);
        r->rounds_done = round + 1;
        if (r->rounds_done < r->rounds) {
            shrink_work(bench, (double)(bench_now_ns() - round_begin) / 1e9, boots_s,
                        r->rounds - r->rounds_done);
        }
    }
}

int plan_run(struct bench *bench) {
    struct results *r = &bench->results;
    struct progress progress = { .live = isatty(STDERR_FILENO) };
    unsigned running = 0;

    results_make_cells(r);
    for (unsigned system = 0; system < r->system_count; system++) {
        running += !calibrate_system(bench, system, &progress);
    }
    if (!running) {
        return -1;
    }
    if (!r->whole_program) {
        set_operations(bench);
    }
    forget_samples(r);
    run_rounds(bench, &progress);
    progress_clear(&progress);
    return 0;
}
