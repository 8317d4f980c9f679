/* SPDX-License-Identifier: MIT */
/*
 * Datagrams with numbers, a few under way at once; the server sends each back.
 * UDP may lose them, double them and change their order, so one that does not
 * come back goes out again; but none may come back with other bytes.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "test/net/talk.h"

#define BURST    8
#define TRIES    200
#define SOON_MS  200  /* where some may be lost */
#define SURE_MS  5000 /* where none may */
#define SEED     5
#define SHORTEST NUMBER

struct burst {
    int fd;
    uint64_t first;
    unsigned count, back; /* `back`: bit per datagram */
    size_t biggest;
};

/* Sizes of all kinds, the same again for the same number. */
static size_t size_of(const struct burst *b, uint64_t number) {
    return SHORTEST + (size_t)(number * 2654435761u % (b->biggest - SHORTEST + 1));
}

static void send_missing(const struct burst *b) {
    uint8_t bytes[BIGGEST];
    for (unsigned i = 0; i < b->count; i++) {
        uint64_t number = b->first + i;
        size_t size = size_of(b, number);
        if (b->back & 1u << i)
            continue;
        memcpy(bytes, &number, NUMBER);
        for (size_t at = NUMBER; at < size; at++)
            bytes[at] = pattern(number * BIGGEST + at, SEED);
        if (send(b->fd, bytes, size, 0) != (ssize_t)size)
            fail("a datagram does not go out");
    }
}

static void take_one(struct burst *b) {
    uint8_t bytes[BIGGEST + 1];
    uint64_t number;
    ssize_t n = recv(b->fd, bytes, sizeof bytes, 0);
    if (n < NUMBER)
        fail("a datagram comes back short");
    memcpy(&number, bytes, NUMBER);
    if (number >= b->first + b->count || (size_t)n != size_of(b, number)) {
        printf("talk: datagram %lu has %ld bytes\n", (unsigned long)number, (long)n);
        exit(1);
    }
    for (size_t at = NUMBER; at < (size_t)n; at++)
        if (bytes[at] != pattern(number * BIGGEST + at, SEED)) {
            printf("talk: byte %zu of datagram %lu is wrong\n", at, (unsigned long)number);
            exit(1);
        }
    if (number >= b->first) /* else it comes late, or twice */
        b->back |= 1u << (number - b->first);
}

static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* How many had to go out again. */
static long send_burst(struct burst *b, long patience_ms) {
    long again = 0;
    for (int tries = 0; tries < TRIES; tries++) {
        send_missing(b);
        for (long left, end = now_ms() + patience_ms; (left = end - now_ms()) > 0;) {
            struct pollfd p = { b->fd, POLLIN, 0 };
            if (poll(&p, 1, (int)left) == 1)
                take_one(b);
            if (b->back == (1u << b->count) - 1)
                return again;
        }
        again += b->count - __builtin_popcount(b->back);
    }
    printf("talk: datagrams from %lu on do not come back\n", (unsigned long)b->first);
    exit(1);
}

/* datagrams HOST PORT COUNT BIGGEST ALLOWED: so many may be lost. */
void datagrams(char **argv) {
    struct address a = address_of(argv[1], argv[2]);
    uint64_t count = strtoul(argv[3], NULL, 10);
    long again = 0, allowed = atol(argv[5]);
    struct burst b = { .fd = socket(a.at.ss_family, SOCK_DGRAM, 0),
                       .biggest = strtoul(argv[4], NULL, 10) };

    if (b.biggest < SHORTEST || b.biggest > BIGGEST)
        fail("size of a datagram");
    close(connect_to(argv[1], argv[2])); /* the server is there */
    if (b.fd < 0 || connect(b.fd, (struct sockaddr *)&a.at, a.length))
        fail("datagrams");
    for (; b.first < count; b.first += b.count) {
        b.count = count - b.first < BURST ? (unsigned)(count - b.first) : BURST;
        b.back = 0;
        again += send_burst(&b, allowed ? SOON_MS : SURE_MS);
    }
    close(b.fd);
    printf("talk: %ld datagrams of %lu were lost\n", again, (unsigned long)count);
    if (again > allowed)
        exit(1);
}
