/* SPDX-License-Identifier: MIT */
/* How a client of `talk` finds its server. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "test/net/talk.h"

#define TRIES 600 /* tenths of a second: the other machine may still be booting */

/* Asks all on the cable; who answers is the one. */
static void ask_all(struct address *a) {
    struct timeval patience = { 0, 100000 };
    struct address from;
    char text[NUMBER] = "who?";
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience))
        fail("socket");
    for (int tries = 0; tries < TRIES; tries++) {
        from.length = sizeof from.at;
        /* Before the card has its address this fails, and at once. */
        if (sendto(fd, text, sizeof text, 0, (void *)&a->at, a->length) < 0)
            usleep(100000);
        else if (recvfrom(fd, text, sizeof text, 0, (void *)&from.at, &from.length) > 0) {
            *a = from;
            close(fd);
            return;
        }
    }
    fail("nobody on the cable answers");
}

static struct address address6_of(const char *host, const char *port) {
    struct sockaddr_in6 in = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port)) };
    struct address a = { .length = sizeof in };
    const char *scope = strchr(host, '%');
    char text[INET6_ADDRSTRLEN] = "";

    snprintf(text, sizeof text, "%.*s", scope ? (int)(scope - host) : -1, host);
    if (inet_pton(AF_INET6, text, &in.sin6_addr) != 1)
        fail(host);
    in.sin6_scope_id = scope ? (uint32_t)atoi(scope + 1) : 0;
    memcpy(&a.at, &in, sizeof in);
    if (IN6_IS_ADDR_MULTICAST(&in.sin6_addr))
        ask_all(&a);
    return a;
}

static struct address find(const char *host, const char *port) {
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    struct address a = { .length = sizeof in };

    if (strchr(host, ':'))
        return address6_of(host, port);
    if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
        fail(host);
    memcpy(&a.at, &in, sizeof in);
    return a;
}

/* The last one found is kept: all roles of a client may name the same server. */
struct address address_of(const char *host, const char *port) {
    static struct address found;
    static char name[128];
    char asked[128];

    snprintf(asked, sizeof asked, "%s %s", host, port);
    if (strcmp(asked, name) != 0) {
        found = find(host, port);
        memcpy(name, asked, sizeof name);
    }
    return found;
}

/*
 * QEMU's user network takes connections for the other machine before it
 * listens, so the first one counts only once a word was answered.
 */
int connect_to(const char *host, const char *port) {
    static int greeted;
    struct address a = address_of(host, port);
    for (int tries = 0; tries < TRIES; tries++) {
        int fd = socket(a.at.ss_family, SOCK_STREAM, 0);
        if (fd < 0)
            fail("socket");
        if (!connect(fd, (struct sockaddr *)&a.at, a.length)) {
            if (greeted)
                return fd;
            greeted = hear_word(fd, 0);
        } else if (greeted) {
            printf("talk: connect: %s\n", strerror(errno));
        }
        close(fd);
        usleep(100000);
    }
    fail("connect");
    return -1;
}

/* Says a word, and whether it came back; `n` is part of it. */
int hear_word(int fd, int n) {
    char word[WORD + 1], back[WORD + 1] = "";
    snprintf(word, sizeof word, "w%06u", (unsigned)n % 1000000);
    return send(fd, word, WORD, MSG_NOSIGNAL) == WORD &&
           recv(fd, back, WORD, MSG_WAITALL) == WORD && !memcmp(word, back, WORD);
}

void say_word(int fd, int n) {
    if (!hear_word(fd, n)) {
        printf("talk: word %d\n", n);
        fail("a word did not come back");
    }
}
