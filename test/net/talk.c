/* SPDX-License-Identifier: MIT */
/*
 * Two programs that talk to one another over TCP, in two virtual machines; a
 * client plays several roles, one after another, with a + between them:
 *
 *     talk serve PORT [keep]                  echoes what comes in, until it is told to stop;
 *                                             keep: a client that is silent for 3 s is looked for
 *     talk echo HOST PORT CONNECTIONS BYTES   sends and verifies on each of them in turn
 *     talk slow HOST PORT BYTES               reads late: the window closes, and opens again
 *     talk busy HOST PORT BYTES               echo, while the server's other thread, which took
 *                                             packets in before, computes and never comes back
 *     talk open HOST PORT CONNECTIONS         as many at once, each says a word
 *     talk hold HOST PORT CONNECTIONS         the same, and a word before the next is opened
 *     talk flood HOST PORT CONNECTIONS        one after another, each says a word
 *     talk reset HOST PORT CONNECTIONS        each is reset with a word under way
 *     talk vanish HOST PORT CONNECTIONS       opens them, and waits to be killed
 *     talk stop HOST PORT                     ends the server
 *     talk stay                               is there to be killed at the end, since the other
 *                                             machine may wait for an acknowledgement yet
 *
 * The status is 0 where every byte came back; each ends by looking for
 * connections, buffers and memory that the kernel has forgotten.
 *
 * The first byte of a connection says what it is: a word (w), which is answered
 * where it is read; a conversation (c), which gets a thread; computing until there
 * is no conversation (b); the end (q).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK     60000
#define WORD      7
#define KEPT_KB   2048 /* what caches of the kernel may keep */
#define BUSY_MOST 60   /* seconds; ten times what it takes */
#define LOOK_LATE 600  /* tenths of a second until everything must be gone */

static void fail(const char *what) {
    printf("talk: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in address_of(const char *host, const char *port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    a.sin_addr.s_addr = host ? inet_addr(host) : INADDR_ANY;
    return a;
}

static int hear_word(int fd, int n);

/*
 * Tries for a minute: the other machine may still be booting.  QEMU's user
 * network takes connections for it before it listens, so the first one counts
 * only once a word was answered.
 */
static int connect_to(const char *host, const char *port) {
    static int greeted;
    struct sockaddr_in a = address_of(host, port);
    for (int tries = 0; tries < 600; tries++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0)
            fail("socket");
        if (!connect(fd, (struct sockaddr *)&a, sizeof a)) {
            if (greeted)
                return fd;
            greeted = hear_word(fd, 0);
        }
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

static _Atomic int accepted;      /* by the server, and not closed yet */
static _Atomic int conversations; /* of the server's */

static void close_accepted(int fd) {
    close(fd);
    accepted--;
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
    close_accepted(fd);
    conversations--;
    return NULL;
}

/* What a file says under `name`; 0 on another kernel. */
static long counter(const char *file, const char *name) {
    static char text[4096]; /* looking costs no memory */
    memset(text, 0, sizeof text);
    int fd = open(file, O_RDONLY);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    const char *at = n > 0 ? strstr(text, name) : NULL;
    return at ? strtol(at + strlen(name), NULL, 10) : 0;
}

static long network(const char *name) {
    return counter("/proc/mimosa/network", name);
}

static long free_kb(void) {
    return counter("/proc/meminfo", "MemFree:");
}

/* A connection in TIME_WAIT costs memory for a minute. */
static long waiting_kb(void) {
    return network("tcp_time_wait ") * 320 / 1024;
}

/* Whether all that was open is gone, and the memory is back; `before`: what was free. */
static int look_for_leaks(const char *who, long before) {
    long connections = 0, buffers = 0, bytes = 0, lost = 0;
    if (access("/proc/mimosa/network", F_OK))
        return 0;
    for (int tries = 0; tries < LOOK_LATE; tries++) {
        connections = network("tcp_connections");
        buffers = network("received_buffers_in_use");
        bytes = network("tcp_received_bytes_unread");
        lost = before - free_kb() - waiting_kb();
        if (!connections && !buffers && !bytes && lost <= KEPT_KB) {
            printf("talk: %s: %ld KiB less free, %ld in TIME_WAIT, %ld times a full card\n", who,
                   before - free_kb(), network("tcp_time_wait "), network("send_queue_full"));
            return 0;
        }
        usleep(100000);
    }
    printf("talk: %s: %ld connections, %ld buffers, %ld bytes and %ld KiB are left over\n", who,
           connections, buffers, bytes, lost);
    return 1;
}

static void watch(int poller, int fd) {
    struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP, .data.fd = fd };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e))
        fail("epoll_ctl");
}

static void accept_one(int listener, int poller, int keep) {
    int fd = accept(listener, NULL, NULL), one = 1;
    if (fd < 0) {
        if (errno != ECONNABORTED && errno != EAGAIN)
            fail("accept");
        return;
    }
    accepted++;
    if (keep) {
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keep, sizeof keep);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &one, sizeof one);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &keep, sizeof keep);
    }
    watch(poller, fd);
}

/* Something has come in: whether it is the word to stop. */
static int answer(int fd, int poller) {
    char word[WORD];
    pthread_t thread;
    if (recv(fd, word, 1, MSG_PEEK) == 1 && *word == 'w') {
        if (recv(fd, word, WORD, MSG_WAITALL) != WORD || send(fd, word, WORD, MSG_NOSIGNAL) != WORD)
            close_accepted(fd);
        return 0;
    }
    ssize_t n = recv(fd, word, 1, 0);
    if (n == 1 && *word == 'c') {
        epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
        conversations++;
        if (pthread_create(&thread, NULL, echo, (void *)(long)fd))
            fail("thread");
        pthread_detach(thread);
        return 0;
    }
    if (n == 1 && *word == 'b') {
        for (time_t begun = time(NULL); conversations;)
            if (time(NULL) - begun > BUSY_MOST) {
                printf("talk: nobody takes packets in for the busy one\n");
                exit(1);
            }
        send(fd, word, 1, MSG_NOSIGNAL);
    }
    close_accepted(fd);
    return n == 1 && *word == 'q';
}

/* One thread for each conversation, all others wait in epoll: 10,000 are no 10,000 threads. */
static int serve(const char *port, int keep) {
    struct sockaddr_in a = address_of(NULL, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0), on = 1, stop = 0;
    struct epoll_event e;
    long before = free_kb();

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1024))
        fail("listen");
    watch(poller, fd);
    while (!stop || accepted) { /* the end of some may come late */
        if (epoll_wait(poller, &e, 1, stop ? 100 : -1) != 1)
            continue;
        if (e.data.fd == fd)
            accept_one(fd, poller, keep);
        else
            stop |= answer(e.data.fd, poller);
    }
    close(fd);
    return look_for_leaks("server", before);
}

/* Says a word, and whether it came back; `n` is part of it. */
static int hear_word(int fd, int n) {
    char word[WORD + 1], back[WORD + 1] = "";
    snprintf(word, sizeof word, "w%06d", n % 1000000);
    return send(fd, word, WORD, MSG_NOSIGNAL) == WORD &&
           recv(fd, back, WORD, MSG_WAITALL) == WORD && !memcmp(word, back, WORD);
}

static void say_word(int fd, int n) {
    if (!hear_word(fd, n)) {
        printf("talk: word %d\n", n);
        fail("a word did not come back");
    }
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
        struct sockaddr_in a = address_of(argv[1], argv[2]);
        /* The first may find that the server is not there yet; no other may fail. */
        int fd = i ? socket(AF_INET, SOCK_STREAM, 0) : connect_to(argv[1], argv[2]);
        if (i && connect(fd, (struct sockaddr *)&a, sizeof a)) {
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
        struct conversation c = { connect_to(argv[1], argv[2]), (unsigned)i,
                                  strtoul(argv[4], NULL, 10), 0 };
        converse(&c);
    }
}

static void converse_slowly(char **argv) {
    struct conversation c = { connect_to(argv[1], argv[2]), 7, strtoul(argv[3], NULL, 10), 20000 };
    converse(&c);
}

static void *converse_in_thread(void *c) {
    converse(c);
    return NULL;
}

static void converse_while_busy(char **argv) {
    struct conversation c = { connect_to(argv[1], argv[2]), 3, strtoul(argv[3], NULL, 10), 0 };
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
    { "echo", 5, converse_all }, { "slow", 4, converse_slowly }, { "busy", 4, converse_while_busy },
    { "open", 4, open_many },    { "hold", 4, open_many },       { "flood", 4, flood },
    { "reset", 4, reset },       { "vanish", 4, vanish },        { "stop", 3, stop_server },
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
        return serve(argv[2], argc == 4 ? 3 : 0);
    long before = free_kb();
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
