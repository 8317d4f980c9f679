/* SPDX-License-Identifier: MIT */
/* Signals: sending, masks, queues, contents, handlers and where they run. */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>
#include <ucontext.h>

static volatile int count;
static volatile int order[64];
static siginfo_t last;

static void on_signal(int signal) {
    if (count < 64)
        order[count] = signal;
    count = count + 1;
}

static void on_info(int signal, siginfo_t *info, void *context) {
    (void)context;
    last = *info;
    on_signal(signal);
}

static void install(int signal, int flags) {
    struct sigaction action = { .sa_flags = flags };
    if (flags & SA_SIGINFO)
        action.sa_sigaction = on_info;
    else
        action.sa_handler = on_signal;
    CHECK_EQ(sigaction(signal, &action, NULL), 0);
    count = 0;
}

static sigset_t set_of(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

static void block(int signal) {
    sigset_t set = set_of(signal);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
}

static void unblock(int signal) {
    sigset_t set = set_of(signal);
    CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
}

static int is_pending(int signal) {
    sigset_t set;
    CHECK_EQ(sigpending(&set), 0);
    return sigismember(&set, signal);
}

static void sigaction_results(void) {
    struct sigaction old, action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigaddset(&action.sa_mask, SIGUSR2);
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQ(sigaction(SIGUSR1, NULL, &old), 0);
    CHECK(old.sa_handler == on_signal && old.sa_flags & SA_RESTART);
    CHECK(sigismember(&old.sa_mask, SIGUSR2) && !sigismember(&old.sa_mask, SIGUSR1));
    CHECK_ERRNO(sigaction(SIGKILL, &action, NULL), EINVAL);
    CHECK_ERRNO(sigaction(SIGSTOP, &action, NULL), EINVAL);
    CHECK_ERRNO(sigaction(0, &action, NULL), EINVAL);
    CHECK_ERRNO(sigaction(65, &action, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, (void *)8, NULL, 8), EFAULT);
    CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 7), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &old, NULL, 4), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigprocmask, 77, &old, NULL, 8), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)8, NULL, 8), EFAULT);
}

static void raise_runs_handler(void) {
    install(SIGUSR1, 0);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(count, 1);
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    CHECK_EQ(count, 2);
    CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
    CHECK_EQ(count, 3);
    CHECK_EQ(order[2], SIGUSR1);
}

static void kill_errors(void) {
    CHECK_EQ(kill(getpid(), 0), 0);
    CHECK_ERRNO(kill(getpid(), 65), EINVAL);
    CHECK_ERRNO(kill(getpid(), -1), EINVAL);
    CHECK_ERRNO(kill(0x7ffffff0, 0), ESRCH);
    CHECK_EQ(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0), 0);
    CHECK_ERRNO(syscall(SYS_tgkill, getpid(), 0x7ffffff0, 0), ESRCH);
    CHECK_ERRNO(syscall(SYS_tgkill, -1, 1, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_tgkill, getpid(), 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 99), EINVAL);
    CHECK_EQ(syscall(SYS_tkill, syscall(SYS_gettid), 0), 0);
}

static void siginfo_contents(void) {
    install(SIGUSR1, SA_SIGINFO);
    kill(getpid(), SIGUSR1);
    CHECK_EQ(last.si_signo, SIGUSR1);
    CHECK_EQ(last.si_code, SI_USER);
    CHECK_EQ(last.si_pid, getpid());
    CHECK_EQ(last.si_uid, getuid());
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
    CHECK_EQ(last.si_code, SI_TKILL);
    CHECK_EQ(last.si_pid, getpid());
    union sigval value = { .sival_ptr = &last };
    CHECK_EQ(sigqueue(getpid(), SIGUSR1, value), 0);
    CHECK_EQ(last.si_code, SI_QUEUE);
    CHECK(last.si_value.sival_ptr == &last);
    CHECK_EQ(count, 3);
}

static void blocked_signals_stay_pending(void) {
    install(SIGUSR1, 0);
    block(SIGUSR1);
    CHECK(!is_pending(SIGUSR1));
    for (int i = 0; i < 5; i++)
        raise(SIGUSR1);
    kill(getpid(), SIGUSR1);
    CHECK(is_pending(SIGUSR1));
    CHECK_EQ(count, 0);
    unblock(SIGUSR1);
    CHECK(count >= 1 && count <= 2); /* one of the thread's, one of the process's */
    CHECK(!is_pending(SIGUSR1));
}

static void realtime_signals_queue(void) {
    int low = SIGRTMIN + 1, high = SIGRTMIN + 2;
    install(low, SA_SIGINFO);
    install(high, SA_SIGINFO);
    block(low);
    block(high);
    for (int i = 0; i < 5; i++) {
        union sigval value = { .sival_int = i };
        CHECK_EQ(sigqueue(getpid(), high, value), 0);
        CHECK_EQ(sigqueue(getpid(), low, value), 0);
    }
    unblock(low);
    CHECK_EQ(count, 5);
    CHECK_EQ(last.si_value.sival_int, 4);
    unblock(high);
    CHECK_EQ(count, 10);
    CHECK(order[4] == low && order[5] == high);
}

static volatile int nested_depth, nested_deepest;

static void on_nested(int signal) {
    nested_depth = nested_depth + 1;
    if (nested_depth > nested_deepest)
        nested_deepest = nested_depth;
    if (nested_depth < 4 && count < 2)
        raise(signal);
    nested_depth = nested_depth - 1;
    count = count + 1;
}

static void nested_handlers(void) {
    struct sigaction action = { .sa_handler = on_nested, .sa_flags = SA_NODEFER };
    count = nested_deepest = 0;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    CHECK_EQ(nested_deepest, 4); /* NODEFER: it interrupts itself */
    CHECK_EQ(count, 4);
    action.sa_flags = 0;
    count = nested_deepest = 0;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    CHECK_EQ(nested_deepest, 1); /* deferred until the handler has returned */
    CHECK_EQ(count, 3);
    CHECK(!is_pending(SIGUSR1));
}

static volatile int seen_blocked;

static void on_look(int signal) {
    sigset_t set;
    (void)signal;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    seen_blocked = sigismember(&set, SIGUSR1) | sigismember(&set, SIGUSR2) << 1 |
                   sigismember(&set, SIGHUP) << 2;
}

static void mask_in_handler(void) {
    struct sigaction action = { .sa_handler = on_look };
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &action, NULL);
    block(SIGHUP);
    raise(SIGUSR1);
    CHECK_EQ(seen_blocked, 7);
    unblock(SIGHUP);
    sigset_t set;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    CHECK(!sigismember(&set, SIGUSR1) && !sigismember(&set, SIGUSR2));
    action.sa_flags = SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    CHECK_EQ(seen_blocked, 0);
}

static void on_edit_mask(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)signal;
    (void)info;
    count = sigismember(&uc->uc_sigmask, SIGHUP);
    sigaddset(&uc->uc_sigmask, SIGUSR2);
}

static void mask_in_context_is_restored(void) {
    struct sigaction action = { .sa_sigaction = on_edit_mask, .sa_flags = SA_SIGINFO };
    sigset_t set;
    sigaction(SIGUSR1, &action, NULL);
    block(SIGHUP);
    raise(SIGUSR1);
    CHECK_EQ(count, 1);
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    CHECK(sigismember(&set, SIGUSR2)); /* what the handler put there */
    unblock(SIGUSR2);
    unblock(SIGHUP);
}

static void kill_and_stop_cannot_be_blocked(void) {
    sigset_t all, set, old;
    sigfillset(&all);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &all, &old), 0);
    pthread_sigmask(SIG_SETMASK, &old, &set);
    CHECK(!sigismember(&set, SIGKILL) && !sigismember(&set, SIGSTOP));
    CHECK(sigismember(&set, SIGUSR1));
}

static void resethand_and_ignore(void) {
    struct sigaction old, ignore = { .sa_handler = SIG_IGN }, normal = { .sa_handler = SIG_DFL };
    install(SIGUSR1, (int)SA_RESETHAND);
    raise(SIGUSR1);
    CHECK_EQ(count, 1);
    sigaction(SIGUSR1, NULL, &old);
    CHECK(old.sa_handler == SIG_DFL);
    sigaction(SIGUSR1, &ignore, NULL);
    raise(SIGUSR1);
    block(SIGUSR1);
    raise(SIGUSR1);
    sigaction(SIGUSR1, &ignore, NULL); /* ignoring drops what is pending */
    CHECK(!is_pending(SIGUSR1));
    unblock(SIGUSR1);
    sigaction(SIGCHLD, &normal, NULL);
    sigaction(SIGWINCH, &normal, NULL);
    sigaction(SIGURG, &normal, NULL);
    raise(SIGCHLD); /* ignored by default */
    raise(SIGWINCH);
    raise(SIGURG);
}

static sigjmp_buf escape;

static void on_escape(int signal) {
    siglongjmp(escape, signal);
}

static void longjmp_out_of_handlers(void) {
    struct sigaction action = { .sa_handler = on_escape };
    volatile int escapes = 0;
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGABRT, &action, NULL);
    for (volatile int i = 0; i < 1000; i = i + 1) {
        if (sigsetjmp(escape, 1) == 0)
            raise(SIGUSR1);
        else
            escapes = escapes + 1;
    }
    CHECK_EQ(escapes, 1000);
    int signal = sigsetjmp(escape, 1);
    if (signal == 0)
        abort();
    CHECK_EQ(signal, SIGABRT);
    action.sa_handler = SIG_DFL;
    sigaction(SIGABRT, &action, NULL);
}

static volatile int thread_signals[4];
static _Thread_local int thread_index;
static int threads_ready, threads_stop;

static void on_thread_signal(int signal) {
    (void)signal;
    thread_signals[thread_index] = thread_signals[thread_index] + 1;
}

static void *spin_until_stopped(void *arg) {
    thread_index = (int)(long)arg;
    if (thread_index == 2)
        block(SIGUSR2);
    __atomic_fetch_add(&threads_ready, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&threads_stop, __ATOMIC_RELAXED))
        if (thread_index == 1)
            sched_yield();
    return NULL;
}

/* Signals reach the thread they are for, also when it runs in a loop of its own. */
static void signals_to_threads(void) {
    pthread_t threads[3];
    struct sigaction action = { .sa_handler = on_thread_signal };
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    threads_ready = threads_stop = 0;
    for (long i = 0; i < 3; i++)
        REQUIRE(thread_start(&threads[i], spin_until_stopped, (void *)i));
    CHECK_SOON(__atomic_load_n(&threads_ready, __ATOMIC_ACQUIRE) == 3);
    for (int round = 1; round <= 20; round++)
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(pthread_kill(threads[i], SIGUSR1), 0);
            CHECK_SOON(thread_signals[i] == round);
        }
    /* One for the process goes to a thread that does not block it. */
    block(SIGUSR2);
    int before = thread_signals[0] + thread_signals[1];
    kill(getpid(), SIGUSR2);
    CHECK_SOON(thread_signals[0] + thread_signals[1] == before + 1);
    CHECK_EQ(thread_signals[2], 20);
    unblock(SIGUSR2);
    __atomic_store_n(&threads_stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
}

static void *look_at_mask(void *arg) {
    sigset_t set;
    (void)arg;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    CHECK(sigismember(&set, SIGHUP) && !sigismember(&set, SIGUSR1));
    CHECK(!is_pending(SIGHUP)); /* what waits for the creator is not inherited */
    return NULL;
}

static void threads_inherit_the_mask(void) {
    pthread_t thread;
    install(SIGHUP, 0);
    block(SIGHUP);
    raise(SIGHUP);
    REQUIRE(thread_start(&thread, look_at_mask, NULL));
    thread_join(thread);
    unblock(SIGHUP);
    CHECK_EQ(count, 1);
}

GUEST_MAIN(CASE(sigaction_results), CASE(raise_runs_handler), CASE(kill_errors),
           CASE(siginfo_contents), CASE(blocked_signals_stay_pending), CASE(realtime_signals_queue),
           CASE(nested_handlers), CASE(mask_in_handler), CASE(mask_in_context_is_restored),
           CASE(kill_and_stop_cannot_be_blocked), CASE(resethand_and_ignore),
           CASE(longjmp_out_of_handlers), CASE(signals_to_threads), CASE(threads_inherit_the_mask))
