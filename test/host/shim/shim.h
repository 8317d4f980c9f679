/* SPDX-License-Identifier: MIT */
/*
 * What kernel code asks of the rest of the kernel, on the host.  A test lists
 * shim.c among its sources; the build finds this directory before the real
 * arch/ headers.
 */
#ifndef TEST_HOST_SHIM_H
#define TEST_HOST_SHIM_H

#include <stddef.h>

/* `bytes` of zeroed "physical memory" from address 0; the previous one is gone. */
void host_memory_create(size_t bytes);
/* Makes the calling thread CPU `n`. Before others look: cpu_count = how many there will be. */
void host_cpu_start(unsigned n);
/* The CPU's thread ends; its variables must not be looked at any more. */
void host_cpu_stop(unsigned n);

/* Lines of level LOG_ERROR, of all threads, roughly. */
extern unsigned host_errors_logged;

/* A panic ends the test, unless one is expected: then it comes back with true. */
#define host_panics(statement)                                                                     \
    ({                                                                                             \
        bool panicked_ = true;                                                                     \
        host_panic_expected = true;                                                                \
        if (!__builtin_setjmp(host_panic_jump)) {                                                  \
            statement;                                                                             \
            panicked_ = false;                                                                     \
        }                                                                                          \
        host_panic_expected = false;                                                               \
        panicked_;                                                                                 \
    })
extern bool host_panic_expected;
extern void *host_panic_jump[5];

#endif
