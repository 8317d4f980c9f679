/* SPDX-License-Identifier: MIT */
/*
 * cache-scratch: passive false sharing, after Hoard's benchmark of that name
 * (Berger et al., ASPLOS 2000; see cache_thrash.c).
 *
 * The main thread allocates one small object for each thread, most likely side
 * by side in one cache line, and hands them out.  Each thread frees the one it
 * got, then allocates, writes and frees objects of the same size.  An
 * allocator that gives the freed pieces back to the threads that freed them
 * keeps the line shared for ever.
 *
 * One operation is as in cache-thrash.
 */
#include "lab/harness/harness.h"

#include <errno.h>
#include <stdlib.h>

static const struct parameter parameters[] = {
    { "size", 8, "bytes of an object" },
    { "repetitions", 50, "passes over each object" },
    { NULL, 0, NULL },
};

static int prepare(struct job *job) {
    size_t size = job_value(job, "size");
    unsigned char **objects = job_memory(sizeof(*objects) * job->threads);

    for (unsigned i = 0; i < job->threads; i++) {
        objects[i] = malloc(size);
        if (!objects[i]) {
            return -ENOMEM;
        }
        objects[i][0] = (unsigned char)i;
    }
    job->state = objects;
    return 0;
}

static void finish(struct job *job) {
    job_memory_free(job->state, sizeof(unsigned char *) * job->threads);
}

static void work(struct worker *worker) {
    unsigned char **objects = worker->job->state;
    size_t size = job_value(worker->job, "size");
    uint64_t repetitions = job_value(worker->job, "repetitions");
    uint64_t sum = objects[worker->index][0];

    free(objects[worker->index]);
    for (uint64_t i = 0; i < worker->operations; i++) {
        uint64_t begin = latency_begin(&worker->latency);
        volatile unsigned char *object = malloc(size);

        if (!object) {
            abort();
        }
        for (uint64_t pass = 0; pass < repetitions; pass++) {
            for (size_t byte = 0; byte < size; byte++) {
                object[byte] = (unsigned char)(byte + pass);
                sum += object[byte];
            }
        }
        free((void *)(uintptr_t)object);
        latency_end(&worker->latency, begin);
    }
    worker->bytes = worker->operations * size;
    worker->checksum = sum;
}

const struct workload workload_cache_scratch = {
    .name = "cache-scratch",
    .summary = "threads inherit neighbouring objects, then use their own (passive false sharing)",
    .parameters = parameters,
    .operations = 100000,
    .prepare = prepare,
    .work = work,
    .finish = finish,
};
