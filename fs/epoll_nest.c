/* SPDX-License-Identifier: MIT */
/*
 * Epolls that watch epolls.
 *
 * They form a graph without cycles and at most NESTS_MAX edges high; that is
 * what the locks of epoll.c and the depth of its recursion rest on.  A change
 * of one file wakes along every path upwards from it, with interrupts off, so
 * the paths are limited as well, with Linux's figures.  (Linux counts them for
 * each watched file; here they are counted for each epoll, which refuses no
 * program that Linux would let pass with one file in it.)
 *
 * epoll_nest_mutex guards all edges: the `children` of every epoll, and the
 * `watches` of every file that is an epoll.
 */
#include <asm-generic/errno.h>
#include "base/string.h"
#include "fs/epoll_impl.h"
#include "kernel/panic.h"

#define NESTS_MAX 4u /* edges from top to bottom: Linux's EP_MAX_NESTS */

/* A path upwards of so many edges may exist so often from one epoll. */
static const unsigned paths_max[NESTS_MAX + 1] = { 1000, 500, 100, 50, 10 };

struct mutex epoll_nest_mutex;

/* Edges of the longest way down; more than NESTS_MAX where one leads to `sought`. */
static unsigned height_below(struct epoll *e, const struct epoll *sought) {
    struct epoll_item *i;
    unsigned most = 0;
    if (e == sought)
        return NESTS_MAX + 1;
    list_for_each(i, &e->children, child_link) {
        unsigned below = height_below(epoll_of(i->file), sought) + 1;
        most = MAX(most, below);
    }
    return most;
}

static unsigned height_above(struct epoll *e) {
    struct epoll_item *i;
    unsigned most = 0;
    list_for_each(i, &e->file->watches, watch_link) {
        unsigned above = height_above(i->epoll) + 1;
        most = MAX(most, above);
    }
    return most;
}

int epoll_nest_check_loop(struct epoll *outer, struct epoll *inner) {
    unsigned below = height_below(inner, outer);
    return below > NESTS_MAX || below + 1 + height_above(outer) > NESTS_MAX ? -ELOOP : 0;
}

/* An edge that is to be. */
struct edge {
    struct epoll *outer, *inner;
};

/* Counts the ways from `e` to an epoll that nobody watches, by their length. */
static bool paths_fit(const struct epoll *e, const struct edge *new, unsigned length,
                      unsigned *paths) {
    struct epoll_item *i;
    bool is_top = true;
    list_for_each(i, &e->file->watches, watch_link) {
        is_top = false;
        if (!paths_fit(i->epoll, new, length + 1, paths))
            return false;
    }
    if (e == new->inner)
        return paths_fit(new->outer, new, length + 1, paths);
    return !is_top || !length || ++paths[length] <= paths_max[length];
}

/* The same of all epolls below `e`, whose ways up go through the new edge. */
static bool paths_below_fit(const struct epoll *e, const struct edge *new) {
    unsigned paths[NESTS_MAX + 1] = { 0 };
    struct epoll_item *i;
    if (!paths_fit(e, new, 0, paths))
        return false;
    list_for_each(i, &e->children, child_link) {
        if (!paths_below_fit(epoll_of(i->file), new))
            return false;
    }
    return true;
}

int epoll_nest_check_paths(struct epoll *outer, struct epoll *inner) {
    struct edge new = { outer, inner };
    assert_slow(mutex_is_mine(&epoll_nest_mutex));
    return paths_below_fit(inner, &new) ? 0 : -EINVAL;
}
