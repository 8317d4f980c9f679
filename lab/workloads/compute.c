/* SPDX-License-Identifier: MIT */
/*
 * compute: the control.  Arithmetic in registers, no malloc, no shared data:
 * what two CPUs are worth on this machine at this moment.  The parallelism of
 * every other workload is read beside it.
 *
 * One operation is `steps` steps of a xorshift generator.
 */
#include "lab/harness/harness.h"

static const struct parameter parameters[] = {
    { "steps", 250, "generator steps in an operation" },
    { NULL, 0, NULL },
};

static void work(struct worker *worker) {
    uint64_t steps = job_value(worker->job, "steps");
    uint64_t state = worker->random, sum = 0;

    for (uint64_t i = 0; i < worker->operations; i++) {
        uint64_t begin = latency_begin(&worker->latency);

        for (uint64_t step = 0; step < steps; step++) {
            sum += random_next(&state);
        }
        latency_end(&worker->latency, begin);
    }
    worker->checksum = sum;
}

const struct workload workload_compute = {
    .name = "compute",
    .summary = "arithmetic only, the control: what the CPUs are worth",
    .parameters = parameters,
    .operations = 100000,
    .work = work,
};
