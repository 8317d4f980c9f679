/* SPDX-License-Identifier: MIT */
/* tests: kernel/slab.c kernel/pages.c kernel/lock.c test/host/shim/shim.c */
/* Kernel objects: classes, clearing, alignment, and frees on other CPUs. */
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
#include "kernel/slab.h"
#include "test/host/shim/shim.h"

static int setup(void **state) {
    (void)state;
    host_memory_create(MIB(64));
    host_cpu_start(0);
    pages_add_range(PADDR(MIB(1)), MIB(63));
    pages_init();
    slab_init();
    return 0;
}

static uint64_t free_now(void) {
    struct pages_stats s;
    pages_drain();
    pages_stats(&s);
    return s.free;
}

static void serves_every_size(void **state) {
    (void)state;
    static const size_t sizes[] = { 0,    1,    15,   16,   17,   33,   64,    65,     100,
                                    1000, 1344, 1345, 2048, 2049, 4096, 10000, 100000, 3000000 };
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint8_t *p = kmalloc(sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0x55, sizes[i]);
        kfree(p);
        p = kmalloc(sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(p[k], 0);
        kfree(p);
    }
    assert_null(kmalloc(GIB(1)));
    assert_null(kmalloc(SIZE_MAX));
    kfree(NULL);
}

static void keeps_objects_apart(void **state) {
    (void)state;
    enum { COUNT = 3000 };
    static unsigned char *object[COUNT];
    struct slab_cache *c = slab_cache_create("test", 200, 64);
    uint64_t before = free_now();
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            object[i] = slab_alloc(c);
            assert_non_null(object[i]);
            assert_int_equal((uintptr_t)object[i] % 64, 0);
            for (unsigned k = 0; k < 200; k++)
                assert_int_equal(object[i][k], 0);
            memset(object[i], (int)i & 0xff, 200);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            for (unsigned k = 0; k < 200; k++)
                assert_int_equal(object[i][k], i & 0xff);
            slab_free(c, object[i]);
        }
    }
    /* A magazine and a slab or two stay. */
    assert_true(before - free_now() < 16);
}

static void returns_null_without_memory(void **state) {
    (void)state;
    void *chain = NULL, **p;
    uint64_t before = free_now(), count = 0;
    while ((p = kmalloc(1024))) {
        *p = chain;
        chain = p;
        count++;
    }
    assert_true(count > MIB(50) / 1024);
    assert_null(kmalloc(64 * 1024));
    while (chain) {
        p = chain;
        chain = *p;
        kfree(p);
    }
    assert_true(before - free_now() < 16);
}

#define THREADS 4
#define SLOTS   256
static _Atomic(uint64_t *) slots[SLOTS];
static atomic_uint stopped;

/* Objects travel: whoever takes one out of a slot frees it. */
static void *hammer(void *arg) {
    unsigned seed = (unsigned)(uintptr_t)arg;
    host_cpu_start(seed);
    for (unsigned n = 0; n < 100000; n++) {
        unsigned i = (unsigned)rand_r(&seed) % SLOTS;
        size_t size = 16 + (unsigned)rand_r(&seed) % 500;
        uint64_t *fresh = kmalloc(size);
        if (!fresh || fresh[0] || fresh[1])
            abort();
        fresh[0] = (uintptr_t)fresh;
        fresh[1] = ~(uintptr_t)fresh;
        uint64_t *old = atomic_exchange(&slots[i], fresh);
        if (old && (old[0] != (uintptr_t)old || old[1] != ~(uintptr_t)old))
            abort();
        kfree(old);
    }
    atomic_fetch_add(&stopped, 1);
    while (atomic_load(&stopped) < THREADS)
        sched_yield();
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
    for (unsigned i = 0; i < THREADS; i++)
        percpu_offsets[i + 1] = 0;
    cpu_count = 1;
    for (unsigned i = 0; i < SLOTS; i++)
        kfree(atomic_exchange(&slots[i], NULL));
    /* What the magazines and frame caches of four CPUs may hold. */
    assert_true(before - free_now() < 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_every_size),
        cmocka_unit_test(keeps_objects_apart),
        cmocka_unit_test(returns_null_without_memory),
        cmocka_unit_test(survives_threads),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
