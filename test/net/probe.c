/* SPDX-License-Identifier: MIT */
/* Clients that a server did not wish for, and what the server's kernel says of itself then. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "test/net/talk.h"

#define AT_ONCE   64
#define ANSWER_MS 20000
#define LOOKS     6
#define LOOK_US   700000
#define CUT_MS    2000 /* connections must not be complete by then */

static void wait_for_line(const char *word) {
    char line[16];
    printf("talk: ready for the %s\n", word);
    if (!fgets(line, sizeof line, stdin))
        fail("input");
}

/* hear WORD: says that it is ready for it, and waits for a line. */
void hear(char **argv) {
    wait_for_line(argv[1]);
}

static int begin(struct address *a, int port) {
    int fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    /* The port is at the same place in both kinds of address. */
    uint16_t number = htons((uint16_t)port);
    if (fd < 0)
        fail("socket");
    if (port)
        memcpy((char *)&a->at + offsetof(struct sockaddr_in, sin_port), &number, sizeof number);
    if (connect(fd, (struct sockaddr *)&a->at, a->length) && errno != EINPROGRESS &&
        errno != ECONNREFUSED)
        fail("connect");
    return fd;
}

/*
 * half HOST PORT COUNT: connections whose handshake ends in the middle, after the
 * way back was cut: says when, and hears on its input that it is.
 */
void half_open(char **argv) {
    struct address a = address_of(argv[1], argv[2]);
    int count = atoi(argv[3]);
    struct pollfd *fds = calloc((size_t)count, sizeof *fds);

    close(connect_to(argv[1], argv[2])); /* both know where the other is */
    if (!fds)
        fail("memory");
    wait_for_line("cut");
    for (int i = 0; i < count; i++)
        fds[i] = (struct pollfd){ begin(&a, 0), POLLOUT, 0 };
    if (poll(fds, (nfds_t)count, CUT_MS) != 0) {
        printf("talk: the way back is not cut\n");
        exit(1);
    }
    printf("talk: ready to vanish\n");
    pause();
}

/* Whether the port took the connection; one that says nothing is no answer. */
static int is_open(struct pollfd *p, int port) {
    int err = 0;
    socklen_t length = sizeof err;
    if (poll(p, 1, ANSWER_MS) != 1) {
        printf("talk: port %d says nothing\n", port);
        exit(1);
    }
    getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &length);
    if (err && err != ECONNREFUSED) {
        printf("talk: port %d: %s\n", port, strerror(err));
        exit(1);
    }
    close(p->fd);
    return !err;
}

/* scan HOST PORT FIRST LAST: of these ports PORT is open, and every other refuses. */
void scan(char **argv) {
    struct address a = address_of(argv[1], argv[2]);
    int open = atoi(argv[2]), last = atoi(argv[4]);
    struct pollfd fds[AT_ONCE];

    close(connect_to(argv[1], argv[2]));
    for (int first = atoi(argv[3]); first <= last; first += AT_ONCE) {
        int count = last - first < AT_ONCE ? last - first + 1 : AT_ONCE;
        for (int i = 0; i < count; i++)
            fds[i] = (struct pollfd){ begin(&a, first + i), POLLOUT, 0 };
        for (int i = 0; i < count; i++)
            if (is_open(&fds[i], first + i) != (first + i == open)) {
                printf("talk: port %d is not as it should be\n", first + i);
                exit(1);
            }
    }
}

/*
 * expect HOST PORT NAME LEAST MOST: what the server's /proc/mimosa/network (or
 * /proc/meminfo) says under that name; on another kernel, nothing.
 */
void expect(char **argv) {
    for (int tries = 0; tries < LOOKS; tries++) {
        char name[COUNTER] = "n", answer[COUNTER] = "";
        int fd = connect_to(argv[1], argv[2]);
        usleep(LOOK_US); /* the kernel counts connections now and then */
        snprintf(name + 1, sizeof name - 1, "%s", argv[3]);
        if (send(fd, name, COUNTER, MSG_NOSIGNAL) != COUNTER ||
            recv(fd, answer, COUNTER, MSG_WAITALL) != COUNTER)
            fail("counter");
        close(fd);
        printf("talk: the server's %s is %s\n", argv[3], answer);
        long value = atol(answer);
        if (*answer == '-' || (value >= atol(argv[4]) && value <= atol(argv[5])))
            return;
    }
    exit(1);
}

/* wait HOST PORT: the server waits for nothing, for a while; it comes back. */
void wait_for_server(char **argv) {
    int fd = connect_to(argv[1], argv[2]);
    char answer;
    if (send(fd, "d", 1, MSG_NOSIGNAL) != 1 || recv(fd, &answer, 1, 0) != 1)
        fail("the server that waits");
    close(fd);
}

/* orphan HOST PORT: a connection whose server's machine is replaced by another; that one refuses
 * what it does not know. */
void orphan(char **argv) {
    int fd = connect_to(argv[1], argv[2]);
    char byte;
    say_word(fd, 0);
    wait_for_line("next server");
    if (send(fd, "w", 1, MSG_NOSIGNAL) != 1)
        fail("send");
    if (recv(fd, &byte, 1, 0) != -1 || errno != ECONNRESET)
        fail("the next server did not refuse");
    close(fd);
}
