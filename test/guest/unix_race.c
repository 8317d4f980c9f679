/* SPDX-License-Identifier: MIT */
/* guest: timeout=120 */
/* AF_UNIX from all CPUs at once: shared ends, closes against sends, connects against closes. */
#define _GNU_SOURCE
#include "test/guest/proc.h"
#include "test/guest/sockets.h"
#include "test/guest/threads.h"
#include <fcntl.h>
#include <signal.h>

#define THREADS 4
#define ROUNDS  300

/* Several writers and readers on one stream: every record whole, every byte once. */
static int ends[2];
static long sums[2][256]; /* bytes by value, as written and as read */

static void *write_many(void *arg) {
    unsigned char block[3000];
    unsigned long seed = (unsigned long)arg + 3;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned size = 1 + (unsigned)(guest_random(&seed) % sizeof block);
        int value = (int)(guest_random(&seed) % 256);
        memset(block, value, size);
        CHECK_EQ(write(ends[0], block, size), size);
        __atomic_fetch_add(&sums[0][value], size, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void *read_many(void *arg) {
    unsigned char block[5000];
    long n;
    while ((n = read(ends[1], block, sizeof block)) > 0)
        for (long i = 0; i < n; i++)
            __atomic_fetch_add(&sums[1][block[i]], 1, __ATOMIC_RELAXED);
    CHECK_EQ(n, 0);
    return arg;
}

static void shared_stream(void) {
    pthread_t writers[THREADS], readers[THREADS];
    memset(sums, 0, sizeof sums);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    for (long i = 0; i < THREADS; i++) {
        REQUIRE(thread_start(&writers[i], write_many, (void *)i));
        REQUIRE(thread_start(&readers[i], read_many, NULL));
    }
    for (int i = 0; i < THREADS; i++)
        thread_join(writers[i]);
    close(ends[0]);
    for (int i = 0; i < THREADS; i++)
        thread_join(readers[i]);
    CHECK(memcmp(sums[0], sums[1], sizeof sums[0]) == 0);
    close(ends[1]);
}

/* Packets from several senders: each comes once and whole. */
#define PACKETS 400L
static long packets_read, packets_wrong;

static void *send_packets(void *arg) {
    unsigned char packet[300];
    unsigned long seed = (unsigned long)arg + 5;
    for (long i = 0; i < PACKETS; i++) {
        unsigned size = 2 + (unsigned)(guest_random(&seed) % (sizeof packet - 2));
        memset(packet, (int)size, size);
        CHECK_EQ(send(ends[0], packet, size, 0), size);
    }
    return NULL;
}

static void *take_packets(void *arg) {
    unsigned char packet[400];
    long n;
    while ((n = recv(ends[1], packet, sizeof packet, 0)) > 1) {
        long wrong = 0;
        for (long i = 0; i < n; i++)
            wrong += packet[i] != (unsigned char)n;
        __atomic_fetch_add(&packets_wrong, wrong, __ATOMIC_RELAXED);
        __atomic_fetch_add(&packets_read, 1, __ATOMIC_RELAXED);
    }
    CHECK_EQ(n, 1); /* the end */
    return arg;
}

static void shared_packets(void) {
    static const int types[] = { SOCK_SEQPACKET, SOCK_DGRAM };
    for (int type = 0; type < 2; type++) {
        pthread_t senders[THREADS], takers[THREADS];
        packets_read = packets_wrong = 0;
        REQUIRE(socketpair(AF_UNIX, types[type], 0, ends) == 0);
        for (long i = 0; i < THREADS; i++) {
            REQUIRE(thread_start(&senders[i], send_packets, (void *)i));
            REQUIRE(thread_start(&takers[i], take_packets, NULL));
        }
        for (int i = 0; i < THREADS; i++)
            thread_join(senders[i]);
        for (int i = 0; i < THREADS; i++)
            CHECK_EQ(send(ends[0], "", 1, 0), 1);
        for (int i = 0; i < THREADS; i++)
            thread_join(takers[i]);
        CHECK_EQ(packets_read, THREADS * PACKETS);
        CHECK_EQ(packets_wrong, 0);
        close(ends[0]), close(ends[1]);
    }
}

/* One end closes, or shuts, while others send, receive and poll. */
static int go, wide[2];

static void *use_end(void *arg) {
    char block[2000];
    int fd = wide[(long)arg % 2];
    struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
    while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
        sched_yield();
    for (int i = 0; i < 40; i++) {
        long n = (long)arg / 2 % 2 ? send(fd, block, sizeof block, MSG_NOSIGNAL | MSG_DONTWAIT)
                                   : recv(fd, block, sizeof block, MSG_DONTWAIT);
        if (n < 0)
            CHECK(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET || errno == EBADF ||
                  errno == ENOTSOCK || errno == ECONNREFUSED || errno == ENOTCONN);
        CHECK(poll(&p, 1, 0) >= 0);
    }
    return NULL;
}

static void *end_it(void *arg) {
    while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
        sched_yield();
    if ((long)arg)
        (void)shutdown(wide[0], SHUT_RDWR);
    else
        close(wide[0]);
    return NULL;
}

static void close_against_send(void) {
    static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
    for (int round = 0; round < 60; round++) {
        pthread_t threads[THREADS], ender;
        int by_shutdown = round % 2;
        __atomic_store_n(&go, 0, __ATOMIC_RELAXED);
        REQUIRE(socketpair(AF_UNIX, types[round % 3], 0, wide) == 0);
        for (long i = 0; i < THREADS; i++)
            REQUIRE(thread_start(&threads[i], use_end, (void *)i));
        REQUIRE(thread_start(&ender, end_it, (void *)(long)by_shutdown));
        __atomic_store_n(&go, 1, __ATOMIC_RELEASE);
        for (int i = 0; i < THREADS; i++)
            thread_join(threads[i]);
        thread_join(ender);
        if (by_shutdown)
            close(wide[0]);
        close(wide[1]);
    }
}

/* A sender that sleeps in a full queue, and a receiver in an empty one, learn of the end. */
static void *fill(void *arg) {
    static char block[10000];
    while (send(*(int *)arg, block, sizeof block, MSG_NOSIGNAL) > 0)
        ;
    return (void *)(long)errno;
}

static void *drain_none(void *arg) {
    char c;
    return (void *)recv(*(int *)arg, &c, 1, 0);
}

static void sleepers_learn(void) {
    for (int round = 0; round < 10; round++) {
        pthread_t sender, receiver;
        REQUIRE(socketpair(AF_UNIX, round % 2 ? SOCK_STREAM : SOCK_SEQPACKET, 0, ends) == 0);
        REQUIRE(thread_start(&sender, fill, &ends[0]));
        REQUIRE(thread_start(&receiver, drain_none, &ends[0]));
        sleep_ms(round);
        close(ends[1]);
        long error = (long)thread_join(sender);
        CHECK(error == EPIPE || error == ECONNRESET);
        CHECK((long)thread_join(receiver) <= 0);
        close(ends[0]);
    }
}

/* Clients connect and speak while the listener accepts, closes and comes again. */
static struct sockaddr_un place;
static socklen_t place_length;
static int finished;
static long connected, served;

static void *be_client(void *arg) {
    while (!__atomic_load_n(&finished, __ATOMIC_ACQUIRE)) {
        char c = 'x';
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK(fd >= 0);
        if (connect(fd, ADDRESS(place), place_length)) {
            CHECK_EQ(errno, ECONNREFUSED);
            sched_yield();
        } else {
            __atomic_fetch_add(&connected, 1, __ATOMIC_RELAXED);
            if (send(fd, &c, 1, MSG_NOSIGNAL) < 0)
                CHECK(errno == EPIPE || errno == ECONNRESET);
            if (recv(fd, &c, 1, 0) < 0)
                CHECK_EQ(errno, ECONNRESET);
        }
        close(fd);
    }
    return arg;
}

static void *serve(void *arg) {
    int l = *(int *)arg, fd;
    char c;
    while ((fd = accept(l, NULL, NULL)) >= 0) {
        if (recv(fd, &c, 1, 0) == 1 && send(fd, &c, 1, MSG_NOSIGNAL) == 1)
            __atomic_fetch_add(&served, 1, __ATOMIC_RELAXED);
        close(fd);
    }
    CHECK_EQ(errno, EINVAL); /* it was shut */
    return NULL;
}

static void connect_against_close(void) {
    pthread_t clients[THREADS], servers[2];
    place = abstract_address("race", &place_length);
    connected = served = finished = 0;
    for (int i = 0; i < THREADS; i++)
        REQUIRE(thread_start(&clients[i], be_client, NULL));
    for (int round = 0; round < 20; round++) {
        int l = socket(AF_UNIX, SOCK_STREAM, 0);
        REQUIRE(bind(l, ADDRESS(place), place_length) == 0 && listen(l, round % 3) == 0);
        long before = __atomic_load_n(&served, __ATOMIC_RELAXED);
        for (int i = 0; i < 2; i++)
            REQUIRE(thread_start(&servers[i], serve, &l));
        CHECK_SOON(__atomic_load_n(&served, __ATOMIC_RELAXED) > before + 5);
        shutdown(l, SHUT_RD);
        for (int i = 0; i < 2; i++)
            thread_join(servers[i]);
        close(l);
    }
    __atomic_store_n(&finished, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++)
        thread_join(clients[i]);
    CHECK(connected >= served && served > 0);
}

/* Datagram sockets that connect to one another, send, and close. */
static int hub[3];

static void *mingle(void *arg) {
    unsigned long seed = (unsigned long)arg * 77 + 1;
    char text[64];
    for (int i = 0; i < ROUNDS; i++) {
        struct sockaddr none = { .sa_family = AF_UNSPEC };
        struct sockaddr_un to;
        socklen_t length = sizeof to;
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        CHECK(fd >= 0);
        CHECK(getsockname(hub[guest_random(&seed) % 3], ADDRESS(to), &length) == 0);
        (void)connect(fd, ADDRESS(to), length);
        (void)send(fd, text, guest_random(&seed) % sizeof text, 0);
        int one = hub[guest_random(&seed) % 3], two = hub[guest_random(&seed) % 3];
        (void)recv(one, text, sizeof text, MSG_DONTWAIT);
        length = sizeof to;
        CHECK(getsockname(two, ADDRESS(to), &length) == 0);
        if (guest_random(&seed) % 2)
            (void)connect(one, ADDRESS(to), length);
        else
            CHECK_EQ(connect(one, &none, sizeof none), 0);
        CHECK(events_of(one) >= 0);
        (void)send(one, text, 10, MSG_DONTWAIT);
        close(fd);
    }
    return NULL;
}

static void datagrams_mingle(void) {
    pthread_t threads[THREADS];
    struct sockaddr_un any = { .sun_family = AF_UNIX };
    for (int i = 0; i < 3; i++) {
        hub[i] = socket(AF_UNIX, SOCK_DGRAM, 0);
        REQUIRE(bind(hub[i], ADDRESS(any), UNIX_HEAD) == 0);
    }
    for (long i = 0; i < THREADS; i++)
        REQUIRE(thread_start(&threads[i], mingle, (void *)i));
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    for (int i = 0; i < 3; i++)
        close(hub[i]);
}

/* Descriptors go round in circles, and their sockets close on the way. */
static void *pass_files(void *arg) {
    unsigned long seed = (unsigned long)arg + 9;
    for (int i = 0; i < ROUNDS; i++) {
        int pair[2], inner[2];
        char byte = 'x';
        union {
            struct cmsghdr first;
            char bytes[CMSG_SPACE(2 * sizeof(int))];
        } control = { .first = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
        struct iovec part = { &byte, 1 };
        struct msghdr h = { .msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes };
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, inner) == 0);
        control.first.cmsg_len = CMSG_LEN(2 * sizeof(int));
        memcpy(CMSG_DATA(&control.first), inner, sizeof inner);
        CHECK_EQ(sendmsg(pair[0], &h, 0), 1);
        close(inner[0]), close(inner[1]), close(pair[0]);
        if (guest_random(&seed) % 2) {
            CHECK_EQ(recvmsg(pair[1], &h, 0), 1);
            memcpy(inner, CMSG_DATA(&control.first), sizeof inner);
            CHECK_EQ(send(inner[0], "y", 1, 0), 1);
            CHECK_EQ(recv(inner[1], &byte, 1, 0), 1);
            close(inner[0]), close(inner[1]);
        }
        close(pair[1]);
    }
    return NULL;
}

static void files_pass(void) {
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        REQUIRE(thread_start(&threads[i], pass_files, (void *)i));
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
}

/* After all of that no descriptor is left, and on Mimosa no memory is lost. */
static void nothing_stays(void) {
    int first = dup(0);
    close(first);
    long before = 0;
    for (int round = 0; round < 3; round++) {
        close_against_send();
        connect_against_close();
        datagrams_mingle();
        files_pass();
        if (!round) /* caches fill in the first */
            before = proc_free_kb();
    }
    CHECK_EQ(dup(0), first);
    close(first);
    if (access("/proc/mimosa/memory", R_OK) == 0)
        CHECK(proc_free_kb() >= before - 512);
}

GUEST_MAIN(CASE(shared_stream), CASE(shared_packets), CASE(close_against_send),
           CASE(sleepers_learn), CASE(connect_against_close), CASE(datagrams_mingle),
           CASE(files_pass), CASE(nothing_stays))
