/* SPDX-License-Identifier: MIT */
/*
 * Standard input: a ring between the thread that receives (one) and the
 * program's readers (many).
 *
 * The host may send what it has credit for, so the ring must have room for all
 * credit that was ever given: size >= received + credit outstanding - read.
 * The ring starts small, since most programs read little, and doubles while
 * the stream goes on; each doubling is given to the host as further credit.
 *
 * input_lock (RANK_PIPE; threads only) guards everything here.  It is held
 * during copies, at most COPY_MAX bytes at a time.
 */
#include <asm-generic/errno.h>
#include "base/string.h"
#include "dev/console_impl.h"
#include "kernel/lock.h"
#include "kernel/machine.h"
#include "kernel/pages.h"

#define FIRST_ORDER  2  /* 16 KiB */
#define MEMORY_SHARE 64 /* the ring never takes more of the memory than this part */
#define GROW_AFTER   2  /* ring sizes that must have passed through before it grows */
#define COPY_MAX     KIB(64)

struct wait_queue console_readable = WAIT_QUEUE_INIT(console_readable);

static struct spinlock input_lock = SPINLOCK_INIT(RANK_PIPE);
static struct page *pages; /* of the ring */
static unsigned order;     /* log2 of its pages */
static uint64_t put, got;  /* bytes so far; the difference is in the ring */
static uint64_t announced; /* part of `got` that the host has had credit for */
static bool eof;

uint32_t input_size(void) {
    return (uint32_t)(PAGE_SIZE << order);
}

int input_init(void) {
    order = FIRST_ORDER;
    pages = pages_alloc(order);
    return pages ? 0 : -ENOMEM;
}

/* Copies between the ring at position `at` and a linear buffer. */
static void copy_ring(struct page *ring, uint32_t size, uint64_t at, void *bytes, size_t n,
                      bool into_ring) {
    char *base = page_address(ring), *linear = bytes;
    size_t offset = at & (size - 1), first = MIN(n, size - offset);

    if (into_ring) {
        memcpy(base + offset, linear, first);
        memcpy(base, linear + first, n - first);
    } else {
        memcpy(linear, base + offset, first);
        memcpy(linear + first, base, n - first);
    }
}

size_t input_put(const void *bytes, size_t size) {
    size_t n;

    spin_lock(&input_lock);
    n = MIN(size, input_size() - (size_t)(put - got));
    copy_ring(pages, input_size(), put, (void *)(uintptr_t)bytes, n, true);
    put += n;
    spin_unlock(&input_lock);
    return n;
}

bool input_has_room(void) {
    bool room;

    spin_lock(&input_lock);
    room = put - got < input_size();
    spin_unlock(&input_lock);
    return room;
}

/* Moves the ring's contents into one of twice the size, each byte to its new place. */
static void move_ring(struct page *larger) {
    uint32_t old_size = input_size();
    uint64_t at = got;

    while (at < put) {
        size_t offset = at & (2 * (uint64_t)old_size - 1);
        size_t n = MIN(put - at, old_size - (at & (old_size - 1)));

        copy_ring(pages, old_size, at, (char *)page_address(larger) + offset, n, false);
        at += n;
    }
}

uint32_t input_grow(void) {
    uint32_t gained = input_size();
    struct page *larger, *old;

    /* Only the receiving thread changes `put` and `order`, and it is the caller. */
    if (put < (uint64_t)GROW_AFTER * gained || 2 * gained > WIRE_WINDOW ||
        2ul * gained > machine.memory_bytes / MEMORY_SHARE)
        return 0;
    larger = pages_alloc(order + 1);
    if (!larger)
        return 0;
    spin_lock(&input_lock);
    move_ring(larger);
    old = pages;
    pages = larger;
    order++;
    spin_unlock(&input_lock);
    pages_free(old, order - 1);
    return gained;
}

void input_set_eof(void) {
    spin_lock(&input_lock);
    eof = true;
    spin_unlock(&input_lock);
}

uint32_t input_take_consumed(void) {
    uint32_t n;

    spin_lock(&input_lock);
    n = (uint32_t)(got - announced);
    if (n < input_size() / 4 || eof)
        n = 0;
    announced += n;
    spin_unlock(&input_lock);
    return n;
}

void input_return_consumed(uint32_t size) {
    spin_lock(&input_lock);
    announced -= size;
    spin_unlock(&input_lock);
}

size_t input_get(void *to, size_t size) {
    size_t n;

    spin_lock(&input_lock);
    n = MIN(MIN(size, (size_t)(put - got)), COPY_MAX);
    if (n)
        copy_ring(pages, input_size(), got, to, n, false);
    got += n;
    spin_unlock(&input_lock);
    return n;
}

size_t console_readable_bytes(void) {
    size_t n;

    spin_lock(&input_lock);
    n = (size_t)(put - got);
    spin_unlock(&input_lock);
    return n;
}

bool console_at_eof(void) {
    bool end;

    spin_lock(&input_lock);
    end = eof && put == got;
    spin_unlock(&input_lock);
    return end;
}
