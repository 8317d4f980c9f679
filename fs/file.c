/* SPDX-License-Identifier: MIT */
/*
 * Open files: references, the position, and what every kind of file shares.
 *
 * The position is guarded by pos_lock, held across a whole read or write, so
 * that two threads reading one file never get the same bytes (POSIX 2.9.7).
 * Files without a position (pipes, terminals) never take it: their readers may
 * sleep for ever, and a second one must still be able to come.
 *
 * Order: pos_lock, then whatever the op takes.  No op takes another file's.
 */
#include "fs/file.h"

#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include <linux/stat.h>
#include "arch/x86_64/percpu.h"
#include "base/string.h"
#include "fs/epoll.h"
#include "fs/vfs.h"
#include "kernel/panic.h"
#include "kernel/slab.h"

#define SEEK_SET  0
#define SEEK_CUR  1
#define SEEK_END  2
#define SEEK_DATA 3
#define SEEK_HOLE 4

static struct slab_cache *file_cache;
/* Created less freed, by CPU; only the sum means something. */
static PERCPU _Atomic(int64_t) open_files;

void file_init(void) {
    file_cache = slab_cache_create("file", sizeof(struct file), 0);
    assert(file_cache);
}

struct file *file_create(const struct file_ops *ops, struct entry *entry, uint32_t flags) {
    struct file *f = slab_alloc(file_cache);
    if (!f)
        return NULL;
    /* relaxed: a counter, and a line of this CPU's own but for a moment after a migration */
    atomic_fetch_add_explicit(this_cpu(open_files), 1, memory_order_relaxed);
    f->ops = ops;
    atomic_init(&f->refs, 1);
    atomic_init(&f->flags, flags);
    f->entry = entry_get(entry);
    f->inode = entry->inode;
    inode_get(f->inode);
    mutex_init(&f->pos_lock);
    spin_init(&f->watch_lock, RANK_FILE);
    list_init(&f->watches);
    return f;
}

void file_put(struct file *f) {
    /* Release: what this user did to the file; acquire: all of it, for the one that frees. */
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (unlikely(f->watched))
        epoll_forget(f);
    if (f->ops->release)
        f->ops->release(f);
    inode_put(f->inode);
    entry_put(f->entry);
    slab_free(file_cache, f);
    atomic_fetch_sub_explicit(this_cpu(open_files), 1, memory_order_relaxed);
}

uint64_t file_count(void) {
    int64_t count = 0;
    for (unsigned n = 0; n < cpu_count; n++)
        if (percpu_is_there(n))
            count += atomic_load_explicit(cpu_of(open_files, n), memory_order_relaxed);
    return (uint64_t)MAX(count, (int64_t)0);
}

/* What read(2) says about a file that has no read op: a directory has a name for it. */
static long file_cannot(const struct file *f) {
    return inode_type(f->inode) == S_IFDIR ? -EISDIR : -EINVAL;
}

/* Calls the op `move` (read or write) at the file's position, where it has one. */
static long move_at_pos(struct file *f, long (*move)(struct file *, struct iter *, uint64_t *),
                        struct iter *it) {
    if (!f->ops->positional)
        return move(f, it, NULL);
    mutex_lock(&f->pos_lock);
    long n = move(f, it, &f->pos);
    mutex_unlock(&f->pos_lock);
    return n;
}

long file_read(struct file *f, struct iter *to) {
    if (!file_is_readable(f))
        return -EBADF;
    return f->ops->read ? move_at_pos(f, f->ops->read, to) : file_cannot(f);
}

long file_write(struct file *f, struct iter *from) {
    if (!file_is_writable(f))
        return -EBADF;
    return f->ops->write ? move_at_pos(f, f->ops->write, from) : -EINVAL;
}

/* What pread and pwrite refuse, in Linux's order; `permitted`: opened for that direction. */
static int check_offset(const struct file *f, uint64_t offset, bool permitted) {
    if ((int64_t)offset < 0)
        return -EINVAL;
    if (!f->ops->positional)
        return -ESPIPE;
    return permitted ? 0 : -EBADF;
}

long file_pread(struct file *f, struct iter *to, uint64_t offset) {
    int err = check_offset(f, offset, file_is_readable(f));
    if (err)
        return err;
    return f->ops->read ? f->ops->read(f, to, &offset) : file_cannot(f);
}

long file_pwrite(struct file *f, struct iter *from, uint64_t offset) {
    int err = check_offset(f, offset, file_is_writable(f));
    if (err)
        return err;
    return f->ops->write ? f->ops->write(f, from, &offset) : -EINVAL;
}

/* Where `whence` and `offset` lead; pos_lock held.  Memory files have no holes to report. */
static int64_t seek_target(const struct file *f, int64_t offset, int whence) {
    int64_t size = (int64_t)f->inode->size, base;
    switch (whence) {
    case SEEK_SET:
        base = 0;
        break;
    case SEEK_CUR:
        base = (int64_t)f->pos;
        break;
    case SEEK_END:
        base = size;
        break;
    case SEEK_DATA:
    case SEEK_HOLE:
        if (offset < 0 || offset >= size)
            return -ENXIO;
        return whence == SEEK_DATA ? offset : size;
    default:
        return -EINVAL;
    }
    int64_t sum;
    if (__builtin_add_overflow(base, offset, &sum))
        return whence == SEEK_SET ? -EINVAL : -EOVERFLOW;
    return sum < 0 ? -EINVAL : sum;
}

long file_seek(struct file *f, int64_t offset, int whence) {
    if (file_is_path(f))
        return -EBADF;
    if (whence < SEEK_SET || whence > SEEK_HOLE)
        return -EINVAL;
    if (f->ops->seek) {
        mutex_lock(&f->pos_lock);
        long r = f->ops->seek(f, offset, whence);
        mutex_unlock(&f->pos_lock);
        return r;
    }
    if (!f->ops->positional)
        return -ESPIPE;
    mutex_lock(&f->pos_lock);
    int64_t to = seek_target(f, offset, whence);
    if (to >= 0)
        f->pos = (uint64_t)to;
    mutex_unlock(&f->pos_lock);
    return to;
}

long file_seek_nowhere(struct file *f, int64_t offset, int whence) {
    (void)f, (void)offset, (void)whence;
    return 0; /* as Linux */
}

long file_ioctl(struct file *f, unsigned command, uintptr_t arg) {
    if (file_is_path(f))
        return -EBADF;
    return f->ops->ioctl ? f->ops->ioctl(f, command, arg) : -ENOTTY;
}

uint32_t file_poll(struct file *f, struct poll_table *pt) {
    if (file_is_path(f))
        return POLLNVAL;
    if (!f->ops->poll)
        return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
    return f->ops->poll(f, pt);
}

long file_truncate(struct file *f, uint64_t size) {
    if (file_is_path(f))
        return -EBADF;
    if ((int64_t)size < 0 || inode_type(f->inode) != S_IFREG || !file_is_writable(f) ||
        !f->inode->ops->truncate)
        return -EINVAL;
    return f->inode->ops->truncate(f->inode, size);
}

long file_read_at(struct file *f, void *to, size_t size, uint64_t offset) {
    struct iter it;
    iter_init_kernel(&it, to, size);
    return file_pread(f, &it, offset);
}

struct vm_object *file_vm_object(struct file *f) {
    if (!f->ops->vm_object)
        return NULL;
    inode_name_mapping(f->inode, f->entry);
    return f->ops->vm_object(f);
}
