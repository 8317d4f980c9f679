/* SPDX-License-Identifier: MIT */
/*
 * What the kernel does for whoever waits for a thread's end: set_tid_address
 * and CLONE_CHILD_CLEARTID.  The threads are clone's own, since in a library's
 * thread that address is the library's.
 */
#define _GNU_SOURCE
#include "test/guest/linux_abi.h"
#include "test/guest/threads.h"
#include <sys/mman.h>

#define STACK 65536

static int first_word, second_word; /* where CLONE_CHILD_CLEARTID and set_tid_address point */
static int thread_tid, told_tid, may_end;
static int *chosen; /* what the thread hands to set_tid_address; NULL: it does not call it */

/* System calls only: the thread has no thread-local storage of its own, so no errno either. */
static int thread_main(void *arg) {
    (void)arg;
    __atomic_store_n(&thread_tid, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
    if (chosen)
        told_tid = (int)syscall(SYS_set_tid_address, chosen);
    while (!__atomic_load_n(&may_end, __ATOMIC_ACQUIRE))
        syscall(SYS_sched_yield);
    syscall(SYS_exit, 0);
    return 0;
}

static int thread_clone(char *stack) {
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                CLONE_CHILD_CLEARTID;
    thread_tid = told_tid = may_end = 0;
    first_word = second_word = 77;
    return clone(thread_main, stack + STACK, flags, NULL, NULL, NULL, &first_word);
}

/* Waits for the kernel's wake, as a join does, until the word has changed from 77. */
static void wait_for_word(int *word) {
    struct timespec limit = { 60, 0 };
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 77)
        if (syscall(SYS_futex, word, FUTEX_WAIT, 77, &limit, NULL, 0) && errno == ETIMEDOUT)
            break;
    CHECK_EQ(*word, 0);
}

static void wait_until_gone(int tid) {
    CHECK_SOON(syscall(SYS_tgkill, getpid(), tid, 0) == -1 && errno == ESRCH);
}

static void *let_end(void *arg) {
    sleep_ms(20); /* the other waits in its futex by then */
    __atomic_store_n(&may_end, 1, __ATOMIC_RELEASE);
    return arg;
}

static char *stack_map(void) {
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED);
    return stack;
}

/* One thread's life: which word is cleared and woken, and which is left alone. */
static void end_one(int *address, int *cleared, const int *kept) {
    char *stack = stack_map();
    pthread_t helper;
    chosen = address;
    int tid = thread_clone(stack);
    REQUIRE(tid > 0);
    REQUIRE(thread_start(&helper, let_end, NULL));
    if (cleared)
        wait_for_word(cleared);
    wait_until_gone(tid);
    thread_join(helper);
    CHECK_EQ(thread_tid, tid);
    CHECK_EQ(told_tid, address ? tid : 0);
    if (kept)
        CHECK_EQ(*kept, 77);
    munmap(stack, STACK);
}

static void clone_sets_the_address(void) {
    end_one(NULL, &first_word, &second_word);
}
static void the_last_address_counts(void) {
    end_one(&second_word, &second_word, &first_word);
}

/* An address that cannot be written is no trouble to anybody. */
static void bad_addresses(void) {
    static char bytes[8] __attribute__((aligned(8))) = "abcdefg";
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED);
    end_one((int *)8, NULL, &first_word);
    end_one((int *)page, NULL, &first_word);
    end_one((int *)0xffffffff80000000, NULL, &first_word);
    end_one((int *)0x8000000000000000, NULL, &first_word);
    end_one((int *)(bytes + 1), NULL, &first_word); /* not aligned: written all the same */
    CHECK(!memcmp(bytes, "a\0\0\0\0fg", 7));
    munmap(page, 4096);
}

/* Each of many waiters waits for its thread; the kernel wakes one waiter for each. */
static void many_ends(void) {
    for (int i = 0; i < 200; i++) {
        char *stack = stack_map();
        chosen = i % 2 ? &second_word : NULL;
        int tid = thread_clone(stack);
        REQUIRE(tid > 0);
        CHECK_SOON(__atomic_load_n(&thread_tid, __ATOMIC_ACQUIRE));
        if (chosen)
            CHECK_SOON(__atomic_load_n(&told_tid, __ATOMIC_ACQUIRE));
        __atomic_store_n(&may_end, 1, __ATOMIC_RELEASE);
        wait_for_word(chosen ? chosen : &first_word);
        wait_until_gone(tid);
        munmap(stack, STACK);
    }
}

static void first_thread(void) {
    CHECK_EQ(syscall(SYS_set_tid_address, &first_word), getpid());
    CHECK_EQ(syscall(SYS_set_tid_address, NULL), getpid()); /* never refused */
}

GUEST_MAIN(CASE(clone_sets_the_address), CASE(the_last_address_counts), CASE(bad_addresses),
           CASE(many_ends), CASE(first_thread))
