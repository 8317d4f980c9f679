/* SPDX-License-Identifier: MIT */
/* The machine ended without an exit record: finds the words for it. */
#include "cli/explain.h"

#include "cli/card.h"
#include "cli/commands.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* The signal that ended QEMU itself, or 0; then *status is the one that it ended with. */
static int machine_signal(const struct machine *machine, int *status) {
    siginfo_t info = { .si_pid = 0 };

    *status = 0;
    if (waitid(P_PID, (id_t)machine->pid, &info, WEXITED | WNOHANG | WNOWAIT)) {
        return 0;
    }
    if (info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED) {
        return info.si_status;
    }
    *status = info.si_status;
    return 0;
}

/* QEMU's messages, each line named as such. */
static void show_messages(char *rest) {
    char *line;

    while ((line = strsep(&rest, "\n"))) {
        if (*line) {
            fprintf(stderr, "qemu: %s\n", line);
        }
    }
}

/* Cuts the newline off. */
static bool is_one_line(char *text) {
    char *end = strchr(text, '\n');

    if (end && !end[1]) {
        *end = '\0';
    }
    return !strchr(text, '\n');
}

/* QEMU's message behind its own name. */
static const char *without_name(const char *message) {
    const char *colon = strstr(message, ": ");

    return !strncmp(message, "qemu", 4) && colon ? colon + 2 : message;
}

int explain_end(const struct end_facts *facts) {
    int status, number = machine_signal(facts->machine, &status);
    /* Above 1 it is the guest's own (isa-debug-exit): what QEMU said was a mere warning. */
    bool complains = facts->messages[0] && status <= 1;

    if (facts->log->linux_panic) {
        return cli_fail("the Linux kernel panicked (see above)");
    }
    if (facts->log->panicked) {
        return cli_fail("the kernel panicked (see above); this is a bug in Mimosa or too small "
                        "a machine");
    }
    if (facts->log->refusal) {
        bool memory = strstr(facts->log->refusal, "too little memory");
        return cli_fail("cannot start: %s%s", facts->log->refusal,
                        memory ? "; give more with --mem" : "");
    }
    const char *card = facts->started ? NULL : card_explain(facts->messages);
    if (card) {
        return cli_fail("%s", card);
    }
    if (complains && !facts->started && !number && is_one_line(facts->messages)) {
        return cli_fail("QEMU could not run the machine: %s", without_name(facts->messages));
    }
    show_messages(facts->messages);
    if (number) {
        return cli_fail("QEMU was ended by signal %d (%s)%s", number, strsignal(number),
                        number == SIGKILL ? "; is the host out of memory?" : "");
    }
    if (complains && !facts->started) {
        return cli_fail("QEMU could not run the machine (see above)");
    }
    log_show_last(facts->log, 10);
    if (facts->is_small && !facts->started) {
        return cli_fail("the Linux kernel did not start; Debian's needs --mem 96M or more");
    }
    return cli_fail("the machine stopped %s " EXPLAIN_STATUS "; --verbose shows the kernel's log",
                    facts->started ? "before the program's exit status came"
                                   : "before its kernel had started",
                    status);
}
