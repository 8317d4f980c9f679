/* SPDX-License-Identifier: MIT */
/* Where the figures come from: what a reader needs to repeat or doubt them. */
#include "cli/bench.h"

#include "cli/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define TOOL_TIMEOUT_S 10u

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
static void fact_from(struct bench *bench, const char *key, char *const *argv) {
    struct first_line first = { "" };

    if (!child_run(argv, 0, TOOL_TIMEOUT_S, keep_first, &first, NULL) && first.text[0]) {
        results_fact(&bench->results, key, first.text);
    }
}

static void fact_from_shell(struct bench *bench, const char *key, const char *command) {
    char *copy = xstrdup(command), *shell = xstrdup("sh"), *flag = xstrdup("-c");
    char *argv[] = { shell, flag, copy, NULL };

    fact_from(bench, key, argv);
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

static void fact_options(struct bench *bench) {
    struct results *r = &bench->results;
    char text[512];
    int used = snprintf(text, sizeof(text), "--mem %s%s%s%s%s", bench->memory,
                        bench->machine ? " --machine " : "", bench->machine ? bench->machine : "",
                        bench->populate ? " --populate" : "", bench->icount ? " --icount" : " --prealloc");

    for (unsigned i = 0; i < bench->parameter_count && used < (int)sizeof(text); i++) {
        used +=
            snprintf(text + used, sizeof(text) - (size_t)used, " --param %s", bench->parameters[i]);
    }
    results_fact(r, "options", text);
}

/* The comparison kernel: where `run` finds it too. */
static void fact_linux(struct bench *bench) {
    const char *cache = getenv("MIMOSA_CACHE");
    char *folders[] = {
        cache && *cache ? xasprintf("%s/linux-vm", cache) : NULL,
        xasprintf("%s/../.cache/linux-vm", cli_home()),
        xstrdup(".cache/linux-vm"),
    };
    bool found = false;

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        char *version = xasprintf("%s/version", folders[i] ? folders[i] : "");

        if (!found && folders[i] && !access(version, R_OK)) {
            char *kernel = xasprintf("%s/vmlinuz", folders[i]);
            fact_file(bench, "linux-vm kernel", version);
            fact_hash(bench, "linux-vm kernel sha256", kernel);
            free(kernel);
            found = true;
        }
        free(version);
        free(folders[i]);
    }
}

void provenance_collect(struct bench *bench) {
    struct results *r = &bench->results;
    char *kernel = xasprintf("%s/mimosa-kernel", cli_home());
    char text[128];
    struct utsname host;
    time_t now = time(NULL);
    char *version[] = { bench->program, xstrdup("--version"), NULL };

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    results_fact(r, "date", text);
    results_fact(r, "mimosa", MIMOSA_VERSION);
    fact_from_shell(bench, "commit",
                    "git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null");
    snprintf(text, sizeof(text), "%llu", (unsigned long long)bench->seed);
    results_fact(r, "seed", text);
    fact_options(bench);
    fact_hash(bench, "program sha256", bench->program);
    if (!r->whole_program) {
        fact_from(bench, "program", version);
    }
    fact_hash(bench, "kernel sha256", kernel);
    if (bench->linux_kernel) {
        fact_hash(bench, "linux-vm kernel sha256", bench->linux_kernel);
    } else {
        fact_linux(bench);
    }
    fact_from_shell(bench, "cpu", "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo");
    snprintf(text, sizeof(text), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    results_fact(r, "cpus of the host", text);
    if (!uname(&host)) {
        snprintf(text, sizeof(text), "%.40s %.60s", host.sysname, host.release);
        results_fact(r, "host kernel", text);
    }
    fact_from_shell(bench, "load at the start", "cat /proc/loadavg");
    fact_from_shell(bench, "qemu", "qemu-system-x86_64 --version");
    char *mimalloc = xasprintf("%s/heaps/mimalloc.version", cli_home());
    fact_file(bench, "mimalloc (MI_MALLOC_VERSION)", mimalloc);
    free(mimalloc);
    free(kernel);
    free(version[1]);
}
