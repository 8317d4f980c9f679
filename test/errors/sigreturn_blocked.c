/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * text cannot be written or returned from */
#define _GNU_SOURCE
#include "test/errors/errors.h"
#include <signal.h>
#include <ucontext.h>

static void on_segv(int signal) {
    _exit(signal);
}

static void on_user(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)signal;
    (void)info;
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)0x8000000000000000;
    sigaddset(&uc->uc_sigmask, SIGSEGV);
}

/* The frame goes to no address and blocks SIGSEGV: its handler may not run. */
int main(void) {
    struct sigaction action = { .sa_sigaction = on_user, .sa_flags = SA_SIGINFO };
    said("before\n");
    signal(SIGSEGV, on_segv);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    return 0;
}
