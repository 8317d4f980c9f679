/* SPDX-License-Identifier: MIT */
/*
 * Queues of AF_UNIX: a ring of pages that are taken when the ring first
 * reaches them, so that a message costs copies and no memory of its own.
 *
 * Position p lies in pages[p / PAGE_SIZE % page_count]; no two positions of
 * [tail, head) that are a whole ring apart ever exist, so a page never holds
 * both ends, and the table can double by moving pointers.  An empty queue begins
 * again at position 0: short messages stay in one page, which the caches know.
 * Then it gives back what it holds beyond KEEP_PAGES.
 *
 * Files travel beside the bytes, in a list with positions: a message without
 * files pays one look at an empty list.
 *
 * Dropping files can close sockets whose queues hold files again.  A chain of
 * those, each in the queue of the next, would need a stack as long: so whoever
 * drops files first becomes the one who closes, and all that is dropped in the
 * meantime, by him or on other CPUs, he closes as well.  (Sockets that hold
 * each other in a circle are never closed: they are lost, and their memory with
 * them.  Linux looks for those; programs do not make them.)
 */
#include "base/string.h"
#include "kernel/pages.h"
#include "kernel/slab.h"
#include "net/unix_impl.h"

#define FIRST_PAGES 64u /* entries of a new table: 256 KiB, more than the default buffer */
#define KEEP_PAGES  16u

static struct spinlock drop_lock = SPINLOCK_INIT(RANK_FILE); /* guards the two below */
static struct list to_drop = LIST_INIT(to_drop);
static bool dropping;

void unix_queue_init(struct unix_queue *q) {
    mutex_init(&q->lock);
    list_init(&q->files);
}

static bool table_grow(struct unix_queue *q, uint64_t first, uint64_t last) {
    uint32_t count = MAX(q->page_count, FIRST_PAGES);
    while (last - first >= count)
        count *= 2;
    char **pages = kmalloc(count * sizeof *pages);
    if (!pages)
        return false;
    if (q->page_count) {
        /* What is filled keeps its position; a page in reserve goes to whatever index is free. */
        for (uint64_t n = first; n < first + q->page_count; n++)
            pages[n % count] = q->pages[n % q->page_count];
        q->high = count;
    }
    kfree(q->pages);
    q->pages = pages;
    q->page_count = count;
    return true;
}

bool unix_queue_reserve(struct unix_queue *q, size_t n) {
    if (!n)
        return true;
    uint64_t first = q->tail / PAGE_SIZE, last = (q->head + n - 1) / PAGE_SIZE;
    if (last - first >= q->page_count && !table_grow(q, first, last))
        return false;
    for (uint64_t at = q->head / PAGE_SIZE; at <= last; at++) {
        uint32_t index = (uint32_t)at & (q->page_count - 1);
        if (q->pages[index])
            continue;
        struct page *p = pages_alloc(0);
        if (!p)
            return false;
        q->pages[index] = page_address(p);
        q->high = MAX(q->high, index + 1);
    }
    return true;
}

/* The stretch of up to n bytes at a position that lies in one page. */
static char *stretch(const struct unix_queue *q, uint64_t at, size_t *n) {
    *n = MIN(*n, PAGE_SIZE - at % PAGE_SIZE);
    return q->pages[at / PAGE_SIZE & (q->page_count - 1)] + at % PAGE_SIZE;
}

size_t unix_queue_write(struct unix_queue *q, uint64_t at, struct iter *from, size_t n) {
    size_t done = 0;
    while (done < n) {
        size_t piece = n - done;
        char *to = stretch(q, at + done, &piece);
        size_t moved = iter_from(from, to, piece);
        done += moved;
        if (moved < piece)
            break;
    }
    return done;
}

size_t unix_queue_read(struct unix_queue *q, uint64_t at, struct iter *to, size_t n) {
    size_t done = 0;
    while (done < n) {
        size_t piece = n - done;
        const char *from = stretch(q, at + done, &piece);
        size_t moved = iter_to(to, from, piece);
        done += moved;
        if (moved < piece)
            break;
    }
    return done;
}

/* Release: the bytes come before the count; sleepers are woken behind a full barrier anyway. */
static void set_used(struct unix_queue *q) {
    atomic_store_explicit(&q->used, q->head - q->tail, memory_order_release);
}

void unix_queue_commit(struct unix_queue *q, size_t n) {
    q->head += n;
    set_used(q);
}

static void pages_release(struct unix_queue *q, uint32_t keep) {
    for (; q->high > keep; q->high--) {
        char *page = q->pages[q->high - 1];
        if (page)
            pages_free(phys_to_page(virt_to_phys(page)), 0);
        q->pages[q->high - 1] = NULL;
    }
}

void unix_queue_consume(struct unix_queue *q, size_t n) {
    q->tail += n;
    if (q->tail == q->head) {
        q->head = q->tail = 0;
        if (unlikely(q->high > KEEP_PAGES))
            pages_release(q, KEEP_PAGES);
    }
    set_used(q);
}

void unix_queue_attach(struct unix_queue *q, struct socket_files **files, uint64_t at,
                       uint64_t end) {
    (*files)->at = at;
    (*files)->end = end;
    list_add_tail(&q->files, &(*files)->link);
    *files = NULL;
}

struct socket_files *unix_queue_files(struct unix_queue *q) {
    return list_is_empty(&q->files) ? NULL : list_first(&q->files, struct socket_files, link);
}

void unix_queue_clear(struct unix_queue *q, struct list *dropped) {
    while (!list_is_empty(&q->files)) {
        struct list *l = q->files.next;
        list_remove(l);
        list_add_tail(dropped, l);
    }
    unix_queue_consume(q, q->used);
}

void unix_queue_free(struct unix_queue *q) {
    pages_release(q, 0);
    kfree(q->pages);
    q->pages = NULL;
    q->page_count = 0;
}

struct socket_files *unix_files_copy(const struct socket_files *files) {
    size_t size = sizeof *files + files->count * sizeof files->files[0];
    struct socket_files *copy = kmalloc(size);
    if (!copy)
        return NULL;
    memcpy(copy, files, size);
    for (unsigned i = 0; i < copy->count; i++)
        file_get(copy->files[i]);
    return copy;
}

void unix_files_drop(struct list *dropped) {
    if (list_is_empty(dropped))
        return;
    spin_lock(&drop_lock);
    while (!list_is_empty(dropped)) {
        struct list *l = dropped->next;
        list_remove(l);
        list_add_tail(&to_drop, l);
    }
    bool mine = !dropping;
    dropping = true;
    while (mine && !list_is_empty(&to_drop)) {
        struct socket_files *files = list_first(&to_drop, struct socket_files, link);
        list_remove(&files->link);
        spin_unlock(&drop_lock);
        socket_files_put(files);
        spin_lock(&drop_lock);
    }
    if (mine)
        dropping = false;
    spin_unlock(&drop_lock);
}
