/* SPDX-License-Identifier: MIT */
/*
 * echo: how well a network stack serves several threads at once.
 *
 * Each thread has a TCP connection of its own, over the loopback, and both of its
 * ends: it sends, receives at the other end, answers, and receives that.  One
 * operation is one such round trip, four system calls.  Nobody waits for another
 * thread but for the stack's locks.
 */
#include "lab/harness/harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_BYTES 4096

static const struct parameter parameters[] = {
    { "bytes", 64, "of a message, at most 4096" },
    { NULL, 0, NULL },
};

struct connection {
    int ends[2];
};

/* Connects `c` by way of `listener`, which is at `at`. */
static bool connect_ends(struct connection *c, int listener, const struct sockaddr_in *at) {
    int on = 1;

    c->ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (c->ends[0] < 0 || connect(c->ends[0], (const struct sockaddr *)at, sizeof(*at))) {
        return false;
    }
    c->ends[1] = accept(listener, NULL, NULL);
    return c->ends[1] >= 0 && !setsockopt(c->ends[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) &&
           !setsockopt(c->ends[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void finish(struct job *job) {
    struct connection *connections = job->state;

    for (unsigned i = 0; i < job->threads; i++) {
        for (unsigned end = 0; end < 2; end++) {
            if (connections[i].ends[end] >= 0) {
                close(connections[i].ends[end]);
            }
        }
    }
    job_memory_free(connections, job->threads * sizeof(*connections));
}

static int prepare(struct job *job) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (job_value(job, "bytes") < 1 || job_value(job, "bytes") > MOST_BYTES) {
        return -EINVAL;
    }
    struct connection *connections = job_memory(job->threads * sizeof(*connections));
    job->state = connections;
    for (unsigned i = 0; i < job->threads; i++) {
        connections[i] = (struct connection){ { -1, -1 } };
    }
    bool good = listener >= 0 && !bind(listener, (struct sockaddr *)&at, sizeof(at)) &&
                !listen(listener, 1) && !getsockname(listener, (struct sockaddr *)&at, &size);
    for (unsigned i = 0; good && i < job->threads; i++) {
        good = connect_ends(&connections[i], listener, &at);
    }
    int error = errno;
    if (listener >= 0) {
        close(listener);
    }
    if (!good) {
        finish(job);
    }
    return good ? 0 : -error;
}

/* One way; a stream may bring the message in parts. */
static void pass(int from, int to, unsigned char *message, size_t bytes) {
    ssize_t sent = send(from, message, bytes, MSG_NOSIGNAL);

    if (sent != (ssize_t)bytes || recv(to, message, bytes, MSG_WAITALL) != (ssize_t)bytes) {
        fprintf(stderr, "workloads: echo: the connection broke: %s\n", strerror(errno));
        exit(1);
    }
}

static void work(struct worker *worker) {
    const struct connection *c = (struct connection *)worker->job->state + worker->index;
    size_t bytes = job_value(worker->job, "bytes");
    unsigned char message[MOST_BYTES];

    memset(message, (int)worker->index, bytes);
    for (uint64_t i = 0; i < worker->operations; i++) {
        uint64_t begin = latency_begin(&worker->latency);

        message[0] = (unsigned char)i;
        pass(c->ends[0], c->ends[1], message, bytes);
        pass(c->ends[1], c->ends[0], message, bytes);
        worker->checksum += message[0];
        latency_end(&worker->latency, begin);
    }
    worker->bytes = worker->operations * bytes;
}

const struct workload workload_echo = {
    .name = "echo",
    .summary = "a message there and back over TCP, each thread with a connection to itself",
    .parameters = parameters,
    .operations = 20000,
    .prepare = prepare,
    .work = work,
    .finish = finish,
};
