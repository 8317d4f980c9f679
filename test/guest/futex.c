/* SPDX-License-Identifier: MIT */
/* futex: each operation, its results and its errors, as futex(2) and Linux have them. */
#define _GNU_SOURCE
#include "test/guest/linux_abi.h"
#include "test/guest/threads.h"
#include <limits.h>
#include <stdint.h>
#include <sys/mman.h>

#define PRIVATE FUTEX_PRIVATE_FLAG

static long futex(void *word, int op, uint32_t value, const void *timeout, void *word2,
                  uint32_t value3) {
    return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

static struct timespec ms(long n) {
    return (struct timespec){ n / 1000, n % 1000 * 1000000 };
}

/* The absolute time n milliseconds from now. */
static struct timespec in_ms(clockid_t clock, long n) {
    struct timespec at;
    clock_gettime(clock, &at);
    at.tv_nsec += n * 1000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

static void wait_on_changed_value(void) {
    uint32_t word = 5;
    CHECK_ERRNO(futex(&word, FUTEX_WAIT | PRIVATE, 4, NULL, NULL, 0), EAGAIN);
    CHECK_ERRNO(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
    CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET | PRIVATE, 4, NULL, NULL, 1), EAGAIN);
}

static void wait_times_out(void) {
    uint32_t word = 0;
    struct timespec zero = ms(0), some = ms(20);
    long begin = now_ns();
    CHECK_ERRNO(futex(&word, FUTEX_WAIT | PRIVATE, 0, &some, NULL, 0), ETIMEDOUT);
    CHECK(now_ns() - begin >= 20000000);
    CHECK_ERRNO(futex(&word, FUTEX_WAIT | PRIVATE, 0, &zero, NULL, 0), ETIMEDOUT);
    CHECK_ERRNO(futex(&word, FUTEX_WAIT, 0, &some, NULL, 0), ETIMEDOUT);
}

static void wait_times_out_absolute(void) {
    uint32_t word = 0;
    struct timespec past = { 1, 0 }, soon = in_ms(CLOCK_MONOTONIC, 20);
    CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET | PRIVATE, 0, &soon, NULL, ~0u), ETIMEDOUT);
    CHECK(now_ns() >= soon.tv_sec * 1000000000L + soon.tv_nsec);
    CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET | PRIVATE, 0, &past, NULL, ~0u), ETIMEDOUT);
    soon = in_ms(CLOCK_REALTIME, 20);
    CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET | PRIVATE | FUTEX_CLOCK_REALTIME, 0, &soon, NULL, 1),
                ETIMEDOUT);
}

static void bad_arguments(void) {
    uint32_t words[4] = { 0 };
    struct timespec negative = { -1, 0 }, too_many = { 0, 1000000000 };
    char *odd = (char *)words + 1;
    CHECK_ERRNO(futex(odd, FUTEX_WAIT | PRIVATE, 0, NULL, NULL, 0), EINVAL);
    CHECK_ERRNO(futex(odd, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0), EINVAL);
    CHECK_ERRNO(futex(words, FUTEX_WAIT | PRIVATE, 0, &negative, NULL, 0), EINVAL);
    CHECK_ERRNO(futex(words, FUTEX_WAIT | PRIVATE, 0, &too_many, NULL, 0), EINVAL);
    CHECK_ERRNO(futex(words, FUTEX_WAIT_BITSET | PRIVATE, 0, NULL, NULL, 0), EINVAL);
    CHECK_ERRNO(futex(words, FUTEX_WAKE_BITSET | PRIVATE, 1, NULL, NULL, 0), EINVAL);
    CHECK_ERRNO(futex(NULL, FUTEX_WAIT | PRIVATE, 0, NULL, NULL, 0), EFAULT);
    CHECK_ERRNO(futex((void *)0xffff800000000000, FUTEX_WAIT | PRIVATE, 0, NULL, NULL, 0), EFAULT);
    CHECK_ERRNO(futex((void *)0x900000000000, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0), EFAULT);
    CHECK_ERRNO(futex(words, FUTEX_WAIT | PRIVATE, 0, (void *)8, NULL, 0), EFAULT);
    CHECK_ERRNO(futex(words, 99, 0, NULL, NULL, 0), ENOSYS);
    CHECK_ERRNO(futex(words, FUTEX_REQUEUE | PRIVATE, -1, NULL, &words[1], 0), EINVAL);
}

static void wake_without_waiters(void) {
    uint32_t words[2] = { 0 };
    CHECK_EQ(futex(words, FUTEX_WAKE | PRIVATE, INT_MAX, NULL, NULL, 0), 0);
    CHECK_EQ(futex(words, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
    CHECK_EQ(futex(words, FUTEX_WAKE_BITSET | PRIVATE, 1, NULL, NULL, ~0u), 0);
    CHECK_EQ(futex(words, FUTEX_REQUEUE | PRIVATE, 1, (void *)1, &words[1], 0), 0);
}

/* A crowd of threads that wait on a word, each with its own bit. */
#define CROWD 6
struct waiter {
    pthread_t thread;
    uint32_t *word, bit;
    int flags, began, result, done;
};
static struct waiter crowd[CROWD];

static void *crowd_wait(void *arg) {
    struct waiter *me = arg;
    __atomic_store_n(&me->began, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
    me->result = futex(me->word, FUTEX_WAIT_BITSET | me->flags, 0, NULL, NULL, me->bit) ? errno : 0;
    __atomic_store_n(&me->done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static int crowd_done(void) {
    int done = 0;
    for (int i = 0; i < CROWD; i++)
        done += __atomic_load_n(&crowd[i].done, __ATOMIC_ACQUIRE);
    return done;
}

/* Starts the crowd on word; once it returns, all of them are queued there. */
static int crowd_start(uint32_t *word, int flags) {
    memset(crowd, 0, sizeof crowd);
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = (struct waiter){ .word = word, .bit = 1u << i, .flags = flags };
        if (!thread_start(&crowd[i].thread, crowd_wait, &crowd[i]))
            return 0;
    }
    /* A requeue onto the word itself counts those who wait and moves none. */
    unsigned ticks = 0;
    while (futex(word, FUTEX_CMP_REQUEUE | flags, 0, (void *)(long)INT_MAX, word, 0) < CROWD)
        if (!guest_tick(&ticks))
            return CHECK(ticks == 0), 0; /* the crowd never slept */
    return 1;
}

static void crowd_join(void) {
    for (int i = 0; i < CROWD; i++) {
        thread_join(crowd[i].thread);
        CHECK_EQ(crowd[i].result, 0);
    }
}

static void wake_counts(int flags) {
    static uint32_t word;
    REQUIRE(crowd_start(&word, flags));
    CHECK_EQ(futex(&word, FUTEX_WAKE | flags, 1, NULL, NULL, 0), 1);
    CHECK_SOON(crowd_done() == 1);
    CHECK_EQ(futex(&word, FUTEX_WAKE | flags, 2, NULL, NULL, 0), 2);
    CHECK_SOON(crowd_done() == 3);
    CHECK_EQ(futex(&word, FUTEX_WAKE | flags, INT_MAX, NULL, NULL, 0), CROWD - 3);
    crowd_join();
}

static void wake_counts_private(void) {
    wake_counts(PRIVATE);
}
static void wake_counts_shared(void) {
    wake_counts(0);
}

static void wake_by_bit(void) {
    static uint32_t word;
    REQUIRE(crowd_start(&word, PRIVATE));
    for (int i = CROWD - 1; i >= 0; i--) {
        CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET | PRIVATE, INT_MAX, NULL, NULL, 0xffff0000), 0);
        CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET | PRIVATE, INT_MAX, NULL, NULL, 1u << i), 1);
        CHECK_SOON(__atomic_load_n(&crowd[i].done, __ATOMIC_ACQUIRE));
        CHECK_EQ(crowd_done(), CROWD - i);
    }
    crowd_join();
}

static void requeue_moves_waiters(int flags) {
    static uint32_t words[2];
    REQUIRE(crowd_start(&words[0], flags));
    CHECK_ERRNO(futex(&words[0], FUTEX_CMP_REQUEUE | flags, 1, (void *)1, &words[1], 9), EAGAIN);
    CHECK_EQ(futex(&words[0], FUTEX_CMP_REQUEUE | flags, 1, (void *)2, &words[1], 0), 3);
    CHECK_SOON(crowd_done() == 1);
    CHECK_EQ(futex(&words[1], FUTEX_WAKE | flags, INT_MAX, NULL, NULL, 0), 2);
    CHECK_SOON(crowd_done() == 3);
    /* REQUEUE counts those it woke and moved, as CMP_REQUEUE does. */
    CHECK_EQ(futex(&words[0], FUTEX_REQUEUE | flags, 1, (void *)9, &words[1], 0), CROWD - 3);
    CHECK_EQ(futex(&words[0], FUTEX_WAKE | flags, INT_MAX, NULL, NULL, 0), 0);
    CHECK_EQ(futex(&words[1], FUTEX_WAKE | flags, INT_MAX, NULL, NULL, 0), CROWD - 4);
    crowd_join();
}

static void requeue_private(void) {
    requeue_moves_waiters(PRIVATE);
}
static void requeue_shared(void) {
    requeue_moves_waiters(0);
}

/* A shared futex is the memory, not its address; a private one is the address. */
static void shared_mapping_elsewhere(void) {
    uint32_t *first = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(first != MAP_FAILED);
    REQUIRE(crowd_start(&first[3], 0));
    CHECK_EQ(futex(&first[2], FUTEX_WAKE, INT_MAX, NULL, NULL, 0), 0);
    /* mremap of length 0 on a shared mapping duplicates it. */
    uint32_t *second = mremap(first, 0, 4096, MREMAP_MAYMOVE);
    if (second != MAP_FAILED) {
        CHECK_EQ(futex(&second[3], FUTEX_WAKE, 1, NULL, NULL, 0), 1);
        munmap(second, 4096);
    }
    CHECK(futex(&first[3], FUTEX_WAKE, INT_MAX, NULL, NULL, 0) >= CROWD - 1);
    crowd_join();
    munmap(first, 4096);
}

static void wake_op(void) {
    static uint32_t words[2];
    words[1] = 10;
    /* word2 += 5, and its waiters too if it was greater than 9: nobody waits. */
    CHECK_EQ(futex(&words[0], FUTEX_WAKE_OP | PRIVATE, 1, (void *)1, &words[1],
                   FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_GT, 9)),
             0);
    CHECK_EQ(words[1], 15);
    REQUIRE(crowd_start(&words[0], PRIVATE));
    CHECK_EQ(futex(&words[1], FUTEX_WAKE_OP | PRIVATE, 1, (void *)2, &words[0],
                   FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 1)),
             0);
    CHECK_EQ(futex(&words[1], FUTEX_WAKE_OP | PRIVATE, 1, (void *)2, &words[0],
                   FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 0)),
             2);
    CHECK_EQ(futex(&words[0], FUTEX_WAKE | PRIVATE, INT_MAX, NULL, NULL, 0), CROWD - 2);
    crowd_join();
}

/* Mimosa has no priority inheritance and must say ENOSYS; Linux has it. */
static void pi_works_or_is_absent(void) {
    uint32_t word = 0;
    errno = 0;
    long result = futex(&word, FUTEX_LOCK_PI | PRIVATE, 0, NULL, NULL, 0);
    CHECK(access("/proc/mimosa", F_OK) ? result == 0 : result == -1 && errno == ENOSYS);
    if (result == 0)
        CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0), 0);
    else
        CHECK_ERRNO(futex(&word, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0), ENOSYS);
}

/* A thread that ends with a robust list leaves OWNER_DIED in its locks and wakes a waiter. */
struct robust_lock {
    struct robust_list node;
    uint32_t word;
};
static struct robust_lock robust;

static void *robust_owner(void *arg) {
    static struct robust_list_head head;
    head.list.next = &robust.node;
    robust.node.next = &head.list;
    head.futex_offset = offsetof(struct robust_lock, word);
    head.list_op_pending = NULL;
    __atomic_store_n(&robust.word, (uint32_t)syscall(SYS_gettid) | FUTEX_WAITERS, __ATOMIC_RELEASE);
    CHECK_ERRNO(syscall(SYS_set_robust_list, &head, sizeof head - 1), EINVAL);
    CHECK_EQ(syscall(SYS_set_robust_list, &head, sizeof head), 0);
    struct robust_list_head *now;
    size_t size;
    CHECK_EQ(syscall(SYS_get_robust_list, 0, &now, &size), 0);
    CHECK(now == &head && size == sizeof head);
    sleep_ms(20);
    return arg;
}

static void robust_list(void) {
    pthread_t thread;
    robust.word = 0;
    REQUIRE(thread_start(&thread, robust_owner, NULL));
    CHECK_SOON(__atomic_load_n(&robust.word, __ATOMIC_ACQUIRE) != 0);
    uint32_t owned;
    while (!((owned = __atomic_load_n(&robust.word, __ATOMIC_ACQUIRE)) & FUTEX_OWNER_DIED))
        futex(&robust.word, FUTEX_WAIT, owned, NULL, NULL, 0);
    CHECK_EQ(robust.word & FUTEX_TID_MASK, 0);
    CHECK(robust.word & FUTEX_WAITERS);
    thread_join(thread);
}

/* Ends with `arg` as its list, and with a lock of its own in each word that is not 0. */
static struct robust_lock odd_locks[2];

static void *odd_owner(void *arg) {
    for (unsigned i = 0; i < LENGTH(odd_locks); i++)
        if (odd_locks[i].word)
            odd_locks[i].word = (uint32_t)syscall(SYS_gettid);
    CHECK_EQ(syscall(SYS_set_robust_list, arg, sizeof(struct robust_list_head)), 0);
    return NULL;
}

static int odd_owner_ends(struct robust_list_head *head) {
    pthread_t thread;
    return thread_start(&thread, odd_owner, head) && !thread_join(thread);
}

static void *wait_for_unlock(void *arg) {
    __atomic_store_n((int *)arg, 1, __ATOMIC_RELEASE);
    return (void *)futex(&odd_locks[0].word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

/* A lock that was being taken or freed is not in the list; and a list may be anything. */
static void robust_list_oddities(void) {
    struct robust_list *first = &odd_locks[0].node, *second = &odd_locks[1].node;
    struct robust_list_head head = { { &head.list }, offsetof(struct robust_lock, word), first };
    pthread_t thread;
    int waits = 0;
    odd_locks[0].word = 1; /* taken: dead */
    CHECK(odd_owner_ends(&head));
    CHECK_EQ(odd_locks[0].word, FUTEX_OWNER_DIED);
    odd_locks[0].word = 0; /* freed: somebody may wait for a wake-up that never came */
    REQUIRE(thread_start(&thread, wait_for_unlock, &waits));
    CHECK_SOON(__atomic_load_n(&waits, __ATOMIC_ACQUIRE));
    sleep_ms(20);
    CHECK(odd_owner_ends(&head));
    CHECK_EQ((long)thread_join(thread), 0);
    CHECK_EQ(odd_locks[0].word, 0);
    *first = (struct robust_list){ second }; /* a ring without end */
    *second = (struct robust_list){ first };
    head = (struct robust_list_head){ { first }, head.futex_offset, NULL };
    odd_locks[0].word = odd_locks[1].word = 1;
    CHECK(odd_owner_ends(&head));
    CHECK_EQ(odd_locks[0].word, FUTEX_OWNER_DIED);
    CHECK_EQ(odd_locks[1].word, FUTEX_OWNER_DIED);
    *second = (struct robust_list){ (void *)8 }; /* a list that leads astray */
    odd_locks[0].word = odd_locks[1].word = 1;
    CHECK(odd_owner_ends(&head));
    CHECK_EQ(odd_locks[0].word, FUTEX_OWNER_DIED);
    CHECK_EQ(odd_locks[1].word, FUTEX_OWNER_DIED);
    CHECK(odd_owner_ends((void *)8));
    CHECK(odd_owner_ends((void *)-8));
}

/* Two threads hand a word to and fro; a lost wake-up would hang here. */
static uint32_t turn;

static void *take_turns(void *arg) {
    uint32_t mine = arg != NULL;
    for (int i = 0; i < 2000; i++) {
        uint32_t now;
        while ((now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != mine)
            futex(&turn, FUTEX_WAIT | PRIVATE, now, NULL, NULL, 0);
        __atomic_store_n(&turn, !mine, __ATOMIC_RELEASE);
        futex(&turn, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0);
    }
    return NULL;
}

static void ping_pong(void) {
    pthread_t threads[2];
    REQUIRE(thread_start(&threads[0], take_turns, NULL));
    REQUIRE(thread_start(&threads[1], take_turns, &turn));
    thread_join(threads[0]);
    thread_join(threads[1]);
}

/* Time-outs that race with wake-ups: each wake is either counted or timed out. */
static uint32_t race_word;
static long race_woken;

static void *race_waiter(void *arg) {
    for (int i = 0; i < 200; i++) {
        struct timespec timeout = { 0, 1000 + i * 500 };
        if (futex(&race_word, FUTEX_WAIT | PRIVATE, 0, &timeout, NULL, 0) == 0)
            __atomic_fetch_add(&race_woken, 1, __ATOMIC_RELAXED);
        else
            CHECK_EQ(errno, ETIMEDOUT);
    }
    __atomic_fetch_add((int *)arg, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void timeouts_race_with_wakes(void) {
    pthread_t threads[4];
    int finished = 0;
    long sent = 0;
    race_woken = 0;
    for (int i = 0; i < 4; i++)
        REQUIRE(thread_start(&threads[i], race_waiter, &finished));
    while (__atomic_load_n(&finished, __ATOMIC_ACQUIRE) < 4) {
        long woke = futex(&race_word, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0);
        CHECK(woke == 0 || woke == 1);
        sent += woke;
        sched_yield();
    }
    for (int i = 0; i < 4; i++)
        thread_join(threads[i]);
    CHECK_EQ(race_woken, sent);
}

GUEST_MAIN(CASE(wait_on_changed_value), CASE(wait_times_out), CASE(wait_times_out_absolute),
           CASE(bad_arguments), CASE(wake_without_waiters), CASE(wake_counts_private),
           CASE(wake_counts_shared), CASE(wake_by_bit), CASE(requeue_private), CASE(requeue_shared),
           CASE(shared_mapping_elsewhere), CASE(wake_op), CASE(pi_works_or_is_absent),
           CASE(robust_list), CASE(robust_list_oddities), CASE(ping_pong),
           CASE(timeouts_race_with_wakes))
