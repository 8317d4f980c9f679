/* SPDX-License-Identifier: MIT */
/*
 * Timers that send signals: those of timer_create, and the three of setitimer.
 * sys_timer.c has the calls and the theory; signal.c sends and tells when a
 * signal was taken.
 */
#ifndef LINUX_INTERVAL_TIMER_H
#define LINUX_INTERVAL_TIMER_H

#include "base/list.h"
#include "base/types.h"
#include "kernel/timer.h"

struct queued_signal;

struct interval_timer {
    /* Constant once it is set up. */
    int id;                      /* of timer_create */
    int clock;                   /* CLOCK_*, or the negative id of a task's or process's CPU time */
    int signo;                   /* 0: none is sent */
    int tid;                     /* the task that gets it; 0: the process */
    struct queued_signal *entry; /* its signal, reserved (held); NULL for those of setitimer */
    struct list link;            /* the process's timers; under their mutex */

    struct timer timer;
    /* process_signals.lock: */
    uint64_t interval_ns;           /* 0: fires once */
    uint64_t deadline_ns;           /* clock_now_ns(), or CPU time of `clock`; TIME_NEVER: off */
    bool stopped;                   /* being set: do not fire, do not go on */
    bool waits;                     /* has fired; goes on when its signal is taken */
    uint64_t overrun, last_overrun; /* how often it was due besides: this signal, the last */
};

/* A signal of `t` was taken; process_signals.lock held.  Lets `t` go on; its overrun count. */
int interval_timer_taken_locked(struct interval_timer *t);

#endif
