/* SPDX-License-Identifier: MIT */
/*
 * One boot of a machine under measurement, always by way of `mimosa run`, so
 * that a user can repeat each by hand.
 */
#include "cli/bench.h"

#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192u
#define ERRORS_KEPT    2048u /* the last bytes of standard error */

uint64_t bench_now_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void words_push(struct word_list *list, char *item) {
    list->items = xrealloc(list->items, (list->count + 2) * sizeof(*list->items));
    list->items[list->count++] = item;
    list->items[list->count] = NULL;
}

void words_release(struct word_list *list) {
    for (unsigned i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    list->items = NULL;
    list->count = 0;
}

static void push_option(struct word_list *list, const char *option, const char *value) {
    words_push(list, xstrdup(option));
    words_push(list, xstrdup(value));
}

bool bench_is_linux(const char *system) {
    return !strncmp(system, "linux-", strlen("linux-"));
}

const char *boot_machine(const struct bench *bench, const char *system) {
    /* `run` gives Linux a q35, whatever --machine says. */
    return bench_is_linux(system) ? "q35" : bench->machine ? bench->machine : "microvm";
}

void boot_command(const struct bench *bench, unsigned system, unsigned cpus, const char *heap,
                  struct word_list *list) {
    const char *on = bench->results.systems[system];
    bool machine = strcmp(on, "linux") != 0;

    words_push(list, xstrdup(bench->mimosa));
    words_push(list, xstrdup("run"));
    push_option(list, "--on", !strcmp(on, "mimosa") ? "qemu" : on);
    words_push(list, xstrdup("--cpus"));
    words_push(list, xasprintf("%u", cpus));
    if (heap) {
        push_option(list, "--heap", heap);
    }
    if (machine) {
        push_option(list, "--mem", bench->memory);
        /* The first touch of memory that the host has not given yet is ten times as slow. */
        if (bench->icount || !bench->lazy_memory) {
            words_push(list, xstrdup(bench->icount ? "--icount" : "--prealloc"));
        }
        if (bench->machine) {
            push_option(list, "--machine", bench->machine);
        }
        if (bench->linux_kernel && bench_is_linux(on)) {
            push_option(list, "--linux-kernel", bench->linux_kernel);
        }
        if (bench->populate && !strcmp(on, "mimosa")) {
            words_push(list, xstrdup("--populate"));
        }
    }
    for (char *const *option = bench->more_options; option && *option; option++) {
        words_push(list, xstrdup(*option));
    }
    words_push(list, xstrdup(bench->program));
}

/* Binds the calling process to the first `cpus` CPUs that it may use. */
static void pin(int cpus) {
    cpu_set_t may, set;

    if (sched_getaffinity(0, sizeof(may), &may)) {
        return;
    }
    CPU_ZERO(&set);
    /* From the top: CPU 0 is where a host's interrupts tend to go. */
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && cpus > 0; cpu--) {
        if (CPU_ISSET(cpu, &may)) {
            CPU_SET(cpu, &set);
            cpus--;
        }
    }
    sched_setaffinity(0, sizeof(set), &set);
}

static pid_t child_start(char *const *argv, int pin_cpus, int output[2], int errors[2]) {
    if (pipe2(output, O_CLOEXEC) || pipe2(errors, O_CLOEXEC)) {
        exit(cli_fail("pipe: %s", strerror(errno)));
    }
    pid_t pid = fork();
    if (pid < 0) {
        exit(cli_fail("fork: %s", strerror(errno)));
    }
    if (!pid) {
        /* Our end must be the end of the machine too. */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        dup2(null, 0);
        dup2(output[1], 1);
        dup2(errors[1], 2);
        if (pin_cpus) {
            pin(pin_cpus);
        }
        execvp(argv[0], argv);
        fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    close(output[1]);
    close(errors[1]);
    return pid;
}

/* Collects lines; `used` bytes of a line that has not ended yet. */
struct line_reader {
    char text[LINE_MAX_BYTES];
    size_t used;
};

/* False at the end of the stream. */
static bool read_lines(struct line_reader *reader, int fd, void (*line)(void *, char *),
                       void *context) {
    ssize_t got = read(fd, reader->text + reader->used, LINE_MAX_BYTES - 1 - reader->used);

    if (got <= 0) {
        return got < 0 && errno == EINTR;
    }
    reader->used += (size_t)got;
    reader->text[reader->used] = '\0';

    char *start = reader->text, *end;
    while ((end = strchr(start, '\n'))) {
        *end = '\0';
        if (line) {
            line(context, start);
        }
        start = end + 1;
    }
    reader->used -= (size_t)(start - reader->text);
    memmove(reader->text, start, reader->used);
    if (reader->used == LINE_MAX_BYTES - 1) {
        reader->used = 0; /* no line of ours is so long */
    }
    return true;
}

static bool read_errors(char *kept, size_t *used, int fd) {
    char piece[1024];
    ssize_t got = read(fd, piece, sizeof(piece));

    if (got <= 0) {
        return got < 0 && errno == EINTR;
    }
    if (*used + (size_t)got > ERRORS_KEPT) {
        size_t drop = *used + (size_t)got - ERRORS_KEPT;
        memmove(kept, kept + drop, *used - drop);
        *used -= drop;
    }
    memcpy(kept + *used, piece, (size_t)got);
    *used += (size_t)got;
    return true;
}

static int child_wait(pid_t pid, bool timed_out) {
    int status;

    if (timed_out) {
        kill(pid, SIGTERM); /* `mimosa run` takes its machine along */
        for (int i = 0; i < 20 && waitpid(pid, &status, WNOHANG) == 0; i++) {
            usleep(100000);
        }
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        return CLI_TIMEOUT;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int child_run(char *const *argv, int pin_cpus, unsigned timeout_s,
              void (*line)(void *context, char *text), void *context, char **errors) {
    struct line_reader *reader = xmalloc(sizeof(*reader));
    char *kept = xmalloc(ERRORS_KEPT + 1);
    size_t kept_bytes = 0;
    uint64_t deadline = bench_now_ns() + timeout_s * 1000000000ull;
    int output[2], error_pipe[2];
    bool timed_out = false;
    pid_t pid = child_start(argv, pin_cpus, output, error_pipe);
    struct pollfd poll_on[2] = { { output[0], POLLIN, 0 }, { error_pipe[0], POLLIN, 0 } };

    reader->used = 0;
    while (poll_on[0].fd >= 0 || poll_on[1].fd >= 0) {
        int64_t left_ms = ((int64_t)(deadline - bench_now_ns())) / 1000000;

        if (left_ms <= 0) {
            timed_out = true;
            break;
        }
        if (poll(poll_on, 2, (int)(left_ms < 1000 ? left_ms : 1000)) <= 0) {
            continue;
        }
        if (poll_on[0].revents && !read_lines(reader, output[0], line, context)) {
            poll_on[0].fd = -1;
        }
        if (poll_on[1].revents && !read_errors(kept, &kept_bytes, error_pipe[0])) {
            poll_on[1].fd = -1;
        }
    }
    int status = child_wait(pid, timed_out);
    close(output[0]);
    close(error_pipe[0]);
    free(reader);
    kept[kept_bytes] = '\0';
    if (errors) {
        *errors = kept;
    } else {
        free(kept);
    }
    return status;
}

static const char *json_value(const char *line, const char *key) {
    size_t length = strlen(key);

    for (const char *at = strchr(line, '"'); at; at = strchr(at + 1, '"')) {
        if (!strncmp(at + 1, key, length) && at[length + 1] == '"' && at[length + 2] == ':') {
            return at + length + 3;
        }
    }
    return NULL;
}

bool json_number(const char *line, const char *key, double *value) {
    const char *text = json_value(line, key);
    char *end;

    if (!text) {
        return false;
    }
    *value = strtod(text, &end);
    return end != text;
}

bool json_text(const char *line, const char *key, char *text, size_t bytes) {
    const char *value = json_value(line, key);

    if (!value || *value != '"') {
        return false;
    }
    size_t length = strcspn(value + 1, "\"");
    if (length >= bytes) {
        return false;
    }
    memcpy(text, value + 1, length);
    text[length] = '\0';
    return true;
}

/* What the line callback works on. */
struct collector {
    struct bench *bench;
    const struct boot *boot;
    unsigned round, next; /* the cell whose line comes next */
    double cells_s;
    char *error;
};

static void collect_line(void *context, char *text) {
    struct collector *c = context;
    struct bench *bench = c->bench;
    struct sample *sample;
    double number, operations, threads;
    char name[64], heap[64];

    if (*text != '{' || !json_text(text, "workload", name, sizeof(name)) || c->error) {
        return;
    }
    if (c->next >= c->boot->cell_count) {
        c->error = xstrdup("more samples than cells");
        return;
    }
    const struct boot_cell *cell = &c->boot->cells[c->next++];
    const char *wanted = bench->results.heaps[cell->heap];
    if (strcmp(name, bench->results.loads[cell->load]) || !json_number(text, "threads", &threads) ||
        (unsigned)threads != bench->results.shapes[cell->shape].threads ||
        !json_number(text, "ns", &number) || number <= 0 ||
        !json_number(text, "operations", &operations) ||
        !json_text(text, "heap", heap, sizeof(heap))) {
        c->error = xasprintf("unexpected sample: %.200s", text);
        return;
    }
    if (strcmp(heap, wanted)) {
        c->error = xasprintf("asked for heap %s, got %s", wanted, heap);
        return;
    }
    c->cells_s += number / 1e9;
    sample = &results_cell(&bench->results, c->boot->system, cell->heap, cell->load, cell->shape)
                  ->samples[c->round];
    sample->seconds = number / 1e9;
    sample->rate = operations / sample->seconds;
    json_number(text, "latency_p50_ns", &sample->p50_ns);
    json_number(text, "latency_p99_ns", &sample->p99_ns);
    json_number(text, "faults", &sample->faults);
    json_number(text, "peak_rss_kib", &sample->peak_rss_kib);
    free(sample->line);
    sample->line = xstrdup(text);
}

static bool load_knows(const char *load, const char *parameter) {
    static const struct {
        const char *load, *keys;
    } known[] = {
        { "cache-thrash", " size repetitions " },
        { "cache-scratch", " size repetitions " },
        { "larson", " min max slots generations " },
        { "compute", " steps " },
        { "faults", " stride huge " },
        { "echo", " bytes " },
    };
    char key[64];

    snprintf(key, sizeof(key), " %.*s ", (int)strcspn(parameter, "="), parameter);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!strcmp(known[i].load, load) && strstr(known[i].keys, key)) {
            return true;
        }
    }
    return false;
}

static void push_cells(const struct bench *bench, const struct boot *boot, unsigned round,
                       struct word_list *list) {
    const struct results *r = &bench->results;
    int heap = boot->heap;

    for (unsigned i = 0; i < boot->cell_count; i++) {
        const struct boot_cell *cell = &boot->cells[i];

        if ((int)cell->heap != heap) {
            heap = (int)cell->heap;
            words_push(list, xasprintf("heap=%s", r->heaps[heap]));
        }
        words_push(list, xstrdup(r->loads[cell->load]));
        words_push(list, xasprintf("threads=%u", r->shapes[cell->shape].threads));
        words_push(list,
                   xasprintf("ops=%" PRIu64, bench_operations(bench, boot->system, cell->load)));
        words_push(list, xasprintf("seed=%" PRIu64, bench->seed % 1000 + round + 1));
        for (unsigned p = 0; p < bench->parameter_count; p++) {
            if (load_knows(r->loads[cell->load], bench->parameters[p])) {
                words_push(list, xstrdup(bench->parameters[p]));
            }
        }
    }
}

static void push_own_arguments(const struct bench *bench, unsigned threads,
                               struct word_list *list) {
    for (char **argument = bench->program_arguments; argument && *argument; argument++) {
        char *mark = strstr(*argument, "{threads}");

        words_push(list, mark ? xasprintf("%.*s%u%s", (int)(mark - *argument), *argument, threads,
                                          mark + strlen("{threads}"))
                              : xstrdup(*argument));
    }
}

/* The last line that is not empty, for a message. */
static const char *last_line(char *text) {
    size_t length = strlen(text);

    while (length && (text[length - 1] == '\n' || text[length - 1] == '\r')) {
        text[--length] = '\0';
    }
    char *newline = strrchr(text, '\n');
    return newline ? newline + 1 : text;
}

int boot_run(struct bench *bench, const struct boot *boot, unsigned round, double *wall_s,
             double *cells_s, char **error) {
    struct results *r = &bench->results;
    struct collector collector = { .bench = bench, .boot = boot, .round = round };
    struct word_list command = { 0 };
    bool plain = !strcmp(r->systems[boot->system], "linux");
    char *errors;

    boot_command(bench, boot->system, boot->cpus, boot->heap >= 0 ? r->heaps[boot->heap] : NULL,
                 &command);
    if (r->whole_program) {
        push_own_arguments(bench, r->shapes[boot->cells[0].shape].threads, &command);
    } else {
        push_cells(bench, boot, round, &command);
    }
    uint64_t begin = bench_now_ns();
    int status = child_run(command.items, plain ? (int)boot->cpus : 0, bench->timeout_s,
                           r->whole_program ? NULL : collect_line, &collector, &errors);
    *wall_s = (double)(bench_now_ns() - begin) / 1e9;
    *cells_s = collector.cells_s;
    words_release(&command);

    if (r->whole_program && !status) {
        const struct boot_cell *cell = &boot->cells[0];
        struct sample *sample =
            &results_cell(r, boot->system, cell->heap, cell->load, cell->shape)->samples[round];
        sample->seconds = *wall_s;
        sample->rate = 1 / *wall_s;
    }
    *error = collector.error;
    if (!*error && status == CLI_TIMEOUT) {
        *error = xasprintf("no end after %u s", bench->timeout_s);
    } else if (!*error && (status || (!r->whole_program && collector.next < boot->cell_count))) {
        *error = xasprintf("status %d after %u of %u cells: %s", status, collector.next,
                           boot->cell_count, last_line(errors));
    }
    free(errors);
    return *error ? -1 : 0;
}
