/* SPDX-License-Identifier: MIT */
/*
 * `mimosa bench --app`: what its parts share.
 *
 *   bench_app.c         the matrix, the order of events
 *   bench_app_cell.c    one load: redis-benchmark, or scripts within the server
 *   bench_app_server.c  a server in a machine or as a process, and talking to it
 */
#ifndef CLI_BENCH_APP_IMPL_H
#define CLI_BENCH_APP_IMPL_H

#include "cli/bench.h"

#include <sys/types.h>

/* What a load asks of the server. */
struct request {
    const char *test; /* redis-benchmark's name; NULL: a load of our own, see below */
    unsigned pipeline, bytes;
};

/* Loads of our own; the names are what the reports call them. */
#define APP_FIRST "first connection"
#define APP_CHURN "fill and churn"

struct app {
    struct bench *bench;
    struct request requests[RESULTS_MAX]; /* by load */
    const char *tap;                      /* the interface; NULL: --net user */
    uint32_t tap_address, guest_address;  /* host's byte order */
    unsigned prefix;
    bool counting; /* instructions, by lab/vm/count.c */
    bool quick;
};

/* What lab/vm/count.c counts. */
struct app_counts {
    uint64_t kernel, user;
};

struct server {
    pid_t pid;
    int log;       /* memfd: what it and the command print */
    char host[16]; /* where it is reached */
    unsigned port;
    double first_ms; /* from the command's start to the first answer */
    char *counts_path;
    const volatile struct app_counts *counts;
};

/* Reads --net: 0, or the status to exit with. */
int server_network(struct app *app, const char *net);

/*
 * Starts the server and waits for its first answer.  Returns 0, or -1 with
 * *error set (to be freed).  server_stop() in either case.
 */
int server_start(struct app *app, unsigned system, unsigned cpus, const char *heap,
                 struct server *server, char **error);
void server_stop(struct server *server);

/*
 * One command, its words NULL-terminated, on a connection of its own.  The
 * reply's text, to be freed; NULL with *error set (to be freed) when there was
 * none or it was an error.
 */
char *server_ask(const struct server *server, const char *const *words, char **error);

/* Measures one load there into `sample`: 0, or -1 with *error set (to be freed). */
int cell_measure(struct app *app, const struct server *server, unsigned system, unsigned load,
                 struct sample *sample, char **error);

/* Whether somebody wants all this to end. */
bool app_interrupted(void);

#endif
