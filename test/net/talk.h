/* SPDX-License-Identifier: MIT */
/* What the files of `talk` (talk.c) share. */
#pragma once
#include <stdint.h>
#include <sys/socket.h>

#define WORD    7    /* bytes of a word and its answer */
#define COUNTER 32   /* bytes of a counter's name, and of the answer */
#define NUMBER  8    /* bytes of a datagram's number */
#define BIGGEST 9000 /* datagram: several frames */
/* What the server's packets carry, over IPv4 and IPv6: time to live and type of service. */
#define MARK_HOPS   61
#define MARK_CLASS  0x10
#define MARK_HOPS6  62
#define MARK_CLASS6 0x20
/* The answer to a datagram that begins with 'o' carries these instead, and no other does. */
#define MARK_ONCE_HOPS  50
#define MARK_ONCE_CLASS 0x40

_Noreturn void fail(const char *what);
uint8_t pattern(uint64_t at, unsigned seed);

/* find.c: HOST is an IPv4 or IPv6 address; ff02::1%N (all on the cable of interface N) stands for
 * whoever answers there. */
struct address {
    struct sockaddr_storage at;
    socklen_t length;
};
struct address address_of(const char *host, const char *port);
int connect_to(const char *host, const char *port);
int hear_word(int fd, int n);
void say_word(int fd, int n);

/* serve.c */
int serve(const char *port, char **manner);
struct kept { /* by this kernel, at some moment */
    long free_kb, files;
};
struct kept what_is_kept(void);
void settle(char **argv);
int look_for_leaks(const char *who, struct kept before);

/* names.c */
void answer_name(int fd);
void ask_names(char **argv);

/* datagrams.c, probe.c: roles. */
void datagrams(char **argv);
void half_open(char **argv);
void scan(char **argv);
void expect(char **argv);
void hear(char **argv);
void orphan(char **argv);
void wait_for_server(char **argv);
