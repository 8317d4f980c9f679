/* SPDX-License-Identifier: MIT */
/* Runs a program without any machine, for comparison. */
#include "cli/process.h"

#include "cli/commands.h"
#include "cli/initrd.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Leaves only the first `count` of the allowed CPUs; 0, or -1 after saying why. */
static int pin(unsigned count) {
    cpu_set_t allowed, wanted;
    unsigned found = 0;

    CPU_ZERO(&wanted);
    if (sched_getaffinity(0, sizeof(allowed), &allowed)) {
        cli_fail("cannot tell this machine's CPUs: %s", strerror(errno));
        return -1;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE && found < count; cpu++) {
        if (CPU_ISSET(cpu, &allowed)) {
            CPU_SET(cpu, &wanted);
            found++;
        }
    }
    if (found < count) {
        cli_fail("--cpus %u: this machine has only %u for a plain process", count, found);
        return -1;
    }
    return sched_setaffinity(0, sizeof(wanted), &wanted);
}

static _Noreturn void become_program(const struct run_options *options, const char *path,
                                     const sigset_t *mask) {
    struct words environment;

    environment_build(options, &environment);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execve(path, options->program, environment.items);
    _exit(cli_fail("cannot start %s: %s", path, strerror(errno)));
}

/* Waits for the child's end, passing signals on; its wait status, or -1 when time was up. */
static int wait_for(pid_t child, const sigset_t *signals, double timeout_s) {
    struct timespec end, now, left, *wait = NULL;
    siginfo_t info;
    int status;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)timeout_s;
    end.tv_nsec += (long)((timeout_s - (double)(time_t)timeout_s) * 1e9);
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (timeout_s > 0) {
            clock_gettime(CLOCK_MONOTONIC, &now);
            int64_t ns = (end.tv_sec - now.tv_sec) * 1000000000ll + end.tv_nsec - now.tv_nsec;
            if (ns <= 0) {
                return -1;
            }
            left = (struct timespec){ ns / 1000000000, ns % 1000000000 };
            wait = &left;
        }
        int number = sigtimedwait(signals, &info, wait);
        /* What the terminal sent (SI_KERNEL), the child got too. */
        if (number > 0 && number != SIGCHLD && info.si_code != SI_KERNEL) {
            kill(child, number);
        }
    }
    return status;
}

int process_run(const struct run_options *options, const char *path) {
    sigset_t signals, mask;

    if (options->cpus && pin(options->cpus)) {
        return CLI_FAILED;
    }
    sigemptyset(&signals);
    const int taken[] = { SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        sigaddset(&signals, taken[i]);
    }
    sigprocmask(SIG_BLOCK, &signals, &mask);
    pid_t child = fork();
    if (child == 0) {
        become_program(options, path, &mask);
    }
    if (child < 0) {
        return cli_fail("cannot start %s: %s", path, strerror(errno));
    }
    int status = wait_for(child, &signals, options->timeout_s);
    if (status == -1) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        cli_fail("the program still ran after %g seconds", options->timeout_s);
        return CLI_TIMEOUT;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
