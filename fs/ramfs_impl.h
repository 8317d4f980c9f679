/* SPDX-License-Identifier: MIT */
/* What ramfs.c (names) and ramfs_file.c (contents) share. */
#ifndef FS_RAMFS_IMPL_H
#define FS_RAMFS_IMPL_H

#include "fs/ramfs.h"
#include "kernel/mutex.h"

/* Contents of a regular file: see ramfs_file.c. */
struct ram_contents {
    struct mutex write_lock; /* one writer or truncation at a time; guards inode.size's changes */
    struct spinlock lock;    /* RANK_FILE; guards the two below */
    void *top;               /* tree of tables, or the only page */
    unsigned height;         /* levels of tables above the pages */
};

/* Names of a directory; tree lock. */
struct ram_names {
    struct entry **buckets; /* chains through entry.next_in_bucket */
    uint32_t mask;          /* buckets - 1 */
    uint32_t count;
    uint64_t next_cookie;
    struct list order; /* entry.siblings, by rising cookie */
    /* Where the last listing stopped: the first entry with a cookie from shown_to on, or NULL. */
    struct entry *shown_next;
    uint64_t shown_to;
};

struct ram_inode {
    struct inode inode;
    union {
        struct ram_contents file;
        struct ram_names names;
        char *target; /* of a symbolic link; constant */
    };
};

static inline struct ram_inode *ram_of(struct inode *i) {
    return container_of(i, struct ram_inode, inode);
}

extern const struct file_ops ramfs_file_ops;
void ramfs_init_contents(struct ram_contents *c);
void ramfs_free_contents(struct ram_contents *c);
int ramfs_truncate(struct inode *i, uint64_t size);
int ramfs_allocate(struct inode *i, uint64_t offset, uint64_t size, unsigned mode);
int ramfs_get_page(struct inode *i, uint64_t index, bool write, struct page **out);
bool ramfs_has_page(struct inode *i, uint64_t index);

#endif
