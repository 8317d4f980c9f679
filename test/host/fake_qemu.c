/* SPDX-License-Identifier: MIT */
/*
 * Stands in for QEMU (MIMOSA_QEMU=build/test/fake_qemu) in the tests of the
 * command: finds its two sockets on the command line, reads the first argument
 * of the "program" from the initrd's manifest, and plays that part on the wire.
 * So the command's side is tested without a kernel, misbehaving peers included.
 */
#include "base/wire.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int wire = -1, serial = -1;
static char *initrd;
static size_t initrd_size;

static void write_all(int fd, const void *bytes, size_t length) {
    const char *from = bytes;

    while (length) {
        ssize_t written = write(fd, from, length);
        if (written <= 0) {
            _exit(3);
        }
        from += written;
        length -= (size_t)written;
    }
}

static bool read_all(int fd, void *bytes, size_t length) {
    char *to = bytes;

    while (length) {
        ssize_t got = read(fd, to, length);
        if (got <= 0) {
            return false;
        }
        to += got;
        length -= (size_t)got;
    }
    return true;
}

static void put(unsigned type, unsigned stream, const void *payload, size_t length) {
    struct wire_header header = { (uint8_t)type, (uint8_t)stream, 0, (uint32_t)length };

    write_all(wire, &header, sizeof(header));
    write_all(wire, payload, length);
}

/* Takes one frame from the command. */
static bool take(struct wire_header *header, char *payload) {
    return read_all(wire, header, sizeof(*header)) && header->length <= WIRE_MAX_PAYLOAD &&
           read_all(wire, payload, header->length);
}

static void hello(void) {
    struct wire_hello text = { .version = WIRE_VERSION, .cpus = 1, .stdin_credit = WIRE_WINDOW };

    put(WIRE_HELLO, 0, &text, sizeof(text));
}

static _Noreturn void leave(uint32_t status, uint32_t signal) {
    struct wire_exit record = { status, signal };

    put(WIRE_EXIT, 0, &record, sizeof(record));
    exit(33); /* as isa-debug-exit would: a status that means nothing */
}

static void log_line(const char *text) {
    write_all(serial, text, strlen(text));
}

/* The n-th record `key=...` of the manifest, or NULL. */
static const char *manifest(const char *key, int n) {
    const char *begin = memmem(initrd, initrd_size, "program=", 8);
    const char *end = initrd + initrd_size;
    size_t length = strlen(key);

    for (const char *at = begin; at && at < end && *at; at += strlen(at) + 1) {
        if (!strncmp(at, key, length) && at[length] == '=' && n-- == 0) {
            return at + length + 1;
        }
    }
    return NULL;
}

/* cat: what comes in goes out, within the credit of both directions. */
static void part_cat(void) {
    static char payload[WIRE_MAX_PAYLOAD];
    struct wire_header header;
    uint64_t credit = WIRE_WINDOW;
    uint64_t held = 0;
    bool ended = false;
    static char buffer[WIRE_WINDOW];

    while (!ended || held) {
        if (held && credit) {
            uint64_t part = held < credit ? held : credit;
            part = part < 50000 ? part : 50000;
            put(WIRE_DATA, WIRE_STDOUT, buffer, part);
            memmove(buffer, buffer + part, held - part);
            held -= part;
            credit -= part;
            uint32_t consumed = (uint32_t)part;
            put(WIRE_CREDIT, WIRE_STDIN, &consumed, sizeof(consumed));
            continue;
        }
        if (!take(&header, payload)) {
            _exit(4);
        }
        if (header.type == WIRE_DATA && held + header.length <= sizeof(buffer)) {
            memcpy(buffer + held, payload, header.length);
            held += header.length;
        } else if (header.type == WIRE_DATA) {
            _exit(5); /* more than the credit allows */
        } else if (header.type == WIRE_EOF) {
            ended = true;
        } else if (header.type == WIRE_CREDIT && header.stream == WIRE_STDOUT) {
            uint32_t more;
            memcpy(&more, payload, sizeof(more));
            credit += more;
        }
    }
    leave(0, 0);
}

/* yes: writes until the reader is gone, then leaves as a program that gets SIGPIPE. */
static void part_yes(void) {
    static char payload[WIRE_MAX_PAYLOAD], text[60000];
    struct wire_header header;
    uint64_t credit = WIRE_WINDOW;

    memset(text, 'y', sizeof(text));
    for (;;) {
        while (credit >= sizeof(text)) {
            put(WIRE_DATA, WIRE_STDOUT, text, sizeof(text));
            credit -= sizeof(text);
        }
        if (!take(&header, payload)) {
            _exit(4);
        }
        if (header.type == WIRE_CREDIT) {
            uint32_t more;
            memcpy(&more, payload, sizeof(more));
            credit += more;
        } else if (header.type == WIRE_CLOSED) {
            leave(128 + 13, 13);
        }
    }
}

/* Waits for one kind of frame. */
static void await(unsigned type) {
    static char payload[WIRE_MAX_PAYLOAD];
    struct wire_header header;

    do {
        if (!take(&header, payload)) {
            _exit(4);
        }
    } while (header.type != type);
    if (type == WIRE_SIGNAL) {
        uint32_t number;
        memcpy(&number, payload, sizeof(number));
        leave(100 + number, 0);
    }
}

/* The command line that it was started with, a word a line. */
static void print_command(char **words) {
    for (; *words; words++) {
        put(WIRE_DATA, WIRE_STDOUT, *words, strlen(*words));
        put(WIRE_DATA, WIRE_STDOUT, "\n", 1);
    }
    leave(0, 0);
}

static void print_manifest(void) {
    static const char *const keys[] = { "program", "arg", "env", "cwd", "seed", "populate", "net" };
    char line[4096];

    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
        for (int n = 0; manifest(keys[k], n); n++) {
            int length = snprintf(line, sizeof(line), "%s=%s\n", keys[k], manifest(keys[k], n));
            put(WIRE_DATA, WIRE_STDOUT, line, (size_t)length);
        }
    }
    leave(0, 0);
}

/* As QEMU does where it does not like its options. */
static void refuse_to_start(const char *part) {
    if (!strcmp(part, "no-hello")) {
        fprintf(stderr, "qemu: something is wrong with the options\n");
        exit(1);
    }
    if (!strcmp(part, "no-port")) {
        fprintf(stderr, "qemu: -netdev user: Could not set up host forwarding rule 'tcp::1-:1'\n");
        exit(1);
    }
}

static void play(const char *part, char **words) {
    refuse_to_start(part);
    if (!strcmp(part, "early-data")) {
        put(WIRE_DATA, WIRE_STDOUT, "x", 1);
        sleep(10);
    }
    hello();
    if (!strcmp(part, "cat")) {
        part_cat();
    } else if (!strcmp(part, "yes")) {
        part_yes();
    } else if (!strcmp(part, "exit")) {
        leave((uint32_t)atoi(manifest("arg", 2)), 0);
    } else if (!strcmp(part, "both")) {
        put(WIRE_DATA, WIRE_STDERR, "error\n", 6);
        put(WIRE_DATA, WIRE_STDOUT, "output\n", 7);
        put(WIRE_LOG, 0, "report\n", 7);
        leave(0, 0);
    } else if (!strcmp(part, "command")) {
        print_command(words);
    } else if (!strcmp(part, "manifest")) {
        print_manifest();
    } else if (!strcmp(part, "die")) {
        log_line("[0.1 0] last words\r\n");
        exit(1);
    } else if (!strcmp(part, "killed")) {
        raise(SIGKILL);
    } else if (!strcmp(part, "refuse")) {
        log_line("[0.1 0] not shown\nmimosa: cannot start: too little memory for this\n");
    } else if (!strcmp(part, "panic")) {
        log_line("[0.1 0] its log\nmimosa: panic: bad thing at <k:1>\n  second line\n");
        exit(1);
    } else if (!strcmp(part, "bad-frame")) {
        put(99, 0, "", 0);
        sleep(10);
    } else if (!strcmp(part, "bad-length")) {
        struct wire_header header = { WIRE_DATA, WIRE_STDOUT, 0, 0xffffffff };
        write_all(wire, &header, sizeof(header));
        sleep(10);
    } else if (!strcmp(part, "signal")) {
        put(WIRE_DATA, WIRE_STDOUT, "ready\n", 6);
        await(WIRE_SIGNAL);
    } else if (!strcmp(part, "stuck")) { /* answers WIRE_DUMP, ignores all else */
        put(WIRE_DATA, WIRE_STDOUT, "ready\n", 6);
        await(WIRE_DUMP);
        put(WIRE_LOG, 0, "thread 1 sleeps\n", 16);
        put(WIRE_DUMPED, 0, "", 0);
        sleep(10);
    } else if (!strcmp(part, "deaf")) {
        log_line("[0.1 0] going deaf\n");
        sleep(30);
    } else if (!strcmp(part, "linger")) {
        struct wire_exit record = { 7, 0 };
        put(WIRE_EXIT, 0, &record, sizeof(record));
        sleep(30);
    }
}

int main(int argc, char **argv) {
    struct stat info;

    for (int i = 1; i < argc; i++) {
        sscanf(argv[i], "socket,id=wire,fd=%d", &wire);
        sscanf(argv[i], "socket,id=serial,fd=%d", &serial);
        if (!strcmp(argv[i - 1], "-initrd")) {
            int fd = open(argv[i], O_RDONLY);
            fstat(fd, &info);
            initrd_size = (size_t)info.st_size;
            initrd = malloc(initrd_size);
            if (!read_all(fd, initrd, initrd_size)) {
                return 6;
            }
        }
    }
    if (wire < 0 || serial < 0 || !initrd || !manifest("arg", 1)) {
        fprintf(stderr, "fake_qemu: not started by mimosa run\n");
        return 6;
    }
    play(manifest("arg", 1), argv);
    return 0;
}
