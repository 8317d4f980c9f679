/* SPDX-License-Identifier: MIT */
/*
 * Touching memory that may not be touchable: each call returns 0 or the signal
 * that the access brought, and leaves si_code and si_addr.  Any thread may
 * call them (what they leave belongs to the calling thread).
 */
#ifndef TEST_GUEST_FAULTS_H
#define TEST_GUEST_FAULTS_H

#include "test/guest/guest.h"
#include <setjmp.h>
#include <signal.h>

static _Thread_local sigjmp_buf fault_return;
static _Thread_local volatile int fault_expected;
static _Thread_local int fault_code;
static _Thread_local void *fault_address;

static void fault_handler(int signal, siginfo_t *info, void *context) {
    (void)context;
    if (!fault_expected) {
        guest_print("# signal %d at %p, not expected", signal, info->si_addr);
        _exit(3);
    }
    fault_code = info->si_code;
    fault_address = info->si_addr;
    siglongjmp(fault_return, signal);
}

/* Runs the access with handlers for SIGSEGV and SIGBUS; 0 or the signal. */
static int fault_try(void (*access)(char *), char *p) {
    static volatile int installed;
    if (!installed) {
        struct sigaction action = { .sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO };
        sigaction(SIGSEGV, &action, NULL);
        sigaction(SIGBUS, &action, NULL);
        installed = 1;
    }
    fault_code = 0;
    fault_address = NULL;
    int signal = sigsetjmp(fault_return, 1);
    if (signal == 0) {
        fault_expected = 1;
        access(p);
    }
    fault_expected = 0;
    return signal;
}

static void fault_do_read(char *p) {
    (void)*(volatile char *)p;
}
static void fault_do_write(char *p) {
    *(volatile char *)p = *(volatile char *)p;
}
static void fault_do_execute(char *p) {
    void (*code)(void);
    memcpy(&code, &p, sizeof p);
    code();
}

__attribute__((unused)) static int fault_read(void *p) {
    return fault_try(fault_do_read, p);
}
__attribute__((unused)) static int fault_write(void *p) {
    return fault_try(fault_do_write, p);
}
__attribute__((unused)) static int fault_execute(void *p) {
    return fault_try(fault_do_execute, p);
}

#endif
