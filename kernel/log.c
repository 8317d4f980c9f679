/* SPDX-License-Identifier: MIT */
/* The log ring and its way out; log_lock guards both. */
#include "kernel/log.h"
#include "kernel/log_impl.h"
#include "arch/x86_64/percpu.h"
#include "base/format.h"
#include "base/string.h"
#include "kernel/lock.h"
#include "kernel/timer.h"

#define RING_SIZE KIB(8)
#define LINE_SIZE 256

bool log_verbose;

static struct spinlock log_lock = SPINLOCK_INIT(RANK_LOG);
static char ring[RING_SIZE];
static uint64_t ring_end; /* bytes ever written */
static const struct log_output *out;

void log_set_output(const struct log_output *output) {
    out = output;
}

void log_write(const char *text, size_t size) {
    out->panic(text, size);
}

static void ring_write(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        ring[ring_end++ % RING_SIZE] = text[i];
}

void log_line(enum log_level level, const char *fmt, ...) {
    char line[LINE_SIZE];
    uint64_t us = clock_now_ns() / 1000;
    int n = format(line, sizeof(line), "[%5lu.%06lu] cpu%u ", us / 1000000, us % 1000000, cpu_id());
    va_list args;
    va_start(args, fmt);
    n += format_args(line + n, sizeof(line) - (size_t)n - 1, fmt, args);
    va_end(args);
    n = MIN(n, LINE_SIZE - 2);
    line[n++] = '\n';
    uint64_t flags = spin_lock_irqsave(&log_lock);
    ring_write(line, (size_t)n);
    if (log_verbose || level == LOG_ERROR)
        out->log(line, (size_t)n);
    spin_unlock_irqrestore(&log_lock, flags);
}

void log_replay(void) {
    uint64_t at = ring_end > RING_SIZE ? ring_end - RING_SIZE : 0;
    for (; at < ring_end; at++)
        out->panic(&ring[at % RING_SIZE], 1);
}

void report(const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = format_args(text, sizeof(text), fmt, args);
    va_end(args);
    out->report(text, MIN((size_t)n, sizeof(text) - 1));
}
