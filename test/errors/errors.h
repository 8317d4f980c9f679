/* SPDX-License-Identifier: MIT */
/*
 * Programs that misbehave on purpose.  Each says in its second comment what a
 * run must end with, for test/run-errors:
 *
 *     expect: STATUS SIGNAL-NAME       (no name: no signal)
 *     address HEX                      the report names this faulting address
 *     text PATTERN                     a line of standard error matches this, as for grep -E;
 *                                      each of several does.  /bin/NAME is cut out before.
 *     mem SIZE                         the machine's memory
 *     on linux|mimosa                  run there only
 *
 * Where a signal of its own making ends the program, Mimosa's report must also name the
 * instruction pointer, and a backtrace with `deliberate` in it, where the
 * source has a function of that name.
 */
#ifndef TEST_ERRORS_ERRORS_H
#define TEST_ERRORS_ERRORS_H

#include <string.h>
#include <unistd.h>

/* The number as a pointer that the compiler knows nothing of. */
static inline void *hidden(unsigned long address) {
    __asm__("" : "+r"(address));
    return (void *)address;
}

/* What the program wrote before it failed must arrive. */
static inline void said(const char *text) {
    if (write(1, text, strlen(text)) < 0)
        _exit(99);
}

#endif
