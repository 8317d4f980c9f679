/* SPDX-License-Identifier: MIT */
/*
 * What test/run-wire runs: a program of many small parts, each of which uses
 * standard input and output, signals, arguments or the exit status one way.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static void write_all(int fd, const char *data, long length) {
    while (length > 0) {
        long n = write(fd, data, length);
        if (n < 0)
            _exit(errno == EPIPE ? 33 : 34);
        data += n;
        length -= n;
    }
}

static int cat(void) {
    static char block[65536];
    long n;
    while ((n = read(0, block, sizeof block)) > 0)
        write_all(1, block, n);
    return n < 0;
}

/* So many MiB, all alike, all values of a byte in turn. */
static int produce(long megabytes) {
    static char block[1 << 20];
    for (long i = 0; i < (long)sizeof block; i++)
        block[i] = (char)(i * 7 + i / 256);
    for (long i = 0; i < megabytes; i++)
        write_all(1, block, sizeof block);
    return 0;
}

static int dribble(long bytes) {
    while (bytes--)
        write_all(1, bytes ? "x" : "\n", 1);
    return 0;
}

/* Byte for byte, and then not one system call more. */
__attribute__((noreturn)) static void spell(const char *word) {
    for (; *word; word++)
        write_all(1, word, 1);
    for (;;)
        __asm__ volatile("");
}

static void *write_errors(void *blocks) {
    char block[64];
    memset(block, 'e', sizeof block);
    for (long i = 0; i < (long)blocks; i++)
        write_all(2, block, sizeof block);
    return NULL;
}

/* Two threads, one on each stream, so many blocks each. */
static int together(long blocks) {
    pthread_t other;
    char block[64];
    memset(block, 'o', sizeof block);
    if (pthread_create(&other, NULL, write_errors, (void *)blocks))
        return 1;
    for (long i = 0; i < blocks; i++)
        write_all(1, block, sizeof block);
    return pthread_join(other, NULL);
}

static int both(void) {
    for (int i = 0; i < 200; i++) {
        char line[32];
        int length = snprintf(line, sizeof line, "%s %d\n", i % 2 ? "err" : "out", i);
        write_all(i % 2 ? 2 : 1, line, length);
    }
    return 0;
}

static void on_signal(int signal) {
    write_all(1, "caught\n", 7);
    _exit(100 + signal);
}

__attribute__((noreturn)) static void wait_for_signal(int catch) {
    if (catch) {
        signal(SIGTERM, on_signal);
        signal(SIGINT, on_signal);
        signal(SIGHUP, on_signal);
    }
    write_all(1, "ready\n", 6);
    for (;;)
        pause();
}

__attribute__((noreturn)) static void yes(int ignore) {
    if (ignore)
        signal(SIGPIPE, SIG_IGN);
    for (;;)
        write_all(1, "y\n", 2);
}

static void print_size(int signal) {
    struct winsize size = { 0 };
    char line[40];
    (void)signal;
    ioctl(0, TIOCGWINSZ, &size);
    write_all(1, line,
              snprintf(line, sizeof line, "%d rows %d columns\n", size.ws_row, size.ws_col));
}

/* The terminal's size now, and after its change. */
static int show_sizes(void) {
    struct sigaction on_change = { .sa_handler = print_size };
    sigset_t change, none;
    sigemptyset(&none);
    sigemptyset(&change);
    sigaddset(&change, SIGWINCH);
    sigprocmask(SIG_BLOCK, &change, NULL);
    sigaction(SIGWINCH, &on_change, NULL);
    print_size(0);
    write_all(1, "ready\n", 6);
    sigsuspend(&none);
    return 0;
}

/* Single keys without echo; leaves the terminal like that. */
static int keys(void) {
    struct termios settings;
    char key = 0;
    if (tcgetattr(0, &settings))
        return 1;
    settings.c_lflag &= ~(ICANON | ECHO | ISIG);
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    if (tcsetattr(0, TCSANOW, &settings))
        return 2;
    write_all(1, "ready\n", 6);
    while (read(0, &key, 1) == 1 && key != 'q') {
        char line[20];
        write_all(1, line, snprintf(line, sizeof line, "key %d\n", key));
    }
    return 0;
}

static void count_interrupt(int signal) {
    (void)signal;
    write_all(1, "interrupted\n", 12);
}

/* Interrupts that are caught do not end it. */
__attribute__((noreturn)) static void stubborn(void) {
    signal(SIGINT, count_interrupt);
    write_all(1, "ready\n", 6);
    for (;;)
        pause();
}

static void *sleep_for_ever(void *arg) {
    for (;;)
        pause();
    return arg;
}

/* So many threads besides the main one, and all wait. */
__attribute__((noreturn)) static void crowd(long threads) {
    pthread_attr_t attr;
    pthread_t id;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 16384);
    while (threads--)
        if (pthread_create(&id, &attr, sleep_for_ever, NULL))
            _exit(35);
    write_all(1, "ready\n", 6);
    sleep_for_ever(NULL);
    _exit(36);
}

int main(int argc, char **argv) {
    const char *part = argc > 1 ? argv[1] : "";
    long number = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    if (!strcmp(part, "cat"))
        return cat();
    if (!strcmp(part, "produce"))
        return produce(number);
    if (!strcmp(part, "dribble"))
        return dribble(number);
    if (!strcmp(part, "spell"))
        spell("ready\n");
    if (!strcmp(part, "status") || !strcmp(part, "kill")) {
        write_all(1, "leaving\n", 8);
        return *part == 'k' ? raise((int)number) : (int)number;
    }
    if (!strcmp(part, "together"))
        return together(strtol(argv[2], NULL, 10));
    if (!strcmp(part, "both"))
        return both();
    if (!strcmp(part, "wait"))
        wait_for_signal(0);
    if (!strcmp(part, "catch"))
        wait_for_signal(1);
    if (!strcmp(part, "yes"))
        yes(0);
    if (!strcmp(part, "yes-ignoring"))
        yes(1);
    if (!strcmp(part, "args")) {
        for (int i = 2; i < argc; i++)
            write_all(1, argv[i], (long)strlen(argv[i]) + 1);
        return 0;
    }
    if (!strcmp(part, "env")) {
        const char *value = getenv(argv[2]);
        write_all(1, value ? value : "(none)", value ? (long)strlen(value) : 6);
        return 0;
    }
    if (!strcmp(part, "spin"))
        for (;;)
            __asm__ volatile("");
    if (!strcmp(part, "sizes"))
        return show_sizes();
    if (!strcmp(part, "keys"))
        return keys();
    if (!strcmp(part, "stubborn"))
        stubborn();
    if (!strcmp(part, "crowd"))
        crowd(number);
    if (!strcmp(part, "devtty")) {
        int fd = open("/dev/tty", O_RDWR);
        return write(fd, "to the terminal\n", 16) != 16 || !isatty(fd) ||
               write(1, "to the file\n", 12) != 12;
    }
    if (!strcmp(part, "devtty-in")) {
        char c;
        return read(open("/dev/tty", O_RDWR), &c, 1) < 0 ? errno : 0;
    }
    if (!strcmp(part, "tty"))
        return isatty(0) | isatty(1) << 1 | isatty(2) << 2;
    return 99;
}
