/* SPDX-License-Identifier: MIT */
/*
 * The harness: what a workload is, and what the harness gives it.
 *
 * A workload is one C file in lab/workloads with one `const struct workload`,
 * named in the list of lab/harness/main.c.  The harness parses its parameters,
 * starts its threads together, times them and prints one line of JSON.
 *
 * Rules for workloads:
 *  - The total number of operations is fixed and divided among the threads
 *    (strong scaling), so that one thread and two do the same work.
 *  - Between the start and the end of work() the only calls of malloc are the
 *    ones that are measured.  Own bookkeeping comes from job_memory().
 *  - Results flow into worker.checksum, so that no work can be optimised away.
 *  - No Linux-only or Mimosa-only code: the identical binary runs on both.
 */
#ifndef LAB_HARNESS_HARNESS_H
#define LAB_HARNESS_HARNESS_H

#include <stddef.h>
#include <stdint.h>

#define JOB_MAX_PARAMETERS 8
#define JOB_MAX_THREADS    256

struct parameter {
    const char *name; /* NULL ends the list */
    uint64_t value;   /* unless given on the command line */
    const char *help;
};

/* Latencies of sampled operations, one record for each worker. */
struct latency {
    uint64_t *samples_ns; /* `capacity` of them, from job_memory() */
    uint64_t count;       /* samples taken; those beyond capacity overwrite the oldest */
    uint32_t capacity;
    uint32_t interval; /* every `interval`-th operation is timed */
    uint32_t left;     /* operations until the next sample */
};

struct job;

/* One thread's share of a cell; padded so that workers share no cache line. */
struct worker {
    struct job *job;
    unsigned index;
    uint64_t operations; /* this thread's share; work() does exactly so many */
    uint64_t random;     /* state of random_next(), differs by worker */
    uint64_t checksum;   /* result of the work */
    uint64_t bytes;      /* requested from malloc, or touched */
    uint64_t start_ns, end_ns;
    struct latency latency;
} __attribute__((aligned(128)));

struct workload {
    const char *name;
    const char *summary; /* one line for --help */
    const struct parameter *parameters;
    uint64_t operations; /* total, unless ops= is given */

    /* Before the threads start; 0 or a negative errno.  May be NULL. */
    int (*prepare)(struct job *job);
    /* In each worker, timed. */
    void (*work)(struct worker *worker);
    /* After all workers ended.  May be NULL. */
    void (*finish)(struct job *job);
    /*
     * Replaces all three: the workload prints its own lines (micro).  0 or a
     * negative errno.
     */
    int (*run)(struct job *job);
};

/* One cell: a workload with its parameters. */
struct job {
    const struct workload *workload;
    unsigned threads;
    uint64_t operations; /* total of all threads */
    uint64_t seed;
    unsigned warm;      /* how often a part of the work is done untimed before */
    size_t flush_bytes; /* what each worker maps and unmaps at its end, where not 0 */
    uint64_t values[JOB_MAX_PARAMETERS]; /* in the order of workload->parameters */
    struct worker *workers;
    void *state; /* the workload's own, from prepare() to finish() */
};

/* The value of a parameter that the workload declares; a wrong name aborts. */
uint64_t job_value(const struct job *job, const char *name);

/*
 * Zeroed, page-aligned memory that does not come from the heap under test.
 * Ends the program when there is none; never returns NULL.
 */
void *job_memory(size_t bytes);
void job_memory_free(void *memory, size_t bytes);

/* Runs one cell and prints its line.  0 or a negative errno. */
int job_run(struct job *job);

/* The monotonic clock in nanoseconds (under --icount: in instructions). */
uint64_t clock_ns(void);

/* Marsaglia's xorshift64*: any thread, own state, which must not be 0. */
static inline uint64_t random_next(uint64_t *state) {
    uint64_t x = *state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

/* Around one operation: latency_begin() returns 0 when it is not sampled. */
static inline uint64_t latency_begin(struct latency *latency) {
    if (--latency->left) {
        return 0;
    }
    latency->left = latency->interval;
    return clock_ns();
}

static inline void latency_end(struct latency *latency, uint64_t begin_ns) {
    if (begin_ns) {
        latency->samples_ns[latency->count++ % latency->capacity] = clock_ns() - begin_ns;
    }
}

/* Statistics of the heap that serves this process. */
struct heap_report {
    const char *name; /* "libc" where no dispatcher is linked in */
    uint64_t requested_bytes, live_bytes, committed_bytes, peak_bytes; /* UINT64_MAX: unknown */
};

void heap_report(struct heap_report *report);

extern const struct workload workload_cache_thrash, workload_cache_scratch, workload_larson,
    workload_compute, workload_faults, workload_echo, workload_micro;

#endif
