/* SPDX-License-Identifier: MIT */
/* What TCP keeps: bytes that nobody reads, connections that are over. */
/* guest: mem=64M timeout=240 */
#define _GNU_SOURCE
#include "test/guest/inet.h"
#include "test/guest/proc.h"
#include <sys/resource.h>

#define NETWORK  "/proc/mimosa/network"
#define PROMISED "tcp_window_bytes_promised"
#define PAIRS    200
#define FIRST    65536 /* a window, at first */
#define LEAST    4096  /* and where memory is promised to others */
#define CRUMBS   30000

static int ends[PAIRS][2];
static char block[16384];

/* As many pairs as the table of descriptors takes. */
static int open_pairs(void) {
    struct rlimit most = { 1024, 1024 };
    int n = 0;
    setrlimit(RLIMIT_NOFILE, &most);
    while (n < PAIRS && inet_pair(AF_INET, ends[n]))
        n++;
    return n;
}

static void close_pairs(int n) {
    while (n-- > 0) {
        close(ends[n][0]);
        close(ends[n][1]);
    }
}

/* What was read is not held any more, though the peer need not know yet. */
static void read_is_not_held(void) {
    int n = open_pairs();
    for (int i = 0; i < n; i++) {
        CHECK_EQ(write(ends[i][0], block, 8000), 8000);
        CHECK_EQ(inet_read_all(ends[i][1], block, 8000), 8000);
    }
    if (proc_number(NETWORK, "tcp_received_bytes_unread") < 0) {
        close_pairs(n);
        SKIP("another kernel");
    }
    CHECK_EQ(proc_number(NETWORK, "tcp_received_bytes_unread"), 0);
    CHECK_EQ(write(ends[0][0], block, 1000), 1000);
    CHECK(inet_wait(ends[0][1], POLLIN));
    CHECK_EQ(proc_number(NETWORK, "tcp_received_bytes_unread"), 1000);
    close_pairs(n);
    CHECK_EQ(proc_number(NETWORK, "tcp_received_bytes_unread"), 0);
}

/* A window grows with what is read.  Together they are an eighth of memory, and what everybody has:
 * who connects 64 KiB, who is connected to 4. */
static void windows_are_promised(void) {
    long all = proc_number("/proc/meminfo", "MemTotal:") * 1024 / 8, first, grown, many;
    if (proc_number(NETWORK, PROMISED) < 0)
        SKIP("another kernel");
    CHECK_EQ(proc_number(NETWORK, PROMISED), 0);
    REQUIRE(inet_pair(AF_INET, ends[0]));
    first = proc_number(NETWORK, PROMISED);
    CHECK(first >= 2 * FIRST - 2 && first <= 2 * FIRST);
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(write(ends[0][0], block, sizeof block), (long)sizeof block);
        CHECK_EQ(inet_read_all(ends[0][1], block, sizeof block), (long)sizeof block);
    }
    grown = proc_number(NETWORK, PROMISED);
    CHECK(grown >= 4 * FIRST - 4);
    close_pairs(1);
    CHECK_EQ(proc_number(NETWORK, PROMISED), 0);

    int n = open_pairs();
    many = proc_number(NETWORK, PROMISED);
    CHECK(many > all && many < all + (long)n * (FIRST + LEAST));
    close_pairs(n);
    CHECK_EQ(proc_number(NETWORK, PROMISED), 0);
}

/* Bytes that were sent one by one share buffers while nobody reads them. */
static void crumbs_share_buffers(void) {
    int on = 1;
    if (proc_number(NETWORK, PROMISED) < 0)
        SKIP("another kernel");
    REQUIRE(inet_pair(AF_INET, ends[0]));
    CHECK_EQ(setsockopt(ends[0][0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    CHECK_EQ(write(ends[0][0], block, 1), 1);
    long before = proc_free_kb();
    for (int i = 0; i < CRUMBS; i++) {
        block[i % 256] = (char)i;
        CHECK_EQ(write(ends[0][0], block + i % 256, 1), 1);
    }
    CHECK(inet_wait(ends[0][1], POLLIN));
    CHECK(before - proc_free_kb() < CRUMBS / 1024 * 16);
    CHECK_EQ(inet_read_all(ends[0][1], block, 1), 1);
    for (int i = 0; i < CRUMBS; i++) {
        char c;
        if (!CHECK_EQ(read(ends[0][1], &c, 1), 1) || !CHECK_EQ(c, (char)i))
            break;
    }
    close_pairs(1);
}

/*
 * Everybody sends and nobody reads, four times what the machine has: memory
 * stays for the program, and every byte that was taken arrives.
 */
static void slow_readers(void) {
    static long sent[PAIRS];
    int n = open_pairs();
    REQUIRE(n == PAIRS);
    for (int i = 0; i < n; i++) {
        ssize_t wrote;
        sent[i] = 0;
        while ((wrote = send(ends[i][0], block, sizeof block, MSG_DONTWAIT)) > 0)
            sent[i] += wrote;
        CHECK(errno == EAGAIN);
        /* The program's share. */
        if (i % 20 == 0) {
            char *memory = malloc(1 << 18);
            if (CHECK(memory != NULL))
                memset(memory, i, 1 << 18);
            free(memory);
        }
    }
    for (int i = 0; i < n; i++)
        shutdown(ends[i][0], SHUT_WR);
    for (int i = 0; i < n; i++) {
        long got = 0;
        ssize_t now;
        while ((now = read(ends[i][1], block, sizeof block)) > 0)
            got += now;
        CHECK_EQ(now, 0);
        CHECK_EQ(got, sent[i]);
    }
    close_pairs(n);
}

/* A client that uses its port again while the server still waits for what is left of the last
 * connection is no stranger. */
static void same_port_again(void) {
    int listener = inet_listen(AF_INET, 4), port = 0;
    char c;

    REQUIRE(listener >= 0);
    for (int i = 0; i < 12; i++) {
        union inet_address here = inet_here(AF_INET, port);
        union inet_address there = inet_there(AF_INET, inet_port(listener));
        int client = socket(AF_INET, SOCK_STREAM, 0), on = 1;
        struct timeval limit = { .tv_sec = 20 };
        CHECK_EQ(setsockopt(client, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
        CHECK_EQ(setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
        CHECK_EQ(bind(client, &here.any, sizeof here.in), 0);
        /* Through a cable, what ended the last may still be on its way. */
        unsigned ticks = 0;
        int failed, on_cable = getenv("INET_THERE") != NULL;
        while ((failed = connect(client, &there.any, sizeof there.in)) && on_cable &&
               errno == EADDRNOTAVAIL && guest_tick(&ticks))
            ;
        if (!CHECK_EQ(failed, 0)) {
            close(client);
            break;
        }
        port = inet_port(client);
        int server = accept(listener, NULL, NULL);
        CHECK_EQ(write(client, "x", 1), 1);
        CHECK_EQ(read(server, &c, 1), 1);
        close(server); /* the first to end is the one that waits */
        CHECK_EQ(read(client, &c, 1), 0);
        close(client);
    }
    close(listener);
}

GUEST_MAIN(CASE(read_is_not_held), CASE(windows_are_promised), CASE(crumbs_share_buffers),
           CASE(same_port_again), CASE(slow_readers))
