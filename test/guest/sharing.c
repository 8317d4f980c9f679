/* SPDX-License-Identifier: MIT */
/*
 * guest: on=mimosa timeout=120 skips=network_lock,faults,futex_wake_nobody,futex_wait_elsewhere,mallocs
 * The counting build (`make check-sharing`): a fault, a malloc and an uncontended
 * futex call make at most two atomic writes to lines that CPUs share, with a
 * thread at it on every CPU at once.  Other kernels and Linux count nothing:
 * skipped there.
 *
 * The kernel counts its own (kernel/count.h), refills of a CPU's cache of frames
 * included.  For a malloc, which seldom enters the kernel, the program adds the
 * heap's: it steps through some pairs of malloc and free by the trap flag and
 * counts the instructions that lock.  To whom their lines belong it cannot tell,
 * so that all of them count.
 */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include "test/guest/linux_abi.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGES   512 /* by each thread: beyond one page table and many refills */
#define CALLS   2000
#define STEPPED 100 /* pairs of malloc and free */
#define LIVE    64  /* blocks that a thread holds at a time */
#define MOST    64
#define STACK   (256 << 10)

/* In programs built with `mimosa cc` only. */
extern const char *mimosa_heap_name(void) __attribute__((weak));

static long shared_writes(void) {
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
static int cpus[CPUS_MAX];
static unsigned char *memory[MOST];
static int word;

/* What a thread does before it is counted, and what is counted. */
struct work {
    void (*prepare)(long thread);
    void (*run)(long thread);
};
static const struct work *work;

static void *worker(void *arg) {
    long thread = (long)arg;
    cpu_pin(cpus[thread]);
    if (work->prepare)
        work->prepare(thread);
    pthread_barrier_wait(&barrier);
    work->run(thread);
    pthread_barrier_wait(&barrier);
    return NULL;
}

/* Shared writes for each of `operations` operations, in hundredths, all CPUs at it at once. */
static long measure(const struct work *what, long operations) {
    pthread_t thread[MOST];
    pthread_attr_t attr;
    long n = cpus_list(cpus);
    work = what;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    pthread_barrier_init(&barrier, NULL, (unsigned)n + 1);
    for (long i = 0; i < n; i++)
        CHECK_EQ(pthread_create(&thread[i], &attr, worker, (void *)i), 0);
    long before = shared_writes();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    long after = shared_writes();
    for (long i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&barrier);
    return (after - before) * 100 / (operations * n);
}

static void touch(long thread) {
    for (long i = 0; i < PAGES; i++)
        memory[thread][i * 4096] = 1;
}

static void faults(void) {
    if (shared_writes() < 0)
        SKIP("not the counting build");
    for (long i = 0; i < MOST; i++) {
        memory[i] =
            mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(memory[i] != MAP_FAILED);
        madvise(memory[i], PAGES * 4096, MADV_NOHUGEPAGE);
    }
    long each = measure(&(struct work){ NULL, touch }, PAGES);
    guest_print("# a fault: %ld.%02ld shared writes", each / 100, each % 100);
    CHECK(each <= 200);
    CHECK(each >= 100); /* the entry itself: the counter works */
    for (long i = 0; i < MOST; i++)
        munmap(memory[i], PAGES * 4096);
}

static void wake_nobody(long thread) {
    for (long i = 0; i < CALLS; i++)
        CHECK_EQ(syscall(SYS_futex, &word, (1 | 128) /* FUTEX_WAKE, private */, 1, NULL, NULL, 0),
                 0);
    (void)thread;
}

/*
 * None, or one where the word's bucket happens to hold one who waits at the
 * barrier (one address in a hundred, another in each boot): then its lock.
 */
static void futex_wake_nobody(void) {
    if (shared_writes() < 0)
        SKIP("not the counting build");
    long each = measure(&(struct work){ NULL, wake_nobody }, CALLS);
    guest_print("# FUTEX_WAKE of nobody: %ld.%02ld shared writes", each / 100, each % 100);
    CHECK(each <= 200);
}

static void wait_for_another_value(long thread) {
    for (long i = 0; i < CALLS; i++) {
        long result = syscall(SYS_futex, &word, (0 | 128) /* FUTEX_WAIT, private */, 1, NULL);
        CHECK(result == -1 && errno == EAGAIN);
    }
    (void)thread;
}

static void futex_wait_elsewhere(void) {
    if (shared_writes() < 0)
        SKIP("not the counting build");
    long each = measure(&(struct work){ NULL, wait_for_another_value }, CALLS);
    guest_print("# FUTEX_WAIT for another value: %ld.%02ld shared writes", each / 100, each % 100);
    CHECK(each <= 200);
}

static void *blocks[MOST][LIVE];
static unsigned random_state[MOST];
static long locked_instructions;
static __thread volatile long locked;

/* Frees a block of its own, takes another of 16 to 1024 bytes. */
static void replace_block(long thread) {
    unsigned r = random_state[thread] = random_state[thread] * 1664525 + 1013904223;
    void **block = &blocks[thread][r >> 8 & (LIVE - 1)];
    free(*block);
    *block = malloc(16u << (r >> 16) % 7);
    *(volatile char *)*block = 1;
}

static void take_blocks(long thread) {
    random_state[thread] = (unsigned)thread + 1;
    for (long i = 0; i < CALLS; i++)
        replace_block(thread);
}

static void replace_blocks(long thread) {
    for (long i = 0; i < CALLS; i++)
        replace_block(thread);
}

/* The instruction that comes next: has it a lock prefix, or is it an exchange with memory? */
static void on_step(int signal, siginfo_t *info, void *context) {
    const unsigned char *at =
        (const unsigned char *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    (void)signal;
    (void)info;
    while (*at == 0x66 || *at == 0xf2 || *at == 0xf3 || *at == 0x64 || *at == 0x65)
        at++;
    if (*at == 0xf0) {
        locked++;
        return;
    }
    if ((*at & 0xf0) == 0x40) /* REX */
        at++;
    if ((*at == 0x86 || *at == 0x87) && at[1] < 0xc0)
        locked++;
}

/* Sets or clears the trap flag; a leaf's locals below the stack pointer are left alone. */
static void step(int on) {
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
                     "pushf\n\t"
                     "andq $~0x100, (%%rsp)\n\t"
                     "orq %0, (%%rsp)\n\t"
                     "popf\n\t"
                     "lea 128(%%rsp), %%rsp" ::"r"(on ? 0x100L : 0L)
                     : "memory", "cc");
}

static void step_blocks(long thread) {
    locked = 0;
    step(1);
    for (long i = 0; i < STEPPED; i++)
        replace_block(thread);
    step(0);
    __atomic_fetch_add(&locked_instructions, locked, __ATOMIC_RELAXED);
}

static void one_exchange(long thread) {
    static long shared;
    (void)thread;
    locked = 0;
    step(1);
    __atomic_fetch_add(&shared, 1, __ATOMIC_RELAXED);
    __atomic_exchange_n(&shared, 1, __ATOMIC_RELAXED);
    step(0);
    __atomic_fetch_add(&locked_instructions, locked, __ATOMIC_RELAXED);
}

static void mallocs(void) {
    struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
    if (shared_writes() < 0)
        SKIP("not the counting build");
    if (!mimosa_heap_name)
        SKIP("not built with `mimosa cc`");
    REQUIRE(sigaction(SIGTRAP, &action, NULL) == 0);
    locked_instructions = 0;
    measure(&(struct work){ NULL, one_exchange }, 1);
    CHECK_EQ(locked_instructions, 2 * cpus_list(cpus)); /* the stepping works */
    locked_instructions = 0;
    long kernel = measure(&(struct work){ take_blocks, replace_blocks }, CALLS);
    measure(&(struct work){ take_blocks, step_blocks }, STEPPED);
    long own = locked_instructions * 100 / (STEPPED * cpus_list(cpus));
    guest_print("# a malloc and a free (%s): %ld.%02ld shared writes by the kernel, %ld.%02ld "
                "locked instructions of the heap",
                mimosa_heap_name(), kernel / 100, kernel % 100, own / 100, own % 100);
    CHECK(kernel + own <= 200);
}

static long lock_held_ns(void) {
    char text[2048] = "";
    int fd = open("/proc/mimosa/network", O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    const char *at = n > 0 ? strstr(text, "lock_held_ns") : NULL;
    close(fd);
    return at ? atol(at + strcspn(at, "0123456789")) : 0;
}

static void echo_once(const int ends[2]) {
    char text[64] = "";
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(send(ends[i], text, sizeof text, 0), sizeof text);
        CHECK_EQ(recv(ends[!i], text, sizeof text, MSG_WAITALL), sizeof text);
    }
}

/* How much of a message's way is under the network's one lock: what can never be done at once. */
static void network_lock(void) {
    if (shared_writes() < 0)
        SKIP("not the counting build");
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    int ends[2] = { socket(AF_INET, SOCK_STREAM, 0), -1 };
    REQUIRE(!listen(listener, 1) && !getsockname(listener, (struct sockaddr *)&at, &size));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(!connect(ends[0], (struct sockaddr *)&at, size));
    ends[1] = accept(listener, NULL, NULL);
    for (int i = 0; i < 2; i++)
        setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (int i = 0; i < CALLS; i++)
        echo_once(ends);
    struct timespec begin, end;
    long held = lock_held_ns();
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < CALLS; i++)
        echo_once(ends);
    clock_gettime(CLOCK_MONOTONIC, &end);
    held = lock_held_ns() - held;
    long all = (end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec;
    guest_print("# an echo over the loopback's TCP: the network's lock is held for %ld %% of it",
                held * 100 / all);
    CHECK(held > 0 && held < all);
    close(ends[0]);
    close(ends[1]);
    close(listener);
}

GUEST_MAIN(CASE(network_lock), CASE(faults), CASE(futex_wake_nobody), CASE(futex_wait_elsewhere),
           CASE(mallocs))
