/* SPDX-License-Identifier: MIT */
/* TCP connections from threads on all CPUs: echoes, resets, listeners that go; nothing stays. */
/* guest: mem=256M timeout=300 */
#define _GNU_SOURCE
#include "test/guest/inet.h"
#include "test/guest/proc.h"
#include <sys/resource.h>

#define THREADS 4

static int listener;
static int echoed; /* atomically */

static void *echo_server(void *arg) {
    char text[512];
    int fd;
    (void)arg;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        ssize_t n;
        while ((n = read(fd, text, sizeof text)) > 0)
            if (write(fd, text, (size_t)n) != n)
                break;
        close(fd);
    }
    return NULL;
}

static void *echo_client(void *arg) {
    unsigned long seed = 77 + (unsigned long)arg;
    char out[512], in[512];
    for (int i = 0; i < 60; i++) {
        int fd = inet_connect(AF_INET, inet_port(listener));
        if (!CHECK(fd >= 0))
            return NULL;
        for (int k = 0; k < 5; k++) {
            size_t size = 1 + guest_random(&seed) % sizeof out;
            memset(out, 'a' + (int)(guest_random(&seed) % 26), size);
            CHECK_EQ(write(fd, out, size), (long)size);
            CHECK_EQ(inet_read_all(fd, in, size), (long)size);
            CHECK_EQ(memcmp(in, out, size), 0);
        }
        close(fd);
        __atomic_fetch_add(&echoed, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void echoes(void) {
    pthread_t servers[THREADS], clients[THREADS];

    listener = inet_listen(AF_INET, 64);
    REQUIRE(listener >= 0);
    for (long i = 0; i < THREADS; i++)
        REQUIRE(thread_start(&servers[i], echo_server, NULL) &&
                thread_start(&clients[i], echo_client, (void *)i));
    for (int i = 0; i < THREADS; i++)
        pthread_join(clients[i], NULL);
    CHECK_EQ(echoed, THREADS * 60);
    shutdown(listener, SHUT_RDWR);
    for (int i = 0; i < THREADS; i++)
        pthread_join(servers[i], NULL);
    close(listener);
}

/* One connection, several threads that write and several that read: no byte lost or twice. */
static int shared_ends[2];
static unsigned long written, read_bytes;

static void *shared_writer(void *arg) {
    char block[700];
    memset(block, (int)(long)arg, sizeof block);
    for (int i = 0; i < 300; i++) {
        size_t size = 1 + (size_t)(i * 37 + (long)arg) % sizeof block;
        if (!CHECK_EQ(write(shared_ends[0], block, size), (long)size))
            return NULL;
        __atomic_fetch_add(&written, size, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void *shared_reader(void *arg) {
    char block[500];
    ssize_t n;
    (void)arg;
    while ((n = read(shared_ends[1], block, sizeof block)) > 0)
        __atomic_fetch_add(&read_bytes, (unsigned long)n, __ATOMIC_RELAXED);
    CHECK_EQ(n, 0);
    return NULL;
}

static void one_connection(void) {
    pthread_t writers[THREADS], readers[THREADS];

    written = read_bytes = 0;
    REQUIRE(inet_pair(AF_INET, shared_ends));
    for (long i = 0; i < THREADS; i++)
        REQUIRE(thread_start(&writers[i], shared_writer, (void *)(i + 1)) &&
                thread_start(&readers[i], shared_reader, NULL));
    for (int i = 0; i < THREADS; i++)
        pthread_join(writers[i], NULL);
    shutdown(shared_ends[0], SHUT_WR);
    for (int i = 0; i < THREADS; i++)
        pthread_join(readers[i], NULL);
    CHECK_EQ(read_bytes, written);
    close(shared_ends[0]);
    close(shared_ends[1]);
}

/* Both ends of a connection act at once: resets, half-closes and data against each other. */
static void *harass(void *arg) {
    unsigned long seed = 1234567 + (unsigned long)arg * 7919;
    struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    char block[256] = "";
    for (int i = 0; i < 80; i++) {
        int ends[2];
        if (!inet_pair(AF_INET, ends))
            return NULL;
        for (int k = 0; k < 12; k++) {
            int fd = ends[guest_random(&seed) & 1];
            switch (guest_random(&seed) % 5) {
            case 0:
                shutdown(fd, (int)(guest_random(&seed) % 3));
                break;
            case 1:
                recv(fd, block, sizeof block, MSG_DONTWAIT);
                break;
            case 2:
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
                break;
            default:
                send(fd, block, 1 + guest_random(&seed) % sizeof block,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
            }
        }
        int first = guest_random(&seed) & 1;
        close(ends[first]);
        close(ends[!first]);
    }
    return NULL;
}

static void harassed(void) {
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        REQUIRE(thread_start(&threads[i], harass, (void *)i));
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

#define CONNECTIONS 1000

/* As many connections as the table of descriptors lets us have, all of them alive. */
static void many_connections(void) {
    static int client[CONNECTIONS], server[CONNECTIONS];
    struct rlimit most = { 4096, 4096 };
    int fd = inet_listen(AF_INET, 128), count = CONNECTIONS;
    char c;

    REQUIRE(fd >= 0);
    if (setrlimit(RLIMIT_NOFILE, &most)) /* not root, on Linux */
        count = 400;
    for (int i = 0; i < count; i++) {
        client[i] = inet_connect(AF_INET, inet_port(fd));
        server[i] = accept(fd, NULL, NULL);
        REQUIRE(client[i] >= 0 && server[i] >= 0);
    }
    for (int i = 0; i < count; i++)
        CHECK_EQ(write(client[i], &(char){ (char)i }, 1), 1);
    for (int i = count; i-- > 0;) {
        CHECK_EQ(read(server[i], &c, 1), 1);
        CHECK_EQ(c, (char)i);
    }
    for (int i = 0; i < count; i++) {
        close(client[i]);
        CHECK_EQ(read(server[i], &c, 1), 0);
        close(server[i]);
    }
    close(fd);
}

/* A listener that ends with connections nobody has accepted: they are reset. */
static void abandoned(void) {
    int clients[8], fd = inet_listen(AF_INET, 16);
    char c;

    REQUIRE(fd >= 0);
    for (int i = 0; i < 8; i++)
        REQUIRE((clients[i] = inet_connect(AF_INET, inet_port(fd))) >= 0);
    close(fd);
    for (int i = 0; i < 8; i++) {
        CHECK(inet_wait(clients[i], POLLIN));
        CHECK_ERRNO(read(clients[i], &c, 1), ECONNRESET);
        close(clients[i]);
    }
}

static void leak_round(void) {
    struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    char block[3000] = "";
    int ends[2];
    if (!inet_pair(AF_INET, ends))
        return;
    CHECK_EQ(write(ends[0], block, sizeof block), sizeof block);
    CHECK(inet_wait(ends[1], POLLIN));
    CHECK(read(ends[1], block, 100) == 100);
    /* A reset leaves nothing in TIME_WAIT. */
    CHECK_EQ(setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(ends[0]);
    close(ends[1]);
}

static void nothing_stays(void) {
    for (int i = 0; i < 200; i++)
        leak_round();
    long before = proc_free_kb();
    for (int i = 0; i < 1000; i++)
        leak_round();
    long after = proc_free_kb();
    if (before < 0)
        SKIP("no /proc");
    if (access("/proc/mimosa", F_OK))
        SKIP("a Linux with other things to do");
    CHECK(after >= before - 512);
}

GUEST_MAIN(CASE(echoes), CASE(one_connection), CASE(harassed), CASE(many_connections),
           CASE(abandoned), CASE(nothing_stays))
