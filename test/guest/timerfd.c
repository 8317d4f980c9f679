/* SPDX-License-Identifier: MIT */
/* timerfd: once, again and again, absolute, read and polled, set anew, errors. */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#define MS 1000000L
#ifndef TFD_TIMER_CANCEL_ON_SET
#define TFD_TIMER_CANCEL_ON_SET 2
#endif

static const int clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME };

static struct itimerspec setting(long value_ns, long interval_ns) {
    return (struct itimerspec){ { interval_ns / 1000000000, interval_ns % 1000000000 },
                                { value_ns / 1000000000, value_ns % 1000000000 } };
}

static int set(int fd, int flags, long value_ns, long interval_ns) {
    struct itimerspec s = setting(value_ns, interval_ns);
    return timerfd_settime(fd, flags, &s, NULL);
}

/* What a read gives: the count, or -1 with errno. */
static long count(int fd) {
    uint64_t n = 0;
    return read(fd, &n, sizeof n) == sizeof n ? (long)n : -1;
}

static long left_ns(int fd) {
    struct itimerspec s;
    CHECK_EQ(timerfd_gettime(fd, &s), 0);
    return s.it_value.tv_sec * 1000000000 + s.it_value.tv_nsec;
}

static long clock_ns(int clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static void once(void) {
    for (unsigned i = 0; i < LENGTH(clocks); i++) {
        int fd = timerfd_create(clocks[i], 0);
        REQUIRE(fd >= 0);
        CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
        CHECK_EQ(fcntl(fd, F_GETFD), 0);
        CHECK_EQ(left_ns(fd), 0);
        long start = now_ns();
        CHECK_EQ(set(fd, 0, 20 * MS, 0), 0);
        CHECK_EQ(count(fd), 1);
        CHECK(now_ns() - start >= 20 * MS);
        CHECK_EQ(left_ns(fd), 0);
        struct pollfd p = { fd, POLLIN, 0 };
        CHECK_EQ(poll(&p, 1, 5), 0); /* that was all */
        close(fd);
    }
}

static void absolute(void) {
    for (unsigned i = 0; i < LENGTH(clocks); i++) {
        int fd = timerfd_create(clocks[i], TFD_CLOEXEC);
        CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
        long start = now_ns();
        CHECK_EQ(set(fd, TFD_TIMER_ABSTIME, clock_ns(clocks[i]) + 20 * MS, 0), 0);
        CHECK_EQ(count(fd), 1);
        CHECK(now_ns() - start >= 19 * MS);
        CHECK_EQ(set(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, 1, 0), 0); /* long ago */
        CHECK_EQ(count(fd), 1);
        /* Intervals in the past count as well, those before the boot too. */
        CHECK_EQ(set(fd, TFD_TIMER_ABSTIME, clock_ns(clocks[i]) - 95 * MS, 1000000 * MS), 0);
        CHECK_EQ(count(fd), 1);
        CHECK(left_ns(fd) > 900000 * MS);
        CHECK_EQ(set(fd, TFD_TIMER_ABSTIME, clock_ns(clocks[i]) - 95 * MS, 10 * MS), 0);
        CHECK(count(fd) >= 10);
        close(fd);
    }
}

static void periodic(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec s;
    long start = now_ns(), sum = 0;
    CHECK_EQ(set(fd, 0, 5 * MS, 10 * MS), 0);
    while (sum < 5) {
        long n = count(fd);
        REQUIRE(n > 0);
        sum += n;
        CHECK(now_ns() - start >= 5 * MS + (sum - 1) * 10 * MS);
    }
    CHECK_EQ(timerfd_gettime(fd, &s), 0);
    CHECK_EQ(s.it_interval.tv_nsec, 10 * MS);
    CHECK(s.it_value.tv_nsec >= 0 && s.it_value.tv_nsec <= 10 * MS);
    sleep_ms(50);
    CHECK(count(fd) >= 4); /* none is lost, however late it is read */
    sleep_ms(30);
    CHECK(left_ns(fd) <= 10 * MS); /* looking counts on, and takes nothing */
    CHECK(count(fd) >= 2);
    CHECK_EQ(set(fd, 0, 1, 1), 0); /* as short as can be: no CPU drowns in it */
    sleep_ms(20);
    CHECK(count(fd) >= 20 * MS - MS);
    close(fd);
}

static void reset(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec new = setting(3000000 * MS, 0), old;
    CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    CHECK_ERRNO(count(fd), EAGAIN);
    CHECK_EQ(set(fd, 0, 1000000 * MS, 2000000 * MS), 0);
    CHECK_ERRNO(count(fd), EAGAIN);
    long left = left_ns(fd);
    CHECK(left > 0 && left <= 1000000 * MS);
    CHECK_EQ(timerfd_settime(fd, 0, &new, &old), 0);
    CHECK_EQ(old.it_interval.tv_sec, 2000);
    CHECK(old.it_value.tv_sec <= 1000 && old.it_value.tv_sec > 0);
    CHECK(left_ns(fd) > 1000000 * MS);
    CHECK_EQ(set(fd, 0, 1, 0), 0);
    struct pollfd p = { fd, POLLIN, 0 };
    CHECK(poll(&p, 1, -1) == 1 && p.revents == POLLIN);
    CHECK_EQ(set(fd, 0, 0, 5 * MS), 0); /* off: what was not read is forgotten */
    CHECK_EQ(poll(&p, 1, 10), 0);
    CHECK_ERRNO(count(fd), EAGAIN);
    CHECK_EQ(timerfd_gettime(fd, &old), 0);
    CHECK(old.it_value.tv_sec == 0 && old.it_value.tv_nsec == 0);
    CHECK_EQ(old.it_interval.tv_nsec, 5 * MS);
    new = (struct itimerspec){ { INT64_MAX, 0 }, { INT64_MAX, 999999999 } };
    CHECK_EQ(timerfd_settime(fd, 0, &new, NULL), 0); /* beyond all time */
    CHECK_EQ(timerfd_settime(fd, TFD_TIMER_ABSTIME, &new, NULL), 0);
    CHECK_ERRNO(count(fd), EAGAIN);
    CHECK(left_ns(fd) > 0);
    close(fd);
}

static void polled(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), epoll = epoll_create1(0);
    struct epoll_event e = { .events = EPOLLIN | EPOLLET };
    CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e), 0);
    CHECK_EQ(epoll_wait(epoll, &e, 1, 0), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(set(fd, 0, 3 * MS, MS), 0);
        CHECK_EQ(epoll_wait(epoll, &e, 1, -1), 1);
        CHECK_EQ(e.events, EPOLLIN);
        CHECK(count(fd) >= 1);
        CHECK_EQ(epoll_wait(epoll, &e, 1, -1), 1); /* it goes on once it is read */
        CHECK_EQ(set(fd, 0, 0, 0), 0);
        CHECK_EQ(epoll_wait(epoll, &e, 1, 5), 0);
    }
    CHECK_EQ(set(fd, 0, 3 * MS, 0), 0);
    close(fd); /* before it expires */
    CHECK_EQ(epoll_wait(epoll, &e, 1, 10), 0);
    close(epoll);
}

static void on_signal(int signo) {
    (void)signo;
}

static void interrupted(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    struct sigaction action = { .sa_handler = on_signal };
    struct itimerval again = { { 0, 10000 }, { 0, 10000 } }, off = { { 0, 0 }, { 0, 0 } };
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &again, NULL); /* one of them comes during the read */
    CHECK_ERRNO(count(fd), EINTR);        /* it is off: for ever, otherwise */
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    CHECK_EQ(set(fd, 0, 40 * MS, 0), 0);
    CHECK_EQ(count(fd), 1);
    setitimer(ITIMER_REAL, &off, NULL);
    close(fd);
}

static void *read_once(void *arg) {
    return (void *)count(*(int *)arg);
}

/* Several readers wait, one timer is set from outside; each gets what is his. */
static void readers(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    pthread_t threads[3];
    for (unsigned i = 0; i < LENGTH(threads); i++)
        REQUIRE(thread_start(&threads[i], read_once, &fd));
    sleep_ms(10);
    CHECK_EQ(set(fd, 0, MS, MS), 0);
    for (unsigned i = 0; i < LENGTH(threads); i++)
        CHECK((long)thread_join(threads[i]) >= 1);
    close(fd);
}

static void errors(void) {
    struct itimerspec s = setting(1, 0), wrong = setting(1, 0);
    char text[32], name[64];
    uint64_t n = 1;
    CHECK_ERRNO(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
    CHECK_ERRNO(timerfd_create(CLOCK_MONOTONIC_COARSE, 0), EINVAL);
    CHECK_ERRNO(timerfd_create(-1, 0), EINVAL);
    CHECK_ERRNO(timerfd_create(99, 0), EINVAL);
    CHECK_ERRNO(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
    int fd = timerfd_create(CLOCK_MONOTONIC, 0), ends[2];
    REQUIRE(fd >= 0 && pipe(ends) == 0);
    CHECK_ERRNO(timerfd_settime(999, 0, &s, NULL), EBADF);
    CHECK_ERRNO(timerfd_settime(ends[0], 0, &s, NULL), EINVAL);
    CHECK_ERRNO(timerfd_settime(fd, 4, &s, NULL), EINVAL);
    wrong.it_value.tv_nsec = 1000000000;
    CHECK_ERRNO(timerfd_settime(fd, 0, &wrong, NULL), EINVAL);
    wrong = s, wrong.it_value.tv_sec = -1;
    CHECK_ERRNO(timerfd_settime(fd, 0, &wrong, NULL), EINVAL);
    wrong = s, wrong.it_interval.tv_nsec = -1;
    CHECK_ERRNO(timerfd_settime(fd, 0, &wrong, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_timerfd_settime, fd, 0, NULL, NULL), EFAULT);
    CHECK_ERRNO(syscall(SYS_timerfd_settime, fd, 0, 8, NULL), EFAULT);
    CHECK_ERRNO(syscall(SYS_timerfd_settime, fd, 0, &s, 8), EFAULT); /* but it is set */
    CHECK_EQ(count(fd), 1);
    CHECK_ERRNO(syscall(SYS_timerfd_gettime, fd, 8), EFAULT);
    CHECK_ERRNO(timerfd_gettime(999, &s), EBADF);
    CHECK_ERRNO(timerfd_gettime(ends[0], &s), EINVAL);
    CHECK_ERRNO(read(fd, &n, 7), EINVAL);
    CHECK_ERRNO(write(fd, &n, sizeof n), EINVAL);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    long length = readlink(name, text, sizeof text);
    CHECK(length == 20 && memcmp(text, "anon_inode:[timerfd]", 20) == 0);
    close(fd), close(ends[0]), close(ends[1]);
}

GUEST_MAIN(CASE(once), CASE(absolute), CASE(periodic), CASE(reset), CASE(polled), CASE(interrupted),
           CASE(readers), CASE(errors))
