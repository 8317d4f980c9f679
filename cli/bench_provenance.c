/* SPDX-License-Identifier: MIT */
/* Where the figures come from: what a reader needs to repeat or doubt them. */
#include "cli/bench.h"

#include "cli/commands.h"
#include "cli/initrd.h"
#include "cli/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define TOOL_TIMEOUT_S 10u

/* Of these sources when they were built, "-dirty" after changes; "" where no git knew. */
#ifndef MIMOSA_COMMIT
#define MIMOSA_COMMIT ""
#endif

struct first_line {
    char text[256];
};

static void keep_first(void *context, char *text) {
    struct first_line *first = context;

    if (!first->text[0]) {
        snprintf(first->text, sizeof(first->text), "%.255s", text);
    }
}

/* The first line a command prints, as a fact; no fact when it fails. */
void provenance_first_line(struct bench *bench, const char *key, char *const *argv) {
    struct first_line first = { "" };

    if (!child_run(argv, 0, TOOL_TIMEOUT_S, keep_first, &first, NULL) && first.text[0]) {
        results_fact(&bench->results, key, first.text);
    }
}

static void fact_from_shell(struct bench *bench, const char *key, const char *command) {
    char *copy = xstrdup(command), *shell = xstrdup("sh"), *flag = xstrdup("-c");
    char *argv[] = { shell, flag, copy, NULL };

    provenance_first_line(bench, key, argv);
    free(copy);
    free(shell);
    free(flag);
}

static void fact_hash(struct bench *bench, const char *key, const char *path) {
    char *tool = xstrdup("sha256sum"), *end = xstrdup("--"), *file = xstrdup(path);
    char *argv[] = { tool, end, file, NULL };

    struct first_line first = { "" };

    if (!access(path, R_OK) && !child_run(argv, 0, TOOL_TIMEOUT_S, keep_first, &first, NULL)) {
        first.text[strcspn(first.text, " ")] = '\0'; /* the path is of no use elsewhere */
        results_fact(&bench->results, key, first.text);
    }
    free(tool);
    free(end);
    free(file);
}

/* The first line of a file. */
static void fact_file(struct bench *bench, const char *key, const char *path) {
    FILE *from = fopen(path, "r");
    char line[256];

    if (from) {
        if (fgets(line, sizeof(line), from)) {
            line[strcspn(line, "\n")] = '\0';
            results_fact(&bench->results, key, line);
        }
        fclose(from);
    }
}

/* Ends in the middle of a fact rather than beyond `bytes`. */
static void append(char *text, size_t bytes, const char *format, const char *word) {
    size_t used = strlen(text);

    snprintf(text + used, bytes - used, format, word);
}

static void fact_options(struct bench *bench) {
    char text[512] = "";

    append(text, sizeof(text), "--mem %s", bench->memory);
    if (bench->machine) {
        append(text, sizeof(text), " --machine %s", bench->machine);
    }
    append(text, sizeof(text), "%s", bench->populate ? " --populate" : "");
    append(text, sizeof(text), "%s", bench->icount ? " --icount" : " --prealloc");
    for (unsigned i = 0; i < bench->parameter_count; i++) {
        append(text, sizeof(text), " --param %s", bench->parameters[i]);
    }
    results_fact(&bench->results, "options", text);
}

/* A comparison kernel. */
static void fact_linux(struct bench *bench, const char *system) {
    char *folder = bench->linux_kernel ? NULL : linux_find(system);
    char *key = xasprintf("%s kernel", system), *hash = xasprintf("%s kernel sha256", system);

    if (bench->linux_kernel) {
        fact_hash(bench, hash, bench->linux_kernel);
    } else if (folder) {
        char *version = xasprintf("%s/version", folder);
        char *kernel = xasprintf("%s/vmlinuz", folder);

        fact_file(bench, key, version);
        fact_hash(bench, hash, kernel);
        free(version);
        free(kernel);
        free(folder);
    }
    free(key);
    free(hash);
}

/* What the machines are, and in what they run. */
static void fact_machines(struct bench *bench) {
    struct results *r = &bench->results;
    char *version[] = { xstrdup(machine_qemu()), xstrdup("--version"), NULL };
    bool kvm = !bench->icount && machine_kvm_usable();

    for (unsigned i = 0; i < r->system_count; i++) {
        char *key = xasprintf("machine of %s", r->systems[i]);

        if (!strcmp(r->systems[i], "linux")) {
            results_fact(r, key, "none: a process of the host");
        } else {
            results_fact(r, key, boot_machine(bench, r->systems[i]));
        }
        free(key);
    }
    results_fact(r, "accelerator",
                 kvm             ? "kvm"
                 : bench->icount ? "tcg, one thread, counting instructions"
                                 : "tcg, one thread for each CPU");
    provenance_first_line(bench, "qemu", version);
    free(version[0]);
    free(version[1]);
}

/* What the programs see beside MIMOSA_HEAP: MIMALLOC_* of this shell is not among it. */
static void fact_environment(struct bench *bench) {
    struct run_options options = { .cpus = 0 };
    struct words environment;
    char text[512] = "";

    environment_build(&options, &environment);
    for (size_t i = 0; i < environment.count; i++) {
        if (strncmp(environment.items[i], "TERM=", 5) != 0) { /* no child has a terminal */
            append(text, sizeof(text), *text ? " %s" : "%s", environment.items[i]);
        }
        free(environment.items[i]);
    }
    free(environment.items);
    results_fact(&bench->results, "environment of the program", text);
}

static void fact_programs(struct bench *bench) {
    struct run_options options = { .cpus = 0 };
    char *version[] = { bench->program, xstrdup("--version"), NULL };
    char *mimalloc = xasprintf("%s/heaps/mimalloc.version", cli_home());
    char *kernel = kernel_find(&options);

    fact_hash(bench, "program sha256", bench->program);
    if (!bench->results.whole_program) {
        provenance_first_line(bench, "program", version);
    }
    fact_file(bench, "mimalloc (MI_MALLOC_VERSION)", mimalloc);
    if (kernel) {
        fact_hash(bench, "kernel sha256", kernel);
    }
    for (unsigned i = 0; i < bench->results.system_count; i++) {
        if (bench_is_linux(bench->results.systems[i])) {
            fact_linux(bench, bench->results.systems[i]);
        }
    }
    free(kernel);
    free(mimalloc);
    free(version[1]);
}

void provenance_collect(struct bench *bench) {
    struct results *r = &bench->results;
    char text[128];
    struct utsname host;
    time_t now = time(NULL);

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    results_fact(r, "date", text);
    results_fact(r, "mimosa", MIMOSA_VERSION);
    if (*MIMOSA_COMMIT) {
        results_fact(r, "commit", MIMOSA_COMMIT);
    }
    snprintf(text, sizeof(text), "%llu", (unsigned long long)bench->seed);
    results_fact(r, "seed", text);
    fact_options(bench);
    fact_programs(bench);
    fact_environment(bench);
    fact_machines(bench);
    fact_from_shell(bench, "cpu", "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo");
    snprintf(text, sizeof(text), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    results_fact(r, "cpus of the host", text);
    if (!uname(&host)) {
        snprintf(text, sizeof(text), "%.40s %.60s", host.sysname, host.release);
        results_fact(r, "host kernel", text);
    }
    fact_from_shell(bench, "load at the start", "cat /proc/loadavg");
}
