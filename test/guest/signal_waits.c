/* SPDX-License-Identifier: MIT */
/* Signals and waiting: EINTR, SA_RESTART, sigsuspend, sigtimedwait, alarms, timers. */
#define _GNU_SOURCE
#include "test/guest/linux_abi.h"
#include "test/guest/threads.h"
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/time.h>

static volatile int count;
static pthread_t victim;
static int poke_stop, poke_wait;

static void on_signal(int signal) {
    (void)signal;
    count = count + 1;
}

static void install(int signal, int flags) {
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
    sigaction(signal, &action, NULL);
    count = 0;
}

/* Signals the victim every few milliseconds until it says stop. */
static void *poke(void *arg) {
    while (!__atomic_load_n(&poke_stop, __ATOMIC_ACQUIRE)) {
        sleep_ms(5);
        pthread_kill(victim, SIGUSR1);
    }
    return arg;
}

static pthread_t poke_start(int flags) {
    pthread_t thread;
    install(SIGUSR1, flags);
    victim = pthread_self();
    __atomic_store_n(&poke_stop, 0, __ATOMIC_RELEASE);
    if (!thread_start(&thread, poke, NULL))
        _exit(5);
    return thread;
}

static void poke_end(pthread_t thread) {
    __atomic_store_n(&poke_stop, 1, __ATOMIC_RELEASE);
    thread_join(thread);
    CHECK(count > 0);
}

static void sleep_is_interrupted(void) {
    struct timespec hour = { 3600, 0 }, left = { 0, 0 };
    pthread_t poker = poke_start(SA_RESTART); /* sleeps never restart */
    CHECK_ERRNO(nanosleep(&hour, &left), EINTR);
    CHECK(left.tv_sec >= 3000 && left.tv_sec <= 3600);
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, &left), EINTR);
    CHECK(left.tv_sec >= 3000);
    CHECK_ERRNO(pause(), EINTR);
    CHECK_ERRNO(poll(NULL, 0, 3600000), EINTR);
    CHECK_ERRNO(syscall(SYS_restart_syscall), EINTR); /* after a handler nothing goes on */
    poke_end(poker);
}

/* Sends the victim a signal and ignores it at once: whether the handler runs is open. */
static void *poke_and_ignore(void *arg) {
    struct sigaction handled = { .sa_handler = on_signal }, ignored = { .sa_handler = SIG_IGN };
    while (!__atomic_load_n(&poke_stop, __ATOMIC_ACQUIRE)) {
        sigaction(SIGUSR1, &handled, NULL);
        sleep_ms(1);
        pthread_kill(victim, SIGUSR1);
        sigaction(SIGUSR1, &ignored, NULL);
    }
    return arg;
}

/* A sleep that wakes up for a signal that is ignored by then goes on (restart_syscall). */
static void sleep_goes_on(void) {
    pthread_t poker;
    install(SIGUSR1, 0);
    victim = pthread_self();
    poke_stop = 0;
    REQUIRE(thread_start(&poker, poke_and_ignore, NULL));
    for (int i = 0; i < 200; i++) {
        struct timespec nap = { 0, 3000000 };
        int before = count;
        long begin = now_ns();
        if (nanosleep(&nap, NULL) == 0)
            CHECK(now_ns() - begin >= 3000000);
        else
            CHECK(errno == EINTR && count > before);
    }
    __atomic_store_n(&poke_stop, 1, __ATOMIC_RELEASE);
    thread_join(poker);
}

static void futex_is_interrupted(void) {
    static unsigned word;
    struct timespec hour = { 3600, 0 };
    pthread_t poker = poke_start(0);
    CHECK_ERRNO(syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0),
                EINTR);
    CHECK_ERRNO(syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &hour, NULL, 0),
                EINTR);
    sem_t semaphore;
    sem_init(&semaphore, 0, 0);
    CHECK_ERRNO(sem_wait(&semaphore), EINTR);
    poke_end(poker);
}

static int pipe_ends[2];

/* Writes one byte once the victim has been interrupted a few times. */
static void *write_later(void *arg) {
    unsigned ticks = 0;
    while (count < 3 && guest_tick(&ticks))
        ;
    CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
    return arg;
}

static void read_restarts_or_not(void) {
    char c = 0;
    pthread_t writer;
    REQUIRE(pipe(pipe_ends) == 0);
    pthread_t poker = poke_start(0);
    CHECK_ERRNO(read(pipe_ends[0], &c, 1), EINTR);
    poke_end(poker);
    poker = poke_start(SA_RESTART);
    REQUIRE(thread_start(&writer, write_later, NULL));
    CHECK_EQ(read(pipe_ends[0], &c, 1), 1);
    CHECK(c == 'x' && count >= 3);
    poke_end(poker);
    thread_join(writer);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void sigsuspend_swaps_masks(void) {
    sigset_t block, old, now, none;
    install(SIGUSR1, 0);
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigaddset(&block, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    raise(SIGUSR1);
    CHECK_EQ(count, 0);
    CHECK_ERRNO(sigsuspend(&none), EINTR);
    CHECK_EQ(count, 1);
    pthread_sigmask(SIG_SETMASK, &old, &now);
    CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2));
}

static void sigwait_takes_signals(void) {
    sigset_t set, old;
    siginfo_t info;
    struct timespec zero = { 0, 0 }, soon = { 0, 20000000 }, wrong = { 0, -1 };
    install(SIGUSR2, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    CHECK_ERRNO(sigtimedwait(&set, &info, &zero), EAGAIN);
    long begin = now_ns();
    CHECK_ERRNO(sigtimedwait(&set, &info, &soon), EAGAIN);
    CHECK(now_ns() - begin >= 20000000);
    CHECK_ERRNO(sigtimedwait(&set, &info, &wrong), EINVAL);
    union sigval value = { .sival_int = 55 };
    sigqueue(getpid(), SIGUSR2, value);
    CHECK_EQ(sigtimedwait(&set, &info, &zero), SIGUSR2);
    CHECK(info.si_signo == SIGUSR2 && info.si_code == SI_QUEUE && info.si_value.sival_int == 55);
    kill(getpid(), SIGUSR2);
    CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR2);
    int signal = 0;
    raise(SIGUSR2);
    CHECK(sigwait(&set, &signal) == 0 && signal == SIGUSR2);
    CHECK_EQ(count, 0); /* no handler ran */
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void *wait_for_signal(void *arg) {
    sigset_t set;
    int signal = 0;
    (void)arg;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    __atomic_store_n(&poke_wait, 1, __ATOMIC_RELEASE);
    CHECK_EQ(sigwait(&set, &signal), 0);
    return (void *)(long)signal;
}

static void sigwait_in_a_thread(void) {
    sigset_t set, old;
    pthread_t thread;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    poke_wait = 0;
    REQUIRE(thread_start(&thread, wait_for_signal, NULL));
    CHECK_SOON(__atomic_load_n(&poke_wait, __ATOMIC_ACQUIRE));
    kill(getpid(), SIGUSR2);
    CHECK_EQ((long)thread_join(thread), SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void alarms(void) {
    install(SIGALRM, 0);
    CHECK_EQ(alarm(1000), 0);
    unsigned left = alarm(0);
    CHECK(left > 900 && left <= 1000);
    CHECK_EQ(alarm(1), 0);
    long begin = now_ns();
    CHECK_ERRNO(pause(), EINTR);
    CHECK(now_ns() - begin > 900000000);
    CHECK_EQ(count, 1);
    CHECK_EQ(alarm(0), 0);
}

static void interval_timer(void) {
    struct itimerval timer = { { 0, 10000 }, { 0, 10000 } }, now, off = { { 0, 0 }, { 0, 0 } };
    install(SIGALRM, 0);
    long begin = now_ns();
    REQUIRE(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    for (int i = 0; i < 5; i++)
        pause();
    CHECK(now_ns() - begin >= 49000000);
    CHECK_EQ(getitimer(ITIMER_REAL, &now), 0);
    CHECK_EQ(now.it_interval.tv_usec, 10000);
    CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_usec <= 10000);
    CHECK_EQ(setitimer(ITIMER_REAL, &off, &now), 0);
    CHECK_EQ(now.it_interval.tv_usec, 10000);
    int then = count;
    CHECK(then >= 5);
    sleep_ms(50);
    CHECK(count <= then + 1);
    CHECK_ERRNO(setitimer(99, &timer, NULL), EINVAL);
    timer.it_value.tv_usec = 1000000;
    CHECK_ERRNO(setitimer(ITIMER_REAL, &timer, NULL), EINVAL);
}

GUEST_MAIN(CASE(sleep_is_interrupted), CASE(sleep_goes_on), CASE(futex_is_interrupted),
           CASE(read_restarts_or_not), CASE(sigsuspend_swaps_masks), CASE(sigwait_takes_signals),
           CASE(sigwait_in_a_thread), CASE(alarms), CASE(interval_timer))
