/* SPDX-License-Identifier: MIT */
/*
 * The file system in memory: the root, unpacked from the initrd.
 *
 * Context: thread, may sleep.  Functions that take a directory entry need the
 * tree lock, as inode_ops do.
 */
#ifndef FS_RAMFS_H
#define FS_RAMFS_H

#include "fs/vfs.h"

void ramfs_init(void);

/* A new tree: its root directory, whose parent is itself; one reference.  NULL without memory. */
struct entry *ramfs_create_root(void);

/* The directory operation of the same name (fs/vfs.h). */
int ramfs_create(struct entry *dir, const char *name, size_t length, uint32_t mode, uint32_t rdev,
                 const char *target, struct entry **out);
/* Enters a foreign inode's entry (a mount) that was made with `dir` as parent; takes
 * over the reference. */
void ramfs_attach(struct entry *dir, struct entry *e);

/*
 * Appends the `size` bytes at `data`, which stay where they are for ever, to
 * the empty file `i`: whole pages at page-aligned addresses are used in place.
 * 0 or -ENOMEM.
 */
int ramfs_adopt(struct inode *i, const char *data, size_t size);

/* RLIMIT_FSIZE: no file grows beyond it (-EFBIG); UINT64_MAX: none. */
void ramfs_set_size_limit(uint64_t bytes);

/* Frames of the machine's memory that hold file contents; the initrd is not part of it. */
uint64_t ramfs_pages(void);

#endif
