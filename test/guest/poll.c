/* SPDX-License-Identifier: MIT */
/* select, pselect, ppoll, eventfd: results, errors, time-outs, signals, many descriptors. */
#define _GNU_SOURCE
#include "test/guest/guest.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>

static int interruptions;

static void on_signal(int signo) {
    (void)signo;
    interruptions++;
}

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void selecting(void) {
    int ends[2];
    fd_set in, out, except;
    REQUIRE(pipe(ends) == 0);
    struct timeval none = { 0, 0 };
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&except);
    FD_SET(ends[0], &in);
    FD_SET(ends[1], &out);
    FD_SET(ends[0], &except);
    CHECK_EQ(select(ends[1] + 1, &in, &out, &except, &none), 1);
    CHECK(!FD_ISSET(ends[0], &in) && FD_ISSET(ends[1], &out) && !FD_ISSET(ends[0], &except));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    CHECK_EQ(select(ends[1] + 1, &in, &out, NULL, NULL), 2); /* counts bits */
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    CHECK_EQ(select(ends[0], &in, NULL, NULL, &none), 0); /* n leaves it out */
    CHECK_ERRNO(select(-1, NULL, NULL, NULL, &none), EINVAL);
    close(ends[1]);
    FD_ZERO(&in);
    FD_SET(ends[1], &in);
    CHECK_ERRNO(select(ends[1] + 1, &in, NULL, NULL, &none), EBADF);
    struct timeval wrong = { -1, 0 };
    CHECK_ERRNO(syscall(SYS_select, 0, NULL, NULL, NULL, &wrong), EINVAL);
    CHECK_ERRNO(syscall(SYS_select, 1, (void *)8, NULL, NULL, &none), EFAULT);
    close(ends[0]);
}

static void timing_out(void) {
    struct timeval t = { 0, 30000 };
    long start = now_ms();
    CHECK_EQ(select(0, NULL, NULL, NULL, &t), 0);
    CHECK(now_ms() - start >= 29);
    struct timespec s = { 0, 20000000 };
    start = now_ms();
    CHECK_EQ(ppoll(NULL, 0, &s, NULL), 0);
    CHECK(now_ms() - start >= 19);
    start = now_ms();
    CHECK_EQ(poll(NULL, 0, 20), 0);
    CHECK(now_ms() - start >= 19);
    CHECK_EQ(pselect(0, NULL, NULL, NULL, &s, NULL), 0);
    struct timespec wrong = { 0, 1000000000 };
    CHECK_ERRNO(ppoll(NULL, 0, &wrong, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_poll, NULL, 1 << 30, 0), EINVAL);
}

static void interrupted(void) {
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigset_t block, old, none;
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = { { 0, 0 }, { 0, 20000 } }, never = { { 0, 0 }, { 0, 0 } };
    struct itimerval often = { { 0, 20000 }, { 0, 20000 } }; /* the first may come too early */
    interruptions = 0;
    setitimer(ITIMER_REAL, &often, NULL);
    CHECK_ERRNO(poll(NULL, 0, 60000), EINTR); /* never repeated after a handler */
    CHECK_ERRNO(select(0, NULL, NULL, NULL, NULL), EINTR);
    setitimer(ITIMER_REAL, &never, NULL);
    CHECK(interruptions >= 2);
    interruptions = 2;

    sigemptyset(&block), sigaddset(&block, SIGALRM), sigemptyset(&none);
    sigprocmask(SIG_BLOCK, &block, &old);
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK_EQ(poll(NULL, 0, 60), 0); /* blocked: it stays pending */
    CHECK_EQ(interruptions, 2);
    CHECK_ERRNO(ppoll(NULL, 0, NULL, &none), EINTR); /* let in for the call */
    CHECK_EQ(interruptions, 3);
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK_ERRNO(pselect(0, NULL, NULL, NULL, NULL, &none), EINTR);
    CHECK_EQ(interruptions, 4);
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK(sigismember(&now, SIGALRM)); /* the mask is back */
    struct timespec zero = { 0, 0 };
    CHECK_EQ(ppoll(NULL, 0, &zero, &none), 0);
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK(sigismember(&now, SIGALRM));
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void *count_up(void *arg) {
    uint64_t one = 1;
    for (int i = 0; i < 1000; i++)
        if (write(*(int *)arg, &one, sizeof one) != sizeof one)
            break;
    return NULL;
}

static void events(void) {
    uint64_t value = 0;
    int fd = eventfd(3, EFD_NONBLOCK);
    REQUIRE(fd >= 0);
    struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
    CHECK(poll(&p, 1, 0) == 1 && p.revents == (POLLIN | POLLOUT));
    CHECK(read(fd, &value, 8) == 8 && value == 3);
    CHECK_ERRNO(read(fd, &value, 8), EAGAIN);
    CHECK_ERRNO(read(fd, &value, 7), EINVAL);
    CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLOUT);
    value = UINT64_MAX;
    CHECK_ERRNO(write(fd, &value, 8), EINVAL);
    value = UINT64_MAX - 1;
    CHECK_EQ(write(fd, &value, 8), 8);
    CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLIN);
    value = 1;
    CHECK_ERRNO(write(fd, &value, 8), EAGAIN);
    CHECK_EQ(lseek(fd, 0, SEEK_SET), 0); /* no position, but no error */
    close(fd);
    fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    CHECK(read(fd, &value, 8) == 8 && value == 1);
    CHECK(read(fd, &value, 8) == 8 && value == 1);
    CHECK_ERRNO(read(fd, &value, 8), EAGAIN);
    close(fd);
    CHECK_ERRNO(syscall(SYS_eventfd2, 0, 2), EINVAL);

    fd = eventfd(0, 0);
    pthread_t adders[3];
    for (unsigned i = 0; i < LENGTH(adders); i++)
        REQUIRE(pthread_create(&adders[i], NULL, count_up, &fd) == 0);
    uint64_t sum = 0;
    while (sum < 3000 && read(fd, &value, 8) == 8)
        sum += value;
    CHECK_EQ(sum, 3000);
    for (unsigned i = 0; i < LENGTH(adders); i++)
        pthread_join(adders[i], NULL);
    close(fd);
}

static int many[64][2];

static void *poke(void *arg) {
    unsigned long seed = 99;
    (void)arg;
    for (int i = 0; i < 300; i++)
        if (write(many[guest_random(&seed) % LENGTH(many)][1], "x", 1) != 1)
            break;
    return NULL;
}

/* One thread writes here and there, one polls them all: every byte is seen. */
static void many_descriptors(void) {
    struct pollfd fds[LENGTH(many)];
    pthread_t writer;
    char bytes[64];
    int seen = 0;
    for (unsigned i = 0; i < LENGTH(many); i++) {
        REQUIRE(pipe(many[i]) == 0);
        fds[i] = (struct pollfd){ many[i][0], POLLIN, 0 };
    }
    REQUIRE(pthread_create(&writer, NULL, poke, NULL) == 0);
    while (seen < 300) {
        int ready = poll(fds, LENGTH(fds), 30000);
        REQUIRE(ready > 0);
        for (unsigned i = 0; i < LENGTH(many); i++)
            if (fds[i].revents & POLLIN) {
                ready--;
                seen += read(many[i][0], bytes, sizeof bytes);
            }
        CHECK_EQ(ready, 0);
    }
    CHECK_EQ(seen, 300);
    pthread_join(writer, NULL);
    for (unsigned i = 0; i < LENGTH(many); i++)
        close(many[i][0]), close(many[i][1]);
}

GUEST_MAIN(CASE(selecting), CASE(timing_out), CASE(interrupted), CASE(events),
           CASE(many_descriptors))
