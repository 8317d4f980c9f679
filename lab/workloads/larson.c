/* SPDX-License-Identifier: MIT */
/*
 * larson: a server whose requests outlive the threads that began them, after
 * P. Larson and M. Krishnan, "Memory Allocation for Long-Running Server
 * Applications", ISMM 1998.
 *
 * Each lane owns `slots` blocks of random sizes.  A thread replaces blocks in
 * random slots: free the old one, allocate one of another random size, write
 * to it.  After its share it dies and a new thread inherits the slots, so that
 * most blocks are freed by a thread that did not allocate them ("bleeding").
 *
 * One operation is one free, one malloc and the writing of the block's first
 * bytes.  The thread that the harness started for a lane only starts and joins
 * the lane's generations, so that one thread of each lane runs at any time.
 */
#include "lab/harness/harness.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct parameter parameters[] = {
    { "min", 10, "bytes of the smallest block" },
    { "max", 500, "bytes of the largest block" },
    { "slots", 1000, "blocks that each lane holds" },
    { "generations", 2, "threads that inherit a lane, one after another" },
    { NULL, 0, NULL },
};

#define WRITTEN 16u /* bytes at the start of each block, at most */

struct lane {
    struct worker *worker;
    unsigned char **slots;
    uint64_t slots_count, min, span;
    uint64_t share; /* operations of the generation that runs */
    uint64_t sum;
} __attribute__((aligned(128))); /* each lane writes its own at every operation */

static void *block_new(struct lane *lane) {
    size_t size = lane->min + random_next(&lane->worker->random) % lane->span;
    unsigned char *block = malloc(size);

    if (!block) {
        fprintf(stderr, "workloads: larson: malloc(%zu) is out of memory\n", size);
        exit(1);
    }
    memset(block, (int)(size & 0xff), size < WRITTEN ? size : WRITTEN);
    lane->worker->bytes += size;
    return block;
}

static int prepare(struct job *job) {
    if (job_value(job, "min") < 1 || job_value(job, "max") < job_value(job, "min") ||
        !job_value(job, "slots") || !job_value(job, "generations")) {
        return -EINVAL;
    }

    struct lane *lanes = job_memory(sizeof(*lanes) * job->threads);
    for (unsigned i = 0; i < job->threads; i++) {
        struct lane *lane = &lanes[i];

        lane->worker = &job->workers[i];
        lane->slots_count = job_value(job, "slots");
        lane->min = job_value(job, "min");
        lane->span = job_value(job, "max") - lane->min + 1;
        lane->slots = job_memory(sizeof(*lane->slots) * lane->slots_count);
        for (uint64_t slot = 0; slot < lane->slots_count; slot++) {
            lane->slots[slot] = block_new(lane);
        }
        lane->worker->bytes = 0;
    }
    job->state = lanes;
    return 0;
}

static void finish(struct job *job) {
    struct lane *lanes = job->state;

    for (unsigned i = 0; i < job->threads; i++) {
        for (uint64_t slot = 0; slot < lanes[i].slots_count; slot++) {
            free(lanes[i].slots[slot]);
        }
        job_memory_free(lanes[i].slots, sizeof(*lanes[i].slots) * lanes[i].slots_count);
    }
    job_memory_free(lanes, sizeof(*lanes) * job->threads);
}

static void *generation_main(void *argument) {
    struct lane *lane = argument;
    struct worker *worker = lane->worker;

    for (uint64_t i = 0; i < lane->share; i++) {
        uint64_t slot = random_next(&worker->random) % lane->slots_count;
        uint64_t begin = latency_begin(&worker->latency);

        lane->sum += lane->slots[slot][0];
        free(lane->slots[slot]);
        lane->slots[slot] = block_new(lane);
        latency_end(&worker->latency, begin);
    }
    return NULL;
}

static void work(struct worker *worker) {
    struct lane *lane = &((struct lane *)worker->job->state)[worker->index];
    uint64_t generations = job_value(worker->job, "generations");
    uint64_t left = worker->operations;

    for (uint64_t g = generations; g; g--) {
        pthread_t thread;

        lane->share = left / g;
        left -= lane->share;
        int error = pthread_create(&thread, NULL, generation_main, lane);
        if (error) {
            fprintf(stderr, "workloads: larson: %s\n", strerror(error));
            exit(1);
        }
        pthread_join(thread, NULL);
    }
    worker->checksum = lane->sum;
}

const struct workload workload_larson = {
    .name = "larson",
    .summary = "random sizes, blocks freed by another thread than allocated them",
    .parameters = parameters,
    .operations = 200000,
    .prepare = prepare,
    .work = work,
    .finish = finish,
};
