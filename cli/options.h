/* SPDX-License-Identifier: MIT */
/* The options of `mimosa run`. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum run_system { ON_QEMU, ON_LINUX, ON_LINUX_VM, ON_LINUX_LEAN };
enum run_machine { MACHINE_MICROVM, MACHINE_MICROVM_ACPI, MACHINE_Q35 };
enum run_accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };
enum run_net { NET_NONE, NET_USER, NET_TAP, NET_SOCKET };

#define RUN_MAX_CPUS 64u

/* A growing list of strings that belong to somebody else. */
struct words {
    char **items;
    size_t count;
};

struct run_options {
    enum run_system on;
    enum run_machine machine;
    enum run_accel accel;
    unsigned cpus; /* 0: not given */
    uint64_t memory_bytes;
    const char *heap; /* NULL: the program's own choice */
    bool icount, populate, prealloc, strace, gdb, verbose;
    bool has_seed;
    uint64_t seed;
    double timeout_s;         /* 0: none */
    struct words environment; /* NAME=VALUE, or NAME for the host's value */
    struct words files;       /* HOST[:GUEST] */
    const char *root;         /* NULL: a small root of our own */
    enum run_net net;         /* NET_NONE: no network card */
    bool net_given;           /* --net stood there, if only as none */
    bool image_net;           /* `image`: the program has the card that its machine has */
    const char *net_detail;   /* tap: the interface; socket: what QEMU takes */
    struct words ports;       /* [ADDR:]HOST:GUEST[/udp] */
    const char *ip;           /* ADDR/PREFIX[,GATEWAY[,DNS]]; NULL: DHCP */
    const char *qemu;         /* more QEMU options, separated by spaces */
    const char *kernel;       /* NULL: the one that belongs to this command */
    const char *linux_kernel; /* of linux-vm or linux-lean; NULL: the one in the cache */
    char **program;           /* what to run and its arguments, NULL-terminated */
};

void words_add(struct words *words, char *item);

/* A Linux kernel in QEMU, whichever. */
static inline bool system_is_linux_machine(enum run_system on) {
    return on == ON_LINUX_VM || on == ON_LINUX_LEAN;
}

/* The machine that QEMU makes: Linux has a q35, whatever --machine says. */
static inline enum run_machine options_machine(const struct run_options *options) {
    return system_is_linux_machine(options->on) ? MACHINE_Q35 : options->machine;
}

/*
 * Reads the command line of `run`.  Returns -1 when the run can start, else
 * the status to exit with (after --help or an error, both already printed).
 */
int options_parse(struct run_options *options, int argc, char **argv);

/* "64M", "1.5G", "4096K" or plain bytes; 0, or -1 when it is not a size. */
int size_parse(const char *text, uint64_t *bytes);

/* Whether `name` is one of the heaps; *list gets their names for a message. */
bool heap_is_known(const char *name, const char **list);

#endif
