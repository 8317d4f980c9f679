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
#include "lab/workloads/cache_thrash.h"

#include <errno.h>
#include <stdlib.h>

static int prepare(struct job *job) {
    size_t size = job_value(job, "size");
    int error = cache_thrash_prepare(job);

    if (error) {
        return error;
    }
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

    worker->checksum = objects[worker->index][0];
    free(objects[worker->index]);
    cache_thrash_work(worker);
}

const struct workload workload_cache_scratch = {
    .name = "cache-scratch",
    .summary = "threads inherit neighbouring objects, then use their own (passive false sharing)",
    .parameters = cache_thrash_parameters,
    .operations = 100000,
    .prepare = prepare,
    .work = work,
    .finish = finish,
};
