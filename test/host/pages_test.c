/* SPDX-License-Identifier: MIT */
/* tests: kernel/pages.c kernel/lock.c test/host/shim/shim.c */
/* The frame allocator: exhaustion, merging, misuse, and threads at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86_64/percpu.h"
#include "kernel/machine.h"
#include "kernel/pages.h"
#include "test/host/shim/shim.h"

#define INITRD MIB(260)
#define FRAMES (MIB(300) / PAGE_SIZE)

/* Low memory, a hole, memory across a section's end, a scrap; the initrd alone in its section. */
static int setup(void **state) {
    (void)state;
    host_memory_create(MIB(300));
    host_cpu_start(0);
    machine.initrd = host_memory + INITRD;
    machine.initrd_size = MIB(20);
    pages_add_range(PADDR(0x1000), 0x9e000);
    pages_add_range(PADDR(MIB(1)), MIB(199));
    pages_add_range(PADDR(MIB(256)), 3 * PAGE_SIZE);
    pages_init();
    return 0;
}

static uint64_t free_now(void) {
    struct pages_stats s;
    pages_drain();
    pages_stats(&s);
    return s.free;
}

/* Takes single frames until there are no more; returns them chained by `owner`. */
static struct page *take_all(uint64_t *count) {
    struct page *head = NULL, *p;
    *count = 0;
    while ((p = pages_alloc(0))) {
        p->owner = head;
        head = p;
        ++*count;
    }
    return head;
}

static void give_all(struct page *p) {
    while (p) {
        struct page *next = p->owner;
        pages_free(p, 0);
        p = next;
    }
}

static void exhausts_and_recovers(void **state) {
    (void)state;
    static uint8_t seen[FRAMES];
    struct pages_stats s;
    uint64_t first, second;
    struct page *all = take_all(&first);
    for (struct page *p = all; p; p = p->owner) {
        uint64_t frame = page_to_phys(p).value / PAGE_SIZE;
        assert_true(frame < FRAMES && frame != 0);
        assert_false(seen[frame]);
        seen[frame] = 1;
        assert_ptr_equal(phys_to_page(page_to_phys(p)), p);
        assert_true(frame * PAGE_SIZE < MIB(200) || frame * PAGE_SIZE >= MIB(256));
        assert_false(frame * PAGE_SIZE >= 0x9f000 && frame * PAGE_SIZE < MIB(1));
    }
    assert_null(pages_alloc(0));
    assert_null(pages_alloc(HUGE_ORDER));
    pages_stats(&s);
    assert_int_equal(s.free, 0);
    assert_int_equal(s.total, first);
    give_all(all);
    assert_int_equal(free_now(), first);
    all = take_all(&second);
    assert_int_equal(first, second);
    give_all(all);
}

static void merges_to_large_blocks(void **state) {
    (void)state;
    uint64_t before = free_now();
    struct page *p = pages_alloc(14); /* 64 MiB */
    assert_non_null(p);
    assert_int_equal(free_now(), before - (1ul << 14));
    pages_free(p, 14);
    assert_int_equal(free_now(), before);
    assert_null(pages_alloc(PAGES_MAX_ORDER + 1));
}

static void aligns_every_order(void **state) {
    (void)state;
    for (unsigned order = 0; order <= 14; order++) {
        struct page *p = pages_alloc(order);
        assert_non_null(p);
        assert_int_equal(page_to_phys(p).value % (PAGE_SIZE << order), 0);
        assert_int_equal(atomic_load(&p->refs), 1);
        pages_free(p, order);
    }
}

static void zeroes_on_request(void **state) {
    (void)state;
    struct page *p = pages_alloc(2);
    memset(page_address(p), 0xaa, PAGE_SIZE << 2);
    pages_free(p, 2);
    p = pages_alloc_zeroed(2);
    const char *at = page_address(p);
    for (size_t i = 0; i < PAGE_SIZE << 2; i++)
        assert_int_equal(at[i], 0);
    pages_free(p, 2);
}

static void splits_blocks(void **state) {
    (void)state;
    uint64_t before = free_now();
    struct page *p = pages_alloc(HUGE_ORDER);
    pages_split(p, HUGE_ORDER);
    for (unsigned i = 0; i < 512; i++)
        page_put(p + (i * 7) % 512);
    assert_int_equal(free_now(), before);
}

static void frees_runs(void **state) {
    (void)state;
    uint64_t before = free_now();
    for (unsigned n = 1; n < 200; n += 13) {
        struct page *p = pages_alloc(8);
        pages_split(p, 8);
        pages_free_run(p + n, 256 - n);
        pages_free_run(p, n);
        assert_int_equal(free_now(), before);
    }
    struct page *p = pages_alloc(4);
    pages_split(p, 4);
    pages_free(p + 15, 0);
    assert_true(host_panics(pages_free(p + 15, 0)));
    pages_free_run(p, 15);
    assert_int_equal(free_now(), before);
}

static void counts_references(void **state) {
    (void)state;
    uint64_t before = free_now();
    struct page *p = pages_alloc(0);
    page_get(p);
    page_put(p);
    assert_int_equal(p->flags, PAGE_USED);
    page_put(p);
    assert_int_equal(free_now(), before);
    /* Frames of the initrd have descriptors, but are never freed. */
    p = phys_to_page(PADDR(INITRD + MIB(3)));
    assert_int_equal(page_to_phys(p).value, INITRD + MIB(3));
    before = free_now();
    page_get(p);
    page_get(p);
    page_put(p);
    page_put(p);
    assert_int_equal(free_now(), before);
}

static void catches_misuse(void **state) {
    (void)state;
    struct page *p = pages_alloc(3);
    assert_true(host_panics(pages_free(p, 2)));
    pages_free(p, 3);
    assert_true(host_panics(pages_free(p, 3)));
}

#define THREADS 4
#define SLOTS   200
static atomic_uint started, stopped;

static void *hammer(void *arg) {
    unsigned cpu = (unsigned)(uintptr_t)arg, seed = cpu;
    struct page *slot[SLOTS] = { 0 };
    unsigned order[SLOTS];
    host_cpu_start(cpu);
    atomic_fetch_add(&started, 1);
    while (atomic_load(&started) < THREADS)
        sched_yield();
    for (unsigned n = 0; n < 60000; n++) {
        unsigned i = (unsigned)rand_r(&seed) % SLOTS;
        if (slot[i]) {
            uint64_t *at = page_address(slot[i]);
            if (at[0] != (uint64_t)(uintptr_t)slot[i] + cpu)
                abort();
            at[0] = 0;
            pages_free(slot[i], order[i]);
            slot[i] = NULL;
        } else {
            unsigned r = (unsigned)rand_r(&seed) % 64;
            order[i] = r == 0 ? HUGE_ORDER : r < 8 ? r % 4 : 0;
            slot[i] = pages_alloc(order[i]);
            if (slot[i])
                *(uint64_t *)page_address(slot[i]) = (uint64_t)(uintptr_t)slot[i] + cpu;
        }
        if (n % 10000 == 0)
            pages_drain();
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slot[i])
            pages_free(slot[i], order[i]);
    }
    /* Nobody's variables may vanish while another drains them. */
    atomic_fetch_add(&stopped, 1);
    while (atomic_load(&stopped) < THREADS)
        sched_yield();
    pages_drain();
    atomic_fetch_add(&stopped, 1);
    while (atomic_load(&stopped) < 2 * THREADS)
        sched_yield();
    host_cpu_stop(cpu);
    return NULL;
}

static void survives_threads(void **state) {
    (void)state;
    pthread_t t[THREADS];
    uint64_t before = free_now();
    cpu_count = THREADS + 1;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    cpu_count = 1;
    assert_int_equal(free_now(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exhausts_and_recovers), cmocka_unit_test(merges_to_large_blocks),
        cmocka_unit_test(aligns_every_order),    cmocka_unit_test(zeroes_on_request),
        cmocka_unit_test(splits_blocks),         cmocka_unit_test(counts_references),
        cmocka_unit_test(catches_misuse),        cmocka_unit_test(frees_runs),
        cmocka_unit_test(survives_threads),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
