/* SPDX-License-Identifier: MIT */
/*
 * The tree of regions: a treap (Seidel and Aragon, Algorithmica 1996), ordered
 * by address, heap-ordered by random priorities; expected depth below
 * 3 log2(n), which bounds the recursion (50 frames at 65,530 regions).
 *
 * Each node sums up its subtree (min_start, max_end, max_gap), all computed
 * from its children alone, so that splitting and merging keep them with no
 * knowledge of neighbours, and a gap of a given width is found by descending
 * only where one is.
 *
 * Chosen over a red-black tree for a quarter of the code: a region is inserted
 * or removed with two functions, split and merge.
 */
#include "kernel/region.h"

static uint32_t next_priority(void) {
    /* xorshift (Marsaglia 2003): quality hardly matters; callers hold the space's mutex, and a
     * lost update between two spaces only repeats a number. */
    static uint32_t state = 2463534242u;
    uint32_t x = state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return state = x;
}

void region_tree_init(struct region_tree *t) {
    t->root = NULL;
    t->count = 0;
    t->bytes = t->peak_bytes = 0;
    list_init(&t->list);
}

struct region *region_find(const struct region_tree *t, uintptr_t addr) {
    struct region *r = t->root;
    while (r) {
        if (addr < r->start)
            r = r->left;
        else if (addr >= r->end)
            r = r->right;
        else
            break;
    }
    return r;
}

struct region *region_find_above(const struct region_tree *t, uintptr_t addr) {
    struct region *best = NULL;
    for (struct region *r = t->root; r;) {
        if (addr < r->end) {
            best = r;
            r = r->left;
        } else {
            r = r->right;
        }
    }
    return best;
}

struct region *region_next(const struct region_tree *t, const struct region *r) {
    return r->link.next == &t->list ? NULL : list_entry(r->link.next, struct region, link);
}

struct region *region_prev(const struct region_tree *t, const struct region *r) {
    return r->link.prev == &t->list ? NULL : list_entry(r->link.prev, struct region, link);
}

static void summarise(struct region *r) {
    r->min_start = r->start;
    r->max_end = r->end;
    r->max_gap = 0;
    if (r->left) {
        r->min_start = r->left->min_start;
        r->max_gap = MAX(r->left->max_gap, r->start - r->left->max_end);
    }
    if (r->right) {
        r->max_end = r->right->max_end;
        r->max_gap = MAX(r->max_gap, MAX(r->right->max_gap, r->right->min_start - r->end));
    }
}

/* Cuts `r` into the regions below and those at or above `addr`. */
static void split(struct region *r, uintptr_t addr, struct region **below, struct region **above) {
    if (!r) {
        *below = *above = NULL;
    } else if (r->start < addr) {
        split(r->right, addr, &r->right, above);
        summarise(r);
        *below = r;
    } else {
        split(r->left, addr, below, &r->left);
        summarise(r);
        *above = r;
    }
}

static struct region *merge(struct region *below, struct region *above) {
    if (!below || !above)
        return below ? below : above;
    if (below->priority >= above->priority) {
        below->right = merge(below->right, above);
        summarise(below);
        return below;
    }
    above->left = merge(below, above->left);
    summarise(above);
    return above;
}

static struct region *insert(struct region *root, struct region *r) {
    if (!root || r->priority > root->priority) {
        split(root, r->start, &r->left, &r->right);
        root = r;
    } else if (r->start < root->start) {
        root->left = insert(root->left, r);
    } else {
        root->right = insert(root->right, r);
    }
    summarise(root);
    return root;
}

static struct region *remove(struct region *root, const struct region *r) {
    if (root == r)
        return merge(root->left, root->right);
    if (r->start < root->start)
        root->left = remove(root->left, r);
    else
        root->right = remove(root->right, r);
    summarise(root);
    return root;
}

static void count_bytes(struct region_tree *t, size_t more, size_t less) {
    t->bytes += more - less;
    t->peak_bytes = MAX(t->peak_bytes, t->bytes);
}

void region_insert(struct region_tree *t, struct region *r) {
    struct region *above = region_find_above(t, r->start);
    list_add_tail(above ? &above->link : &t->list, &r->link);
    r->priority = next_priority();
    r->left = r->right = NULL;
    t->root = insert(t->root, r);
    t->count++;
    count_bytes(t, r->end - r->start, 0);
}

void region_remove(struct region_tree *t, struct region *r) {
    t->root = remove(t->root, r);
    list_remove(&r->link);
    t->count--;
    count_bytes(t, 0, r->end - r->start);
}

/* Renews the sums on the way from `root` to `r`. */
static void renew(struct region *root, const struct region *r) {
    if (root != r)
        renew(r->start < root->start ? root->left : root->right, r);
    summarise(root);
}

void region_resize(struct region_tree *t, struct region *r, uintptr_t start, uintptr_t end) {
    /* The order of starts does not change, so the path to `r` can be found by either start. */
    count_bytes(t, end - start, r->end - r->start);
    r->start = start;
    r->end = end;
    renew(t->root, r);
}

static uintptr_t place(uintptr_t low, uintptr_t high, size_t length, size_t align, bool up) {
    if (high <= low || high - low < length)
        return 0;
    uintptr_t at = up ? ALIGN_UP(low, align) : ALIGN_DOWN(high - length, align);
    return at >= low && at <= high - length ? at : 0;
}

/* `low` and `high` bound the free space round the subtree `r`. */
static uintptr_t find_gap(const struct region *r, uintptr_t low, uintptr_t high, size_t length,
                          size_t align, bool up) {
    if (high <= low || high - low < length)
        return 0;
    if (!r)
        return place(low, high, length, align, up);
    size_t below = r->min_start > low ? r->min_start - low : 0;
    size_t above = high > r->max_end ? high - r->max_end : 0;
    if (MAX(r->max_gap, MAX(below, above)) < length)
        return 0;
    uintptr_t at = up ? find_gap(r->left, low, MIN(high, r->start), length, align, up)
                      : find_gap(r->right, MAX(low, r->end), high, length, align, up);
    if (!at)
        at = up ? find_gap(r->right, MAX(low, r->end), high, length, align, up)
                : find_gap(r->left, low, MIN(high, r->start), length, align, up);
    return at;
}

uintptr_t region_find_gap(const struct region_tree *t, uintptr_t low, uintptr_t high, size_t length,
                          size_t align, bool up) {
    /* A gap that fits wherever it starts is found without looking into many that do not. */
    uintptr_t at = 0;
    if (align > PAGE_SIZE) {
        at = find_gap(t->root, low, high, length + align - PAGE_SIZE, PAGE_SIZE, up);
        if (at)
            return up ? ALIGN_UP(at, align) : ALIGN_DOWN(at + align - PAGE_SIZE, align);
    }
    return find_gap(t->root, low, high, length, align, up);
}
