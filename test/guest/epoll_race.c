/* SPDX-License-Identifier: MIT */
/* guest: timeout=180 */
/*
 * epoll from all CPUs at once: no event is lost, none is told of what was taken
 * out and closed before, and what is closed in the middle of it all breaks nothing.
 */
#define _GNU_SOURCE
#include "test/guest/gate.h"
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define ROUNDS 400

static int control(int epoll, int op, int fd, unsigned events, uint64_t data) {
    struct epoll_event e = { .events = events, .data.u64 = data };
    return epoll_ctl(epoll, op, fd, &e);
}

static unsigned threads_wanted(void) {
    int cpus[CPUS_MAX], n = cpus_list(cpus);
    return n < 2 ? 2 : n > 4 ? 4 : (unsigned)n;
}

/* ---- every write is told ---- */

#define FILES   8
#define THREADS 4

static int epoll, outer, stop_fd, files[FILES], pipes[FILES][2];
static int made, done; /* bytes and counts; atomic */

static void *write_files(void *arg) {
    unsigned long seed = (unsigned long)(uintptr_t)arg;
    gate_wait(NULL);
    for (int i = 0; i < ROUNDS; i++) {
        unsigned n = guest_random(&seed) % FILES;
        uint64_t one = 1;
        __atomic_fetch_add(&made, 1, __ATOMIC_SEQ_CST);
        if (guest_random(&seed) % 2)
            CHECK_EQ(write(files[n], &one, sizeof one), sizeof one);
        else
            CHECK_EQ(write(pipes[n][1], "x", 1), 1);
        if (guest_random(&seed) % 8 == 0)
            sched_yield();
    }
    return NULL;
}

/* Takes what `data` names, all of it; how much that was. */
static int take_all(uint64_t data) {
    char bytes[64];
    uint64_t value;
    long n, sum = 0;
    if (data < FILES)
        return read(files[data], &value, sizeof value) == sizeof value ? (int)value : 0;
    while ((n = read(pipes[data - FILES][0], bytes, sizeof bytes)) > 0)
        sum += n;
    return (int)sum;
}

struct taker {
    int epoll;
    unsigned how; /* EPOLLET, EPOLLONESHOT or 0 */
    int max;
};

static void *take_files(void *arg) {
    const struct taker *t = arg;
    struct epoll_event e[3];
    for (;;) {
        int n = epoll_wait(t->epoll, e, t->max, -1);
        if (!CHECK(n > 0))
            return NULL;
        for (int i = 0; i < n; i++) {
            uint64_t data = e[i].data.u64;
            if (data == 2 * FILES)
                return NULL; /* stays for the others */
            __atomic_fetch_add(&done, take_all(data), __ATOMIC_SEQ_CST);
            if (t->how & EPOLLONESHOT)
                CHECK_EQ(control(epoll, EPOLL_CTL_MOD,
                                 data < FILES ? files[data] : pipes[data - FILES][0],
                                 EPOLLIN | t->how, data),
                         0);
        }
    }
}

static void open_files(unsigned how) {
    epoll = epoll_create1(0);
    stop_fd = eventfd(0, 0);
    made = done = 0;
    CHECK_EQ(control(epoll, EPOLL_CTL_ADD, stop_fd, EPOLLIN, 2 * FILES), 0);
    for (unsigned i = 0; i < FILES; i++) {
        files[i] = eventfd(0, EFD_NONBLOCK);
        CHECK_EQ(pipe2(pipes[i], O_NONBLOCK), 0);
        CHECK_EQ(control(epoll, EPOLL_CTL_ADD, files[i], EPOLLIN | how, i), 0);
        CHECK_EQ(control(epoll, EPOLL_CTL_ADD, pipes[i][0], EPOLLIN | how, FILES + i), 0);
    }
}

static void close_files(void) {
    for (unsigned i = 0; i < FILES; i++)
        close(files[i]), close(pipes[i][0]), close(pipes[i][1]);
    close(stop_fd), close(epoll);
}

/* Writers and takers; all that was written is taken, or a wake-up was lost. */
static void nothing_lost(unsigned how, int max) {
    unsigned count = threads_wanted();
    pthread_t writers[THREADS], takers[THREADS];
    uint64_t one = 1;
    open_files(how);
    struct taker t = { epoll, how, max };
    gate_close();
    for (unsigned i = 0; i < count; i++) {
        REQUIRE(thread_start(&takers[i], take_files, &t));
        REQUIRE(thread_start(&writers[i], write_files, (void *)(uintptr_t)(i + 1)));
    }
    gate_open((int)count);
    for (unsigned i = 0; i < count; i++)
        thread_join(writers[i]);
    CHECK_SOON(__atomic_load_n(&done, __ATOMIC_SEQ_CST) ==
               __atomic_load_n(&made, __ATOMIC_SEQ_CST));
    CHECK_EQ(write(stop_fd, &one, sizeof one), sizeof one);
    for (unsigned i = 0; i < count; i++)
        thread_join(takers[i]);
    CHECK_EQ(done, made);
    close_files();
}

static void level(void) {
    nothing_lost(0, 1);
    nothing_lost(0, 3);
}

static void edge(void) {
    nothing_lost(EPOLLET, 1);
    nothing_lost(EPOLLET, 3);
}

static void one_shot(void) {
    nothing_lost(EPOLLONESHOT, 3);
    nothing_lost(EPOLLONESHOT | EPOLLET, 1);
}

/* Through an epoll in an epoll, and with a third that polls the same. */
static int polling;

static void *poll_outer(void *arg) {
    struct epoll_event e;
    (void)arg;
    while (__atomic_load_n(&polling, __ATOMIC_ACQUIRE)) {
        struct pollfd p = { outer, POLLIN, 0 };
        CHECK(poll(&p, 1, 1) >= 0);
        CHECK(epoll_wait(outer, &e, 1, 0) >= 0);
    }
    return NULL;
}

static void *take_nested(void *arg) {
    struct epoll_event e;
    (void)arg;
    for (;;) {
        if (!CHECK_EQ(epoll_wait(outer, &e, 1, -1), 1))
            return NULL;
        int n = epoll_wait(epoll, &e, 1, 0);
        if (!CHECK(n >= 0))
            return NULL;
        if (n && e.data.u64 == 2 * FILES)
            return NULL;
        if (n)
            __atomic_fetch_add(&done, take_all(e.data.u64), __ATOMIC_SEQ_CST);
    }
}

static void nested(void) {
    unsigned count = threads_wanted();
    pthread_t writers[THREADS], takers[2], poller;
    uint64_t one = 1;
    open_files(0);
    outer = epoll_create1(0);
    CHECK_EQ(control(outer, EPOLL_CTL_ADD, epoll, EPOLLIN, 0), 0);
    polling = 1;
    gate_close();
    REQUIRE(thread_start(&poller, poll_outer, NULL));
    for (unsigned i = 0; i < 2; i++)
        REQUIRE(thread_start(&takers[i], take_nested, NULL));
    for (unsigned i = 0; i < count; i++)
        REQUIRE(thread_start(&writers[i], write_files, (void *)(uintptr_t)(i + 1)));
    gate_open((int)count);
    for (unsigned i = 0; i < count; i++)
        thread_join(writers[i]);
    CHECK_SOON(__atomic_load_n(&done, __ATOMIC_SEQ_CST) ==
               __atomic_load_n(&made, __ATOMIC_SEQ_CST));
    CHECK_EQ(write(stop_fd, &one, sizeof one), sizeof one);
    for (unsigned i = 0; i < 2; i++)
        thread_join(takers[i]);
    __atomic_store_n(&polling, 0, __ATOMIC_RELEASE);
    thread_join(poller);
    close_files();
    close(outer);
}

/* ---- nothing after the end ---- */

#define OWNERS 3

static uint64_t alive[OWNERS]; /* bit by generation: the data that may be told now; atomic */
static int running;            /* atomic */

struct owner {
    unsigned number;
    int fd[2]; /* what is written to; own thread, and whoever writes for it */
};

/* Adds, writes, changes, takes out, closes; each time with new data. */
static void *own(void *arg) {
    struct owner *o = arg;
    unsigned long seed = o->number + 7;
    gate_wait(NULL);
    for (uint64_t generation = 1; generation <= ROUNDS; generation++) {
        uint64_t one = 1, data = (uint64_t)o->number << 32 | generation;
        unsigned how = guest_random(&seed) % 2 ? EPOLLET : 0;
        int fd = eventfd(0, EFD_NONBLOCK), copy = -1;
        __atomic_store_n(&alive[o->number], generation, __ATOMIC_SEQ_CST);
        CHECK_EQ(control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | how, data), 0);
        if (guest_random(&seed) % 4 == 0)
            copy = dup(fd);
        CHECK_EQ(write(fd, &one, sizeof one), sizeof one);
        if (guest_random(&seed) % 2)
            CHECK_EQ(control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | how, data), 0);
        if (guest_random(&seed) % 2 || copy >= 0)
            CHECK_EQ(control(epoll, EPOLL_CTL_DEL, fd, 0, 0), 0);
        close(fd);
        if (copy >= 0) {
            CHECK_EQ(write(copy, &one, sizeof one), sizeof one);
            close(copy);
        }
        __atomic_store_n(&alive[o->number], generation + 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

/* An event is of the generation that lived when the wait began, or of a later one. */
static void *judge(void *arg) {
    struct epoll_event e[4];
    (void)arg;
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
        uint64_t before[OWNERS];
        for (unsigned i = 0; i < OWNERS; i++)
            before[i] = __atomic_load_n(&alive[i], __ATOMIC_SEQ_CST);
        int n = epoll_wait(epoll, e, 4, 1);
        CHECK(n >= 0 && n <= 4);
        for (int i = 0; i < n; i++) {
            uint64_t owner = e[i].data.u64 >> 32, generation = (uint32_t)e[i].data.u64;
            if (CHECK(owner < OWNERS && e[i].events == EPOLLIN))
                CHECK(generation >= before[owner] && generation <= ROUNDS);
        }
    }
    return NULL;
}

static void nothing_late(void) {
    pthread_t owners[OWNERS], judges[2];
    struct owner o[OWNERS];
    epoll = epoll_create1(0);
    running = 1;
    gate_close();
    for (unsigned i = 0; i < 2; i++)
        REQUIRE(thread_start(&judges[i], judge, NULL));
    for (unsigned i = 0; i < OWNERS; i++) {
        o[i].number = i;
        alive[i] = 0;
        REQUIRE(thread_start(&owners[i], own, &o[i]));
    }
    gate_open(OWNERS);
    for (unsigned i = 0; i < OWNERS; i++)
        thread_join(owners[i]);
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < 2; i++)
        thread_join(judges[i]);
    struct epoll_event e;
    CHECK_EQ(epoll_wait(epoll, &e, 1, 0), 0);
    close(epoll);
}

/* ---- everything closed under everybody ---- */

#define SLOTS 6

static int slots[SLOTS]; /* descriptors, changing at any moment; atomic */

static void *change_slots(void *arg) {
    unsigned long seed = (unsigned long)(uintptr_t)arg;
    struct epoll_event e = { .events = EPOLLIN };
    uint64_t value = 1;
    gate_wait(NULL);
    for (int i = 0; i < 3 * ROUNDS; i++) {
        unsigned n = guest_random(&seed) % SLOTS, m = guest_random(&seed) % SLOTS;
        int a = __atomic_load_n(&slots[n], __ATOMIC_ACQUIRE);
        int b = __atomic_load_n(&slots[m], __ATOMIC_ACQUIRE), new;
        e.events = guest_random(&seed) % 2 ? EPOLLIN : EPOLLIN | EPOLLOUT | EPOLLET;
        /* Any of these may fail, since the descriptors come and go. */
        switch (guest_random(&seed) % 8) {
        case 0:
        case 1:
            new = guest_random(&seed) % 2 ? epoll_create1(0) : eventfd(0, EFD_NONBLOCK);
            close(__atomic_exchange_n(&slots[n], new, __ATOMIC_ACQ_REL));
            break;
        case 2:
        case 3:
            epoll_ctl(a, EPOLL_CTL_ADD, b, &e);
            break;
        case 4:
            epoll_ctl(a, guest_random(&seed) % 2 ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, b, &e);
            break;
        case 5:
            (void)!write(a, &value, sizeof value);
            break;
        case 6:
            epoll_wait(a, &e, 1, 0);
            break;
        default: {
            struct pollfd p[2] = { { a, POLLIN, 0 }, { b, POLLIN, 0 } };
            poll(p, 2, 0);
        }
        }
    }
    return NULL;
}

static void closing(void) {
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < SLOTS; i++)
        slots[i] = i % 2 ? epoll_create1(0) : eventfd(0, EFD_NONBLOCK);
    gate_close();
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(thread_start(&threads[i], change_slots, (void *)(uintptr_t)(i + 1)));
    gate_open(THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    for (unsigned i = 0; i < SLOTS; i++)
        close(slots[i]);
    int next = eventfd(0, 0);
    CHECK_EQ(next, 3); /* nothing was left open */
    close(next);
}

GUEST_MAIN(CASE(level), CASE(edge), CASE(one_shot), CASE(nested), CASE(nothing_late), CASE(closing))
