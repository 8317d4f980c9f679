/* SPDX-License-Identifier: MIT */
/*
 * The harness of the guest tests: static programs that pass on Linux first and
 * then run unchanged on Mimosa.
 *
 * A program is one file: cases (functions without arguments), and at the end
 *
 *     GUEST_MAIN(CASE(mmap_anonymous), CASE(mmap_fixed))
 *
 * It prints `ok NAME`, `skip NAME: why` or `not ok NAME: FILE:LINE: EXPRESSION
 * (values)` for each case and `N passed, N failed` last; its status is 1 when
 * a case failed.  With an argument it runs only the cases whose name contains
 * that argument.
 *
 * The harness itself needs write and exit_group of the system and nothing
 * else, since these programs are also what the kernel is brought up with.
 *
 * Rules: CHECKs may be used in any thread and go on after a failure; REQUIRE
 * returns from the calling function (which returns void) where going on would
 * crash.  No check may depend on speed: two vCPUs on a loaded core under an
 * emulator are fifty times slower than anything.  guest_tick bounds waits.
 *
 * test/run-guest reads one line of each program's source, if it is there:
 *     guest: mem=512M timeout=120 args=one,two status=3 on=mimosa
 * mem: the guest's memory; timeout: seconds on Mimosa; args: one run for each
 * word, with that word as its argument; status: the expected exit status;
 * on: run there only; cpus: only with these numbers of CPUs; glibc=no: musl only;
 * skips=one,two:1: what may be skipped on Mimosa: case one, and two with 1 CPU.
 * Any other skip there fails.
 */
#ifndef TEST_GUEST_GUEST_H
#define TEST_GUEST_GUEST_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct guest_case {
    const char *name;
    void (*run)(void);
};

/* State of the case that runs: only the harness touches it. */
static int guest_case_failed; /* checks that failed, counted by any thread */
static const char *guest_case_name = "program";
static const char *guest_case_skipped; /* why, or NULL */

/* Writes one formatted line to standard output in one write (any thread). */
__attribute__((format(printf, 1, 2), unused)) static void guest_print(const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (length > (int)sizeof line - 2)
        length = sizeof line - 2;
    line[length++] = '\n';
    for (int done = 0; done < length;) {
        ssize_t n = write(1, line + done, length - done);
        if (n <= 0)
            return;
        done += n;
    }
}

/* Records a failed check and prints it; only the first of a case is `not ok`. */
__attribute__((format(printf, 3, 4), unused)) static void guest_fail(const char *file, int line,
                                                                     const char *format, ...) {
    int saved = errno;
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int before = __atomic_fetch_add(&guest_case_failed, 1, __ATOMIC_RELAXED);
    if (before == 0)
        guest_print("not ok %s: %s:%d: %s", guest_case_name, file, line, text);
    else if (before < 10)
        guest_print("# %s: also %s:%d: %s", guest_case_name, file, line, text);
    errno = saved;
}

/* Leaves the case without a verdict; `why` must be a string constant. */
#define SKIP(why)                                                                                  \
    do {                                                                                           \
        guest_case_skipped = (why);                                                                \
        return;                                                                                    \
    } while (0)

#define CHECK(condition)                                                                           \
    ((condition) ? 1 : (guest_fail(__FILE__, __LINE__, "%s (errno %d)", #condition, errno), 0))

#define CHECK_EQ(actual, expected)                                                                 \
    __extension__({                                                                                \
        long guest_a = (long)(actual), guest_b = (long)(expected);                                 \
        if (guest_a != guest_b)                                                                    \
            guest_fail(__FILE__, __LINE__, "%s == %s (%ld = %#lx, not %ld = %#lx; errno %d)",      \
                       #actual, #expected, guest_a, guest_a, guest_b, guest_b, errno);             \
        guest_a == guest_b;                                                                        \
    })

/* The call must return -1 with this errno. */
#define CHECK_ERRNO(call, expected)                                                                \
    __extension__({                                                                                \
        errno = 0;                                                                                 \
        long guest_a = (long)(call);                                                               \
        int guest_e = errno;                                                                       \
        if (guest_a != -1 || guest_e != (expected))                                                \
            guest_fail(__FILE__, __LINE__, "%s fails with %s (result %ld, errno %d, not %d)",      \
                       #call, #expected, guest_a, guest_e, expected);                              \
        guest_a == -1 && guest_e == (expected);                                                    \
    })

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!CHECK(condition))                                                                     \
            return;                                                                                \
    } while (0)

/* For waits in loops: sleeps a millisecond; false once about a minute has gone by. */
__attribute__((unused)) static int guest_tick(unsigned *ticks) {
    struct {
        long seconds, nanoseconds;
    } nap = { 0, 1000000 };
    syscall(SYS_nanosleep, &nap, NULL);
    return ++*ticks < 60000;
}

/* Waits until the condition holds; fails the case if it never does. */
#define CHECK_SOON(condition)                                                                      \
    __extension__({                                                                                \
        unsigned guest_ticks = 0;                                                                  \
        while (!(condition) && guest_tick(&guest_ticks))                                           \
            ;                                                                                      \
        CHECK(condition);                                                                          \
    })

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* A repeatable source of numbers; *state is the seed and must not be 0. */
__attribute__((unused)) static unsigned long guest_random(unsigned long *state) {
    unsigned long x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

__attribute__((unused)) static int guest_main(int argc, char **argv, const struct guest_case *cases,
                                              unsigned count) {
    unsigned passed = 0, failed = 0;
    for (unsigned i = 0; i < count; i++) {
        if (argc > 1 && !strstr(cases[i].name, argv[1]))
            continue;
        guest_case_name = cases[i].name;
        guest_case_skipped = NULL;
        __atomic_store_n(&guest_case_failed, 0, __ATOMIC_RELAXED);
        cases[i].run();
        if (__atomic_load_n(&guest_case_failed, __ATOMIC_RELAXED)) {
            failed++;
        } else if (guest_case_skipped) {
            guest_print("skip %s: %s", cases[i].name, guest_case_skipped);
        } else {
            passed++;
            guest_print("ok %s", cases[i].name);
        }
    }
    guest_print("%u passed, %u failed", passed, failed);
    return failed != 0;
}

#define CASE(function)                                                                             \
    { #function, function }
#define GUEST_MAIN(...)                                                                            \
    int main(int argc, char **argv) {                                                              \
        static const struct guest_case cases[] = { __VA_ARGS__ };                                  \
        return guest_main(argc, argv, cases, LENGTH(cases));                                       \
    }

#endif
