/* SPDX-License-Identifier: MIT */
/* Several splices at once: nothing is lost or repeated, and the order stays. */
#define _GNU_SOURCE
#include "test/guest/inet.h"
#include "test/guest/splice.h"

/* ---- All at once: through one pipe, by way of sockets that are often full ---- */

#define HAMMERS      4
#define HAMMER_BYTES (256 << 10)

static int shared[2];
static unsigned long sums_in, sums_out, bytes_out; /* atomic */

/* Sends bytes into a socket, another thread splices them into the shared pipe. */
static void *hammer_in(void *arg) {
    const int *s = arg;
    for (long n; (n = splice(s[0], NULL, shared[1], NULL, 3001, 0)) != 0;)
        if (!CHECK(n > 0))
            break;
    return NULL;
}

static void *hammer_feed(void *arg) {
    const int *s = arg;
    char block[777];
    unsigned long sum = 0;
    for (size_t done = 0, n; done < HAMMER_BYTES; done += n) {
        n = HAMMER_BYTES - done < sizeof block ? HAMMER_BYTES - done : sizeof block;
        fill(block, done, n);
        for (size_t i = 0; i < n; i++)
            sum += (unsigned char)block[i];
        CHECK_EQ(write(s[1], block, n), n);
    }
    shutdown(s[1], SHUT_WR);
    __atomic_fetch_add(&sums_in, sum, __ATOMIC_RELAXED);
    return NULL;
}

/* Splices out of it into a socket that takes little, and reads that itself. */
static void *hammer_out(void *arg) {
    const int *s = arg;
    char block[2000];
    unsigned long sum = 0, bytes = 0;
    for (int ended = 0; !ended;) {
        long n = splice(shared[0], NULL, s[0], NULL, PIPE_BYTES, 0);
        ended = n == 0;
        CHECK(n >= 0 || errno == EAGAIN);
        while ((n = read(s[1], block, sizeof block)) > 0) {
            bytes += (unsigned long)n;
            for (long i = 0; i < n; i++)
                sum += (unsigned char)block[i];
            if (!ended && n < (long)sizeof block)
                break;
        }
    }
    __atomic_fetch_add(&sums_out, sum, __ATOMIC_RELAXED);
    __atomic_fetch_add(&bytes_out, bytes, __ATOMIC_RELAXED);
    return NULL;
}

static void hammer(void) {
    pthread_t in[HAMMERS], feed[HAMMERS], out[HAMMERS];
    int from[HAMMERS][2], to[HAMMERS][2], small = 4096;
    sums_in = sums_out = bytes_out = 0;
    REQUIRE(pipe(shared) == 0);
    for (int i = 0; i < HAMMERS; i++) {
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, from[i]) == 0);
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, to[i]) == 0);
        CHECK_EQ(setsockopt(to[i][0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
        REQUIRE(thread_start(&in[i], hammer_in, from[i]));
        REQUIRE(thread_start(&feed[i], hammer_feed, from[i]));
        REQUIRE(thread_start(&out[i], hammer_out, to[i]));
    }
    for (int i = 0; i < HAMMERS; i++) {
        thread_join(in[i]);
        thread_join(feed[i]);
    }
    close(shared[1]);
    for (int i = 0; i < HAMMERS; i++) {
        thread_join(out[i]);
        close_both(from[i]);
        close_both(to[i]);
    }
    close(shared[0]);
    CHECK_EQ(bytes_out, (unsigned long)HAMMERS * HAMMER_BYTES);
    CHECK_EQ(sums_out, sums_in);
}

/* ---- Several splices on one pipe keep the order ---- */

#define NUMBERS 100000

struct way {
    int from, to;
};

static void *carry_main(void *arg) {
    const struct way *w = arg;
    for (long n; (n = splice(w->from, NULL, w->to, NULL, 1000, 0)) != 0;)
        if (!CHECK(n > 0))
            break;
    return NULL;
}

static void *count_main(void *arg) {
    int to = *(int *)arg;
    uint32_t block[100];
    for (uint32_t next = 0; next < NUMBERS; next += LENGTH(block)) {
        for (uint32_t i = 0; i < LENGTH(block); i++)
            block[i] = next + i;
        if (!CHECK_EQ(write(to, block, sizeof block), sizeof block))
            break;
    }
    close(to);
    return NULL;
}

static void check_order(int to, int from, struct way *w, unsigned count) {
    pthread_t counter, carriers[4];
    uint32_t number = 0, wrong = 0;
    REQUIRE(thread_start(&counter, count_main, &to));
    for (unsigned i = 0; i < count; i++)
        REQUIRE(thread_start(&carriers[i], carry_main, &w[i]));
    for (uint32_t next = 0; next < NUMBERS; next++)
        wrong += inet_read_all(from, &number, sizeof number) != sizeof number || number != next;
    CHECK_EQ(wrong, 0);
    thread_join(counter);
    for (unsigned i = 0; i < count; i++)
        thread_join(carriers[i]);
}

static void order(void) {
    int a[2], b[2], s[2];
    /* Two that drain a pipe into a socket. */
    REQUIRE(pipe(a) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    struct way out[] = { { a[0], s[0] }, { a[0], s[0] } };
    check_order(a[1], s[1], out, 2);
    close(a[0]);
    close_both(s);
    /* Two that fill one from a socket. */
    REQUIRE(pipe(a) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    struct way in[] = { { s[0], a[1] }, { s[0], a[1] } };
    check_order(s[1], a[0], in, 2);
    close_both(a);
    close(s[0]);
    /* Two between pipes. */
    REQUIRE(pipe(a) == 0 && pipe(b) == 0);
    struct way over[] = { { a[0], b[1] }, { a[0], b[1] } };
    check_order(a[1], b[0], over, 2);
    close(a[0]);
    close_both(b);
}

GUEST_MAIN(CASE(hammer), CASE(order))
