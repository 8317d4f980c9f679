/* SPDX-License-Identifier: MIT */
/*
 * Counts primes with one thread for each CPU: mimosa run --cpus 4 threads 400000
 * Each thread keeps what it finds in memory of its own, so that the heap works
 * too; with `mimosa cc`, try --heap buddy and --heap mimalloc.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MOST_THREADS 64

static unsigned limit = 200000, thread_count;

struct prime {
    struct prime *next;
    unsigned value;
};

struct share {
    pthread_t thread;
    unsigned first; /* tests first, first + 2 * thread_count, ... */
    unsigned found;
};

static int is_prime(unsigned n) {
    for (unsigned d = 3; d * d <= n; d += 2) {
        if (n % d == 0) {
            return 0;
        }
    }
    return 1;
}

static void *search(void *argument) {
    struct share *share = argument;
    struct prime *list = NULL;

    for (unsigned n = share->first; n < limit; n += 2 * thread_count) {
        struct prime *prime = is_prime(n) ? malloc(sizeof(*prime)) : NULL;
        if (prime) {
            *prime = (struct prime){ list, n };
            list = prime;
        }
    }
    while (list) {
        struct prime *next = list->next;
        free(list);
        list = next;
        share->found++;
    }
    return NULL;
}

int main(int argc, char **argv) {
    struct share shares[MOST_THREADS];
    struct timespec begin, end;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned total = 1; /* the prime 2 */

    if (argc > 1) {
        limit = (unsigned)strtoul(argv[1], NULL, 0);
    }
    thread_count = cpus < 1 ? 1 : cpus > MOST_THREADS ? MOST_THREADS : (unsigned)cpus;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned i = 0; i < thread_count; i++) {
        shares[i] = (struct share){ .first = 3 + 2 * i };
        if (pthread_create(&shares[i].thread, NULL, search, &shares[i])) {
            fprintf(stderr, "threads: cannot create thread %u\n", i);
            return 1;
        }
    }
    for (unsigned i = 0; i < thread_count; i++) {
        pthread_join(shares[i].thread, NULL);
        printf("thread %u found %u primes\n", i, shares[i].found);
        total += shares[i].found;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds =
        (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    printf("%u primes below %u, %u threads, %.3f s\n", total, limit, thread_count, seconds);
    return 0;
}
