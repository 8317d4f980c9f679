/* SPDX-License-Identifier: MIT */
/* tests: base/siphash.c */
/* The paper's example, and that every byte, the key's too, counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/siphash.h"

static void example(void **state) {
    uint8_t key_bytes[16], data[15];
    uint64_t key[2];
    (void)state;
    for (unsigned i = 0; i < sizeof key_bytes; i++)
        key_bytes[i] = (uint8_t)i;
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    memcpy(key, key_bytes, sizeof key);
    assert_true(siphash(key, data, sizeof data) == 0xa129ca6149be45e5); /* appendix A */
}

static void all_counts(void **state) {
    uint64_t key[2] = { 1, 2 }, seen[64];
    uint8_t data[40] = { 0 };
    unsigned count = 0;
    (void)state;
    for (unsigned size = 0; size <= 17; size++)
        seen[count++] = siphash(key, data, size);
    for (unsigned i = 0; i < sizeof data; i++) {
        data[i] = 1;
        seen[count++] = siphash(key, data, sizeof data);
        data[i] = 0;
    }
    key[1] = 3;
    seen[count++] = siphash(key, data, sizeof data);
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < i; k++)
            assert_true(seen[i] != seen[k]);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(example), cmocka_unit_test(all_counts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
