/* SPDX-License-Identifier: MIT */
/*
 * `mimosa bench --app redis`: a real server, asked by a real client.
 *
 * A round starts the server once for each system, heap and number of CPUs, in
 * random order, and each time runs every load, in random order too; then it
 * fills the memory and churns it.  Client and machine share this host's CPUs.
 * The figures are compared with those of a peer (linux-lean, else the first
 * Linux) in the same round.
 */
#include "cli/bench_app_impl.h"

#include "cli/commands.h"
#include "lab/report.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALL_TESTS        "set,get,incr,lpush,lpop,sadd,hset,zadd,lrange_100,mset"
#define QUICK_TESTS      "set,get"
#define CLIENT_TIMEOUT_S 10u

static volatile sig_atomic_t interrupted;

static void take_interrupt(int number) {
    interrupted = number;
}

bool app_interrupted(void) {
    return interrupted != 0;
}

/* One start of the server. */
struct start {
    unsigned system, heap, shape;
};

/* ---- the matrix ---- */

static int add_load(struct app *app, char *name, const struct request *request) {
    struct results *r = &app->bench->results;

    if (r->load_count == RESULTS_MAX) {
        free(name);
        return cli_usage("bench", "too many tests: %u loads at most", RESULTS_MAX);
    }
    app->requests[r->load_count] = *request;
    r->loads[r->load_count++] = name;
    return 0;
}

/* A test in all its sizes and pipelines. */
static int add_test(struct app *app, const char *test) {
    static const unsigned pipelines[] = { 1, 16 }, sizes[] = { 3, 1024 };
    /* Instructions and the quick matrix: with the size of peers' figures alone. */
    unsigned size_count = app->quick || app->counting ? 1 : 2;

    for (unsigned s = 0; s < size_count; s++) {
        for (unsigned p = 0; p < 2; p++) {
            const struct request request = { test, pipelines[p], sizes[s] };
            char *name = xasprintf("%s %uB P%u", test, sizes[s], pipelines[p]);
            int status = add_load(app, name, &request);
            if (status) {
                return status;
            }
        }
    }
    return 0;
}

static int make_loads(struct app *app, const char *tests) {
    static const char *const all[] = { "set",  "get",  "incr", "lpush",      "lpop",
                                       "sadd", "hset", "zadd", "lrange_100", "mset" };
    const struct request own = { NULL, 0, 0 };
    int status = 0;

    while (*tests && !status) {
        size_t length = strcspn(tests, ","), i = 0;

        while (i < sizeof(all) / sizeof(all[0]) &&
               (strlen(all[i]) != length || strncasecmp(all[i], tests, length) != 0)) {
            i++;
        }
        if (i == sizeof(all) / sizeof(all[0])) {
            return cli_usage("bench", "--tests: there is no '%.*s' (there are: %s)", (int)length,
                             tests, ALL_TESTS);
        }
        status = add_test(app, all[i]);
        tests += length;
        tests += *tests == ',';
    }
    if (!app->counting) { /* those two measure time and memory */
        status = status ? status : add_load(app, xstrdup(APP_FIRST), &own);
        status = status ? status : add_load(app, xstrdup(APP_CHURN), &own);
    }
    return status;
}

static void make_shapes(struct results *r, const unsigned *cpus, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (results_find_shape(r, cpus[i], 0) < 0) {
            r->shapes[r->shape_count++] = (struct shape){ cpus[i], 0 };
        }
    }
}

static void choose_peer(struct results *r) {
    static const char *const peers[] = { "linux-lean", "linux-vm", "linux" };

    r->peer = -1;
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]) && r->peer < 0; i++) {
        r->peer = results_find_system(r, peers[i]);
        if (r->peer >= 0 && r->system_dropped[r->peer]) {
            r->peer = -1;
        }
    }
}

static bool client_is_there(void) {
    char *version[] = { xstrdup("redis-benchmark"), xstrdup("--version"), NULL };
    int status = child_run(version, 0, CLIENT_TIMEOUT_S, NULL, NULL, NULL);

    free(version[0]);
    free(version[1]);
    return !status;
}

static void add_facts(struct app *app, const char *net) {
    struct results *r = &app->bench->results;
    char *version[] = { xstrdup("redis-benchmark"), xstrdup("--version"), NULL };

    provenance_first_line(app->bench, "client", version);
    free(version[0]);
    free(version[1]);
    results_fact(r, "network", net);
    if (app->counting) {
        results_fact(r, "instructions",
                     "of the machine's CPU, counted in QEMU by a plugin: the kernel's where the "
                     "address is in the upper half; a request's share of a difference");
    }
}

/* ---- the measurement ---- */

static void fail_start(struct app *app, const struct start *start, unsigned round, const char *what,
                       const char *error) {
    struct results *r = &app->bench->results;

    if (app_interrupted()) {
        return;
    }
    results_note(&app->bench->results, "round %u, %s, %u CPU%s, %s, %s: %s", round + 1,
                 r->systems[start->system], r->shapes[start->shape].cpus,
                 r->shapes[start->shape].cpus == 1 ? "" : "s", r->heaps[start->heap], what, error);
    fprintf(stderr, "mimosa: %s\n", r->notes[r->note_count - 1]);
    /* A comparison kernel that is not there is not our failure. */
    r->failures += !bench_is_linux(r->systems[start->system]);
}

/*
 * The time to the first answer, in a machine of its own: the host's time for memory
 * that is taken beforehand, as all other cells want it, is no part of a boot.
 */
static int measure_first(struct app *app, const struct start *start, unsigned round, char **error) {
    struct results *r = &app->bench->results;
    int load = results_find_load(r, APP_FIRST);
    struct server server;

    if (load < 0) {
        return 0;
    }
    app->bench->lazy_memory = true;
    int status = server_start(app, start->system, r->shapes[start->shape].cpus,
                              r->heaps[start->heap], &server, error);
    app->bench->lazy_memory = false;
    if (!status) {
        struct sample *sample =
            &results_cell(r, start->system, start->heap, (unsigned)load, start->shape)
                 ->samples[round];
        sample->seconds = server.first_ms / 1e3;
        sample->rate = 1 / sample->seconds;
        sample->p50_ns = server.first_ms * 1e6;
        sample->line = xasprintf("{\"first_answer_ms\": %.1f}", server.first_ms);
    }
    server_stop(&server);
    return status;
}

/* The loads in random order, but for the churn, which comes last. */
static unsigned order_loads(struct app *app, unsigned *order) {
    struct results *r = &app->bench->results;
    int churn = results_find_load(r, APP_CHURN);
    unsigned count = 0;

    for (unsigned i = 0; i < r->load_count; i++) {
        if (app->requests[i].test) {
            order[count++] = i;
        }
    }
    bench_shuffle(app->bench, order, count, sizeof(order[0]));
    if (churn >= 0) {
        order[count++] = (unsigned)churn;
    }
    return count;
}

/* Where the time goes, for the progress. */
struct tour {
    struct progress progress;
    unsigned done, all; /* cells */
    uint64_t begin_ns;
};

static void show(struct app *app, struct tour *tour, const struct start *start, unsigned round,
                 const char *what) {
    struct results *r = &app->bench->results;
    double spent = (double)(bench_now_ns() - tour->begin_ns) / 1e9;
    char text[160], left[32] = "";

    if (tour->done) {
        snprintf(left, sizeof(left), ", %.0f s left",
                 spent / tour->done * (tour->all - tour->done));
    }
    snprintf(text, sizeof(text), "round %u of %u%s: %s, %u CPU%s, %s, %s", round + 1, r->rounds,
             left, r->systems[start->system], r->shapes[start->shape].cpus,
             r->shapes[start->shape].cpus > 1 ? "s" : "", r->heaps[start->heap], what);
    progress_show(&tour->progress, app->bench, false, text);
    tour->done++;
}

static void run_start(struct app *app, struct tour *tour, const struct start *start,
                      unsigned round) {
    struct results *r = &app->bench->results;
    unsigned order[RESULTS_MAX], count = order_loads(app, order);
    struct server server = { .log = -1 };
    char *error = NULL;

    show(app, tour, start, round, "its start");
    if (measure_first(app, start, round, &error) ||
        server_start(app, start->system, r->shapes[start->shape].cpus, r->heaps[start->heap],
                     &server, &error)) {
        fail_start(app, start, round, "its start", error);
        /* A system that cannot start at all would fail in every cell. */
        r->system_dropped[start->system] |= !round && !app_interrupted();
        tour->done += count;
    }
    for (unsigned i = 0; i < count && !error && !app_interrupted(); i++) {
        struct cell *cell = results_cell(r, start->system, start->heap, order[i], start->shape);

        show(app, tour, start, round, r->loads[order[i]]);
        if (cell_measure(app, &server, start->system, order[i], &cell->samples[round], &error)) {
            fail_start(app, start, round, r->loads[order[i]], error);
            tour->done += count - i - 1;
        }
    }
    free(error);
    server_stop(&server);
}

static void run_rounds(struct app *app) {
    struct results *r = &app->bench->results;
    unsigned count = 0;
    struct start *starts =
        xmalloc(r->system_count * r->heap_count * r->shape_count * sizeof(*starts));
    struct tour tour = { .progress = { .live = isatty(STDERR_FILENO) },
                         .begin_ns = bench_now_ns() };

    for (unsigned system = 0; system < r->system_count; system++) {
        for (unsigned heap = 0; heap < r->heap_count; heap++) {
            for (unsigned shape = 0; shape < r->shape_count; shape++) {
                starts[count++] = (struct start){ system, heap, shape };
            }
        }
    }
    tour.all = r->rounds * count * (r->load_count + (app->counting ? 1 : 0));
    for (unsigned round = 0; round < r->rounds && !app_interrupted(); round++) {
        bench_shuffle(app->bench, starts, count, sizeof(*starts));
        for (unsigned i = 0; i < count && !app_interrupted(); i++) {
            if (!r->system_dropped[starts[i].system]) {
                run_start(app, &tour, &starts[i], round);
            }
        }
        r->rounds_done = round + 1;
    }
    progress_clear(&tour.progress);
    free(starts);
}

int app_run(struct bench *bench, const struct app_wishes *wishes) {
    struct results *r = &bench->results;
    struct app app = { .bench = bench, .counting = bench->icount, .quick = wishes->quick };
    struct sigaction action = { .sa_handler = take_interrupt };
    const char *tests = wishes->tests                   ? wishes->tests
                        : wishes->quick || app.counting ? QUICK_TESTS
                                                        : ALL_TESTS;
    int status = server_network(&app, wishes->net);

    bench->icount = false; /* the clock goes as ever; the plugin counts */
    status = status ? status : make_loads(&app, tests);
    if (status) {
        return status;
    }
    if (!client_is_there()) {
        return cli_fail("there is no redis-benchmark here; type: apt-get install redis-tools");
    }
    r->is_server = true;
    make_shapes(r, wishes->cpus, app.counting ? 1 : wishes->cpu_count);
    provenance_collect(bench);
    add_facts(&app, wishes->net);
    results_make_cells(r);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    run_rounds(&app);
    if (app_interrupted()) {
        results_note(&bench->results, "interrupted in round %u: what was measured until then",
                     r->rounds_done);
    }
    choose_peer(r);
    report_server(r, stdout);
    return app_interrupted() ? 128 + interrupted : r->failures ? 1 : 0;
}
