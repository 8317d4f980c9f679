/* SPDX-License-Identifier: MIT */
/*
 * The workloads program: runs the cells named on its command line, in order.
 *
 *     workloads WORKLOAD [key=value]... [WORKLOAD [key=value]...]...
 *
 * A word without '=' starts a cell.  `heap=NAME` between cells means: the
 * cells that follow run on that heap.  A heap is chosen once in the life of a
 * process, so this replaces the process by itself (execve), which an operating
 * system without execve refuses; there the runner boots once for each heap.
 */
#include "lab/harness/harness.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static const struct workload *const workloads[] = {
    &workload_cache_thrash, &workload_cache_scratch, &workload_larson, &workload_compute,
    &workload_faults,       &workload_echo,          &workload_micro,
};

#define WARM_DEFAULT 4
#define WARM_MOST    1000

#define WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

static void print_help(FILE *to) {
    fputs("usage: workloads WORKLOAD [key=value]... [WORKLOAD [key=value]...]...\n"
          "\n"
          "Runs each workload and prints one line of JSON for it.  For all of them:\n"
          "  threads=1      threads that share the work\n"
          "  ops=N          operations, of all threads together\n"
          "  seed=1         of the random numbers\n"
          "  warm=4         times that a sixteenth of it is done before, untimed\n"
          "  heap=NAME      before a workload: the heap for what follows (execve)\n",
          to);
    for (size_t i = 0; i < WORKLOADS; i++) {
        fprintf(to, "\n%s: %s\n", workloads[i]->name, workloads[i]->summary);
        fprintf(to, "  %s=%" PRIu64 "\n", "ops", workloads[i]->operations);
        for (const struct parameter *p = workloads[i]->parameters; p->name; p++) {
            fprintf(to, "  %s=%" PRIu64 "  %s\n", p->name, p->value, p->help);
        }
    }
}

static int fail(const char *what, const char *which) {
    fprintf(stderr, "workloads: %s '%s' (workloads --help lists what there is)\n", what, which);
    return 2;
}

static const struct workload *workload_find(const char *name) {
    for (size_t i = 0; i < WORKLOADS; i++) {
        if (!strcmp(workloads[i]->name, name)) {
            return workloads[i];
        }
    }
    return NULL;
}

static void job_defaults(struct job *job, const struct workload *workload) {
    memset(job, 0, sizeof(*job));
    job->workload = workload;
    job->threads = 1;
    job->operations = workload->operations;
    job->seed = 1;
    job->warm = WARM_DEFAULT;
    for (unsigned i = 0; workload->parameters[i].name; i++) {
        job->values[i] = workload->parameters[i].value;
    }
}

/* 0, or -EINVAL for an unknown name or a value that is no number. */
static int job_set(struct job *job, const char *setting) {
    const char *equals = strchr(setting, '=');
    size_t length = (size_t)(equals - setting);
    char *end;
    uint64_t value = strtoull(equals + 1, &end, 0);

    if (end == equals + 1 || *end) {
        return -EINVAL;
    }
    if (!strncmp(setting, "threads=", 8)) {
        job->threads = (unsigned)value;
        return value >= 1 && value <= JOB_MAX_THREADS ? 0 : -EINVAL;
    }
    if (!strncmp(setting, "ops=", 4)) {
        job->operations = value;
        return value ? 0 : -EINVAL;
    }
    if (!strncmp(setting, "seed=", 5)) {
        job->seed = value;
        return 0;
    }
    if (!strncmp(setting, "warm=", 5)) {
        job->warm = (unsigned)value;
        return value <= WARM_MOST ? 0 : -EINVAL;
    }
    for (unsigned i = 0; job->workload->parameters[i].name; i++) {
        const char *name = job->workload->parameters[i].name;
        if (strlen(name) == length && !strncmp(name, setting, length)) {
            job->values[i] = value;
            return 0;
        }
    }
    return -EINVAL;
}

/*
 * Goes on with `argv` on another heap.  Returns only when that is not needed
 * (0) or not possible (a negative errno).
 */
static int heap_switch(const char *heap, char **argv) {
    const char *current = getenv("MIMOSA_HEAP");
    const char *self = (const char *)getauxval(AT_EXECFN);
    extern char **environ;

    if (current && !strcmp(current, heap)) {
        return 0;
    }
    if (setenv("MIMOSA_HEAP", heap, 1)) {
        return -ENOMEM;
    }
    fflush(NULL);
    execve(self, argv, environ);
    return -errno;
}

int main(int argc, char **argv) {
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        print_help(stdout);
        return 0;
    }
    if (argc > 1 && !strcmp(argv[1], "--version")) {
        puts("workloads " MIMOSA_VERSION ", compiler " __VERSION__);
        return 0;
    }
    for (int at = 1; at < argc;) {
        if (!strncmp(argv[at], "heap=", 5)) {
            const char *heap = argv[at] + 5;

            argv[at] = argv[0];
            int error = heap_switch(heap, argv + at);
            if (error) {
                fprintf(stderr, "workloads: cannot start again with heap %s: %s\n", heap,
                        strerror(-error));
                return 1;
            }
            at++;
            continue;
        }

        const struct workload *workload = workload_find(argv[at]);
        struct job job;
        if (!workload) {
            return fail("there is no workload", argv[at]);
        }
        job_defaults(&job, workload);
        while (++at < argc && strchr(argv[at], '=') && strncmp(argv[at], "heap=", 5)) {
            if (job_set(&job, argv[at])) {
                return fail("cannot use the parameter", argv[at]);
            }
        }
        int error = job_run(&job);
        if (error) {
            fprintf(stderr, "workloads: %s: %s\n", workload->name, strerror(-error));
            return 1;
        }
    }
    return 0;
}
