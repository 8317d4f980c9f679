/* SPDX-License-Identifier: MIT */
/* timer_create and its kin, and the timers of CPU time: signals, overruns, errors. */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

/* Linux's struct sigevent, whose thread id the C libraries hide. */
struct event {
    union sigval value;
    int32_t signo, notify, tid, unused[11];
};
#define NOTIFY_SIGNAL    0
#define NOTIFY_NONE      1
#define NOTIFY_THREAD_ID 4

static volatile int count, last_tid;
static siginfo_t last;

static void note(int signo, siginfo_t *info, void *context) {
    (void)signo, (void)context;
    last = *info;
    last_tid = (int)syscall(SYS_gettid);
    count = count + 1;
}

static void handle(int signo) {
    struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART };
    sigaction(signo, &action, NULL);
    count = 0;
}

static int create(int clock, int notify, int signo, int value) {
    struct event e = { .value.sival_int = value, .signo = signo, .notify = notify };
    int id = -1;
    CHECK_EQ(syscall(SYS_timer_create, clock, &e, &id), 0);
    return id;
}

static long set(int id, int flags, long value_ns, long interval_ns) {
    struct itimerspec t = { { interval_ns / 1000000000, interval_ns % 1000000000 },
                            { value_ns / 1000000000, value_ns % 1000000000 } };
    return syscall(SYS_timer_settime, id, flags, &t, NULL);
}

static long left_ns(int id) {
    struct itimerspec t;
    CHECK_EQ(syscall(SYS_timer_gettime, id, &t), 0);
    return t.it_value.tv_sec * 1000000000 + t.it_value.tv_nsec;
}

static void errors(void) {
    struct event e = { .signo = SIGUSR1 };
    struct itimerspec t = { { 0, 0 }, { 0, 0 } };
    int id = -1;
    CHECK_ERRNO(syscall(SYS_timer_create, 99, &e, &id), EINVAL);
    CHECK_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC_RAW, &e, &id), EOPNOTSUPP);
    CHECK_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, (void *)8, &id), EFAULT);
    CHECK_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, (void *)8), EFAULT);
    e.signo = 0;
    CHECK_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id), EINVAL);
    e.signo = 65;
    CHECK_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id), EINVAL);
    e.signo = SIGUSR1;
    e.notify = 77;
    CHECK_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id), EINVAL);
    e.notify = NOTIFY_THREAD_ID;
    e.tid = 3999999;
    CHECK_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id), EINVAL);
    id = create(CLOCK_MONOTONIC, NOTIFY_SIGNAL, SIGUSR1, 0);
    CHECK_ERRNO(syscall(SYS_timer_settime, id, 0, NULL, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_timer_settime, id, 0, (void *)8, NULL), EFAULT);
    CHECK_ERRNO(syscall(SYS_timer_settime, 12345, 0, &t, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_timer_settime, id, 0, &t, (void *)8), EFAULT);
    t.it_value.tv_nsec = 1000000000;
    CHECK_ERRNO(syscall(SYS_timer_settime, id, 0, &t, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_timer_gettime, 12345, &t), EINVAL);
    CHECK_ERRNO(syscall(SYS_timer_gettime, id, (void *)8), EFAULT);
    CHECK_ERRNO(syscall(SYS_timer_getoverrun, 12345), EINVAL);
    CHECK_EQ(syscall(SYS_timer_delete, id), 0);
    CHECK_ERRNO(syscall(SYS_timer_delete, id), EINVAL);
    CHECK_ERRNO(syscall(SYS_timer_gettime, id, &t), EINVAL);
}

static void once(void) {
    int id = create(CLOCK_MONOTONIC, NOTIFY_SIGNAL, SIGUSR1, 4711);
    handle(SIGUSR1);
    CHECK_EQ(left_ns(id), 0);
    long begin = now_ns();
    CHECK_EQ(set(id, 0, 20000000, 0), 0);
    CHECK(left_ns(id) <= 20000000);
    CHECK_SOON(count > 0);
    CHECK(now_ns() - begin >= 20000000);
    CHECK_EQ(count, 1);
    CHECK_EQ(last.si_signo, SIGUSR1);
    CHECK_EQ(last.si_code, SI_TIMER);
    CHECK_EQ(last.si_value.sival_int, 4711);
    CHECK_EQ(last.si_timerid, id);
    CHECK_EQ(last.si_overrun, 0);
    CHECK_EQ(left_ns(id), 0);
    CHECK_EQ(syscall(SYS_timer_getoverrun, id), 0);
    CHECK_EQ(set(id, 0, 3600000000000, 0), 0);
    CHECK(left_ns(id) > 3500000000000);
    CHECK_EQ(set(id, 0, 0, 0), 0);
    CHECK_EQ(left_ns(id), 0);
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    CHECK_EQ(set(id, TIMER_ABSTIME, at.tv_sec * 1000000000 + at.tv_nsec + 10000000, 0), 0);
    CHECK_SOON(count == 2);
    CHECK_EQ(set(id, TIMER_ABSTIME, 1, 0), 0); /* long past */
    CHECK_SOON(count == 3);
    CHECK_EQ(syscall(SYS_timer_delete, id), 0);
    id = create(CLOCK_REALTIME, NOTIFY_SIGNAL, SIGUSR1, 1);
    clock_gettime(CLOCK_REALTIME, &at);
    CHECK_EQ(set(id, TIMER_ABSTIME, at.tv_sec * 1000000000 + at.tv_nsec + 10000000, 0), 0);
    CHECK_SOON(count == 4);
    CHECK_EQ(syscall(SYS_timer_delete, id), 0);
}

static void default_event(void) {
    int id = -1;
    CHECK_EQ(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id), 0);
    handle(SIGALRM);
    CHECK_EQ(set(id, 0, 1, 0), 0);
    CHECK_SOON(count > 0);
    CHECK_EQ(last.si_signo, SIGALRM);
    CHECK_EQ(last.si_value.sival_int, id);
    CHECK_EQ(syscall(SYS_timer_delete, id), 0);
}

static void intervals_and_overruns(void) {
    struct itimerspec t;
    struct timespec zero = { 0, 0 };
    siginfo_t info;
    sigset_t block, old;
    int id = create(CLOCK_MONOTONIC, NOTIFY_SIGNAL, SIGUSR1, 5);
    handle(SIGUSR1);
    CHECK_EQ(set(id, 0, 5000000, 5000000), 0);
    CHECK_SOON(count >= 4);
    CHECK_EQ(syscall(SYS_timer_gettime, id, &t), 0);
    CHECK_EQ(t.it_interval.tv_nsec, 5000000);
    CHECK(t.it_value.tv_sec == 0 && t.it_value.tv_nsec <= 5000000);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    CHECK_EQ(set(id, 0, 1000000, 1000000), 0);
    sleep_ms(50);
    CHECK_EQ(sigtimedwait(&block, &info, &zero), SIGUSR1);
    CHECK(info.si_overrun >= 40);
    CHECK_EQ(syscall(SYS_timer_getoverrun, id), info.si_overrun);
    CHECK_EQ(set(id, 0, 1, 1), 0); /* nobody could take so many: one, with a large overrun */
    sleep_ms(20);
    CHECK_EQ(sigtimedwait(&block, &info, &zero), SIGUSR1);
    CHECK(info.si_overrun > 1000000);
    CHECK_EQ(set(id, 0, 0, 0), 0);
    (void)!sigtimedwait(&block, &info, &zero);
    CHECK_ERRNO(sigtimedwait(&block, &info, &zero), EAGAIN);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    CHECK_EQ(syscall(SYS_timer_delete, id), 0);
}

static void without_signal(void) {
    int id = create(CLOCK_MONOTONIC, NOTIFY_NONE, 0, 0);
    CHECK_EQ(set(id, 0, 3600000000000, 0), 0);
    long before = left_ns(id);
    sleep_ms(5);
    CHECK(left_ns(id) <= before - 5000000);
    CHECK_EQ(set(id, 0, 1000000, 0), 0);
    sleep_ms(5);
    CHECK_EQ(left_ns(id), 0);
    CHECK_EQ(syscall(SYS_timer_delete, id), 0);
}

static int thread_tid, thread_stop;

static void *spin(void *arg) {
    __atomic_store_n(&thread_tid, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
    while (!__atomic_load_n(&thread_stop, __ATOMIC_ACQUIRE))
        sleep_ms(1);
    return arg;
}

static void to_one_thread(void) {
    pthread_t thread;
    int id = -1;
    thread_tid = thread_stop = 0;
    REQUIRE(thread_start(&thread, spin, NULL));
    CHECK_SOON(__atomic_load_n(&thread_tid, __ATOMIC_ACQUIRE));
    struct event e = { .signo = SIGUSR2, .notify = NOTIFY_THREAD_ID, .tid = thread_tid };
    CHECK_EQ(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id), 0);
    handle(SIGUSR2);
    CHECK_EQ(set(id, 0, 1000000, 1000000), 0);
    CHECK_SOON(count >= 3);
    CHECK_EQ(last_tid, thread_tid);
    __atomic_store_n(&thread_stop, 1, __ATOMIC_RELEASE);
    thread_join(thread);
    sleep_ms(5); /* the timer has nobody left, and harms nobody */
    CHECK_EQ(syscall(SYS_timer_delete, id), 0);
}

static void ignored_signals(void) {
    int id = create(CLOCK_MONOTONIC, NOTIFY_SIGNAL, SIGUSR1, 0);
    signal(SIGUSR1, SIG_IGN);
    CHECK_EQ(set(id, 0, 1000000, 1000000), 0);
    sleep_ms(20);
    handle(SIGUSR1);
    CHECK_SOON(count >= 2);
    CHECK_EQ(syscall(SYS_timer_delete, id), 0);
}

static volatile unsigned long burned;

static void burn_until(int wanted) {
    long begin = now_ns();
    while (count < wanted && now_ns() - begin < 30000000000)
        for (int i = 0; i < 10000; i++)
            burned = burned + 1;
    CHECK(count >= wanted);
}

static void of_cpu_time(void) {
    static const int clocks[] = { CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID };
    for (int i = 0; i < 2; i++) {
        struct timespec begin, now;
        int id = create(clocks[i], NOTIFY_SIGNAL, SIGUSR1, 0);
        handle(SIGUSR1);
        clock_gettime(clocks[i], &begin);
        CHECK_EQ(set(id, 0, 30000000, 0), 0);
        CHECK(left_ns(id) > 0);
        sleep_ms(50); /* does not count */
        CHECK_EQ(count, 0);
        burn_until(1);
        clock_gettime(clocks[i], &now);
        CHECK((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec >= 30000000);
        CHECK_EQ(set(id, 0, 10000000, 10000000), 0);
        burn_until(3);
        CHECK_EQ(syscall(SYS_timer_delete, id), 0);
    }
}

static void *burn(void *arg) {
    while (!__atomic_load_n(&thread_stop, __ATOMIC_ACQUIRE))
        for (int i = 0; i < 1000; i++)
            burned = burned + 1;
    return arg;
}

static void sleeping_for_cpu_time(void) {
    struct timespec begin, now, time = { 0, 30000000 };
    pthread_t thread;
    thread_stop = 0;
    REQUIRE(thread_start(&thread, burn, NULL));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    CHECK_EQ(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &time, NULL), 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    CHECK((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec >= 30000000);
    CHECK_EQ(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, &begin, NULL), 0);
    __atomic_store_n(&thread_stop, 1, __ATOMIC_RELEASE);
    thread_join(thread);
    CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &time, NULL), EOPNOTSUPP);
    CHECK_ERRNO(syscall(SYS_clock_nanosleep, -2, 0, &time, NULL), EINVAL); /* the caller's */
    CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, 8, NULL), EFAULT);
}

static void setitimer_of_cpu_time(void) {
    static const int which[] = { ITIMER_VIRTUAL, ITIMER_PROF }, signals[] = { SIGVTALRM, SIGPROF };
    struct itimerval off = { { 0, 0 }, { 0, 0 } }, now;
    for (int i = 0; i < 2; i++) {
        struct itimerval t = { { 0, 20000 }, { 0, 20000 } };
        handle(signals[i]);
        CHECK_EQ(setitimer(which[i], &t, NULL), 0);
        CHECK_EQ(getitimer(which[i], &now), 0);
        CHECK_EQ(now.it_interval.tv_usec, 20000);
        CHECK(now.it_value.tv_sec == 0);
        burn_until(3);
        CHECK_EQ(last.si_code, SI_KERNEL);
        CHECK_EQ(setitimer(which[i], &off, &now), 0);
        CHECK_EQ(now.it_interval.tv_usec, 20000);
        CHECK_EQ(getitimer(which[i], &now), 0);
        CHECK(now.it_value.tv_usec == 0 && now.it_interval.tv_usec == 0);
    }
}

/* No interval is too short for the machine. */
static void the_shortest_interval(void) {
    struct itimerval t = { { 0, 1 }, { 0, 1 } }, off = { { 0, 0 }, { 0, 0 } };
    sigset_t block, old;
    handle(SIGALRM);
    sigemptyset(&block);
    sigaddset(&block, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &block, &old); /* or there would be time for nothing else */
    CHECK_EQ(setitimer(ITIMER_REAL, &t, NULL), 0);
    sleep_ms(20);
    CHECK_EQ(setitimer(ITIMER_REAL, &off, NULL), 0);
    CHECK_EQ(count, 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    CHECK_EQ(count, 1);
    CHECK_EQ(alarm(100), 0);
    CHECK_EQ(alarm(0), 100); /* to the nearest second */
}

/* Times beyond all clocks: nothing is due, and nothing hangs. */
static void far_away(void) {
    static const int which[] = { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };
    static const int signals[] = { SIGALRM, SIGVTALRM, SIGPROF };
    struct itimerval far = { { LONG_MAX, 0 }, { LONG_MAX, 999999 } }, off = { { 0, 0 }, { 0, 0 } };
    struct itimerval soon = { { 0, 0 }, { 0, 20000 } };
    struct timespec never = { LONG_MAX, 999999999 };
    for (int i = 0; i < 3; i++) {
        handle(signals[i]);
        CHECK_EQ(setitimer(which[i], &far, NULL), 0);
        for (long begin = now_ns(); now_ns() - begin < 30000000;)
            burned = burned + 1;
        CHECK_EQ(count, 0);
        CHECK_EQ(setitimer(which[i], &off, NULL), 0);
    }
    handle(SIGALRM);
    CHECK_EQ(setitimer(ITIMER_REAL, &soon, NULL), 0);
    CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &never, NULL), EINTR);
    CHECK_EQ(setitimer(ITIMER_REAL, &soon, NULL), 0);
    CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &never, NULL), EINTR);
    CHECK_EQ(count, 2);
}

static int calls;

static void called(union sigval value) {
    __atomic_fetch_add(&calls, value.sival_int, __ATOMIC_ACQ_REL);
}

/* As the C library does it: a thread of its own. */
static void notification_by_thread(void) {
    struct sigevent e;
    struct itimerspec t = { { 0, 2000000 }, { 0, 2000000 } };
    timer_t timer;
    memset(&e, 0, sizeof e);
    e.sigev_notify = SIGEV_THREAD;
    e.sigev_notify_function = called;
    e.sigev_value.sival_int = 1;
    REQUIRE(timer_create(CLOCK_MONOTONIC, &e, &timer) == 0);
    CHECK_EQ(timer_settime(timer, 0, &t, NULL), 0);
    CHECK_SOON(__atomic_load_n(&calls, __ATOMIC_ACQUIRE) >= 3);
    CHECK_EQ(timer_delete(timer), 0);
}

GUEST_MAIN(CASE(errors), CASE(once), CASE(default_event), CASE(intervals_and_overruns),
           CASE(without_signal), CASE(to_one_thread), CASE(ignored_signals), CASE(of_cpu_time),
           CASE(sleeping_for_cpu_time), CASE(setitimer_of_cpu_time), CASE(the_shortest_interval),
           CASE(far_away), CASE(notification_by_thread))
