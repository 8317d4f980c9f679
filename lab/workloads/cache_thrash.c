/* SPDX-License-Identifier: MIT */
/*
 * cache-thrash: active false sharing, after Hoard's benchmark of that name
 * (E. D. Berger, K. S. McKinley, R. D. Blumofe, P. R. Wilson: "Hoard: A
 * Scalable Memory Allocator for Multithreaded Applications", ASPLOS 2000).
 *
 * Each thread allocates a small object, writes and reads it many times, frees
 * it, and begins again.  An allocator that gives pieces of one cache line to
 * several threads makes that line travel between CPUs.
 *
 * One operation is one malloc, `repetitions` passes over the object, one free.
 * Hoard's own runs use 1,000 iterations of a million repetitions, so that the
 * allocator's own speed vanishes; our default keeps both visible.
 */
#include "lab/workloads/cache_thrash.h"

#include <errno.h>
#include <stdlib.h>

const struct parameter cache_thrash_parameters[] = {
    { "size", 8, "bytes of an object, at least 1" },
    { "repetitions", 50, "passes over each object" },
    { NULL, 0, NULL },
};

int cache_thrash_prepare(struct job *job) {
    return job_value(job, "size") ? 0 : -EINVAL;
}

void cache_thrash_work(struct worker *worker) {
    size_t size = job_value(worker->job, "size");
    uint64_t repetitions = job_value(worker->job, "repetitions");
    uint64_t sum = 0;

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
    worker->checksum += sum;
}

const struct workload workload_cache_thrash = {
    .name = "cache-thrash",
    .summary = "threads write small objects of their own (active false sharing)",
    .parameters = cache_thrash_parameters,
    .operations = 100000,
    .prepare = cache_thrash_prepare,
    .work = cache_thrash_work,
};
