/* SPDX-License-Identifier: MIT */
/* A virtual machine in QEMU: its command line, its start, its end. */
#ifndef CLI_MACHINE_H
#define CLI_MACHINE_H

#include "cli/card.h"
#include "cli/options.h"

#include <stdint.h>
#include <sys/types.h>

struct machine {
    pid_t pid;
    int pidfd;
    int wire;         /* socket: frames of base/wire.h */
    int serial;       /* socket: the first serial port, text */
    int messages;     /* pipe: what QEMU itself has to say */
    struct card card; /* the network's */
    char *gdb_folder; /* with --gdb: holds the socket that gdb talks to */
};

/* The gdb socket's path within gdb_folder. */
#define MACHINE_GDB_SOCKET "gdb"

/*
 * Starts QEMU with `kernel` and the initrd in `initrd_fd` (which stays the
 * caller's).  The machine dies when this process does.  Returns 0, or -1 after
 * printing why not.
 */
int machine_start(struct machine *machine, const struct run_options *options, const char *kernel,
                  int initrd_fd);

/* Kills QEMU if it still runs, waits for it, and closes what belongs to it. */
void machine_end(struct machine *machine);

/* The program that is QEMU here: $MIMOSA_QEMU, or by its usual name. */
const char *machine_qemu(void);

/* Whether --accel auto means KVM here: /dev/kvm opens and the CPU has vmx or svm. */
bool machine_kvm_usable(void);

#endif
