/* SPDX-License-Identifier: MIT */
/*
 * guest: on=mimosa timeout=120 skips=few_interrupts_for_many_pages:1
 * The kernel's counters in /proc/mimosa: they count what the program does, and
 * show that 2 MiB pages are used and that a change of many pages interrupts the
 * other CPUs a few times only.
 */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <fcntl.h>
#include <sys/mman.h>

#define PAGES 4096L
#define HUGE  (2L << 20)
#define BATCH 500 /* entries that the kernel clears before it interrupts */

static int stop;

static long counter(const char *file, const char *name) {
    char text[2048], path[64];
    snprintf(path, sizeof path, "/proc/mimosa/%s", file);
    int fd = open(path, O_RDONLY);
    long n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    if (!CHECK(n > 0))
        return -1;
    text[n] = 0;
    char *line = strtok(text, "\n");
    while (line && (strncmp(line, name, strlen(name)) || line[strlen(name)] != ' '))
        line = strtok(NULL, "\n");
    return CHECK(line != NULL) ? strtol(line + strlen(name), NULL, 10) : -1;
}

static char *fresh_pages(void) {
    char *p = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    madvise(p, PAGES * 4096, MADV_NOHUGEPAGE);
    for (long i = 0; i < PAGES; i++)
        p[i * 4096] = 1;
    return p;
}

static void faults_and_memory_are_counted(void) {
    long faults = counter("program", "faults"), mapped = counter("program", "mapped_bytes"),
         resident = counter("program", "resident_bytes"), frames = counter("memory", "frames_free");
    char *p = fresh_pages();
    REQUIRE(p != NULL);
    CHECK(counter("program", "faults") - faults >= PAGES);
    CHECK(counter("program", "mapped_bytes") - mapped >= PAGES * 4096);
    CHECK(counter("program", "resident_bytes") - resident >= PAGES * 4096);
    CHECK(frames - counter("memory", "frames_free") >= PAGES / 2); /* caches hold some */
    munmap(p, PAGES * 4096);
    CHECK(counter("program", "resident_bytes") - resident < PAGES / 8 * 4096);
    CHECK(counter("program", "peak_resident_bytes") - resident >= PAGES * 4096);
    CHECK(counter("memory", "frames") > counter("memory", "frames_free"));
}

/* The first touch brings 2 MiB, unless the program asked for small pages. */
static void huge_pages_are_used(void) {
    char *map = mmap(NULL, 3 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(map != MAP_FAILED);
    char *p = map + (-(unsigned long)map & (HUGE - 1)), *small = p + HUGE;
    CHECK_EQ(madvise(small, HUGE, MADV_NOHUGEPAGE), 0);
    long huge = counter("program", "faults_huge"), resident = counter("program", "resident_bytes");
    p[HUGE / 2] = 1;
    CHECK_EQ(counter("program", "faults_huge") - huge, 1);
    CHECK(counter("program", "resident_bytes") - resident >= HUGE);
    long faults = counter("program", "faults");
    for (long at = 0; at < HUGE; at += 4096)
        p[at] = 1;
    CHECK(counter("program", "faults") - faults < HUGE / 4096 / 8);
    small[HUGE / 2] = 1;
    CHECK_EQ(counter("program", "faults_huge") - huge, 1);
    CHECK(counter("program", "resident_bytes") - resident < HUGE + HUGE / 8);
    CHECK_EQ(munmap(map, 3 * HUGE), 0);
    CHECK(counter("program", "resident_bytes") - resident < HUGE / 8);
}

static void *rest(void *arg) {
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
        sleep_ms(1);
    return arg;
}

static void threads_are_counted(void) {
    int cpus[CPUS_MAX];
    pthread_t thread[3];
    long tasks = counter("program", "tasks"), switches = counter("threads", "switches");
    CHECK_EQ(counter("threads", "cpus_online"), cpus_list(cpus));
    stop = 0;
    for (int i = 0; i < 3; i++)
        REQUIRE(thread_start(&thread[i], rest, NULL));
    CHECK_EQ(counter("program", "tasks"), tasks + 3);
    CHECK_SOON(counter("threads", "switches") > switches);
    long runtime = counter("threads", "runtime_ns");
    switches = counter("threads", "switches");
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 3; i++)
        thread_join(thread[i]);
    CHECK_SOON(counter("program", "tasks") == tasks);
    CHECK(counter("threads", "runtime_ns") > runtime);
    CHECK(counter("threads", "switches") >= switches);
}

static void *spin(void *arg) {
    int *running = arg;
    __atomic_fetch_add(running, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
        ;
    return NULL;
}

/* The program's threads are on every CPU, so that each has translations to lose. */
static void few_interrupts_for_many_pages(void) {
    int cpus[CPUS_MAX], count = cpus_list(cpus), running = 0;
    pthread_t thread[CPUS_MAX];
    if (count < 2)
        SKIP("one CPU");
    char *p = fresh_pages();
    REQUIRE(p != NULL);
    REQUIRE(cpu_pin(cpus[0]) == 0);
    stop = 0;
    for (int i = 1; i < count; i++) {
        REQUIRE(cpu_pin(cpus[i]) == 0); /* a thread begins with its maker's */
        REQUIRE(thread_start(&thread[i], spin, &running));
    }
    REQUIRE(cpu_pin(cpus[0]) == 0);
    CHECK_SOON(__atomic_load_n(&running, __ATOMIC_ACQUIRE) == count - 1);
    long rounds = counter("program", "shootdowns"), sent = counter("program", "shootdown_ipis");
    munmap(p, PAGES * 4096);
    rounds = counter("program", "shootdowns") - rounds;
    sent = counter("program", "shootdown_ipis") - sent;
    /* Its tables are entries too, and the counters' own work may add a round. */
    CHECK(rounds >= 1 && rounds <= PAGES / BATCH + 3);
    CHECK(sent >= count - 1 && sent <= rounds * (count - 1));
    guest_print("# %ld pages: %ld rounds, %ld interrupts, %d CPUs", PAGES, rounds, sent, count);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 1; i < count; i++)
        thread_join(thread[i]);
    cpu_unpin(cpus, count);
}

GUEST_MAIN(CASE(faults_and_memory_are_counted), CASE(huge_pages_are_used),
           CASE(threads_are_counted), CASE(few_interrupts_for_many_pages))
