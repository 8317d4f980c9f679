/* SPDX-License-Identifier: MIT */
/*
 * The first process of `mimosa run --on linux-vm` and linux-lean: what Mimosa's
 * kernel does around a program, done on Linux.  It mounts the usual file
 * systems, loads the drivers that the kernel wants as modules, reads the manifest
 * (base/wire.h), brings the network up, starts the program, carries its input and output between
 * pipes and the wire, and switches the machine off.
 *
 * The wire is a virtio port.  It is written without blocking (Linux's driver
 * spins in a blocking write), but for the exit record: when that write returns,
 * the other side has all.  While the program computes, this process sleeps.
 */
#include "base/wire.h"
#include "lab/vm/linux-net.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PART       32768u
#define MOST_WORDS 4096u
#define QUEUE      128 /* buffers that the virtio port's queue holds in QEMU */

static struct {
    char *program, *cwd, *net;
    char *arguments[MOST_WORDS], *environment[MOST_WORDS];
    char *text;
} manifest = { .cwd = (char[]){ "/" } };

static int wire = -1;
static uint8_t out[4 * WIRE_WINDOW]; /* frames that wait for the wire */
static size_t out_start, out_end;

/* The ends of the program's pipes that are ours: 0 is written, 1 and 2 are read. */
static int pipes[3];
static uint64_t credit[3] = { 0, WIRE_WINDOW, WIRE_WINDOW };
static char input[WIRE_WINDOW]; /* input that the program's pipe did not take yet */
static size_t input_start, input_end;
static bool input_ended;
static pid_t child;

static _Noreturn void power_off(void) {
    reboot(RB_POWER_OFF);
    for (;;) {
        pause();
    }
}

/* Ends the machine; the line reaches the command as the kernel's last words. */
static _Noreturn void give_up(const char *what) {
    int console = open("/dev/console", O_WRONLY);

    dprintf(console, "linux-init: %s: %s\n", what, strerror(errno));
    usleep(100000);
    power_off();
}

/* Loads one module; false when it lacks symbols of another that is not there yet. */
static bool load_module(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool loaded = !syscall(SYS_finit_module, fd, "", 0) || errno == EEXIST;

    if (!loaded && errno != ENOENT) {
        give_up(path);
    }
    close(fd);
    return loaded;
}

/* Again and again, until all are in: so their order does not matter. */
static void load_modules(void) {
    char path[300];
    bool progress = true, missing = true;

    while (progress && missing) {
        struct dirent *entry;
        DIR *folder = opendir("/.mimosa/modules");
        progress = missing = false;
        while (folder && (entry = readdir(folder))) {
            if (entry->d_name[0] == '.') {
                continue;
            }
            snprintf(path, sizeof(path), "/.mimosa/modules/%s", entry->d_name);
            if (load_module(path)) {
                unlink(path);
                progress = true;
            } else {
                missing = true;
            }
        }
        if (folder) {
            closedir(folder);
        }
    }
    rmdir("/.mimosa/modules");
}

/* The driver makes the port's device a moment after it was loaded. */
static void open_wire(void) {
    for (int tries = 0; tries < 2000 && wire < 0; tries++) {
        struct dirent *entry;
        DIR *folder = opendir("/dev");
        while (wire < 0 && folder && (entry = readdir(folder))) {
            if (!strncmp(entry->d_name, "vport", 5)) {
                char path[300];
                snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
                wire = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
            }
        }
        closedir(folder);
        if (wire < 0) {
            usleep(5000);
        }
    }
    if (wire < 0) {
        give_up("no virtio port (this kernel needs the virtio_pci and virtio_console drivers)");
    }
}

static void read_manifest(void) {
    struct stat info;
    size_t arguments = 0, variables = 0;
    int fd = open("/" WIRE_MANIFEST, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &info) || !(manifest.text = calloc(1, (size_t)info.st_size + 1)) ||
        read(fd, manifest.text, (size_t)info.st_size) != info.st_size) {
        give_up("manifest");
    }
    close(fd);
    unlink("/" WIRE_MANIFEST);
    rmdir("/.mimosa");
    for (char *at = manifest.text; at < manifest.text + info.st_size; at += strlen(at) + 1) {
        if (!strncmp(at, "program=", 8)) {
            manifest.program = at + 8;
        } else if (!strncmp(at, "arg=", 4) && arguments < MOST_WORDS - 1) {
            manifest.arguments[arguments++] = at + 4;
        } else if (!strncmp(at, "env=", 4) && variables < MOST_WORDS - 1) {
            manifest.environment[variables++] = at + 4;
        } else if (!strncmp(at, "cwd=", 4)) {
            manifest.cwd = at + 4;
        } else if (!strncmp(at, "net=", 4)) {
            manifest.net = at + 4;
        }
    }
}

static void start_program(void) {
    int ends[3][2];
    char path[4096];

    for (int i = 0; i < 3; i++) {
        if (pipe2(ends[i], O_CLOEXEC)) {
            give_up("pipe");
        }
        pipes[i] = ends[i][i == 0];
        fcntl(pipes[i], F_SETFL, O_NONBLOCK);
    }
    snprintf(path, sizeof(path), "/%s", manifest.program);
    child = fork();
    if (child) {
        for (int i = 0; i < 3; i++) {
            close(ends[i][i != 0]);
        }
        return;
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    for (int i = 0; i < 3; i++) {
        dup2(ends[i][i != 0], i);
    }
    if (chdir(manifest.cwd) == 0) {
        execve(path, manifest.arguments, manifest.environment);
    }
    fprintf(stderr, "mimosa: Linux cannot start %s: %s\n", path, strerror(errno));
    _exit(125);
}

static void put(unsigned type, unsigned stream, const void *payload, size_t length) {
    struct wire_header header = { (uint8_t)type, (uint8_t)stream, 0, (uint32_t)length };

    if (out_start == out_end) {
        out_start = out_end = 0;
    }
    if (sizeof(out) - out_end < sizeof(header) + length) {
        memmove(out, out + out_start, out_end - out_start);
        out_end -= out_start;
        out_start = 0;
    }
    memcpy(out + out_end, &header, sizeof(header));
    memcpy(out + out_end + sizeof(header), payload, length);
    out_end += sizeof(header) + length;
}

static void flush_wire(void) {
    while (out_start < out_end) {
        ssize_t written = write(wire, out + out_start, out_end - out_start);
        if (written < 0 && errno == EAGAIN) {
            return;
        }
        if (written < 0) {
            give_up("wire");
        }
        out_start += (size_t)written;
    }
}

/* Reads one of the program's outputs; false at its end or when there is nothing now. */
static bool read_output(int stream) {
    static char part[PART];
    size_t most = credit[stream] < PART ? credit[stream] : PART;
    ssize_t got = most ? read(pipes[stream], part, most) : -1;

    if (got > 0) {
        put(WIRE_DATA, (unsigned)stream, part, (size_t)got);
        credit[stream] -= (uint64_t)got;
        return true;
    }
    if (got == 0) {
        close(pipes[stream]);
        pipes[stream] = -1;
    }
    return false;
}

static void write_input(void) {
    uint32_t taken = 0;

    while (pipes[0] >= 0 && input_start < input_end) {
        ssize_t written = write(pipes[0], input + input_start, input_end - input_start);
        if (written < 0 && errno == EAGAIN) {
            break;
        }
        if (written < 0) { /* nobody reads it any more: swallow */
            written = (ssize_t)(input_end - input_start);
        }
        input_start += (size_t)written;
        taken += (uint32_t)written;
    }
    if (taken) {
        put(WIRE_CREDIT, WIRE_STDIN, &taken, sizeof(taken));
    }
    if (input_ended && input_start == input_end && pipes[0] >= 0) {
        close(pipes[0]);
        pipes[0] = -1;
    }
}

/* The first line of a thread's file in /proc; empty where there is none. */
static void read_thread_file(const char *thread, const char *name, char *line, size_t size) {
    char path[300];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", (int)child, thread, name);
    *line = '\0';
    file = fopen(path, "re");
    if (file) {
        if (fgets(line, (int)size, file)) {
            line[strcspn(line, "\n")] = '\0';
        }
        fclose(file);
    }
}

/* Every thread of the program, as far as Linux tells. */
static void report_threads(void) {
    char path[40], name[32], state[512], call[256], line[512];
    DIR *threads;
    unsigned count = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)child);
    threads = opendir(path);
    for (struct dirent *entry; threads && (entry = readdir(threads)) && count < 256;) {
        if (*entry->d_name == '.') {
            continue;
        }
        read_thread_file(entry->d_name, "comm", name, sizeof(name));
        read_thread_file(entry->d_name, "stat", state, sizeof(state));
        read_thread_file(entry->d_name, "syscall", call, sizeof(call));
        const char *behind_name = strrchr(state, ')');
        bool waits = behind_name && behind_name[1] && behind_name[2] != 'R';
        call[strcspn(call, " ")] = '\0';
        int length = snprintf(line, sizeof(line), "thread %s (%s): %s%s%s\n", entry->d_name, name,
                              waits ? "waiting" : "running", waits && *call ? ", in call " : "",
                              waits ? call : "");
        put(WIRE_LOG, 0, line, (size_t)length);
        count++;
    }
    if (threads) {
        closedir(threads);
    }
}

static void take_frame(const struct wire_header *header, const uint8_t *payload) {
    uint32_t number = 0;

    if (header->length >= sizeof(number)) {
        memcpy(&number, payload, sizeof(number));
    }
    if (header->type == WIRE_DATA && pipes[0] >= 0) {
        if (sizeof(input) - input_end < header->length) {
            memmove(input, input + input_start, input_end - input_start);
            input_end -= input_start;
            input_start = 0;
        }
        memcpy(input + input_end, payload, header->length);
        input_end += header->length;
    } else if (header->type == WIRE_EOF) {
        input_ended = true;
    } else if (header->type == WIRE_CREDIT && header->stream <= WIRE_STDERR) {
        credit[header->stream] += number;
    } else if (header->type == WIRE_CLOSED && header->stream <= WIRE_STDERR) {
        close(pipes[header->stream]);
        pipes[header->stream] = -1;
    } else if (header->type == WIRE_SIGNAL) {
        kill(child, (int)number);
    } else if (header->type == WIRE_DUMP) {
        report_threads();
        put(WIRE_DUMPED, 0, "", 0);
    }
}

static void read_wire(void) {
    static uint8_t bytes[2 * (WIRE_MAX_PAYLOAD + 8)];
    static size_t have;
    struct wire_header header;
    ssize_t got = read(wire, bytes + have, sizeof(bytes) - have);
    size_t at = 0;

    have += got > 0 ? (size_t)got : 0;
    while (have - at >= sizeof(header)) {
        memcpy(&header, bytes + at, sizeof(header));
        if (header.length > WIRE_MAX_PAYLOAD) {
            give_up("wire: a frame too long");
        }
        if (have - at < sizeof(header) + header.length) {
            break;
        }
        take_frame(&header, bytes + at + sizeof(header));
        at += sizeof(header) + header.length;
    }
    memmove(bytes, bytes + at, have - at);
    have -= at;
}

/* Relays until the program ended; its wait status. */
static int relay(int signals) {
    struct signalfd_siginfo info;
    int status;

    for (;;) {
        struct pollfd polls[] = {
            { wire, (short)(POLLIN | (out_start < out_end ? POLLOUT : 0)), 0 },
            { input_start < input_end ? pipes[0] : -1, POLLOUT, 0 },
            { credit[1] ? pipes[1] : -1, POLLIN, 0 },
            { credit[2] ? pipes[2] : -1, POLLIN, 0 },
            { signals, POLLIN, 0 },
        };
        poll(polls, 5, -1);
        if (polls[0].revents & POLLIN) {
            read_wire();
        }
        for (int stream = 1; stream <= 2; stream++) {
            if (polls[1 + stream].revents) {
                read_output(stream);
            }
        }
        write_input();
        flush_wire();
        if (polls[4].revents) {
            while (read(signals, &info, sizeof(info)) == sizeof(info)) {
            }
            for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
                if (ended == child) {
                    return status;
                }
            }
        }
    }
}

/*
 * Waits until the host has all that was written.  The driver's write returns
 * when the queue has the buffer; power off then, and what a busy host did not
 * take yet is lost.  A queue full of frames that say nothing pushes it through:
 * the wire blocks, and the last of them finds a place only when the host took
 * what was before the first.
 */
static void push_through(void) {
    const uint32_t nothing = 0;

    for (int i = 0; i <= QUEUE; i++) {
        put(WIRE_CREDIT, WIRE_STDIN, &nothing, sizeof(nothing));
        flush_wire();
    }
}

/* Sends what the program left in its pipes, as credit allows, then its exit record. */
static void finish(int status) {
    struct wire_exit record = { (uint32_t)WEXITSTATUS(status), 0 };

    for (int stream = 1; stream <= 2; stream++) {
        while (pipes[stream] >= 0) {
            struct pollfd poll_wire = { wire, (short)(POLLIN | (out_start < out_end ? POLLOUT : 0)),
                                        0 };
            if (credit[stream] && !read_output(stream)) {
                break; /* its end, or another process holds it open */
            }
            flush_wire();
            if (!credit[stream]) {
                poll(&poll_wire, 1, -1);
                read_wire();
            }
        }
    }
    if (WIFSIGNALED(status)) {
        record =
            (struct wire_exit){ 128u + (uint32_t)WTERMSIG(status), (uint32_t)WTERMSIG(status) };
    }
    put(WIRE_EXIT, 0, &record, sizeof(record));
    fcntl(wire, F_SETFL, 0);
    flush_wire();
    push_through();
}

/* A machine without its network still runs its program, and says so: as Mimosa does. */
static void begin_network(void) {
    const char *why = net_begin(manifest.net);
    char line[128];

    if (why) {
        int length = snprintf(line, sizeof(line), "linux-init: %s\n", why);
        put(WIRE_LOG, 0, line, (size_t)length);
    }
}

int main(void) {
    struct wire_hello hello = { .version = WIRE_VERSION, .stdin_credit = WIRE_WINDOW };
    sigset_t set;

    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mkdir("/dev/shm", 01777);
    mount("tmpfs", "/dev/shm", "tmpfs", 0, NULL);
    load_modules();
    open_wire();
    read_manifest();
    unlink("/init");
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    hello.cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    put(WIRE_HELLO, 0, &hello, sizeof(hello));
    begin_network();
    start_program();
    finish(relay(signals));
    power_off();
}
