/* SPDX-License-Identifier: MIT */
/*
 * guest: on=mimosa timeout=120
 * The counting build (`make check-sharing`): a fault, a malloc and an uncontended
 * futex call make at most two atomic writes to lines that CPUs share, all CPUs
 * busy at once.  Other kernels and Linux count nothing: skipped there.
 */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <fcntl.h>
#include "test/guest/linux_abi.h"
#include <stdlib.h>
#include <sys/mman.h>

#define PAGES 512 /* by each thread: beyond one page table and many refills */
#define CALLS 2000
#define MOST 64

static long shared_writes(void)
{
    char text[256] = "";
    int fd = open("/proc/mimosa/sharing", O_RDONLY);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    const char *on = n > 0 ? strstr(text, "counting") : NULL;
    const char *sum = n > 0 ? strstr(text, "shared_writes") : NULL;
    if (!on || !sum || atol(on + strcspn(on, "0123456789")) != 1)
        return -1;
    return atol(sum + strcspn(sum, "0123456789"));
}

static pthread_barrier_t barrier;
static unsigned char *memory[MOST];
static int word;

static void *touch(void *arg)
{
    unsigned char *p = memory[(long)arg];
    pthread_barrier_wait(&barrier);
    for (long i = 0; i < PAGES; i++)
        p[i * 4096] = 1;
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void *wake_nobody(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&barrier);
    for (long i = 0; i < CALLS; i++)
        syscall(SYS_futex, &word, (1 | 128) /* FUTEX_WAKE, private */, 1, NULL, NULL, 0);
    pthread_barrier_wait(&barrier);
    return NULL;
}

/* Shared writes for each of `operations` operations, in hundredths, all CPUs at it at once. */
static long measure(void *(*work)(void *), long operations)
{
    pthread_t thread[MOST];
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    if (n > MOST)
        n = MOST;
    pthread_barrier_init(&barrier, NULL, (unsigned)n + 1);
    for (long i = 0; i < n; i++)
        pthread_create(&thread[i], NULL, work, (void *)i);
    long before = shared_writes();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    long after = shared_writes();
    for (long i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&barrier);
    return (after - before) * 100 / (operations * n);
}

static void faults(void)
{
    if (shared_writes() < 0)
        SKIP("not the counting build");
    for (long i = 0; i < MOST; i++) {
        memory[i] = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
        REQUIRE(memory[i] != MAP_FAILED);
        madvise(memory[i], PAGES * 4096, MADV_NOHUGEPAGE);
    }
    long each = measure(touch, PAGES);
    guest_print("# a fault: %ld.%02ld shared writes", each / 100, each % 100);
    CHECK(each <= 200);
    CHECK(each >= 100); /* the entry itself: the counter works */
}

static void futex_calls(void)
{
    if (shared_writes() < 0)
        SKIP("not the counting build");
    long each = measure(wake_nobody, CALLS);
    guest_print("# an uncontended futex call: %ld.%02ld shared writes", each / 100, each % 100);
    CHECK(each <= 200);
}

static void mallocs(void)
{
    if (shared_writes() < 0)
        SKIP("not the counting build");
    /* Only the kernel's part is counted: none, but for the faults of fresh memory. */
    long before = shared_writes();
    for (long i = 0; i < CALLS; i++)
        free(malloc(64));
    long each = (shared_writes() - before) * 100 / CALLS;
    guest_print("# a malloc: %ld.%02ld shared writes by the kernel", each / 100, each % 100);
    CHECK(each <= 200);
}

GUEST_MAIN(CASE(faults), CASE(futex_calls), CASE(mallocs))
