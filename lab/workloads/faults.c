/* SPDX-License-Identifier: MIT */
/*
 * faults: first touches of fresh anonymous memory, one contiguous part for
 * each thread.
 *
 * One operation is one page touched.  stride=16 touches every sixteenth page
 * only: memory that is not touched must not be committed.  huge=0 asks for
 * 4 KiB pages with MADV_NOHUGEPAGE; huge=1 leaves it to the system.
 */
#include "lab/harness/harness.h"

#include <errno.h>
#include <sys/mman.h>

#define PAGE 4096u

static const struct parameter parameters[] = {
    { "stride", 1, "touch every so many pages" },
    { "huge", 0, "1: the system may use 2 MiB pages" },
    { NULL, 0, NULL },
};

static size_t bytes_mapped(const struct job *job) {
    return job->operations * job_value(job, "stride") * PAGE;
}

static int prepare(struct job *job) {
    size_t bytes = bytes_mapped(job);
    unsigned char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        return -errno;
    }
    if (!job_value(job, "huge")) {
        /* A kernel without huge pages answers EINVAL, and needs no advice. */
        madvise(memory, bytes, MADV_NOHUGEPAGE);
    }
    job->state = memory;
    return 0;
}

static void finish(struct job *job) {
    munmap(job->state, bytes_mapped(job));
}

static void work(struct worker *worker) {
    const struct job *job = worker->job;
    uint64_t step = job_value(job, "stride") * PAGE;
    uint64_t first = 0;

    for (unsigned i = 0; i < worker->index; i++) {
        first += job->workers[i].operations;
    }
    volatile unsigned char *page = (unsigned char *)job->state + first * step;
    for (uint64_t i = 0; i < worker->operations; i++, page += step) {
        uint64_t begin = latency_begin(&worker->latency);

        *page = 1;
        worker->checksum += 1 + page[64]; /* fresh memory reads as 0 */
        latency_end(&worker->latency, begin);
    }
    worker->bytes = worker->operations * PAGE;
}

const struct workload workload_faults = {
    .name = "faults",
    .summary = "first touches of fresh memory",
    .parameters = parameters,
    .operations = 16384,
    .prepare = prepare,
    .work = work,
    .finish = finish,
};
