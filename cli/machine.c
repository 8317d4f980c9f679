/* SPDX-License-Identifier: MIT */
/* Starts QEMU. */
#include "cli/machine.h"

#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

/*
 * The parts of a microvm that Mimosa has a use for: no 8254, no 8259.  With ACPI the firmware is
 * SeaBIOS, which since QEMU 8 starts a PVH kernel only through an option ROM.
 */
#define MICROVM "microvm,pit=off,pic=off,rtc=on,isa-serial=on"

#define LINUX_WORDS                                                                                \
    "console=ttyS0 panic=-1 mitigations=off tsc=reliable random.trust_cpu=on rdinit=/init"

/* Whether the CPU here has hardware virtualisation, which KVM needs to be fast. */
static bool has_virtualisation(void) {
    char *line = NULL;
    size_t capacity = 0;
    bool offered = false;
    FILE *info = fopen("/proc/cpuinfo", "re");
    while (info && !offered && getline(&line, &capacity, info) > 0) {
        offered = !strncmp(line, "flags", 5) && (strstr(line, " vmx") || strstr(line, " svm"));
    }
    free(line);
    if (info) {
        fclose(info);
    }
    return offered;
}

bool machine_kvm_usable(void) {
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (kvm < 0) {
        return false;
    }
    close(kvm);
    return has_virtualisation();
}

const char *machine_qemu(void) {
    const char *qemu = getenv("MIMOSA_QEMU");

    return qemu && *qemu ? qemu : "qemu-system-x86_64";
}

static bool uses_kvm(const struct run_options *options) {
    return options->accel == ACCEL_KVM ||
           (options->accel == ACCEL_AUTO && !options->icount && machine_kvm_usable());
}

static void add(struct words *words, const char *text) {
    words_add(words, xstrdup(text));
}

/* The words of `text`, which are separated by spaces. */
static void add_split(struct words *words, const char *text) {
    while (*text) {
        text += strspn(text, " \t\n");
        size_t length = strcspn(text, " \t\n");
        if (length) {
            words_add(words, strndup(text, length));
        }
        text += length;
    }
}

/* Memory that QEMU touches, with all CPUs of the host, before the guest starts. */
static void add_prealloc(struct words *words, uint64_t mebibytes) {
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    char *text = xasprintf("-object memory-backend-ram,id=ram,size=%lluM,prealloc=on,"
                           "prealloc-threads=%ld -machine memory-backend=ram",
                           (unsigned long long)mebibytes, cpus > 0 ? cpus : 1);

    add_split(words, text);
    free(text);
}

static unsigned cpu_count(const struct run_options *options) {
    return options->cpus ? options->cpus : 1;
}

/*
 * QEMU before 8.1 leaves memory barriers out of a machine that can have but one
 * CPU, though its devices run beside it: a notification is lost now and then, and
 * a connection stands still.  So a machine with one CPU could have a second.
 */
static void add_sizes(struct words *words, const struct run_options *options) {
    unsigned cpus = cpu_count(options);
    bool barriers = uses_kvm(options) || options->icount || cpus > 1;
    char *text = xasprintf("-smp %u%s -m %lluM", cpus, barriers ? "" : ",maxcpus=2",
                           (unsigned long long)(options->memory_bytes >> 20));

    add_split(words, text);
    free(text);
}

static void add_machine(struct words *words, const struct run_options *options) {
    const char *const types[] = {
        [MACHINE_MICROVM] =
            "-M " MICROVM ",acpi=off,x-option-roms=off -global virtio-mmio.force-legacy=false",
        [MACHINE_MICROVM_ACPI] =
            "-M " MICROVM ",acpi=on,x-option-roms=on -global virtio-mmio.force-legacy=false",
        [MACHINE_Q35] = "-M q35,vmport=off,smbus=off,sata=off",
    };

    add_split(words, types[options_machine(options)]);
    if (uses_kvm(options)) {
        add_split(words, "-accel kvm -cpu host,-arch-capabilities");
    } else if (options->icount) {
        add_split(words, "-accel tcg,thread=single -icount shift=0,sleep=off -cpu max "
                         "-rtc base=2024-01-01T00:00:00,clock=vm");
    } else {
        add_split(words, "-accel tcg,thread=multi -cpu max");
    }
    add_sizes(words, options);
    if (options->prealloc) {
        add_prealloc(words, options->memory_bytes >> 20);
    }
}

static void add_channels(struct words *words, const struct run_options *options, int wire,
                         int serial) {
    bool pci = options_machine(options) == MACHINE_Q35;
    /* Port 0 is for consoles, which lose bytes: see base/wire.h. */
    char *text = xasprintf(
        "-chardev socket,id=wire,fd=%d -device %s,max_ports=2 "
        "-device virtserialport,chardev=wire,nr=1,name=mimosa.wire "
        "-chardev socket,id=serial,fd=%d -serial chardev:serial",
        wire, pci ? "virtio-serial-pci,disable-legacy=on,vectors=8" : "virtio-serial-device",
        serial);

    add_split(words, text);
    free(text);
}

/* QEMU's whole command line, NULL-terminated.  It names no word of the program's. */
static void build_command(struct words *words, const struct machine *machine,
                          const struct run_options *options, const char *kernel, int initrd,
                          int wire, int serial) {
    *words = (struct words){ 0 };
    add(words, machine_qemu());
    add_machine(words, options);
    add_split(words, "-nodefaults -no-user-config -no-reboot -display none -sandbox " SANDBOX);
    add(words, "-kernel");
    add(words, kernel);
    add(words, "-initrd");
    words_add(words, xasprintf("/dev/fd/%d", initrd));
    add(words, "-append");
    if (system_is_linux_machine(options->on)) {
        words_add(words, xasprintf(LINUX_WORDS " possible_cpus=%u%s", cpu_count(options),
                                   options->verbose ? "" : " quiet loglevel=3"));
    } else {
        bool software_kvm = uses_kvm(options) && !has_virtualisation();
        words_add(words,
                  xasprintf("mimosa%s%s%s", software_kvm ? " software-kvm" : "",
                            options->icount ? " icount" : "", options->verbose ? " verbose" : ""));
    }
    add_channels(words, options, wire, serial);
    card_add(&machine->card, words, options);
    add_split(words, "-device isa-debug-exit,iobase=0x501,iosize=1");
    if (machine->gdb_folder) {
        add(words, "-S");
        add(words, "-gdb");
        words_add(words, xasprintf("unix:%s/" MACHINE_GDB_SOCKET ",server=on,wait=off",
                                   machine->gdb_folder));
    }
    if (options->qemu) {
        add_split(words, options->qemu);
    }
}

/* In the child: becomes QEMU, or tells the parent why not through `report`. */
static _Noreturn void become_qemu(char **command, const int *keep, int messages, int report,
                                  pid_t parent) {
    sigset_t none;
    int error = 0;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    /* Its own session: an interrupt typed at the terminal is for the program only. */
    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent || dup2(null, 0) < 0 ||
        dup2(messages, 1) < 0 || dup2(messages, 2) < 0) {
        error = errno ? errno : ESRCH;
    }
    for (; !error && *keep >= 0; keep++) {
        if (fcntl(*keep, F_SETFD, 0) < 0) {
            error = errno;
        }
    }
    if (!error) {
        execvp(command[0], command);
        error = errno;
    }
    ssize_t ignored = write(report, &error, sizeof(error));
    (void)ignored;
    _exit(CLI_FAILED);
}

static int say_start_error(const char *qemu, int error) {
    if (error == ENOENT) {
        cli_fail("there is no %s here; install QEMU: apt-get install qemu-system-x86", qemu);
    } else {
        cli_fail("cannot start %s: %s", qemu, strerror(error));
    }
    return -1;
}

/* Forks QEMU.  Returns 0, or an errno if it did not start. */
static int spawn(struct machine *machine, char **command, const int *keep, int messages) {
    pid_t parent = getpid();
    int report[2];
    int error = 0;

    if (pipe2(report, O_CLOEXEC)) {
        return errno;
    }
    machine->pid = fork();
    if (machine->pid == 0) {
        become_qemu(command, keep, messages, report[1], parent);
    }
    close(report[1]);
    if (machine->pid < 0) {
        error = errno;
    } else if (read(report[0], &error, sizeof(error)) > 0) {
        waitpid(machine->pid, NULL, 0);
        machine->pid = 0;
    } else {
        error = 0;
        machine->pidfd = (int)syscall(SYS_pidfd_open, machine->pid, 0);
    }
    close(report[0]);
    return error;
}

static int make_gdb_folder(struct machine *machine) {
    const char *base = getenv("XDG_RUNTIME_DIR");

    machine->gdb_folder = xasprintf("%s/mimosa-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(machine->gdb_folder)) {
        cli_fail("cannot make %s: %s", machine->gdb_folder, strerror(errno));
        free(machine->gdb_folder);
        machine->gdb_folder = NULL;
        return -1;
    }
    return 0;
}

int machine_start(struct machine *machine, const struct run_options *options, const char *kernel,
                  int initrd_fd) {
    int wire[2] = { -1, -1 }, serial[2] = { -1, -1 }, messages[2] = { -1, -1 };
    struct words command = { 0 };
    int type = SOCK_STREAM | SOCK_CLOEXEC;
    int result = -1;

    *machine = (struct machine){ .pidfd = -1, .wire = -1, .serial = -1, .messages = -1 };
    if (card_open(&machine->card, options) || (options->gdb && make_gdb_folder(machine))) {
        machine_end(machine);
        return -1;
    }
    if (socketpair(AF_UNIX, type, 0, wire) || socketpair(AF_UNIX, type, 0, serial) ||
        pipe2(messages, O_CLOEXEC)) {
        cli_fail("cannot make QEMU's channels: %s", strerror(errno));
        goto close_far_ends;
    }
    build_command(&command, machine, options, kernel, initrd_fd, wire[1], serial[1]);
    if (options->verbose) {
        fputs("mimosa: ", stderr);
        for (size_t i = 0; i < command.count; i++) {
            fprintf(stderr, "%s%c", command.items[i], i + 1 < command.count ? ' ' : '\n');
        }
    }
    int keep[4 + CARD_MAX_QUEUES] = { wire[1], serial[1], initrd_fd };
    memcpy(keep + 3, machine->card.taps, machine->card.queues * sizeof(keep[0]));
    keep[3 + machine->card.queues] = -1;
    int error = spawn(machine, command.items, keep, messages[1]);
    result = error ? say_start_error(command.items[0], error) : 0;

close_far_ends:
    close(wire[1]);
    close(serial[1]);
    close(messages[1]);
    machine->wire = wire[0];
    machine->serial = serial[0];
    machine->messages = messages[0];
    for (size_t i = 0; i < command.count; i++) {
        free(command.items[i]);
    }
    free(command.items);
    if (result) {
        machine_end(machine);
    }
    return result;
}

void machine_end(struct machine *machine) {
    if (machine->pid > 0) {
        kill(machine->pid, SIGKILL);
        while (waitpid(machine->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    int fds[] = { machine->pidfd, machine->wire, machine->serial, machine->messages };
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    card_close(&machine->card);
    if (machine->gdb_folder) {
        char *path = xasprintf("%s/" MACHINE_GDB_SOCKET, machine->gdb_folder);
        unlink(path);
        rmdir(machine->gdb_folder);
        free(path);
        free(machine->gdb_folder);
    }
    *machine = (struct machine){ .pidfd = -1, .wire = -1, .serial = -1, .messages = -1 };
}
