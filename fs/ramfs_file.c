/* SPDX-License-Identifier: MIT */
/*
 * The file system in memory: the contents of regular files.
 *
 * A file is a tree of tables of 512 pointers over its pages, just high enough
 * for its highest page; a hole is a NULL.  Bytes of the last page behind the end
 * of the file may be dirtied through a shared mapping: they are cleared before
 * the file grows over them, never read.
 *
 * Locks.  write_lock (mutex) makes writes, truncations and allocations exclude
 * one another; only its holder changes inode.size.  `lock` (RANK_FILE) guards
 * the tree and is held for a lookup or an insertion, never while bytes move: a
 * reader takes a reference on the page instead, because copying to the program
 * may fault, and the fault may come back here for a page of the same file.  A
 * fault therefore takes only `lock`, never write_lock.
 *
 * Truncation lowers the size before it takes pages out, and an insertion from a
 * fault looks at the size under `lock`: no page stays behind the end.  Then it
 * takes them out of all mappings: touching them is SIGBUS.
 *
 * Order: file.pos_lock, write_lock, lock.
 */
#include <asm-generic/errno.h>
#include <asm-generic/fcntl.h>
#include <linux/falloc.h>
#include "arch/x86_64/paging.h"
#include "base/string.h"
#include "fs/ramfs_impl.h"
#include "kernel/pages.h"
#include "kernel/thread.h"
#include "kernel/timer.h"

#define TABLE_SHIFT     9
#define TABLE_SLOTS     (1u << TABLE_SHIFT)
#define BLOCKS_PER_PAGE (PAGE_SIZE / 512)
#define SIZE_LIMIT      ((uint64_t)INT64_MAX)
#define TAKE_BATCH      64

/* In memory a node is a `struct page *` at level 0, above it an array of TABLE_SLOTS nodes. */
struct taking {
    uint64_t first, last; /* page indices, both included */
    struct page *pages[TAKE_BATCH];
    unsigned count;
};

static _Atomic(uint64_t) size_limit = UINT64_MAX; /* RLIMIT_FSIZE */
static _Atomic(uint64_t) pages_held;
static uint64_t pages_adopted; /* of them, the initrd's; constant after boot */

uint64_t ramfs_pages(void) {
    uint64_t held = atomic_load_explicit(&pages_held, memory_order_relaxed);
    return held - MIN(held, pages_adopted);
}

void ramfs_set_size_limit(uint64_t bytes) {
    size_limit = bytes;
}

void ramfs_init_contents(struct ram_contents *c) {
    mutex_init(&c->write_lock);
    spin_init(&c->lock, RANK_FILE);
}

/*
 * Files may take half of the memory, as Linux limits a tmpfs, and never the last of it: the kernel
 * and the program must be able to go on after ENOSPC.
 */
static bool files_are_full(void) {
    static _Atomic(uint64_t) total; /* frames; 0: not asked yet */
    uint64_t all = atomic_load_explicit(&total, memory_order_relaxed);
    if (!all) {
        struct pages_stats s;
        pages_stats(&s);
        all = s.total;
        atomic_store_explicit(&total, all, memory_order_relaxed);
    }
    return ramfs_pages() > all / 2 || pages_free_estimate() < MIN(all / 64 + 1, 4096ul);
}

static bool tree_covers(const struct ram_contents *c, uint64_t index) {
    unsigned shift = c->height * TABLE_SHIFT;
    return shift >= 64 || index >> shift == 0;
}

static unsigned slot_of(uint64_t index, unsigned level) {
    return index >> (level - 1) * TABLE_SHIFT & (TABLE_SLOTS - 1);
}

static struct page *tree_find_locked(const struct ram_contents *c, uint64_t index) {
    if (!tree_covers(c, index))
        return NULL;
    void *node = c->top;
    for (unsigned level = c->height; level > 0 && node; level--)
        node = ((void **)node)[slot_of(index, level)];
    return node;
}

static void **table_create(void) {
    struct page *p = pages_alloc_zeroed(0);
    return p ? page_address(p) : NULL;
}

static void table_free(void *table) {
    pages_free(phys_to_page(virt_to_phys(table)), 0);
}

/* The slot for page `index`, made where need be; NULL without memory. */
static void **tree_slot_locked(struct ram_contents *c, uint64_t index) {
    while (!tree_covers(c, index)) {
        if (c->top) {
            void **table = table_create();
            if (!table)
                return NULL;
            table[0] = c->top;
            c->top = table;
        }
        c->height++;
    }
    void **at = &c->top;
    for (unsigned level = c->height; level > 0; level--) {
        if (!*at) {
            *at = table_create();
            if (!*at)
                return NULL;
        }
        at = &((void **)*at)[slot_of(index, level)];
    }
    return at;
}

/* Enters `p` unless another page is there, and returns the one that is; NULL without memory. */
static struct page *tree_insert_locked(struct inode *i, uint64_t index, struct page *p) {
    void **slot = tree_slot_locked(&ram_of(i)->file, index);
    if (!slot)
        return NULL;
    if (!*slot) {
        *slot = p;
        i->blocks += BLOCKS_PER_PAGE;
        atomic_fetch_add_explicit(&pages_held, 1, memory_order_relaxed);
    }
    return *slot;
}

/* Takes up to a batch of pages in range out of the subtree at `node`, whose first page has index
 * `base`.  Returns what is left of it. */
static void *node_take(void *node, unsigned level, uint64_t base, struct taking *t) {
    if (level == 0) {
        t->pages[t->count++] = node;
        return NULL;
    }
    void **table = node;
    unsigned shift = (level - 1) * TABLE_SHIFT;
    bool empty = true;
    for (unsigned s = 0; s < TABLE_SLOTS; s++) {
        uint64_t first = base + ((uint64_t)s << shift), last = first + (1ul << shift) - 1;
        if (table[s] && last >= t->first && first <= t->last && t->count < TAKE_BATCH)
            table[s] = node_take(table[s], level - 1, first, t);
        empty &= !table[s];
    }
    if (!empty)
        return node;
    table_free(table);
    return NULL;
}

/* Takes all pages with indices [first, last] out of the file. */
static void tree_clear(struct inode *i, uint64_t first, uint64_t last) {
    struct ram_contents *c = &ram_of(i)->file;
    struct taking t = { .first = first, .last = last };
    do {
        t.count = 0;
        spin_lock(&c->lock);
        if (c->top && (c->height || first == 0))
            c->top = node_take(c->top, c->height, 0, &t);
        if (!c->top)
            c->height = 0;
        spin_unlock(&c->lock);
        for (unsigned n = 0; n < t.count; n++)
            page_put(t.pages[n]);
        i->blocks -= t.count * BLOCKS_PER_PAGE;
        atomic_fetch_sub_explicit(&pages_held, t.count, memory_order_relaxed);
    } while (t.count == TAKE_BATCH);
}

void ramfs_free_contents(struct ram_contents *c) {
    tree_clear(&container_of(c, struct ram_inode, file)->inode, 0, UINT64_MAX >> PAGE_SHIFT);
}

/* The page at `index` with a reference, or NULL for a hole. */
static struct page *page_find(struct ram_contents *c, uint64_t index) {
    spin_lock(&c->lock);
    struct page *p = tree_find_locked(c, index);
    if (p)
        page_get(p);
    spin_unlock(&c->lock);
    return p;
}

/* As page_find, but fills holes, with a cleared page.  NULL without memory. */
static struct page *page_make(struct inode *i, uint64_t index) {
    struct ram_contents *c = &ram_of(i)->file;
    struct page *p = page_find(c, index);
    if (p || files_are_full())
        return p;
    struct page *fresh = pages_alloc_zeroed(0);
    if (!fresh)
        return NULL;
    spin_lock(&c->lock);
    p = tree_insert_locked(i, index, fresh);
    if (p)
        page_get(p);
    spin_unlock(&c->lock);
    if (p != fresh)
        page_put(fresh);
    return p;
}

/* Clears [from, to) as far as there are pages; both in one page.  write_lock is held. */
static void clear_part(struct inode *i, uint64_t from, uint64_t to) {
    struct page *p = from < to ? page_find(&ram_of(i)->file, from >> PAGE_SHIFT) : NULL;
    if (!p)
        return;
    memset((char *)page_address(p) + from % PAGE_SIZE, 0, to - from);
    page_put(p);
}

/* Clears what may be dirty between the end of the file and the end of its last page. */
static void clear_tail(struct inode *i) {
    uint64_t size = i->size;
    clear_part(i, size, ALIGN_UP(size, PAGE_SIZE));
}

static void set_size(struct inode *i, uint64_t size) {
    struct ram_contents *c = &ram_of(i)->file;
    spin_lock(&c->lock);
    i->size = size;
    spin_unlock(&c->lock);
}

static void touch_modified(struct inode *i) {
    i->modified_ns = i->changed_ns = clock_realtime_ns();
}

static long ram_read(struct file *f, struct iter *to, uint64_t *pos) {
    struct inode *i = f->inode;
    size_t done = 0;
    while (to->left) {
        uint64_t size = i->size, offset = *pos % PAGE_SIZE;
        if (*pos >= size)
            break;
        size_t n = MIN(MIN(PAGE_SIZE - offset, size - *pos), to->left);
        struct page *p = page_find(&ram_of(i)->file, *pos >> PAGE_SHIFT);
        size_t moved = p ? iter_to(to, (char *)page_address(p) + offset, n) : iter_zero(to, n);
        if (p)
            page_put(p);
        *pos += moved;
        done += moved;
        if (moved < n)
            break;
        if (done / PAGE_SIZE % 256 == 255)
            thread_preempt_point();
    }
    if (!(f->flags & O_NOATIME))
        i->accessed_ns = clock_realtime_ns();
    return iter_result(to, done);
}

static long write_locked(struct inode *i, struct iter *from, uint64_t *pos) {
    uint64_t limit = MIN(SIZE_LIMIT, size_limit);
    if (from->left && *pos >= limit)
        return -EFBIG;
    if (from->left && *pos > i->size)
        clear_tail(i);
    size_t done = 0, most = from->left ? MIN(from->left, limit - *pos) : 0;
    while (done < most) {
        struct page *p = page_make(i, *pos >> PAGE_SHIFT);
        if (!p)
            return done ? (long)done : -ENOSPC;
        size_t offset = *pos % PAGE_SIZE, n = MIN(PAGE_SIZE - offset, most - done);
        size_t moved = iter_from(from, (char *)page_address(p) + offset, n);
        page_put(p);
        *pos += moved;
        done += moved;
        if (moved && *pos > i->size)
            set_size(i, *pos);
        if (moved < n)
            break;
        if (done / PAGE_SIZE % 256 == 255)
            thread_preempt_point();
    }
    return iter_result(from, done);
}

static long ram_write(struct file *f, struct iter *from, uint64_t *pos) {
    struct inode *i = f->inode;
    struct ram_contents *c = &ram_of(i)->file;
    mutex_lock(&c->write_lock);
    if (f->flags & O_APPEND)
        *pos = i->size;
    long n = write_locked(i, from, pos);
    mutex_unlock(&c->write_lock);
    if (n > 0)
        touch_modified(i);
    return n;
}

static void truncate_locked(struct inode *i, uint64_t size) {
    if (size > i->size) {
        clear_tail(i);
        set_size(i, size);
        return;
    }
    uint64_t first = ALIGN_UP(size, PAGE_SIZE) >> PAGE_SHIFT;
    set_size(i, size);
    tree_clear(i, first, UINT64_MAX >> PAGE_SHIFT);
    aspace_forget_pages(&i->object, first, UINT64_MAX >> PAGE_SHIFT, true);
    clear_tail(i);
}

int ramfs_truncate(struct inode *i, uint64_t size) {
    struct ram_contents *c = &ram_of(i)->file;
    mutex_lock(&c->write_lock);
    int err = size > i->size && size > size_limit ? -EFBIG : 0;
    if (!err)
        truncate_locked(i, size);
    mutex_unlock(&c->write_lock);
    if (!err)
        touch_modified(i);
    return err;
}

/* Clears [from, to): whole pages become holes. */
static void punch_locked(struct inode *i, uint64_t from, uint64_t to) {
    uint64_t first = ALIGN_UP(from, PAGE_SIZE), last = ALIGN_DOWN(to, PAGE_SIZE);
    if (first > last) {
        clear_part(i, from, to);
        return;
    }
    clear_part(i, from, first);
    if (first < last) {
        tree_clear(i, first >> PAGE_SHIFT, (last >> PAGE_SHIFT) - 1);
        aspace_forget_pages(&i->object, first >> PAGE_SHIFT, (last >> PAGE_SHIFT) - 1, false);
    }
    clear_part(i, last, to);
}

static int fill_locked(struct inode *i, uint64_t from, uint64_t to) {
    if ((to - from) >> PAGE_SHIFT > pages_free_estimate())
        return -ENOSPC; /* rather than filling all memory first to find out */
    for (uint64_t at = ALIGN_DOWN(from, PAGE_SIZE); at < to; at += PAGE_SIZE) {
        struct page *p = page_make(i, at >> PAGE_SHIFT);
        if (!p)
            return -ENOSPC;
        page_put(p);
        if (at >> PAGE_SHIFT & 255)
            continue;
        thread_preempt_point();
    }
    return 0;
}

int ramfs_allocate(struct inode *i, uint64_t offset, uint64_t size, unsigned mode) {
    struct ram_contents *c = &ram_of(i)->file;
    uint64_t end = offset + size;
    int err = 0;
    if (mode & ~(unsigned)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        return -EOPNOTSUPP;
    if (mode & FALLOC_FL_PUNCH_HOLE &&
        (!(mode & FALLOC_FL_KEEP_SIZE) || mode & FALLOC_FL_ZERO_RANGE))
        return -EOPNOTSUPP;
    mutex_lock(&c->write_lock);
    if (!(mode & FALLOC_FL_KEEP_SIZE) && end > i->size && end > size_limit)
        err = -EFBIG;
    if (!err && mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        punch_locked(i, offset, end);
    if (!err && !(mode & FALLOC_FL_PUNCH_HOLE))
        err = fill_locked(i, offset, end);
    if (!err && !(mode & FALLOC_FL_KEEP_SIZE) && end > i->size) {
        clear_tail(i);
        set_size(i, end);
    }
    mutex_unlock(&c->write_lock);
    touch_modified(i);
    return err;
}

/* Whether page `index` shows a part of the file. */
static bool is_inside_locked(const struct inode *i, uint64_t index) {
    uint64_t size = i->size;
    return index < ALIGN_UP(size, PAGE_SIZE) >> PAGE_SHIFT;
}

int ramfs_get_page(struct inode *i, uint64_t index, bool write, struct page **out) {
    struct ram_contents *c = &ram_of(i)->file;
    (void)write; /* a hole is filled for a reader too: a later writer must not show another page */
    spin_lock(&c->lock);
    bool inside = is_inside_locked(i, index);
    struct page *p = inside ? tree_find_locked(c, index) : NULL;
    if (p)
        page_get(p);
    spin_unlock(&c->lock);
    if (!inside)
        return -EIO;
    *out = p;
    if (p)
        return 0;
    if (files_are_full())
        return -EIO;
    struct page *fresh = pages_alloc_zeroed(0);
    if (!fresh)
        return -ENOMEM;
    int err = 0;
    spin_lock(&c->lock);
    if (!is_inside_locked(i, index)) {
        err = -EIO;
    } else {
        *out = tree_insert_locked(i, index, fresh);
        if (*out)
            page_get(*out);
        else
            err = -ENOMEM;
    }
    spin_unlock(&c->lock);
    if (err || *out != fresh)
        page_put(fresh);
    return err;
}

bool ramfs_has_page(struct inode *i, uint64_t index) {
    struct ram_contents *c = &ram_of(i)->file;
    spin_lock(&c->lock);
    bool has = tree_find_locked(c, index);
    spin_unlock(&c->lock);
    return has;
}

int ramfs_adopt(struct inode *i, const char *data, size_t size) {
    struct ram_contents *c = &ram_of(i)->file;
    for (size_t at = 0; at < size; at += PAGE_SIZE) {
        size_t n = MIN(size - at, PAGE_SIZE);
        struct page *p;
        if (n == PAGE_SIZE && IS_ALIGNED((uintptr_t)(data + at), PAGE_SIZE)) {
            p = phys_to_page(virt_to_phys(data + at));
            page_get(p);
            pages_adopted++;
        } else {
            p = pages_alloc_zeroed(0);
            if (!p)
                return -ENOMEM;
            memcpy(page_address(p), data + at, n);
        }
        spin_lock(&c->lock);
        struct page *there = tree_insert_locked(i, at >> PAGE_SHIFT, p);
        spin_unlock(&c->lock);
        if (there != p) {
            page_put(p);
            return -ENOMEM;
        }
    }
    set_size(i, size);
    return 0;
}

static struct vm_object *ram_vm_object(struct file *f) {
    inode_get(f->inode);
    return &f->inode->object;
}

const struct file_ops ramfs_file_ops = {
    .read = ram_read,
    .write = ram_write,
    .vm_object = ram_vm_object,
    .positional = true,
};
