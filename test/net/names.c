/* SPDX-License-Identifier: MIT */
/* Names: a server that knows one, and a client that asks through its C library (RFC 1035). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "test/net/talk.h"

#define HEADER       12
#define TYPE_A       1
#define RESPONSE     0x8180 /* and recursion was wished for, and is there */
#define NO_SUCH_NAME 3
#define MOST         512

static const uint8_t known[] = "\6server\6mimosa\4test"; /* as a question has it, with its end */
static const uint8_t address[] = { 10, 0, 9, 1 };

/* Answers a question: the address of server.mimosa.test, or that there is none. */
void answer_name(int fd) {
    uint8_t text[MOST + 32];
    struct address from = { .length = sizeof from.at };
    ssize_t n = recvfrom(fd, text, MOST, 0, (void *)&from.at, &from.length);
    size_t question = HEADER + sizeof known + 4; /* its type and class */
    if (n < (ssize_t)question)
        return;
    int is_known = !memcmp(text + HEADER, known, sizeof known);
    int has_address = is_known && text[question - 3] == TYPE_A;
    uint16_t flags = htons((uint16_t)(RESPONSE | (is_known ? 0 : NO_SUCH_NAME)));
    memcpy(text + 2, &flags, 2);
    memset(text + 6, 0, 6); /* no answer, no authority, nothing more */
    if (!is_known) {
        sendto(fd, text, (size_t)n, 0, (void *)&from.at, from.length);
        return;
    }
    if (has_address) {
        static const uint8_t record[] = { 0xc0, HEADER, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4 };
        text[7] = 1;
        memcpy(text + question, record, sizeof record);
        memcpy(text + question + sizeof record, address, sizeof address);
        question += sizeof record + sizeof address;
    }
    sendto(fd, text, question, 0, (void *)&from.at, from.length);
}

/* name HOST PORT: the server is HOST under its name as well, and nobody else is. */
void ask_names(char **argv) {
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    char host[64] = "";
    close(connect_to(argv[1], argv[2])); /* it is there */
    int why = getaddrinfo("server.mimosa.test", argv[2], &hints, &found);
    if (why || getnameinfo(found->ai_addr, found->ai_addrlen, host, sizeof host, NULL, 0,
                           NI_NUMERICHOST)) {
        printf("talk: no address: %s\n", gai_strerror(why));
        exit(1);
    }
    freeaddrinfo(found);
    if (strcmp(host, argv[1]) != 0) {
        printf("talk: server.mimosa.test is %s\n", host);
        exit(1);
    }
    why = getaddrinfo("nobody.mimosa.test", argv[2], &hints, &found);
    if (why != EAI_NONAME) {
        printf("talk: nobody.mimosa.test: %s\n", why ? gai_strerror(why) : "is there");
        exit(1);
    }
}
