/* SPDX-License-Identifier: MIT */
/*
 * Two programs that talk to one another over TCP, in two virtual machines; a
 * client plays several roles, one after another, with a + between them:
 *
 *     talk serve PORT [keep] [names] [stay]   echoes what comes in, until it is told to stop;
 *                                             keep: a client that is silent for 3 s is looked for;
 *                                             names: is a name server, too;
 *                                             stay: with what a client does until it is killed
 *     talk name HOST PORT                     the server is HOST under its name
 *     talk echo HOST PORT CONNECTIONS BYTES   sends and verifies on each of them in turn
 *     talk give HOST PORT BYTES               sends only; nothing comes back but a word at the end
 *     talk slow HOST PORT BYTES               reads late: the window closes, and opens again
 *     talk busy HOST PORT BYTES               echo, while the server's other thread, which took
 *                                             packets in before, computes and never comes back
 *     talk open HOST PORT CONNECTIONS         as many at once, each says a word
 *     talk hold HOST PORT CONNECTIONS         the same, and a word before the next is opened
 *     talk flood HOST PORT CONNECTIONS        one after another, each says a word
 *     talk reset HOST PORT CONNECTIONS        each is reset with a word under way
 *     talk shut HOST PORT BYTES SECONDS       does not read until the window stayed closed so long
 *     talk datagrams HOST PORT COUNT BIGGEST ALLOWED   UDP with numbers; so many may be lost
 *     talk half HOST PORT CONNECTIONS         begins them on a cable that is cut one way
 *     talk scan HOST PORT FIRST LAST          every other port refuses
 *     talk expect HOST PORT NAME LEAST MOST   a counter of the server's kernel
 *     talk wait HOST PORT                     the server waits in vain: it ends by a deadline, and
 *                                             by a signal
 *     talk hear WORD                          says that it is ready for WORD, and waits for a line
 *     talk settle                             waits until no connection is left
 *     talk orphan HOST PORT                   its server's machine is replaced, which refuses
 *     talk vanish HOST PORT CONNECTIONS       opens them, and waits to be killed
 *     talk stop HOST PORT                     ends the server
 *     talk stay                               is there to be killed at the end, since the other
 *                                             machine may wait for an acknowledgement yet
 *
 * The status is 0 where every byte came back; each ends by looking for
 * connections, buffers and memory that the kernel has forgotten.
 *
 * HOST is an IPv4 or IPv6 address; ff02::1%2 is whoever answers on the cable (interface 2).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "test/net/talk.h"

#define BLOCK 60000
#define LOOKS 20

void fail(const char *what) {
    printf("talk: %s: %s\n", what, strerror(errno));
    exit(1);
}

uint8_t pattern(uint64_t at, unsigned seed) {
    at = (at + seed) * 0x9e3779b97f4a7c15ul;
    return (uint8_t)(at >> 56);
}

struct conversation {
    int fd;
    unsigned seed;
    uint64_t bytes;
    unsigned pause_us; /* before each read */
    unsigned shut_s;   /* before the first */
    _Atomic uint64_t said;
};

static void *say(void *arg) {
    struct conversation *c = arg;
    static __thread uint8_t block[BLOCK];
    if (send(c->fd, "c", 1, MSG_NOSIGNAL) != 1)
        fail("send");
    for (uint64_t at = 0; at < c->bytes;) {
        size_t n = c->bytes - at < BLOCK ? (size_t)(c->bytes - at) : BLOCK;
        for (size_t i = 0; i < n; i++)
            block[i] = pattern(at + i, c->seed);
        for (size_t done = 0; done < n;) {
            ssize_t wrote = send(c->fd, block + done, n - done, MSG_NOSIGNAL);
            if (wrote <= 0)
                fail("send");
            done += (size_t)wrote;
            c->said += (uint64_t)wrote;
        }
        at += n;
    }
    shutdown(c->fd, SHUT_WR);
    return NULL;
}

/* Until nothing has gone out for so long: the window is closed, or else all is said.  On a cable
 * that loses it may take a while. */
static void stay_shut(struct conversation *c) {
    uint64_t said, before = 0;
    sleep(1);
    for (int looks = 0; (said = c->said) != before && looks < LOOKS; looks++) {
        before = said;
        sleep(c->shut_s);
    }
    if (said == c->bytes || said != before) {
        printf("talk: %lu bytes, then %lu: the window does not close\n", (unsigned long)before,
               (unsigned long)said);
        exit(1);
    }
}

/* Sends and hears at once; every byte must come back. */
static void converse(struct conversation *c) {
    static uint8_t block[BLOCK];
    pthread_t sayer;
    uint64_t at = 0;
    if (pthread_create(&sayer, NULL, say, c))
        fail("thread");
    if (c->shut_s)
        stay_shut(c);
    for (ssize_t n; (n = recv(c->fd, block, sizeof block, 0)) != 0; at += (uint64_t)n) {
        if (n < 0)
            fail("recv");
        for (ssize_t i = 0; i < n; i++)
            if (block[i] != pattern(at + (uint64_t)i, c->seed)) {
                printf("talk: byte %lu is wrong\n", (unsigned long)(at + (uint64_t)i));
                exit(1);
            }
        if (c->pause_us)
            usleep(c->pause_us);
    }
    if (at != c->bytes) {
        printf("talk: %lu bytes of %lu came back\n", (unsigned long)at, (unsigned long)c->bytes);
        exit(1);
    }
    pthread_join(sayer, NULL);
    close(c->fd);
}

static void open_many(char **argv) {
    int count = atoi(argv[3]);
    int *fds = calloc((size_t)count, sizeof *fds);
    for (int i = 0; i < count; i++) {
        fds[i] = connect_to(argv[1], argv[2]);
        if (!strcmp(argv[0], "hold"))
            say_word(fds[i], i);
    }
    printf("talk: %d connections are open\n", count);
    for (int i = 0; i < count; i++)
        say_word(fds[i], i);
    for (int i = 0; i < count; i++)
        close(fds[i]);
    free(fds);
}

static void flood(char **argv) {
    for (int i = 0; i < atoi(argv[3]); i++) {
        struct address a = address_of(argv[1], argv[2]);
        /* The first may find that the server is not there yet; no other may fail. */
        int fd = i ? socket(a.at.ss_family, SOCK_STREAM, 0) : connect_to(argv[1], argv[2]);
        if (i && connect(fd, (struct sockaddr *)&a.at, a.length)) {
            printf("talk: connection %d\n", i);
            fail("connect");
        }
        say_word(fd, i);
        close(fd);
    }
}

static void reset(char **argv) {
    struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    for (int i = 0; i < atoi(argv[3]); i++) {
        int fd = connect_to(argv[1], argv[2]);
        if (i % 2)
            say_word(fd, i);
        if (send(fd, "w000000", WORD, MSG_NOSIGNAL) != WORD)
            fail("send");
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
    }
}

static void vanish(char **argv) {
    for (int i = 0; i < atoi(argv[3]); i++) {
        int fd = connect_to(argv[1], argv[2]);
        if (i % 2)
            say_word(fd, i);
    }
    printf("talk: ready to vanish\n");
    pause();
}

static void converse_all(char **argv) {
    for (int i = 0; i < atoi(argv[3]); i++) {
        struct conversation c = { .fd = connect_to(argv[1], argv[2]),
                                  .seed = (unsigned)i,
                                  .bytes = strtoul(argv[4], NULL, 10) };
        converse(&c);
    }
}

static void give(char **argv) {
    static uint8_t block[BLOCK] = { 't' };
    size_t todo = strtoul(argv[3], NULL, 10);
    int fd = connect_to(argv[1], argv[2]);
    while (todo) {
        ssize_t n = send(fd, block, todo < BLOCK ? todo : BLOCK, MSG_NOSIGNAL);
        if (n <= 0)
            fail("send");
        todo -= (size_t)n;
    }
    if (shutdown(fd, SHUT_WR) || recv(fd, block, 1, 0) != 1 || *block != 't')
        fail("what was given");
    close(fd);
}

static void converse_slowly(char **argv) {
    struct conversation c = { .fd = connect_to(argv[1], argv[2]),
                              .seed = 7,
                              .bytes = strtoul(argv[3], NULL, 10),
                              .pause_us = 20000 };
    converse(&c);
}

static void converse_late(char **argv) {
    struct conversation c = { .fd = connect_to(argv[1], argv[2]),
                              .seed = 9,
                              .bytes = strtoul(argv[3], NULL, 10),
                              .shut_s = (unsigned)atoi(argv[4]) };
    converse(&c);
}

static void *converse_in_thread(void *c) {
    converse(c);
    return NULL;
}

static void converse_while_busy(char **argv) {
    struct conversation c = { .fd = connect_to(argv[1], argv[2]),
                              .seed = 3,
                              .bytes = strtoul(argv[3], NULL, 10) };
    int other = connect_to(argv[1], argv[2]);
    char answer;
    pthread_t thread;
    if (pthread_create(&thread, NULL, converse_in_thread, &c))
        fail("thread");
    usleep(50000);
    if (send(other, "b", 1, MSG_NOSIGNAL) != 1 || recv(other, &answer, 1, 0) != 1)
        fail("the server that computed");
    pthread_join(thread, NULL);
    close(other);
}

static void stop_server(char **argv) {
    int fd = connect_to(argv[1], argv[2]);
    if (send(fd, "q", 1, 0) != 1)
        fail("send");
    close(fd);
}

static int stays;

static void stay(char **argv) {
    (void)argv;
    stays = 1;
}

static const struct role {
    const char *name;
    int words;
    void (*play)(char **argv);
} roles[] = {
    { "echo", 5, converse_all },   { "slow", 4, converse_slowly },
    { "give", 4, give },           { "name", 3, ask_names },
    { "shut", 5, converse_late },  { "busy", 4, converse_while_busy },
    { "open", 4, open_many },      { "hold", 4, open_many },
    { "flood", 4, flood },         { "reset", 4, reset },
    { "vanish", 4, vanish },       { "half", 4, half_open },
    { "datagrams", 6, datagrams }, { "scan", 5, scan },
    { "expect", 6, expect },       { "wait", 3, wait_for_server },
    { "hear", 2, hear },           { "settle", 1, settle },
    { "orphan", 3, orphan },       { "stop", 3, stop_server },
    { "stay", 1, stay },
};

/* Plays the role at the front of the words; how many words that took, 0: there is none. */
static int play(char **argv, int words) {
    for (unsigned i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (words >= roles[i].words && !strcmp(argv[0], roles[i].name)) {
            roles[i].play(argv);
            printf("talk: %s is done\n", argv[0]);
            return roles[i].words;
        }
    return 0;
}

int main(int argc, char **argv) {
    struct rlimit most = { 65536, 65536 };
    setrlimit(RLIMIT_NOFILE, &most);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc >= 3 && !strcmp(argv[1], "serve"))
        return serve(argv[2], argv + 3);
    struct kept before = what_is_kept();
    for (int at = 1, taken; at < argc; at += taken + 1)
        if (!(taken = play(argv + at, argc - at))) {
            fprintf(stderr, "talk: see the head of test/net/talk.c\n");
            return 2;
        }
    int leaks = look_for_leaks("client", before);
    if (!leaks && stays)
        pause();
    return leaks;
}
