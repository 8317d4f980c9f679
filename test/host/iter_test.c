/* SPDX-License-Identifier: MIT */
/* tests: fs/iter.c */
/* Buffers of reads and writes: vectors, ends, faults in the middle. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86_64/uaccess.h"
#include "fs/iter.h"

static const char *wall; /* the program's memory ends here */

static size_t reachable(const char *at, size_t n) {
    return at >= wall ? 0 : MIN(n, (size_t)(wall - at));
}

size_t copy_to_user_partial(void *user_to, const void *from, size_t n) {
    size_t good = reachable(user_to, n);
    memcpy(user_to, from, good);
    return n - good;
}

size_t copy_from_user_partial(void *to, const void *user_from, size_t n) {
    size_t good = reachable(user_from, n);
    memcpy(to, user_from, good);
    return n - good;
}

static void one_buffer(void **state) {
    char to[8] = "";
    struct iter it;
    (void)state;
    iter_init_kernel(&it, to, 6);
    assert_int_equal(iter_to(&it, "abc", 3), 3);
    assert_int_equal(it.left, 3);
    assert_int_equal(iter_to(&it, "defgh", 5), 3);
    assert_string_equal(to, "abcdef");
    assert_int_equal(iter_to(&it, "x", 1), 0);
    assert_false(it.faulted);
    assert_int_equal(iter_result(&it, 0), 0);
}

static void parts_in_pieces(void **state) {
    char a[3], b[1], c[5];
    const struct iter_part parts[] = { { a, 3 }, { NULL, 0 }, { b, 1 }, { NULL, 0 }, { c, 5 } };
    struct iter it;
    (void)state;
    wall = (const char *)-1;
    for (size_t step = 1; step <= 9; step++) {
        char back[9];
        iter_init_parts(&it, parts, ARRAY_SIZE(parts), 9);
        for (size_t at = 0; at < 9; at += step)
            assert_int_equal(iter_to(&it, "123456789" + at, step), MIN(step, 9 - at));
        assert_int_equal(it.left, 0);
        assert_memory_equal(a, "123", 3);
        assert_memory_equal(b, "4", 1);
        assert_memory_equal(c, "56789", 5);
        iter_init_parts(&it, parts, ARRAY_SIZE(parts), 9);
        for (size_t at = 0; at < 9; at += step)
            assert_int_equal(iter_from(&it, back + at, MIN(step, 9 - at)), MIN(step, 9 - at));
        assert_memory_equal(back, "123456789", 9);
    }
    iter_init_parts(&it, parts, ARRAY_SIZE(parts), 9);
    assert_int_equal(iter_skip(&it, 4), 4);
    assert_int_equal(iter_zero(&it, 100), 5);
    assert_memory_equal(c, "\0\0\0\0", 5);
}

static void faults_in_the_middle(void **state) {
    char buffer[10] = "";
    struct iter it;
    (void)state;
    wall = buffer + 4;
    iter_init_user(&it, buffer, 10);
    assert_int_equal(iter_to(&it, "abcdefghij", 10), 4);
    assert_true(it.faulted);
    assert_int_equal(it.left, 6);
    assert_int_equal(iter_to(&it, "x", 1), 0); /* it does not try again */
    assert_int_equal(iter_result(&it, 4), 4);
    assert_int_equal(iter_result(&it, 0), -EFAULT);
    assert_string_equal(buffer, "abcd");
}

static void longer_than_a_page_of_zeros(void **state) {
    char *to = malloc(3 * PAGE_SIZE);
    struct iter it;
    (void)state;
    memset(to, 1, 3 * PAGE_SIZE);
    iter_init_kernel(&it, to, 3 * PAGE_SIZE);
    assert_int_equal(iter_zero(&it, 2 * PAGE_SIZE + 10), 2 * PAGE_SIZE + 10);
    assert_int_equal(to[2 * PAGE_SIZE + 9], 0);
    assert_int_equal(to[2 * PAGE_SIZE + 10], 1);
    free(to);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_buffer),
        cmocka_unit_test(parts_in_pieces),
        cmocka_unit_test(faults_in_the_middle),
        cmocka_unit_test(longer_than_a_page_of_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
