/* SPDX-License-Identifier: MIT */
/*
 * One load of `bench --app redis`: Debian's redis-benchmark, an eighth of the
 * work first to warm up.  The first cell of a system and load finds out how
 * many requests make a cell; from then on all do the same number.
 *
 * Instructions: counted in QEMU (lab/vm/count.c) from outside, for a quarter of
 * the requests and then for all of them.  The difference by the difference is
 * a request's: what connecting and redis-benchmark's questions cost is in both.
 */
#include "cli/bench_app_impl.h"

#include "cli/commands.h"
#include "cli/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS          50u
#define KEYS             10000u /* that random keys, members and fields are taken from */
#define CALIBRATE        500u   /* requests, times the pipeline */
#define LEAST            1000.0
#define LIST_MEMORY_PART 6.0 /* lists that grow take this part of the memory at most */
#define ITEM_OVERHEAD    64.0
#define FILL_KEYS        1e6
#define FILL_KEY_BYTES   750.0 /* mean, after the churn */
#define FILL_MEMORY_PART 0.45
#define FILL_STEP        10000u /* keys of one script */

/* ---- redis-benchmark ---- */

/* What one run of redis-benchmark printed, in its own units. */
struct client {
    double rate, p50_ms, p99_ms, p999_ms, most_ms;
    bool in_percentiles, summary_follows, found;
    const char *test;
};

/* The last carriage return begins what remains on a terminal. */
static void take_client_line(void *context, char *text) {
    struct client *client = context;
    double number, percent;

    text = strrchr(text, '\r') ? strrchr(text, '\r') + 1 : text;
    if (!strncmp(text, "====== ", 7)) {
        /* LRANGE fills its list first and says so; that is not the one that was asked for. */
        size_t length = strlen(client->test);
        client->found = !strncasecmp(text + 7, client->test, length) && text[7 + length] == ' ' &&
                        !strstr(text, "needed to");
    }
    if (!client->found) {
        return;
    }
    if (strstr(text, "Latency by percentile")) {
        client->in_percentiles = true;
    } else if (strstr(text, "Cumulative distribution")) {
        client->in_percentiles = false;
    } else if (client->in_percentiles && client->p999_ms <= 0 &&
               sscanf(text, "%lf%% <= %lf", &percent, &number) == 2 && percent >= 99.9) {
        client->p999_ms = number;
    } else if (sscanf(text, " throughput summary: %lf", &number) == 1) {
        client->rate = number;
    } else if (sscanf(text, " %*f %*f %lf %*f %lf %lf", &client->p50_ms, &client->p99_ms,
                      &client->most_ms) == 3) {
        client->summary_follows = false;
    }
}

static void push_number(struct word_list *list, const char *option, unsigned long number) {
    words_push(list, xstrdup(option));
    words_push(list, xasprintf("%lu", number));
}

static int run_client(const struct app *app, const struct server *server,
                      const struct request *request, double count, struct client *client,
                      char **error) {
    struct word_list list = { 0 };
    char *errors;

    *client = (struct client){ .test = request->test };
    words_push(&list, xstrdup("redis-benchmark"));
    words_push(&list, xstrdup("-h"));
    words_push(&list, xstrdup(server->host));
    push_number(&list, "-p", server->port);
    words_push(&list, xstrdup("-t"));
    words_push(&list, xstrdup(request->test));
    push_number(&list, "-n", (unsigned long)count);
    push_number(&list, "-c", CLIENTS);
    push_number(&list, "-P", request->pipeline);
    push_number(&list, "-d", request->bytes);
    push_number(&list, "-r", KEYS);
    words_push(&list, xstrdup("--precision"));
    words_push(&list, xstrdup("3"));
    int status = child_run(list.items, 0, app->bench->timeout_s, take_client_line, client, &errors);
    words_release(&list);
    if (status || client->rate <= 0 || client->p50_ms <= 0) {
        errors[strcspn(errors, "\n")] = '\0';
        *error = app_interrupted()       ? xstrdup("interrupted")
                 : status == CLI_TIMEOUT ? xasprintf("no end after %u s", app->bench->timeout_s)
                                         : xasprintf("redis-benchmark: status %d: %s", status,
                                                     *errors ? errors : "nothing measured");
    }
    free(errors);
    return *error ? -1 : 0;
}

/* ---- scripts in the server ---- */

/* Runs a script that takes two numbers and a third: 0, or -1 with *error set. */
static int run_script(const struct server *server, const char *script, double first, double last,
                      unsigned bytes, char **error) {
    char numbers[3][24];

    snprintf(numbers[0], sizeof(numbers[0]), "%.0f", first);
    snprintf(numbers[1], sizeof(numbers[1]), "%.0f", last);
    snprintf(numbers[2], sizeof(numbers[2]), "%u", bytes);
    const char *const words[] = { "EVAL", script, "0", numbers[0], numbers[1], numbers[2], NULL };
    char *reply = server_ask(server, words, error);
    free(reply);
    return reply ? 0 : -1;
}

static double memory_bytes(const struct app *app) {
    uint64_t bytes = 0;

    (void)size_parse(app->bench->memory, &bytes); /* the options are checked */
    return (double)bytes;
}

/* Gives a load what it asks about: GET finds all keys, LPOP a list long enough. */
static int prepare(const struct server *server, const struct request *request, double count,
                   char **error) {
    static const char *const flush[] = { "FLUSHALL", NULL };
    static const char keys[] =
        "local v = string.rep('x', ARGV[3]) for i = ARGV[1], ARGV[2] do "
        "redis.call('SET', string.format('key:%012d', i), v) end return 'OK'";
    static const char list[] = "local v = string.rep('x', ARGV[3]) for i = ARGV[1], ARGV[2] do "
                               "redis.call('LPUSH', 'mylist', v) end return 'OK'";
    char *reply = server_ask(server, flush, error);

    free(reply);
    if (!reply) {
        return -1;
    }
    if (!strcmp(request->test, "get")) {
        return run_script(server, keys, 0, KEYS - 1, request->bytes, error);
    }
    for (double i = 0; !strcmp(request->test, "lpop") && i < count; i += FILL_STEP) {
        if (run_script(server, list, 1, FILL_STEP, request->bytes, error)) {
            return -1;
        }
    }
    return 0;
}

/* ---- a cell ---- */

static bool grows_list(const char *test) {
    return !strcmp(test, "lpush") || !strcmp(test, "lpop") || !strncmp(test, "lrange", 6);
}

/* The value with its first two digits, and not too little to say anything. */
static double two_digits(double count) {
    double scale = 1;

    while (count / scale >= 100) {
        scale *= 10;
    }
    count = (double)(uint64_t)(count / scale) * scale;
    return count > LEAST ? count : LEAST;
}

/* Requests of a cell, from the rate of a few, and then of a quarter of what those promise. */
static double settle_count(struct app *app, const struct server *server, unsigned system,
                           unsigned load, char **error) {
    const struct request *request = &app->requests[load];
    double *operations = &app->bench->results.operations[system][load];
    double most = memory_bytes(app) / LIST_MEMORY_PART / (request->bytes + ITEM_OVERHEAD);
    double count = CALIBRATE * request->pipeline;
    struct client client;

    for (int i = 0; i < 2 && *operations <= 0; i++) {
        if (prepare(server, request, count, error) ||
            run_client(app, server, request, count, &client, error)) {
            return 0;
        }
        count = client.rate * app->bench->cell_s;
        count = grows_list(request->test) && count > most ? most : count;
        if (i) {
            *operations = two_digits(count);
        }
        count = two_digits(count / 4);
    }
    return *operations;
}

static struct app_counts counts_now(const struct server *server) {
    return server->counts ? (struct app_counts){ server->counts->kernel, server->counts->user }
                          : (struct app_counts){ 0, 0 };
}

static void file_sample(const struct app *app, const struct client *client, double count,
                        struct sample *sample) {
    double kernel = sample->kernel_instructions, user = sample->user_instructions;

    sample->rate = client->rate;
    sample->seconds = count / client->rate;
    sample->p50_ns = client->p50_ms * 1e6;
    sample->p99_ns = client->p99_ms * 1e6;
    sample->p999_ns = client->p999_ms * 1e6;
    free(sample->line);
    sample->line = xasprintf(
        "{\"requests\": %.0f, \"rps\": %.2f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
        "\"p999_ms\": %.3f, \"max_ms\": %.3f",
        count, client->rate, client->p50_ms, client->p99_ms, client->p999_ms, client->most_ms);
    char *end = app->counting ? xasprintf("%s, \"kernel_instructions\": %.1f, "
                                          "\"user_instructions\": %.1f}",
                                          sample->line, kernel, user)
                              : xasprintf("%s}", sample->line);
    free(sample->line);
    sample->line = end;
}

static int measure_requests(struct app *app, const struct server *server, unsigned system,
                            unsigned load, struct sample *sample, char **error) {
    const struct request *request = &app->requests[load];
    double count = settle_count(app, server, system, load, error);
    double before = (double)(uint64_t)(count / (app->counting ? 4 : 8));
    struct client client;

    if (count <= 0 || prepare(server, request, before + count, error)) {
        return -1;
    }
    struct app_counts start = counts_now(server);
    if (run_client(app, server, request, before, &client, error)) {
        return -1;
    }
    struct app_counts middle = counts_now(server);
    if (run_client(app, server, request, count, &client, error)) {
        return -1;
    }
    struct app_counts end = counts_now(server);
    if (app->counting) {
        double requests = count - before;
        sample->kernel_instructions =
            ((double)(end.kernel - middle.kernel) - (double)(middle.kernel - start.kernel)) /
            requests;
        sample->user_instructions =
            ((double)(end.user - middle.user) - (double)(middle.user - start.user)) / requests;
    }
    file_sample(app, &client, count, sample);
    return 0;
}

/* ---- memory ---- */

static double info_number(const char *info, const char *key) {
    const char *at = strstr(info, key);

    return at ? strtod(at + strlen(key), NULL) : 0;
}

static int read_memory(const struct server *server, double keys, double seconds,
                       struct sample *sample, char **error) {
    static const char *const words[] = { "INFO", "memory", NULL };
    char *info = server_ask(server, words, error);

    if (!info) {
        return -1;
    }
    double resident = info_number(info, "\nused_memory_rss:");
    double used = info_number(info, "\nused_memory:");
    sample->fragmentation = info_number(info, "\nmem_fragmentation_ratio:");
    sample->peak_rss_kib = resident / 1024;
    sample->seconds = seconds;
    sample->rate = 2 * keys / seconds; /* made, half of them deleted, half made anew */
    free(sample->line);
    sample->line = xasprintf("{\"keys\": %.0f, \"seconds\": %.3f, \"used_memory\": %.0f, "
                             "\"used_memory_rss\": %.0f, \"mem_fragmentation_ratio\": %.3f}",
                             keys, seconds, used, resident, sample->fragmentation);
    free(info);
    return 0;
}

/*
 * Keys of mixed size, every second deleted, as many of half as much again: what
 * is left when small holes cannot hold what is asked for.  The server does it
 * to itself, so that only its heap counts.
 */
static int measure_churn(struct app *app, const struct server *server, struct sample *sample,
                         char **error) {
    static const char *const scripts[] = {
        "for i = ARGV[1], ARGV[2] do redis.call('SET', 'k' .. i, "
        "string.rep('x', 16 + i * 7919 % 1009)) end return 'OK'",
        "for i = ARGV[1], ARGV[2], 2 do redis.call('DEL', 'k' .. i) end return 'OK'",
        "for i = ARGV[1], ARGV[2], 2 do redis.call('SET', 'n' .. i, "
        "string.rep('y', 24 + i * 7919 % 1513)) end return 'OK'",
    };
    static const char *const flush[] = { "FLUSHALL", NULL };
    double keys = memory_bytes(app) * FILL_MEMORY_PART / FILL_KEY_BYTES;
    char *reply = server_ask(server, flush, error);

    free(reply);
    if (!reply) {
        return -1;
    }
    keys = (keys < FILL_KEYS ? keys : FILL_KEYS) / (app->quick ? 4 : 1);
    keys = keys < FILL_STEP ? FILL_STEP : (double)(uint64_t)(keys / FILL_STEP) * FILL_STEP;
    uint64_t begin_ns = bench_now_ns();
    for (size_t s = 0; s < sizeof(scripts) / sizeof(scripts[0]); s++) {
        for (double i = 0; i < keys; i += FILL_STEP) {
            if (run_script(server, scripts[s], i, i + FILL_STEP - 1, 0, error)) {
                return -1;
            }
        }
    }
    return read_memory(server, keys, (double)(bench_now_ns() - begin_ns) / 1e9, sample, error);
}

int cell_measure(struct app *app, const struct server *server, unsigned system, unsigned load,
                 struct sample *sample, char **error) {
    *error = NULL;
    return app->requests[load].test ? measure_requests(app, server, system, load, sample, error)
                                    : measure_churn(app, server, sample, error);
}
