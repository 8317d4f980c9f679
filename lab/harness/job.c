/* SPDX-License-Identifier: MIT */
/*
 * Runs one cell: threads that start together, a clock around them, one line
 * of JSON.
 *
 * Every worker stamps its own start (just behind the barrier) and its own end;
 * the cell lasts from the first start to the last end.  The main thread only
 * waits, so that it is never part of what is measured, even on one CPU.
 */
#include "lab/harness/harness.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define LATENCY_SAMPLES  4096u             /* of each worker */
#define LATENCY_INTERVAL 101u              /* prime, so that it does not beat with the work */
#define WARM_PART        16u               /* of the operations, each time */
#define FLUSH_BYTES      ((size_t)1 << 20) /* Linux and Mimosa flush up to 32 pages singly */

struct totals {
    uint64_t ns;
    uint64_t checksum, bytes;
    uint64_t samples, p50_ns, p99_ns, max_ns;
};

static pthread_barrier_t start_line;

uint64_t clock_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t job_value(const struct job *job, const char *name) {
    const struct parameter *parameters = job->workload->parameters;

    for (unsigned i = 0; parameters[i].name; i++) {
        if (!strcmp(parameters[i].name, name)) {
            return job->values[i];
        }
    }
    fprintf(stderr, "workloads: %s has no parameter %s\n", job->workload->name, name);
    abort();
}

void *job_memory(size_t bytes) {
    void *memory =
        mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        fprintf(stderr, "workloads: no memory for %zu bytes of bookkeeping\n", bytes);
        exit(1);
    }
    return memory;
}

void job_memory_free(void *memory, size_t bytes) {
    if (memory) {
        munmap(memory, bytes ? bytes : 1);
    }
}

static void *worker_main(void *argument) {
    struct worker *worker = argument;

    pthread_barrier_wait(&start_line);
    worker->start_ns = clock_ns();
    worker->job->workload->work(worker);
    worker->end_ns = clock_ns();
    if (worker->job->flush_bytes) { /* while the other workers are on their CPUs */
        void *memory = job_memory(worker->job->flush_bytes);

        memset(memory, 1, worker->job->flush_bytes);
        job_memory_free(memory, worker->job->flush_bytes);
    }
    return NULL;
}

static void workers_prepare(struct job *job) {
    job->workers = job_memory(sizeof(struct worker) * job->threads);
    for (unsigned i = 0; i < job->threads; i++) {
        struct worker *worker = &job->workers[i];
        uint64_t rest = job->operations % job->threads;

        worker->job = job;
        worker->index = i;
        worker->operations = job->operations / job->threads + (i < rest);
        worker->random = job->seed * 0x9e3779b97f4a7c15ull + i + 1;
        random_next(&worker->random);
        worker->latency.capacity = LATENCY_SAMPLES;
        worker->latency.interval = LATENCY_INTERVAL;
        worker->latency.left = LATENCY_INTERVAL;
        worker->latency.samples_ns = job_memory(LATENCY_SAMPLES * sizeof(uint64_t));
        /* Touch it now: its page faults are not the workload's. */
        memset(worker->latency.samples_ns, 0, LATENCY_SAMPLES * sizeof(uint64_t));
    }
}

static void workers_discard(struct job *job) {
    for (unsigned i = 0; i < job->threads; i++) {
        job_memory_free(job->workers[i].latency.samples_ns, LATENCY_SAMPLES * sizeof(uint64_t));
    }
    job_memory_free(job->workers, sizeof(struct worker) * job->threads);
    job->workers = NULL;
}

static void workers_run(struct job *job) {
    pthread_t threads[JOB_MAX_THREADS];

    pthread_barrier_init(&start_line, NULL, job->threads);
    for (unsigned i = 0; i < job->threads; i++) {
        int error = pthread_create(&threads[i], NULL, worker_main, &job->workers[i]);
        if (error) {
            /* The ones that started wait at the barrier for ever. */
            fprintf(stderr, "workloads: thread %u: %s\n", i, strerror(error));
            exit(1);
        }
    }
    for (unsigned i = 0; i < job->threads; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&start_line);
}

static int compare_u64(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static void latency_sum_up(const struct job *job, struct totals *totals) {
    size_t bytes = sizeof(uint64_t) * LATENCY_SAMPLES * job->threads;
    uint64_t *all = job_memory(bytes);
    size_t count = 0;

    for (unsigned i = 0; i < job->threads; i++) {
        const struct latency *latency = &job->workers[i].latency;
        size_t kept = latency->count < latency->capacity ? latency->count : latency->capacity;

        memcpy(all + count, latency->samples_ns, kept * sizeof(*all));
        count += kept;
    }
    if (count) {
        qsort(all, count, sizeof(*all), compare_u64);
        totals->p50_ns = all[count / 2];
        totals->p99_ns = all[count * 99 / 100];
        totals->max_ns = all[count - 1];
    }
    totals->samples = count;
    job_memory_free(all, bytes);
}

static void totals_take(const struct job *job, struct totals *totals) {
    uint64_t start = UINT64_MAX, end = 0;

    memset(totals, 0, sizeof(*totals));
    for (unsigned i = 0; i < job->threads; i++) {
        const struct worker *worker = &job->workers[i];

        start = worker->start_ns < start ? worker->start_ns : start;
        end = worker->end_ns > end ? worker->end_ns : end;
        totals->checksum += worker->checksum;
        totals->bytes += worker->bytes;
    }
    totals->ns = end - start ? end - start : 1;
    latency_sum_up(job, totals);
}

static int cpus_allowed(void) {
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) ? 0 : CPU_COUNT(&set);
}

static void print_known(const char *key, uint64_t value) {
    if (value == UINT64_MAX) {
        printf(",\"%s\":null", key);
    } else {
        printf(",\"%s\":%" PRIu64, key, value);
    }
}

static void job_print(const struct job *job, const struct totals *totals,
                      const struct rusage *before, const struct rusage *after) {
    const struct parameter *parameters = job->workload->parameters;
    struct heap_report heap;

    heap_report(&heap);
    printf("{\"workload\":\"%s\",\"heap\":\"%s\",\"threads\":%u,\"cpus\":%d", job->workload->name,
           heap.name, job->threads, cpus_allowed());
    printf(",\"operations\":%" PRIu64 ",\"ns\":%" PRIu64 ",\"ops_per_s\":%.1f", job->operations,
           totals->ns, (double)job->operations * 1e9 / (double)totals->ns);
    printf(",\"latency_samples\":%" PRIu64 ",\"latency_p50_ns\":%" PRIu64
           ",\"latency_p99_ns\":%" PRIu64 ",\"latency_max_ns\":%" PRIu64,
           totals->samples, totals->p50_ns, totals->p99_ns, totals->max_ns);
    printf(",\"bytes\":%" PRIu64 ",\"faults\":%ld,\"peak_rss_kib\":%ld", totals->bytes,
           after->ru_minflt - before->ru_minflt, after->ru_maxrss);
    print_known("heap_requested", heap.requested_bytes);
    print_known("heap_live", heap.live_bytes);
    print_known("heap_committed", heap.committed_bytes);
    print_known("heap_peak", heap.peak_bytes);
    for (unsigned i = 0; parameters[i].name; i++) {
        printf(",\"param_%s\":%" PRIu64, parameters[i].name, job->values[i]);
    }
    printf(",\"seed\":%" PRIu64 ",\"checksum\":\"%016" PRIx64 "\"}\n", job->seed, totals->checksum);
    fflush(stdout);
}

/* Once from prepare() to finish(); what is timed is printed. */
static int job_pass(struct job *job, bool timed) {
    const struct workload *workload = job->workload;
    struct rusage before, after;
    struct totals totals;

    workers_prepare(job);
    int error = workload->prepare ? workload->prepare(job) : 0;
    if (!error) {
        getrusage(RUSAGE_SELF, &before);
        workers_run(job);
        getrusage(RUSAGE_SELF, &after);
        if (timed) {
            totals_take(job, &totals);
            job_print(job, &totals, &before, &after);
        }
        if (workload->finish) {
            workload->finish(job);
        }
    }
    workers_discard(job);
    return error;
}

/*
 * Some of the work, untimed: code is translated, the heap and the kernel have
 * their first memory.  Each time ends in an munmap that is too large to be
 * flushed page by page.  That is for QEMU's sake, which chooses the size of the
 * TLB that it emulates at full flushes only, by the use since the last one: a
 * load that came after one with few pages ran at half its speed until the next.
 */
static int job_warm(const struct job *job) {
    struct job part = *job;
    int error = 0;

    part.flush_bytes = FLUSH_BYTES;
    part.operations =
        job->operations / WARM_PART > job->threads ? job->operations / WARM_PART : job->threads;
    for (unsigned i = 0; i < job->warm && !error; i++) {
        error = job_pass(&part, false);
    }
    return error;
}

int job_run(struct job *job) {
    if (job->workload->run) {
        return job->workload->run(job);
    }
    int error = job_warm(job);
    return error ? error : job_pass(job, true);
}
