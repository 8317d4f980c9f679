/* SPDX-License-Identifier: MIT */
/* `mimosa bench`: compares heaps, CPUs and systems with the same binary. */
#include "cli/bench.h"

#include "cli/commands.h"
#include "cli/options.h"
#include "lab/report.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const char help_text[] =
    "usage: mimosa bench [OPTION]... [PROGRAM [ARG]...]\n"
    "\n"
    "Compares heaps on loads, numbers of CPUs and systems, with one binary.  Without\n"
    "PROGRAM it runs the loads of the lab; with PROGRAM, it times that (built with\n"
    "`mimosa cc`; \"{threads}\" in an argument becomes each number of --threads).\n"
    "\n"
    "  mimosa bench --quick                    the table of the README, three minutes\n"
    "  mimosa bench --on linux --loads larson  just here, just that\n"
    "  mimosa bench --heaps buddy,mimalloc ./server --jobs {threads}\n"
    "  mimosa bench --micro                    instructions of single operations\n"
    "\n"
    "  --heaps A,B      of: buddy, buddy-page, mimalloc, musl, bump (all)\n"
    "  --loads X,Y      of: compute, cache-thrash, cache-scratch, larson (these), faults,\n"
    "                   echo\n"
    "  --cpus 1,2       CPUs of the machine; on linux the program is bound to so many\n"
    "  --threads 1,2    threads; shapes with fewer threads than CPUs are left out\n"
    "  --on A,B         of: qemu (Mimosa), linux-vm, linux (these), linux-lean; with\n"
    "                   --micro or --boot, which boot machines, not linux\n"
    "  --runs N         rounds; each runs every cell once (5)\n"
    "  --baseline HEAP  what the others are compared with (buddy, else the first)\n"
    "  --budget SECONDS size the work so that all of it ends in this time (165)\n"
    "  --cell MS        size the work by the time of one cell instead\n"
    "  --quick          what bench does without options; those beside it still count\n"
    "  --mem SIZE       memory of a machine (512M)\n"
    "  --machine TYPE   of Mimosa: microvm, microvm-acpi, q35 (Linux machines have a q35)\n"
    "  --populate       Mimosa commits all memory when it is mapped\n"
    "  --icount         machines count instructions instead of time (one CPU at a time)\n"
    "  --param K=V      a parameter of the loads (`build/lab/workloads --help`)\n"
    "  --linux-kernel FILE  another kernel for linux-vm or linux-lean\n"
    "  --seed N         of the order of the runs (random; the report says it)\n"
    "  --timeout SECONDS  for one boot (120)\n"
    "  --json FILE, --html FILE  more reports: raw samples, plots\n"
    "  --micro          instructions of single operations\n"
    "  --app redis      a real server (`make redis`) under redis-benchmark, a table of its own:\n"
    "                   requests, latencies, the time to its first answer, its memory after\n"
    "                   fill and churn, beside linux-lean's; then the heaps beside one\n"
    "                   another.  On qemu, linux-lean, linux; --heaps all but bump, --cell\n"
    "                   2000; with --quick: mimalloc, less of all, 3 rounds.  With --icount:\n"
    "                   instructions of a request, kernel's and program's\n"
    "  --net KIND       with --app: user (through QEMU), or tap:IFNAME, an interface with an\n"
    "                   address\n"
    "  --tests A,B      with --app: of set, get, incr, lpush, lpop, sadd, hset, zadd,\n"
    "                   lrange_100, mset (all; with --quick or --icount: set, get)\n"
    "  --boot           milliseconds to a program's first line, for each of --cpus, and what\n"
    "                   remains without those of a null kernel in the same machine\n"
    "  --check FILE     with --micro, which then runs on qemu: fail where a figure is more\n"
    "                   than 5 % above FILE's, or above its ceiling there\n"
    "  --keep FILE      with --micro: write the figures there; ceilings stay\n"
    "\n"
    "One sample: one cell (heap, load, CPUs, threads, system) of one round, timed inside\n"
    "the program by its own clock.  Threads share a fixed number of operations.\n";

#define RUNS       5u
#define RUNS_QUICK 3u

enum {
    OPT_HEAPS = 256,
    OPT_LOADS,
    OPT_CPUS,
    OPT_THREADS,
    OPT_ON,
    OPT_RUNS,
    OPT_BASELINE,
    OPT_BUDGET,
    OPT_CELL,
    OPT_QUICK,
    OPT_MEM,
    OPT_MACHINE,
    OPT_POPULATE,
    OPT_ICOUNT,
    OPT_PARAM,
    OPT_KERNEL,
    OPT_SEED,
    OPT_TIMEOUT,
    OPT_JSON,
    OPT_HTML,
    OPT_MICRO,
    OPT_CHECK,
    OPT_KEEP,
    OPT_BOOT,
    OPT_APP,
    OPT_NET,
    OPT_TESTS,
    OPT_HELP,
};

static const struct option options[] = {
    { "heaps", required_argument, NULL, OPT_HEAPS },
    { "loads", required_argument, NULL, OPT_LOADS },
    { "cpus", required_argument, NULL, OPT_CPUS },
    { "threads", required_argument, NULL, OPT_THREADS },
    { "on", required_argument, NULL, OPT_ON },
    { "runs", required_argument, NULL, OPT_RUNS },
    { "baseline", required_argument, NULL, OPT_BASELINE },
    { "budget", required_argument, NULL, OPT_BUDGET },
    { "cell", required_argument, NULL, OPT_CELL },
    { "quick", no_argument, NULL, OPT_QUICK },
    { "mem", required_argument, NULL, OPT_MEM },
    { "machine", required_argument, NULL, OPT_MACHINE },
    { "populate", no_argument, NULL, OPT_POPULATE },
    { "icount", no_argument, NULL, OPT_ICOUNT },
    { "param", required_argument, NULL, OPT_PARAM },
    { "linux-kernel", required_argument, NULL, OPT_KERNEL },
    { "seed", required_argument, NULL, OPT_SEED },
    { "timeout", required_argument, NULL, OPT_TIMEOUT },
    { "json", required_argument, NULL, OPT_JSON },
    { "html", required_argument, NULL, OPT_HTML },
    { "micro", no_argument, NULL, OPT_MICRO },
    { "boot", no_argument, NULL, OPT_BOOT },
    { "app", required_argument, NULL, OPT_APP },
    { "net", required_argument, NULL, OPT_NET },
    { "tests", required_argument, NULL, OPT_TESTS },
    { "check", required_argument, NULL, OPT_CHECK },
    { "keep", required_argument, NULL, OPT_KEEP },
    { "help", no_argument, NULL, OPT_HELP },
    { NULL, 0, NULL, 0 },
};

/* What the command line said, before it becomes a matrix. */
struct wishes {
    const char *heaps, *loads, *cpus, *threads, *on, *baseline;
    const char *json, *html, *check, *keep, *app, *net, *tests;
    unsigned runs; /* 0: not given */
    bool micro, boot, quick;
};

/* Whether an argument of the user's program depends on the number of threads. */
static bool mentions_threads(const struct bench *bench) {
    for (char **argument = bench->program_arguments; argument && *argument; argument++) {
        if (strstr(*argument, "{threads}")) {
            return true;
        }
    }
    return false;
}

static int make_shapes(struct results *r, const struct wishes *wishes, bool uses_threads) {
    unsigned cpus[RESULTS_MAX], threads[RESULTS_MAX], cpu_count, thread_count;
    int status = bench_numbers("--cpus", wishes->cpus, cpus, &cpu_count);

    status = status ? status : bench_numbers("--threads", wishes->threads, threads, &thread_count);
    if (r->whole_program && !uses_threads) {
        threads[0] = 0; /* the program decides */
        thread_count = 1;
    }
    for (unsigned c = 0; !status && c < cpu_count; c++) {
        for (unsigned t = 0; t < thread_count; t++) {
            if ((threads[t] && threads[t] < cpus[c]) ||
                results_find_shape(r, cpus[c], threads[t]) >= 0) {
                continue;
            }
            if (r->shape_count == RESULTS_MAX) {
                return cli_usage("bench", "too many pairs of --cpus and --threads");
            }
            r->shapes[r->shape_count++] = (struct shape){ cpus[c], threads[t] };
        }
    }
    if (!status && !r->shape_count) {
        return cli_usage("bench", "every number of threads is below every number of CPUs");
    }
    return status;
}

/* The systems of --on, of which `known` are possible; `usual` without it. */
static int take_systems(struct bench *bench, const struct wishes *wishes, const char *usual,
                        const char *known) {
    struct results *r = &bench->results;
    char *all = xasprintf("%.*s", (int)strlen(usual) - 2, usual + 1);
    int status =
        bench_names("--on", wishes->on ? wishes->on : all, known, r->systems, &r->system_count);

    free(all);
    for (unsigned i = 0; !status && i < r->system_count; i++) {
        if (!strcmp(r->systems[i], "qemu")) {
            free(r->systems[i]);
            r->systems[i] = xstrdup("mimosa");
        }
    }
    return status;
}

static int take_heaps(struct bench *bench, const struct wishes *wishes, const char *usual) {
    struct results *r = &bench->results;

    return bench_names("--heaps", wishes->heaps ? wishes->heaps : usual,
                       ",buddy,buddy-page,mimalloc,musl,bump,", r->heaps, &r->heap_count);
}

static int take_baseline(struct results *r, const struct wishes *wishes) {
    const char *baseline = wishes->baseline ? wishes->baseline : "buddy";
    int heap = results_find_heap(r, baseline);

    if (heap < 0 && wishes->baseline) {
        return cli_usage("bench", "--baseline %s is not among the heaps", baseline);
    }
    r->baseline = heap < 0 ? 0 : (unsigned)heap;
    return 0;
}

/* Turns the wishes into the matrix.  0, or the status to exit with. */
static int make_matrix(struct bench *bench, const struct wishes *wishes) {
    struct results *r = &bench->results;
    int status = take_heaps(bench, wishes, "buddy,buddy-page,mimalloc,musl,bump");

    status = status ? status
                    : take_systems(bench, wishes, ",qemu,linux-vm,linux,",
                                   ",qemu,linux-vm,linux-lean,linux,");
    if (!status && r->whole_program) {
        const char *slash = strrchr(bench->program, '/');
        r->loads[r->load_count++] = xstrdup(slash ? slash + 1 : bench->program);
    } else if (!status) {
        status = bench_names("--loads", wishes->loads,
                             ",compute,cache-thrash,cache-scratch,larson,faults,echo,", r->loads,
                             &r->load_count);
    }
    status = status ? status : make_shapes(r, wishes, mentions_threads(bench));
    status = status ? status : take_baseline(r, wishes);
    if (status) {
        return status;
    }
    r->rounds = wishes->runs ? wishes->runs : RUNS;
    return 0;
}

static int parse_number(const char *option, const char *text, double low, double high,
                        double *value) {
    char *end;

    *value = strtod(text, &end);
    if (end == text || *end || !(*value >= low && *value <= high)) {
        return cli_usage("bench", "%s '%s': a number from %g to %g is wanted", option, text, low,
                         high);
    }
    return 0;
}

static int take_number(struct bench *bench, struct wishes *wishes, int option) {
    double value;
    int status = 0;

    switch (option) {
    case OPT_RUNS:
        status = parse_number("--runs", optarg, 1, STATS_MAX, &value);
        wishes->runs = (unsigned)value;
        break;
    case OPT_BUDGET:
        status = parse_number("--budget", optarg, 1, 1e6, &bench->budget_s);
        break;
    case OPT_CELL:
        status = parse_number("--cell", optarg, 1, 1e6, &value);
        bench->cell_s = value / 1e3;
        bench->budget_s = 0;
        break;
    case OPT_TIMEOUT:
        status = parse_number("--timeout", optarg, 1, 1e6, &value);
        bench->timeout_s = (unsigned)value;
        break;
    case OPT_SEED:
        status = parse_number("--seed", optarg, 0, 1e15, &value);
        bench->seed = (uint64_t)value;
        break;
    }
    return status;
}

static int take_parameter(struct bench *bench) {
    if (!strchr(optarg, '=') || bench->parameter_count == 16) {
        return cli_usage("bench", "--param '%s': wanted is key=value, at most 16 of them", optarg);
    }
    bench->parameters[bench->parameter_count++] = optarg;
    return 0;
}

static int take_memory(struct bench *bench) {
    uint64_t bytes;

    if (size_parse(optarg, &bytes)) {
        return cli_usage("bench", "--mem '%s': not a size such as 512M or 2G", optarg);
    }
    bench->memory = optarg;
    return 0;
}

/* Where an option that is a plain text goes; NULL for the other options. */
static const char **option_text(struct bench *bench, struct wishes *wishes, int option) {
    switch (option) {
    case OPT_HEAPS:
        return &wishes->heaps;
    case OPT_LOADS:
        return &wishes->loads;
    case OPT_CPUS:
        return &wishes->cpus;
    case OPT_THREADS:
        return &wishes->threads;
    case OPT_ON:
        return &wishes->on;
    case OPT_BASELINE:
        return &wishes->baseline;
    case OPT_JSON:
        return &wishes->json;
    case OPT_HTML:
        return &wishes->html;
    case OPT_CHECK:
        return &wishes->check;
    case OPT_KEEP:
        return &wishes->keep;
    case OPT_APP:
        return &wishes->app;
    case OPT_NET:
        return &wishes->net;
    case OPT_TESTS:
        return &wishes->tests;
    case OPT_MACHINE:
        return &bench->machine;
    case OPT_KERNEL:
        return &bench->linux_kernel;
    default:
        return NULL;
    }
}

/* One option.  -1 to go on, else the status to exit with. */
static int take_option(struct bench *bench, struct wishes *wishes, int option) {
    const char **text = option_text(bench, wishes, option);
    int status = 0;

    if (text) {
        *text = optarg;
        return -1;
    }
    switch (option) {
    case OPT_MICRO:
        wishes->micro = true;
        break;
    case OPT_BOOT:
        wishes->boot = true;
        break;
    case OPT_QUICK:
        wishes->quick = true; /* but for --app, the defaults are the quick matrix */
        break;
    case OPT_POPULATE:
        bench->populate = true;
        break;
    case OPT_MEM:
        status = take_memory(bench);
        break;
    case OPT_ICOUNT:
        bench->icount = true;
        break;
    case OPT_PARAM:
        status = take_parameter(bench);
        break;
    case OPT_HELP:
        fputs(help_text, stdout);
        return 0;
    default:
        status = take_number(bench, wishes, option);
    }
    return status ? status : -1;
}

/* -1 to go on, else the status to exit with. */
static int take_command_line(struct bench *bench, struct wishes *wishes, int argc, char **argv) {
    int option, status;

    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:", options, NULL)) >= 0) {
        if (option == '?' || option == ':') {
            return cli_bad_option("bench", option, argv);
        }
        status = take_option(bench, wishes, option);
        if (status >= 0) {
            return status;
        }
    }
    if (wishes->micro + wishes->boot + (wishes->app != NULL) > 1) {
        return cli_usage("bench", "--micro, --boot and --app are different things: one at a time");
    }
    if (wishes->app && strcmp(wishes->app, "redis") != 0) {
        return cli_usage("bench", "--app: there is no '%s' (there are: redis)", wishes->app);
    }
    if ((wishes->net || wishes->tests) && !wishes->app) {
        return cli_usage("bench", "--net and --tests go with --app");
    }
    if ((wishes->check || wishes->keep) && !wishes->micro) {
        return cli_usage("bench", "--check and --keep are for the figures of --micro");
    }
    if ((wishes->json || wishes->html) && (wishes->micro || wishes->boot)) {
        return cli_usage("bench", "--json and --html are reports of comparisons and of --app");
    }
    if (argv[optind] && (wishes->micro || wishes->boot || wishes->app)) {
        return cli_usage("bench", "--micro, --boot and --app bring their own program");
    }
    if (argv[optind]) {
        bench->program = xstrdup(argv[optind]);
        bench->program_arguments = argv + optind + 1;
        bench->results.whole_program = true;
    } else {
        bench->program =
            xasprintf(wishes->app ? "%s/apps/redis-server" : "%s/lab/workloads", cli_home());
    }
    return -1;
}

static int compare(struct bench *bench, const struct wishes *wishes) {
    struct results *r = &bench->results;
    int status = make_matrix(bench, wishes);

    if (status) {
        return status;
    }
    provenance_collect(bench);
    if (plan_run(bench)) {
        return cli_fail("nothing could be measured");
    }
    report_text(r, stdout);
    printf("\n%.0f s in all.\n", (double)(bench_now_ns() - bench->started_ns) / 1e9);
    status = report_write(wishes->json, report_json, r);
    status = status ? status : report_write(wishes->html, report_html, r);
    for (unsigned i = 0; i < r->system_count && !status; i++) {
        /* A missing comparison kernel is not our failure; it is in the notes. */
        if (r->system_dropped[i] && !bench_is_linux(r->systems[i])) {
            status = 1;
        }
    }
    return status ? status : r->failures ? 1 : 0;
}

static int measure_micro(struct bench *bench, const struct wishes *wishes) {
    /* The comparison with the file needs only ourselves. */
    int status = take_systems(bench, wishes, wishes->check ? ",qemu," : ",qemu,linux-vm,",
                              wishes->check ? ",qemu," : ",qemu,linux-vm,linux-lean,");

    return status ? status : micro_run(bench, wishes->check, wishes->keep);
}

static int measure_boots(struct bench *bench, const struct wishes *wishes) {
    unsigned cpus[RESULTS_MAX], count;
    int status = bench_numbers("--cpus", wishes->cpus, cpus, &count);

    status = status ? status
                    : take_systems(bench, wishes, ",qemu,linux-vm,", ",qemu,linux-vm,linux-lean,");
    return status ? status : start_run(bench, cpus, count, wishes->runs ? wishes->runs : RUNS);
}

static int measure_app(struct bench *bench, const struct wishes *wishes) {
    unsigned cpus[RESULTS_MAX];
    struct app_wishes app = { .net = wishes->net ? wishes->net : "user",
                              .tests = wishes->tests,
                              .cpus = cpus,
                              .quick = wishes->quick };
    bool counts = bench->icount;
    int status = bench_numbers("--cpus", wishes->cpus, cpus, &app.cpu_count);

    bench->cell_s = bench->cell_s > 0 ? bench->cell_s : wishes->quick ? 1 : 2;
    bench->results.rounds = wishes->runs              ? wishes->runs
                            : wishes->quick || counts ? RUNS_QUICK
                                                      : RUNS;
    status = status ? status
                    : take_systems(bench, wishes,
                                   counts ? ",qemu,linux-lean," : ",qemu,linux-lean,linux,",
                                   counts ? ",qemu,linux-lean," : ",qemu,linux-lean,linux,");
    status = status ? status
                    : take_heaps(bench, wishes,
                                 wishes->quick || counts ? "mimalloc"
                                                         : "buddy,buddy-page,mimalloc,musl");
    status = status ? status : take_baseline(&bench->results, wishes);
    status = status ? status : app_run(bench, &app);
    if (bench->results.cells && (report_write(wishes->json, report_json, &bench->results) ||
                                 report_write(wishes->html, report_server_html, &bench->results))) {
        return CLI_FAILED;
    }
    return status;
}

int cmd_bench(int argc, char **argv) {
    struct bench bench = {
        .memory = "512M",
        .timeout_s = 120,
        .budget_s = 165,
        .started_ns = bench_now_ns(),
    };
    struct wishes wishes = {
        .loads = "compute,cache-thrash,cache-scratch,larson",
        .cpus = "1,2",
        .threads = "1,2",
    };

    if (getrandom(&bench.seed, sizeof(bench.seed), 0) != sizeof(bench.seed)) {
        bench.seed = bench.started_ns;
    }
    bench.seed %= 1000000000;
    int status = take_command_line(&bench, &wishes, argc, argv);
    if (status < 0) {
        bench.random = bench.seed * 2654435761u + 1;
        bench.mimosa = xasprintf("%s/mimosa", cli_home());
        if (access(bench.program, X_OK)) {
            status = cli_fail("%s: %s%s", bench.program, strerror(errno),
                              bench.results.whole_program ? ""
                              : wishes.app                ? " (make redis builds it)"
                                                          : " (make lab builds it)");
        } else if (report_try(wishes.json) || report_try(wishes.html)) {
            status = CLI_FAILED;
        } else if (wishes.micro) {
            status = measure_micro(&bench, &wishes);
        } else if (wishes.boot) {
            status = measure_boots(&bench, &wishes);
        } else if (wishes.app) {
            status = measure_app(&bench, &wishes);
        } else {
            status = compare(&bench, &wishes);
        }
    }
    results_free(&bench.results);
    free(bench.program);
    free(bench.mimosa);
    return status;
}
