/* SPDX-License-Identifier: MIT */
/*
 * Two programs that talk to one another over TCP, in two virtual machines:
 *
 *     talk serve PORT          echoes what comes in, until it is told to stop
 *     talk echo HOST PORT CONNECTIONS BYTES   sends and verifies on each of them in turn
 *     talk open HOST PORT CONNECTIONS         as many at once, each says a word
 *     talk slow HOST PORT BYTES               reads late: the window closes, and opens again
 *     talk stop HOST PORT                     ends the server
 *
 * The status is 0 where every byte came back; each role ends by looking for
 * connections and buffers that the kernel has forgotten.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 60000
#define QUIT  "let us stop here"

static void fail(const char *what) {
    printf("talk: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in address_of(const char *host, const char *port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    a.sin_addr.s_addr = host ? inet_addr(host) : INADDR_ANY;
    return a;
}

/* Tries for a minute: the other machine may still be booting. */
static int connect_to(const char *host, const char *port) {
    struct sockaddr_in a = address_of(host, port);
    for (int tries = 0; tries < 600; tries++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0)
            fail("socket");
        if (!connect(fd, (struct sockaddr *)&a, sizeof a))
            return fd;
        close(fd);
        usleep(100000);
    }
    fail("connect");
    return -1;
}

static uint8_t pattern(uint64_t at, unsigned seed) {
    at = (at + seed) * 0x9e3779b97f4a7c15ul;
    return (uint8_t)(at >> 56);
}

struct conversation {
    int fd;
    unsigned seed;
    uint64_t bytes;
    unsigned pause_us; /* before each read */
};

static void *say(void *arg) {
    struct conversation *c = arg;
    static __thread uint8_t block[BLOCK];
    for (uint64_t at = 0; at < c->bytes;) {
        size_t n = c->bytes - at < BLOCK ? (size_t)(c->bytes - at) : BLOCK;
        for (size_t i = 0; i < n; i++)
            block[i] = pattern(at + i, c->seed);
        for (size_t done = 0; done < n;) {
            ssize_t wrote = send(c->fd, block + done, n - done, MSG_NOSIGNAL);
            if (wrote <= 0)
                fail("send");
            done += (size_t)wrote;
        }
        at += n;
    }
    shutdown(c->fd, SHUT_WR);
    return NULL;
}

/* Sends and hears at once; every byte must come back. */
static void converse(struct conversation *c) {
    static uint8_t block[BLOCK];
    pthread_t sayer;
    uint64_t at = 0;
    if (pthread_create(&sayer, NULL, say, c))
        fail("thread");
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

static void *echo(void *arg) {
    int fd = (int)(long)arg;
    static __thread uint8_t block[BLOCK];
    ssize_t n;
    while ((n = recv(fd, block, sizeof block, 0)) > 0)
        for (ssize_t done = 0, wrote; done < n; done += wrote)
            if ((wrote = send(fd, block + done, (size_t)(n - done), MSG_NOSIGNAL)) <= 0)
                goto out;
out:
    close(fd);
    return NULL;
}

/* What /proc/mimosa/network says under `name`; 0 on another kernel. */
static long counter(const char *name) {
    char line[128];
    long value = 0;
    FILE *f = fopen("/proc/mimosa/network", "re");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, strlen(name)))
            value = strtol(line + strlen(name), NULL, 10);
    if (f)
        fclose(f);
    return value;
}

static int look_for_leaks(void) {
    for (int tries = 0; tries < 300; tries++) {
        if (!counter("tcp_connections") && !counter("received_buffers_in_use"))
            return 0;
        usleep(100000);
    }
    printf("talk: %ld connections and %ld buffers are left over\n", counter("tcp_connections"),
           counter("received_buffers_in_use"));
    return 1;
}

/* One thread for conversations, all others wait in epoll: 10,000 are no 10,000 threads. */
static int serve(const char *port) {
    struct sockaddr_in a = address_of(NULL, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0), on = 1;
    struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1024))
        fail("listen");
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    for (;;) {
        if (epoll_wait(poller, &e, 1, -1) != 1)
            continue;
        if (e.data.fd == fd) {
            int client = accept(fd, NULL, NULL);
            struct epoll_event in = { .events = EPOLLIN | EPOLLRDHUP, .data.fd = client };
            if (client >= 0)
                epoll_ctl(poller, EPOLL_CTL_ADD, client, &in);
            continue;
        }
        char first[sizeof QUIT];
        ssize_t n = recv(e.data.fd, first, sizeof first, MSG_PEEK);
        epoll_ctl(poller, EPOLL_CTL_DEL, e.data.fd, NULL);
        if (n == sizeof first && !memcmp(first, QUIT, sizeof first)) {
            close(e.data.fd);
            break;
        }
        pthread_t thread;
        if (n > 0 && !pthread_create(&thread, NULL, echo, (void *)(long)e.data.fd))
            pthread_detach(thread);
        else
            close(e.data.fd);
    }
    close(fd);
    return look_for_leaks();
}

static int open_many(const char *host, const char *port, int count) {
    int *fds = calloc((size_t)count, sizeof *fds);
    char word[8];
    for (int i = 0; i < count; i++)
        fds[i] = connect_to(host, port);
    for (int i = 0; i < count; i += count / 100 + 1) { /* some speak */
        snprintf(word, sizeof word, "x%06d", i % 1000000);
        if (send(fds[i], word, 7, 0) != 7)
            fail("send");
        char back[8] = "";
        if (recv(fds[i], back, 7, MSG_WAITALL) != 7 || memcmp(word, back, 7))
            fail("a word came back wrong");
    }
    for (int i = 0; i < count; i++)
        close(fds[i]);
    printf("talk: %d connections\n", count);
    return look_for_leaks();
}

int main(int argc, char **argv) {
    struct rlimit most = { 65536, 65536 };
    setrlimit(RLIMIT_NOFILE, &most);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 3 && !strcmp(argv[1], "serve"))
        return serve(argv[2]);
    if (argc == 6 && !strcmp(argv[1], "echo")) {
        for (int i = 0; i < atoi(argv[4]); i++) {
            struct conversation c = { connect_to(argv[2], argv[3]), (unsigned)i,
                                      strtoul(argv[5], NULL, 10), 0 };
            converse(&c);
        }
        printf("talk: every byte came back\n");
        return look_for_leaks();
    }
    if (argc == 5 && !strcmp(argv[1], "slow")) {
        struct conversation c = { connect_to(argv[2], argv[3]), 7, strtoul(argv[4], NULL, 10),
                                  20000 };
        converse(&c);
        printf("talk: every byte came back\n");
        return look_for_leaks();
    }
    if (argc == 5 && !strcmp(argv[1], "open"))
        return open_many(argv[2], argv[3], atoi(argv[4]));
    if (argc == 4 && !strcmp(argv[1], "stop")) {
        int fd = connect_to(argv[2], argv[3]);
        if (send(fd, QUIT, sizeof QUIT, 0) != sizeof QUIT)
            fail("send");
        close(fd);
        return 0;
    }
    fprintf(stderr, "talk: see the head of test/net/talk.c\n");
    return 2;
}
