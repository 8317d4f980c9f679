/* SPDX-License-Identifier: MIT */
/* Reads the command line of `mimosa run`. */
#include "cli/options.h"

#include "cli/commands.h"
#include "cli/net.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_DEFAULT (256ull << 20)
#define MEMORY_LEAST   (4ull << 20)
#define MEMORY_MOST    (1ull << 40)

static const char run_help[] =
    "mimosa run [options] PROGRAM [ARG]...: start a static Linux program as a virtual\n"
    "machine.  Its input, output, signals and exit status are the command's own.\n"
    "\n"
    "Examples:\n"
    "  mimosa run hello                             an example that comes with Mimosa\n"
    "  echo hi | mimosa run cat\n"
    "  mimosa run --cpus 4 --mem 1G ./server --threads 4\n"
    "  mimosa run --heap mimalloc ./a.out           for programs linked with `mimosa cc`\n"
    "  mimosa run --file data.txt:/data/in.txt ./a.out /data/in.txt\n"
    "  mimosa run --port 8080:80 ./server           its port 80 is this host's 8080\n"
    "  mimosa run --on linux-vm --cpus 2 ./a.out    the same binary on Linux, same QEMU\n"
    "  mimosa run --timeout 10 ./a.out              if it hangs: where every thread is\n"
    "\n"
    "The machine:\n"
    "  --cpus N           virtual CPUs, 1 to 64 (default 1)\n"
    "  --mem SIZE         memory: 64M, 2G ... (default 256M, at least 4M)\n"
    "  --on SYSTEM        qemu (Mimosa in QEMU, the default), linux (a process here),\n"
    "                     linux-vm (Debian's cloud kernel in the same QEMU), linux-lean (a\n"
    "                     Linux kernel built for nothing else, by tools/build-linux-lean)\n"
    "  --machine TYPE     microvm (default), microvm-acpi, q35\n"
    "  --accel NAME       auto (default: kvm where the CPU offers it), kvm, tcg\n"
    "  --icount           the clock counts instructions: the same work takes the same\n"
    "  --seed N           fix all randomness of the kernel\n"
    "  --populate         give every mapping its memory at once\n"
    "  --prealloc         take the machine's memory from the host at the start, so that no\n"
    "                     first touch waits for the host (it is what bench does)\n"
    "  --kernel FILE      another Mimosa kernel; --linux-kernel FILE another Linux\n"
    "  --qemu 'OPTIONS'   more options for QEMU, split at spaces\n"
    "\n"
    "The program:\n"
    "  --heap NAME        buddy, buddy-page, mimalloc, musl or bump (sets MIMOSA_HEAP)\n"
    "  --env NAME=VALUE   an environment variable; --env NAME takes it from here.  The\n"
    "                     program sees only PATH, HOME, TERM (on a terminal),\n"
    "                     MIMOSA_HEAP (if set here) and these\n"
    "  --file HOST[:GUEST]  put a file or directory into the root (repeatable)\n"
    "  --root DIR         take a whole directory as the root\n"
    "\n"
    "The network (none without these):\n"
    "  --net KIND         user: through QEMU, which needs no right; the program reaches out,\n"
    "                     and is reached by --port.  tap:IFNAME: a tap device of this host.\n"
    "                     socket:ARGS: other machines, by what QEMU's -netdev socket takes\n"
    "                     (listen=, connect=, mcast=, udp=, fd=).  none: no card\n"
    "  --port [ADDR:]HOST:GUEST[/udp]  the host's port HOST leads to the program's GUEST\n"
    "                     (repeatable; implies --net user; on 127.0.0.1 unless ADDR is given)\n"
    "  --ip ADDR/PREFIX[,GATEWAY[,DNS]]  a fixed IPv4 address; DHCP without it.  IPv6\n"
    "                     configures itself from what the network announces\n"
    "  Making a tap device needs root, once; using it afterwards does not:\n"
    "    sudo ip tuntap add dev mimosa0 mode tap user $USER\n"
    "    sudo ip address add 10.0.9.1/24 dev mimosa0\n"
    "    sudo ip link set mimosa0 up\n"
    "    mimosa run --net tap:mimosa0 --ip 10.0.9.2/24,10.0.9.1 ./server\n"
    "\n"
    "Watching:\n"
    "  --timeout SECONDS  then print every thread's state, stop, and exit with 124\n"
    "  --strace           print every system call\n"
    "  --gdb              wait for gdb; prints the line to type\n"
    "  --verbose          the kernel's log and QEMU's messages on standard error\n"
    "\n"
    "Exit status: the program's own; 128+N if signal N ended it; 124 after --timeout;\n"
    "125 if Mimosa itself failed; 2 for a wrong command line.\n";

static const char *const heap_names[] = { "buddy", "buddy-page", "mimalloc", "musl", "bump" };
static const char heap_list[] = "buddy, buddy-page, mimalloc, musl, bump";

bool heap_is_known(const char *name, const char **list) {
    *list = heap_list;
    for (size_t i = 0; i < sizeof(heap_names) / sizeof(heap_names[0]); i++) {
        if (!strcmp(name, heap_names[i])) {
            return true;
        }
    }
    return false;
}

void words_add(struct words *words, char *item) {
    words->items = xrealloc(words->items, (words->count + 2) * sizeof(char *));
    words->items[words->count++] = item;
    words->items[words->count] = NULL;
}

int size_parse(const char *text, uint64_t *bytes) {
    static const char units[] = "KMGT";
    char *end;
    double number = strtod(text, &end);
    double scale = 1;

    /* strtod would also take "inf", "nan" and "0x10". */
    if (end == text || *text < '0' || *text > '9' || strpbrk(text, "xXpPeE")) {
        return -1;
    }
    if (*end) {
        const char *unit = strchr(units, *end & ~0x20);
        if (!unit || !*unit) {
            return -1;
        }
        scale = (double)(1ull << (10 * (unit - units + 1)));
        end++;
        if (!strcmp(end, "iB") || !strcmp(end, "B")) {
            end += strlen(end);
        }
    }
    if (*end || number * scale >= 9e18 || number * scale != (double)(uint64_t)(number * scale)) {
        return -1;
    }
    *bytes = (uint64_t)(number * scale);
    return 0;
}

/* A decimal (or 0x) number with nothing after it. */
static int number_parse(const char *text, uint64_t *number) {
    char *end;

    errno = 0;
    *number = strtoull(text, &end, 0);
    return errno || end == text || *end || *text < '0' || *text > '9' ? -1 : 0;
}

static int choose(const char *text, const char *const *names, unsigned count, const char *option) {
    char list[128] = "";

    for (unsigned i = 0; i < count; i++) {
        if (!strcmp(text, names[i])) {
            return (int)i;
        }
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "", names[i]);
    }
    cli_usage("run", "--%s is one of %s, not '%s'", option, list, text);
    return -1;
}

enum option_id {
    OPT_CPUS = 256,
    OPT_MEM,
    OPT_HEAP,
    OPT_ON,
    OPT_MACHINE,
    OPT_ACCEL,
    OPT_ICOUNT,
    OPT_SEED,
    OPT_POPULATE,
    OPT_PREALLOC,
    OPT_STRACE,
    OPT_TIMEOUT,
    OPT_GDB,
    OPT_ENV,
    OPT_FILE,
    OPT_ROOT,
    OPT_NET,
    OPT_PORT,
    OPT_IP,
    OPT_VERBOSE,
    OPT_QEMU,
    OPT_KERNEL,
    OPT_LINUX_KERNEL,
    OPT_HELP,
};

static const struct option long_options[] = {
    { "cpus", required_argument, NULL, OPT_CPUS },
    { "mem", required_argument, NULL, OPT_MEM },
    { "heap", required_argument, NULL, OPT_HEAP },
    { "on", required_argument, NULL, OPT_ON },
    { "machine", required_argument, NULL, OPT_MACHINE },
    { "accel", required_argument, NULL, OPT_ACCEL },
    { "icount", no_argument, NULL, OPT_ICOUNT },
    { "seed", required_argument, NULL, OPT_SEED },
    { "populate", no_argument, NULL, OPT_POPULATE },
    { "prealloc", no_argument, NULL, OPT_PREALLOC },
    { "strace", no_argument, NULL, OPT_STRACE },
    { "timeout", required_argument, NULL, OPT_TIMEOUT },
    { "gdb", no_argument, NULL, OPT_GDB },
    { "env", required_argument, NULL, OPT_ENV },
    { "file", required_argument, NULL, OPT_FILE },
    { "root", required_argument, NULL, OPT_ROOT },
    { "net", required_argument, NULL, OPT_NET },
    { "port", required_argument, NULL, OPT_PORT },
    { "ip", required_argument, NULL, OPT_IP },
    { "verbose", no_argument, NULL, OPT_VERBOSE },
    { "qemu", required_argument, NULL, OPT_QEMU },
    { "kernel", required_argument, NULL, OPT_KERNEL },
    { "linux-kernel", required_argument, NULL, OPT_LINUX_KERNEL },
    { "help", no_argument, NULL, OPT_HELP },
    { NULL, 0, NULL, 0 },
};

static int parse_cpus(struct run_options *options, const char *text) {
    uint64_t number;

    if (number_parse(text, &number) || !number) {
        return cli_usage("run", "--cpus takes a number from 1 to %u, not '%s'", RUN_MAX_CPUS, text);
    }
    if (number > RUN_MAX_CPUS) {
        return cli_usage("run", "--cpus %s is too many: Mimosa runs on 1 to %u CPUs", text,
                         RUN_MAX_CPUS);
    }
    options->cpus = (unsigned)number;
    return -1;
}

static int parse_memory(struct run_options *options, const char *text) {
    uint64_t bytes;

    if (size_parse(text, &bytes)) {
        return cli_usage("run", "--mem takes a size such as 64M or 2G, not '%s'", text);
    }
    if (bytes < MEMORY_LEAST || bytes > MEMORY_MOST) {
        return cli_usage("run", "--mem %s is too %s: at least 4M, at most 1024G", text,
                         bytes < MEMORY_LEAST ? "little" : "much");
    }
    options->memory_bytes = bytes & ~0xfffffull; /* QEMU takes whole MiB */
    return -1;
}

static int parse_choice(struct run_options *options, int id, const char *text) {
    static const char *const systems[] = { "qemu", "linux", "linux-vm", "linux-lean" };
    static const char *const machines[] = { "microvm", "microvm-acpi", "q35" };
    static const char *const accels[] = { "auto", "kvm", "tcg" };
    int choice;

    if (id == OPT_ON) {
        choice = choose(text, systems, 4, "on");
        options->on = (enum run_system)choice;
    } else if (id == OPT_MACHINE) {
        choice = choose(text, machines, 3, "machine");
        options->machine = (enum run_machine)choice;
    } else {
        choice = choose(text, accels, 3, "accel");
        options->accel = (enum run_accel)choice;
    }
    return choice < 0 ? CLI_USAGE : -1;
}

static int parse_heap(struct run_options *options, const char *text) {
    const char *list;

    if (!heap_is_known(text, &list)) {
        return cli_usage("run", "there is no heap '%s'; the heaps are: %s", text, list);
    }
    options->heap = text;
    return -1;
}

static int parse_timeout(struct run_options *options, const char *text) {
    char *end;

    options->timeout_s = strtod(text, &end);
    if (*end || end == text || !(options->timeout_s > 0 && options->timeout_s < 1e9)) {
        return cli_usage("run", "--timeout takes seconds, not '%s'", text);
    }
    return -1;
}

static int parse_environment(struct run_options *options, char *text) {
    if (!*text || *text == '=') {
        return cli_usage("run", "--env takes NAME=VALUE, not '%s'", text);
    }
    words_add(&options->environment, text);
    return -1;
}

/* Takes one option; -1 to go on, or the status to exit with. */
static int take_option(struct run_options *options, int id, char *text) {
    switch (id) {
    case OPT_CPUS:
        return parse_cpus(options, text);
    case OPT_MEM:
        return parse_memory(options, text);
    case OPT_HEAP:
        return parse_heap(options, text);
    case OPT_ON:
    case OPT_MACHINE:
    case OPT_ACCEL:
        return parse_choice(options, id, text);
    case OPT_SEED:
        options->has_seed = true;
        return number_parse(text, &options->seed)
                   ? cli_usage("run", "--seed takes a number, not '%s'", text)
                   : -1;
    case OPT_TIMEOUT:
        return parse_timeout(options, text);
    case OPT_ENV:
        return parse_environment(options, text);
    case OPT_FILE:
        words_add(&options->files, text);
        return -1;
    case OPT_NET:
        return net_parse(options, text);
    case OPT_PORT:
        return net_parse_port(options, text);
    case OPT_IP:
        return net_parse_ip(options, "run", text);
    case OPT_HELP:
        fputs(run_help, stdout);
        return 0;
    default:
        return cli_usage("run", "wrong options");
    }
}

/* The options that only set a field; false when `id` is another one. */
static bool take_flag(struct run_options *options, int id, const char *text) {
    switch (id) {
    case OPT_ICOUNT:
        return options->icount = true;
    case OPT_POPULATE:
        return options->populate = true;
    case OPT_PREALLOC:
        return options->prealloc = true;
    case OPT_STRACE:
        return options->strace = true;
    case OPT_GDB:
        return options->gdb = true;
    case OPT_VERBOSE:
        return options->verbose = true;
    case OPT_ROOT:
        options->root = text;
        return true;
    case OPT_QEMU:
        options->qemu = text;
        return true;
    case OPT_KERNEL:
        options->kernel = text;
        return true;
    case OPT_LINUX_KERNEL:
        options->linux_kernel = text;
        return true;
    default:
        return false;
    }
}

int options_parse(struct run_options *options, int argc, char **argv) {
    int id;

    *options = (struct run_options){ .memory_bytes = MEMORY_DEFAULT };
    optind = 1;
    opterr = 0;
    /* '+': the first word that is no option is the program; the rest is its own. */
    while ((id = getopt_long(argc, argv, "+:h", long_options, NULL)) != -1) {
        if (id == ':' || id == '?') {
            return cli_bad_option("run", id, argv);
        }
        if (take_flag(options, id, optarg)) {
            continue;
        }
        int status = take_option(options, id == 'h' ? OPT_HELP : id, optarg);
        if (status >= 0) {
            return status;
        }
    }
    if (optind >= argc) {
        return cli_usage("run", "which program?");
    }
    options->program = argv + optind;
    if (options->icount && options->accel == ACCEL_KVM) {
        return cli_usage("run", "--icount counts emulated instructions: not with --accel kvm");
    }
    return net_settle(options);
}
