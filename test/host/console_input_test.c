/* SPDX-License-Identifier: MIT */
/* tests: dev/console_input.c kernel/lock.c test/host/shim/shim.c */
/* The input ring: order of bytes through wraps and growth, and that credit never exceeds room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "dev/console_impl.h"
#include "kernel/machine.h"
#include "kernel/pages.h"
#include "test/host/shim/shim.h"

/* The frame allocator: malloc, so that the sanitizer sees every overrun. */
static bool out_of_memory;
static unsigned pages_out;

struct block {
    struct page page;
    void *memory;
};

struct page *pages_alloc(unsigned order) {
    struct block *b;

    if (out_of_memory)
        return NULL;
    b = malloc(sizeof *b);
    b->memory = malloc(PAGE_SIZE << order);
    pages_out++;
    return &b->page;
}

void pages_free(struct page *p, unsigned order) {
    struct block *b = container_of(p, struct block, page);

    (void)order;
    free(b->memory);
    free(b);
    pages_out--;
}

struct paddr page_to_phys(const struct page *p) {
    const struct block *b =
        (const struct block *)(const void *)((const char *)p - offsetof(struct block, page));

    return virt_to_phys(b->memory);
}

/* The host's side of the account; all tests go on with the same ring. */
static uint64_t credit, sent, read;

/* The n-th byte of the stream. */
static uint8_t byte_at(uint64_t n) {
    return (uint8_t)(n * 31 + (n >> 8) * 7 + (n >> 16));
}

/* A host that sends whenever it has credit, a reader that reads at random, and growth in between.
 */
static uint32_t run_stream(uint64_t bytes) {
    static uint8_t buffer[WIRE_MAX_PAYLOAD];
    uint64_t total = sent + bytes;

    while (read < total) {
        size_t n = (size_t)rand() % sizeof buffer;

        n = MIN(MIN(n, credit), total - sent);
        for (size_t i = 0; i < n; i++)
            buffer[i] = byte_at(sent + i);
        assert_int_equal(input_put(buffer, n), n); /* credit is a promise of room */
        sent += n;
        credit -= n;
        if (rand() % 3 == 0)
            credit += input_grow();
        assert_int_equal(console_readable_bytes(), sent - read);
        if (rand() % 2) {
            n = input_get(buffer, (size_t)rand() % sizeof buffer);
            for (size_t i = 0; i < n; i++)
                if (buffer[i] != byte_at(read + i))
                    fail_msg("wrong byte at %lu", read + i);
            read += n;
            credit += input_take_consumed();
        }
        assert_true(credit + (sent - read) <= input_size());
    }
    return input_size();
}

static void small_machines_keep_a_small_ring(void **state) {
    (void)state;
    machine.memory_bytes = MIB(4);
    assert_int_equal(input_init(), 0);
    credit = input_size();
    assert_int_equal(run_stream(MIB(1)), KIB(64));
    out_of_memory = true;
    machine.memory_bytes = GIB(1);
    assert_int_equal(run_stream(MIB(1)), KIB(64));
    out_of_memory = false;
}

static void grows_to_the_window(void **state) {
    (void)state;
    machine.memory_bytes = GIB(1);
    assert_int_equal(run_stream(MIB(16)), WIRE_WINDOW);
    assert_int_equal(pages_out, 1);
}

static void full_ring_takes_no_more(void **state) {
    static uint8_t bytes[WIRE_WINDOW];
    uint8_t one = 1;

    (void)state;
    assert_true(input_has_room());
    assert_int_equal(input_put(bytes, sizeof bytes), WIRE_WINDOW);
    assert_false(input_has_room());
    assert_int_equal(input_put(&one, 1), 0);
    assert_int_equal(input_get(&one, 1), 1);
    assert_int_equal(input_put(&one, 1), 1);
    while (input_get(bytes, sizeof bytes))
        continue;
}

static void end_of_file_comes_after_the_bytes(void **state) {
    uint8_t byte = 7;

    (void)state;
    assert_false(console_at_eof());
    assert_int_equal(input_put(&byte, 1), 1);
    input_set_eof();
    assert_false(console_at_eof());
    assert_int_equal(input_get(&byte, 1), 1);
    assert_true(console_at_eof());
    assert_int_equal(input_take_consumed(), 0); /* nobody needs it any more */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_machines_keep_a_small_ring),
        cmocka_unit_test(grows_to_the_window),
        cmocka_unit_test(full_ring_takes_no_more),
        cmocka_unit_test(end_of_file_comes_after_the_bytes),
    };

    host_memory_create(MIB(1));
    host_cpu_start(0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
