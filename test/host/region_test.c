/* SPDX-License-Identifier: MIT */
/* tests: kernel/region.c */
/* The tree of regions against a plain array that says of each page which region has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/region.h"

#define PAGES 400u
#define BASE  0x10000ul

static struct region_tree tree;
static struct region *model[PAGES];

static uintptr_t address(unsigned page) {
    return BASE + page * PAGE_SIZE;
}

static void check_lookup(void) {
    struct region *above = NULL;
    for (unsigned page = PAGES; page-- > 0;) {
        if (model[page])
            above = model[page];
        assert_ptr_equal(region_find(&tree, address(page)), model[page]);
        assert_ptr_equal(region_find(&tree, address(page) + PAGE_SIZE - 1), model[page]);
        assert_ptr_equal(region_find_above(&tree, address(page)), above);
    }
    const struct region *r, *previous = NULL;
    unsigned count = 0;
    size_t bytes = 0;
    list_for_each(r, &tree.list, link) {
        assert_true(!previous || previous->end <= r->start);
        assert_ptr_equal(region_prev(&tree, r), previous);
        previous = r;
        bytes += r->end - r->start;
        count++;
    }
    assert_int_equal(count, tree.count);
    assert_int_equal(bytes, tree.bytes);
    assert_true(tree.peak_bytes >= bytes && tree.peak_bytes <= PAGES * PAGE_SIZE);
}

static bool is_free(unsigned page, unsigned pages) {
    for (unsigned i = 0; i < pages; i++) {
        if (page + i >= PAGES || model[page + i])
            return false;
    }
    return true;
}

static void check_gaps(unsigned low, unsigned high, unsigned pages, unsigned align) {
    uintptr_t highest = 0, lowest = 0;
    for (unsigned page = low; page + pages <= high; page++) {
        if (IS_ALIGNED(address(page), align * PAGE_SIZE) && is_free(page, pages)) {
            highest = address(page);
            lowest = lowest ? lowest : highest;
        }
    }
    uintptr_t down = region_find_gap(&tree, address(low), address(high), pages * PAGE_SIZE,
                                     align * PAGE_SIZE, false);
    uintptr_t up = region_find_gap(&tree, address(low), address(high), pages * PAGE_SIZE,
                                   align * PAGE_SIZE, true);
    if (align == 1) {
        assert_int_equal(down, highest);
        assert_int_equal(up, lowest);
    }
    /* An aligned one need not be the outermost, but must be found where there is one. */
    assert_int_equal(down != 0, highest != 0);
    assert_int_equal(up != 0, lowest != 0);
    for (unsigned i = 0; i < 2; i++) {
        uintptr_t at = i ? up : down;
        if (!at)
            continue;
        assert_true(IS_ALIGNED(at, align * PAGE_SIZE));
        assert_true(at >= address(low) && at + pages * PAGE_SIZE <= address(high));
        assert_true(is_free((unsigned)((at - BASE) / PAGE_SIZE), pages));
    }
}

static void fill(struct region *r, struct region *with) {
    for (uintptr_t at = r->start; at < r->end; at += PAGE_SIZE)
        model[(at - BASE) / PAGE_SIZE] = with;
}

static void matches_the_model(void **state) {
    (void)state;
    srand(7);
    region_tree_init(&tree);
    for (unsigned n = 0; n < 6000; n++) {
        unsigned page = (unsigned)rand() % PAGES, pages = 1 + (unsigned)rand() % 9;
        struct region *r = model[page];
        if (!r && is_free(page, pages)) {
            r = calloc(1, sizeof(*r));
            r->start = address(page);
            r->end = address(page + pages);
            fill(r, r);
            region_insert(&tree, r);
        } else if (r && rand() % 3) {
            fill(r, NULL);
            region_remove(&tree, r);
            free(r);
        } else if (r) {
            uintptr_t start = r->start, end = r->end;
            if (rand() % 2 && end - start > PAGE_SIZE)
                end -= PAGE_SIZE;
            else if (page + 10 < PAGES && !region_find(&tree, end) && end < address(PAGES))
                end += PAGE_SIZE;
            if (rand() % 2 && start > BASE && !region_find(&tree, start - 1))
                start -= PAGE_SIZE;
            fill(r, NULL);
            region_resize(&tree, r, start, end);
            fill(r, r);
        }
        if (n % 8 == 0)
            check_lookup();
        unsigned low = (unsigned)rand() % PAGES, high = low + (unsigned)rand() % (PAGES - low);
        check_gaps(low, high, 1 + (unsigned)rand() % 20, 1u << rand() % 5);
    }
    while (tree.root) {
        struct region *r = tree.root;
        region_remove(&tree, r);
        free(r);
    }
    assert_int_equal(tree.count, 0);
}

static unsigned depth(const struct region *r) {
    if (!r)
        return 0;
    unsigned left = depth(r->left), right = depth(r->right);
    return 1 + MAX(left, right);
}

static void stays_shallow(void **state) {
    (void)state;
    enum { COUNT = 65530 };
    struct region *all = calloc(COUNT, sizeof(*all));
    region_tree_init(&tree);
    for (unsigned i = 0; i < COUNT; i++) {
        all[i].start = BASE + 2 * i * PAGE_SIZE;
        all[i].end = all[i].start + PAGE_SIZE;
        region_insert(&tree, &all[i]);
    }
    assert_true(depth(tree.root) < 64);
    free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_model),
        cmocka_unit_test(stays_shallow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
