/* SPDX-License-Identifier: MIT */
/*
 * An open file: what a descriptor refers to.  Reference counted; descriptors,
 * system calls in progress and mappings in the making hold references.
 *
 * Context of everything here: thread, may sleep, no spinlock held.
 * Sizes in bytes; results are counts or negative Linux errnos.
 */
#ifndef FS_FILE_H
#define FS_FILE_H

#include <stdatomic.h>
#include "base/types.h"
#include "fs/iter.h"
#include "kernel/lock.h"
#include "kernel/mutex.h"
#include "kernel/wait.h"

struct entry;
struct file;
struct inode;
struct vm_object;

/*
 * How poll learns what to wait for: an op calls poll_wait for each queue that
 * is woken when its answer may change, then answers for this moment.  The
 * queues live as long as the file; they are at most POLL_QUEUES_MAX.
 */
#define POLL_QUEUES_MAX 2 /* a terminal has input and output */

struct poll_table {
    void (*add)(struct poll_table *pt, struct file *f, struct wait_queue *q);
};

static inline void poll_wait(struct poll_table *pt, struct file *f, struct wait_queue *q) {
    if (pt)
        pt->add(pt, f, q);
}

struct file_ops {
    /*
     * Both move bytes and return how many, or a negative errno.  For a
     * positional file, *pos is where to begin and is moved on; else it is to
     * be ignored.  NULL: -EINVAL.  O_APPEND is the op's to honour.
     */
    long (*read)(struct file *f, struct iter *to, uint64_t *pos);
    long (*write)(struct file *f, struct iter *from, uint64_t *pos);
    /* NULL: a positional file seeks by its inode's size, others say -ESPIPE. */
    long (*seek)(struct file *f, int64_t offset, int whence);
    /* `arg` as the program gave it.  NULL: -ENOTTY. */
    long (*ioctl)(struct file *f, unsigned command, uintptr_t arg);
    /* POLL* bits of now; `pt` may be NULL.  NULL: always readable and writable. */
    uint32_t (*poll)(struct file *f, struct poll_table *pt);
    /* What mmap shows, with a reference for the caller.  NULL: -ENODEV. */
    struct vm_object *(*vm_object)(struct file *f);
    void (*release)(struct file *f); /* the last reference is gone */
    bool positional;                 /* has a position: pread, lseek */
};

struct file {
    const struct file_ops *ops;
    _Atomic(uint32_t) refs;
    _Atomic(uint32_t) flags; /* O_ACCMODE and status flags; only F_SETFL changes them */
    struct entry *entry;     /* the name it was opened by, held; never NULL */
    struct inode *inode;     /* of `entry` at open; held */
    void *data;              /* the op's own */
    struct mutex pos_lock;   /* guards pos, and makes read and lseek atomic to one another */
    uint64_t pos;
    struct spinlock watch_lock; /* RANK_FILE; guards the next two */
    bool watched;               /* it is in an epoll, or has been */
    struct list watches;        /* struct epoll_item.watch_link */
};

/*
 * A new open file for `entry` (takes its own references on entry and inode)
 * with one reference.  Returns NULL without memory.
 */
struct file *file_create(const struct file_ops *ops, struct entry *entry, uint32_t flags);
static inline void file_get(struct file *f) {
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
}
void file_put(struct file *f);

/* Opened with O_PATH: a name, no contents. */
static inline bool file_is_path(const struct file *f) {
    return f->flags & 010000000;
}
static inline bool file_is_readable(const struct file *f) {
    return (f->flags & 3) != 1 && !file_is_path(f); /* neither O_WRONLY nor O_PATH */
}
static inline bool file_is_writable(const struct file *f) {
    return (f->flags & 3) != 0 && !file_is_path(f);
}
static inline bool file_is_nonblocking(const struct file *f) {
    return f->flags & 04000;
}

/* read(2) and write(2): at the file's position.  -EBADF where not opened for it. */
long file_read(struct file *f, struct iter *to);
long file_write(struct file *f, struct iter *from);
/* pread(2) and pwrite(2).  -ESPIPE where the file has no position. */
long file_pread(struct file *f, struct iter *to, uint64_t offset);
long file_pwrite(struct file *f, struct iter *from, uint64_t offset);
long file_seek(struct file *f, int64_t offset, int whence);
long file_ioctl(struct file *f, unsigned command, uintptr_t arg);
uint32_t file_poll(struct file *f, struct poll_table *pt);
/* ftruncate(2) and fallocate's growth.  -EINVAL where not a writable regular file. */
long file_truncate(struct file *f, uint64_t size);

/* Reads up to `size` bytes at `offset` into kernel memory; short only at the end of the file. */
long file_read_at(struct file *f, void *to, size_t size, uint64_t offset);
/* A seek op for what has no position and does not mind. */
long file_seek_nowhere(struct file *f, int64_t offset, int whence);
/* What a mapping of this file shows, with a reference for the caller; NULL: cannot be mapped. */
struct vm_object *file_vm_object(struct file *f);

/* How many there are (for /proc/mimosa); out of date at once. */
uint64_t file_count(void);
void file_init(void);

#endif
