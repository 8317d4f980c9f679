/* SPDX-License-Identifier: MIT */
/* Broken invariants of our own: stop all CPUs, print registers and backtrace, end the machine. */
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

#include "base/types.h"

struct trap_frame;

noreturn_fn cold_fn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/*
 * Not a bug: the machine that we were given will not do ("too little memory for ...").  One line on
 * the serial port, `mimosa: cannot start: ...`, and the end of the machine.  Boot only; any CPU.
 */
noreturn_fn cold_fn void give_up(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* As panic(), with the registers of the context that failed. */
noreturn_fn cold_fn void panic_at(const struct trap_frame *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* From an NMI: part of a panic on another CPU (halts), or ipi_send_nmi() asking for a report. */
void panic_nmi(const struct trap_frame *f);

#ifdef HOST_TEST
#include <assert.h>
#else
/* Stays on in release builds. */
#define assert(cond)                                                                               \
    do {                                                                                           \
        if (unlikely(!(cond)))                                                                     \
            panic("assertion failed: %s (%s:%d)", #cond, __FILE__, __LINE__);                      \
    } while (0)
#endif

#ifdef DEBUG
#define assert_slow(cond) assert(cond)
#else
#define assert_slow(cond) ((void)sizeof(cond))
#endif

#endif
