/* SPDX-License-Identifier: MIT */
/*
 * The server of `talk`: TCP over IPv4 and IPv6, and datagrams over both, which it
 * sends back.  The first byte of a connection says what it is: a word (w), which
 * is answered where it is read; a conversation (c) or what is only taken (t), which
 * get a thread; computing until there is neither (b); waiting for deadlines (d);
 * a long answer, and the end at once (e); never being read (u); a question for a
 * counter (n); the end of it all (q).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "test/net/talk.h"

#define BLOCK     60000
#define KEPT_KB   2048 /* what caches of the kernel may keep */
#define BUSY_MOST 60   /* seconds; ten times what it takes */
#define WAITS     20   /* that end by themselves */
#define WAIT_MS   10
/* Tenths of a second until everything must be gone.  A part of a datagram of IPv6 stays for a
 * minute (RFC 8200), and ends with an answer. */
#define LOOK_LATE 900

static _Atomic int accepted;      /* by the server, and not closed yet */
static _Atomic int conversations; /* of the server's */

static void close_accepted(int fd) {
    close(fd);
    accepted--;
}

/* Reads all that comes and says how it ended: nothing of ours carries an acknowledgement. */
static void *take(void *arg) {
    int fd = (int)(long)arg;
    static __thread uint8_t block[BLOCK];
    ssize_t n;
    while ((n = recv(fd, block, sizeof block, 0)) > 0)
        ;
    if (n == 0)
        send(fd, "t", 1, MSG_NOSIGNAL);
    close_accepted(fd);
    conversations--;
    return NULL;
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

static long open_files(void) {
    return counter("/proc/mimosa/files", "files_open ");
}

/* A connection in TIME_WAIT costs memory for a minute. */
static long waiting_kb(void) {
    return network("tcp_time_wait ") * 320 / 1024;
}

struct kept what_is_kept(void) {
    return (struct kept){ .free_kb = free_kb(), .files = open_files() };
}

/* Whether all that was open since `before` is gone, and the memory is back. */
int look_for_leaks(const char *who, struct kept before) {
    long connections = 0, buffers = 0, bytes = 0, lost = 0, sending = 0, files = 0;
    if (access("/proc/mimosa/network", F_OK))
        return 0;
    for (int tries = 0; tries < LOOK_LATE; tries++) {
        connections = network("tcp_connections");
        buffers = network("received_buffers_in_use");
        bytes = network("tcp_received_bytes_unread");
        sending = network("sent_frames_in_use");
        files = open_files() - before.files;
        lost = before.free_kb - free_kb() - waiting_kb();
        if (!connections && !buffers && !bytes && !sending && !files && lost <= KEPT_KB) {
            printf("talk: %s: %ld KiB less free, %ld in TIME_WAIT, %ld times a full card\n", who,
                   before.free_kb - free_kb(), network("tcp_time_wait "),
                   network("send_queue_full"));
            return 0;
        }
        usleep(100000);
    }
    printf("talk: %s: %ld connections, %ld buffers, %ld bytes, %ld frames, %ld files and %ld KiB "
           "are left over\n",
           who, connections, buffers, bytes, sending, files, lost);
    return 1;
}

/* settle: all that was closed is over, while the other machine is there to acknowledge it. */
void settle(char **argv) {
    (void)argv;
    for (int tries = 0; network("tcp_connections"); tries++) {
        if (tries == LOOK_LATE) {
            printf("talk: %ld connections stay\n", network("tcp_connections"));
            exit(1);
        }
        usleep(100000);
    }
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

/* `name` ends where the kernel's own name ends, at a blank or a colon. */
static void tell(int fd) {
    char name[COUNTER], answer[COUNTER] = "-";
    if (recv(fd, name, COUNTER - 1, MSG_WAITALL) != COUNTER - 1)
        return;
    name[COUNTER - 2] = '\0';
    if (!access("/proc/mimosa/network", F_OK))
        snprintf(answer, sizeof answer, "%ld",
                 strchr(name, ':') ? counter("/proc/meminfo", name) : network(name));
    send(fd, answer, COUNTER, MSG_NOSIGNAL);
}

static void see_alarm(int signal) {
    (void)signal;
}

/* Waits for what never comes: until the time is over, and until a signal comes.  An answer says
 * that each ended. */
static void wait_in_vain(int fd) {
    struct sigaction action = { .sa_handler = see_alarm };
    struct itimerval soon = { .it_value.tv_usec = WAIT_MS * 1000 };
    sigset_t alarms, none;
    struct epoll_event e;
    int nothing = epoll_create1(0);

    sigemptyset(&none);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarms, NULL);
    sigaction(SIGALRM, &action, NULL);
    for (int i = 0; i < WAITS; i++)
        if (epoll_wait(nothing, &e, 1, WAIT_MS))
            fail("a wait for nothing");
    setitimer(ITIMER_REAL, &soon, NULL);
    if (epoll_pwait(nothing, &e, 1, -1, &none) != -1 || errno != EINTR)
        fail("a wait for a signal");
    close(nothing);
    send(fd, "d", 1, MSG_NOSIGNAL);
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
    if (n == 1 && (*word == 'c' || *word == 't')) {
        epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
        conversations++;
        if (pthread_create(&thread, NULL, *word == 'c' ? echo : take, (void *)(long)fd))
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
    if (n == 1 && *word == 'u') {
        struct epoll_event only_errors = { .events = 0, .data.fd = fd };
        epoll_ctl(poller, EPOLL_CTL_MOD, fd, &only_errors);
        return 0;
    }
    if (n == 1 && *word == 'e') {
        static const char last_words[1000];
        send(fd, last_words, sizeof last_words, MSG_NOSIGNAL);
    }
    if (n == 1 && *word == 'd')
        wait_in_vain(fd);
    if (n == 1 && *word == 'n')
        tell(fd);
    close_accepted(fd);
    return n == 1 && *word == 'q';
}

static void add_control(struct msghdr *m, int level, int type, int value) {
    struct cmsghdr *c = (void *)((char *)m->msg_control + m->msg_controllen);
    *c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(4), .cmsg_level = level, .cmsg_type = type };
    memcpy(CMSG_DATA(c), &value, sizeof value);
    m->msg_controllen += CMSG_SPACE(4);
}

/* A datagram that is marked by itself, over IPv4 or IPv6: what the other says is passed over. */
static ssize_t send_marked(int fd, void *bytes, size_t size, struct address *to) {
    _Alignas(struct cmsghdr) char control[4 * CMSG_SPACE(4)] = { 0 };
    struct iovec part = { bytes, size };
    struct msghdr m = { .msg_name = &to->at,
                        .msg_namelen = to->length,
                        .msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = control };
    add_control(&m, IPPROTO_IP, IP_TTL, MARK_ONCE_HOPS);
    add_control(&m, IPPROTO_IP, IP_TOS, MARK_ONCE_CLASS);
    add_control(&m, IPPROTO_IPV6, IPV6_HOPLIMIT, MARK_ONCE_HOPS);
    add_control(&m, IPPROTO_IPV6, IPV6_TCLASS, MARK_ONCE_CLASS);
    return sendmsg(fd, &m, 0);
}

/* Sends back what is there. */
static void return_datagrams(int fd) {
    static uint8_t bytes[BIGGEST];
    struct address from = { .length = sizeof from.at };
    ssize_t n;
    while ((n = recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, (void *)&from.at, &from.length)) >=
           0) {
        ssize_t sent = n > 0 && *bytes == 'o'
                           ? send_marked(fd, bytes, (size_t)n, &from)
                           : sendto(fd, bytes, (size_t)n, 0, (void *)&from.at, from.length);
        if (sent != n)
            printf("talk: a datagram of %zd bytes: %s\n", n, strerror(errno));
        from.length = sizeof from.at;
    }
}

static void set_number(int fd, int level, int name, int value) {
    if (setsockopt(fd, level, name, &value, sizeof value))
        fail("setsockopt");
}

/* What forge looks for in packets. */
static void mark(int fd, int family) {
    set_number(fd, IPPROTO_IP, IP_TTL, MARK_HOPS);
    set_number(fd, IPPROTO_IP, IP_TOS, MARK_CLASS);
    if (family == AF_INET6) {
        set_number(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, MARK_HOPS6);
        set_number(fd, IPPROTO_IPV6, IPV6_TCLASS, MARK_CLASS6);
    }
}

/* IPv6's of streams is for IPv6 alone; datagrams of both kinds come to one socket. */
static int open_socket(int family, int type, const char *port) {
    uint16_t number = htons((uint16_t)atoi(port));
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = number };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = number };
    int fd = socket(family, type, 0), on = 1, only = type == SOCK_STREAM;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only))
        fail("IPV6_V6ONLY");
    mark(fd, family);
    if (family == AF_INET ? bind(fd, (struct sockaddr *)&in, sizeof in)
                          : bind(fd, (struct sockaddr *)&in6, sizeof in6))
        fail("bind");
    if (type == SOCK_STREAM && listen(fd, 1024))
        fail("listen");
    return fd;
}

static int is_among(const char *word, char **words) {
    while (*words && strcmp(*words, word))
        words++;
    return *words != NULL;
}

/* One thread for each conversation, all others wait in epoll: 10,000 are no 10,000 threads. */
int serve(const char *port, char **manner) {
    int keep = is_among("keep", manner) ? 3 : 0;
    int poller = epoll_create1(0), stop = 0;
    struct epoll_event e;
    struct kept before = what_is_kept();
    int listener = open_socket(AF_INET, SOCK_STREAM, port);
    int listener6 = open_socket(AF_INET6, SOCK_STREAM, port);
    int receiver = open_socket(AF_INET6, SOCK_DGRAM, port);
    int asked = is_among("names", manner) ? open_socket(AF_INET6, SOCK_DGRAM, "53") : -1;

    watch(poller, listener);
    watch(poller, listener6);
    watch(poller, receiver);
    if (asked >= 0)
        watch(poller, asked);
    while (!stop || accepted) { /* the end of some may come late */
        if (epoll_wait(poller, &e, 1, stop ? 100 : -1) != 1)
            continue;
        if (e.data.fd == listener || e.data.fd == listener6)
            accept_one(e.data.fd, poller, keep);
        else if (e.data.fd == receiver)
            return_datagrams(receiver);
        else if (e.data.fd == asked)
            answer_name(asked);
        else
            stop |= answer(e.data.fd, poller);
    }
    close(listener);
    close(listener6);
    close(receiver);
    if (asked >= 0)
        close(asked);
    int leaks = look_for_leaks("server", before);
    if (!leaks && is_among("stay", manner))
        pause(); /* the other machine may ask again for the end of a connection */
    return leaks;
}
