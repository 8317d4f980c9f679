/* SPDX-License-Identifier: MIT */
/*
 * A hundred thousand threads (MANY), created and joined, a few at a time; the
 * memory is then where it was.  Mimosa runs fewer of them.
 *
 * guest: mem=256M timeout=240 args-linux=100000 args-mimosa=8000 glibc=no
 */
#define _GNU_SOURCE
#include "test/guest/proc.h"
#include "test/guest/threads.h"
#include <fcntl.h>

#define AT_ONCE 8

static long many = 100000;

static void *thread_work(void *arg) {
    char *p = malloc(64 + (long)arg % 1000);
    if (p)
        p[0] = 1;
    free(p);
    return arg;
}

/* Pages of this process that are resident, after the second number of statm. */
static long resident_pages(void) {
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
        return -1;
    close(fd);
    const char *second = strchr(text, ' ');
    return second ? strtol(second, NULL, 10) : -1;
}

static int run_threads(long count) {
    pthread_t threads[AT_ONCE];
    for (long i = 0; i < count; i += AT_ONCE) {
        for (long k = 0; k < AT_ONCE; k++)
            if (!thread_start(&threads[k], thread_work, (void *)(i + k)))
                return 0;
        for (long k = 0; k < AT_ONCE; k++)
            if (!CHECK(thread_join(threads[k]) == (void *)(i + k)))
                return 0;
    }
    return 1;
}

/* Caches fill, those of every CPU, of which a busy host lets only some run at first.  On a machine
 * of one's own, while that goes on; who leaks 64 bytes a thread never sees its end. */
static int fill_caches(void) {
    for (int round = 0; round < 6; round++) {
        long before = proc_free_kb();
        if (!run_threads(2000))
            return 0;
        if (access("/proc/mimosa", F_OK) != 0 || proc_free_kb() > before - 32)
            break;
    }
    return 1;
}

static void created_and_joined(void) {
    REQUIRE(fill_caches());
    long before = resident_pages(), machine_before = proc_free_kb();
    REQUIRE(run_threads(many));
    long after = resident_pages(), machine_after = proc_free_kb();
    guest_print("# resident pages %ld, then %ld; free kB %ld, then %ld", before, after,
                machine_before, machine_after);
    CHECK(after <= before + 64);
    /* A machine of one's own: half an object of 64 bytes a thread, and what caches hold. */
    if (access("/proc/mimosa", F_OK) == 0)
        CHECK(machine_after >= machine_before - many * 32 / 1024 - 128);
}

int main(int argc, char **argv) {
    static const struct guest_case cases[] = { CASE(created_and_joined) };
    if (argc > 1)
        many = strtol(argv[1], NULL, 10);
    (void)argv;
    return guest_main(1, argv, cases, LENGTH(cases));
}
