/* SPDX-License-Identifier: MIT */
/*
 * Names and inodes.
 *
 * An inode is a thing with contents; an entry is a name in a directory that
 * leads to it.  A file system is a set of inode_ops.  A mount is nothing but an
 * entry whose inode belongs to another file system than its parent's.
 *
 * Every function that takes a `base` resolves relative paths from it; paths
 * are NUL-terminated kernel copies shorter than VFS_PATH_MAX.  Results are 0 or
 * Linux's errno, as its system call of that name gives it to uid 0.
 * Context: thread, may sleep, no spinlock held.
 */
#ifndef FS_VFS_H
#define FS_VFS_H

#include "base/list.h"
#include "base/types.h"
#include "fs/file.h"
#include "kernel/aspace.h"
#include "kernel/lock.h"

struct fd_table;

#define VFS_NAME_MAX     255
#define VFS_PATH_MAX     4096 /* with the NUL */
#define VFS_SYMLINKS_MAX 40

/* Device numbers of the file systems, for st_dev. */
#define VFS_DEV_ROOT      1u
#define VFS_DEV_PROC      2u
#define VFS_DEV_ANONYMOUS 3u /* pipes, eventfds, streams */

#define VFS_RDEV(major, minor) ((uint32_t)(major) << 8 | (uint32_t)(minor))

struct inode {
    struct vm_object object; /* its references are the inode's */
    const struct inode_ops *ops;
    const struct file_ops *file_ops; /* of its open files; NULL: opening is -ENXIO */
    uint64_t number;
    uint32_t dev;           /* VFS_DEV_* */
    uint32_t rdev;          /* VFS_RDEV(), for devices */
    _Atomic(uint32_t) mode; /* S_IF* and permission bits */
    _Atomic(uint32_t) uid, gid;
    _Atomic(uint32_t) links;
    _Atomic(uint64_t) size;   /* written under the file system's lock, read anywhere */
    _Atomic(uint64_t) blocks; /* of 512 bytes */
    _Atomic(uint64_t) accessed_ns, modified_ns, changed_ns, born_ns; /* CLOCK_REALTIME */
    _Atomic(char *) map_path; /* for /proc/self/maps: set once, at the first mapping */
};

struct entry {
    _Atomic(uint32_t) refs;
    struct inode *inode;  /* held; constant */
    struct entry *parent; /* held; tree lock.  Itself for the root, NULL for an anonymous file */
    char *name;           /* owned; tree lock */
    uint32_t name_length; /* tree lock */
    uint32_t hash;        /* of the name; tree lock */
    bool dead;            /* unlinked; tree lock */
    /* The file system's; tree lock. */
    uint64_t cookie;      /* place in the directory's listing; 2 and up */
    struct list siblings; /* by rising cookie */
    struct entry *next_in_bucket;
};

/* A name of the listing, for `emit`, which returns false to stop before it. */
struct listed {
    const char *name;
    size_t name_length;
    uint64_t inode, next; /* next: the cursor behind this name */
    uint32_t mode;        /* S_IF* bits */
};
struct lister {
    bool (*emit)(struct lister *l, const struct listed *e);
};

/*
 * The operations on names, lookup to list, run under the tree lock, readlink and follow with it or
 * without; the others without.
 */
struct inode_ops {
    /* Finds `name` in `dir`, with a reference for the caller, or -ENOENT. */
    int (*lookup)(struct entry *dir, const char *name, size_t length, struct entry **out);
    /* Makes it (it is not there): `mode` with S_IF*; `target` of a symbolic link. NULL: -ENOENT.
     * A NULL name makes an inode without a name (O_TMPFILE). */
    int (*create)(struct entry *dir, const char *name, size_t length, uint32_t mode, uint32_t rdev,
                  const char *target, struct entry **out);
    int (*link)(struct entry *dir, const char *name, size_t length, struct inode *inode);
    int (*unlink)(struct entry *e); /* directories too: -ENOTEMPTY */
    /* Moves `e`; `over`, if not NULL, is what has that name now; `exchange` swaps the two. */
    int (*rename)(struct entry *e, struct entry *dir, const char *name, size_t length,
                  struct entry *over, bool exchange);
    /* Names from `cursor` on (2 and up; "." and ".." are not its business). */
    int (*list)(struct entry *dir, uint64_t cursor, struct lister *l);

    int (*open)(struct file *f); /* after file_create; may fill f->data.  NULL: nothing to do */
    long (*readlink)(struct entry *e, char *to, size_t size); /* length; not NUL-terminated */
    /* A link that leads to an entry directly (/proc/self/fd/N), referenced for the caller. */
    int (*follow)(struct entry *e, struct entry **out);
    int (*truncate)(struct inode *i, uint64_t size);
    int (*allocate)(struct inode *i, uint64_t offset, uint64_t size, unsigned mode); /* fallocate */
    void (*destroy)(struct inode *i); /* last reference gone: free it. No sleeping */
    int (*get_page)(struct inode *i, uint64_t index, bool write, struct page **out);
    bool (*has_page)(struct inode *i, uint64_t index); /* as vm_object_ops has it */
};

static inline void inode_get(struct inode *i) {
    vm_object_get(&i->object);
}
static inline void inode_put(struct inode *i) {
    vm_object_put(&i->object);
}
/* Fills a zeroed inode: one reference, one link, a number of its own, now's times. */
void inode_init(struct inode *i, const struct inode_ops *ops, uint32_t dev, uint32_t mode);
static inline uint32_t inode_type(const struct inode *i) {
    return i->mode & 0170000;
}
/* Path that /proc/self/maps shows for it; call before mapping.  Failure leaves it nameless. */
void inode_name_mapping(struct inode *i, struct entry *e);

/* A new entry (one reference) that takes over the caller's inode reference on success, and takes
 * one on parent.  NULL without memory. */
struct entry *entry_create(struct entry *parent, const char *name, size_t length,
                           struct inode *inode);
void entry_put(struct entry *e);
static inline struct entry *entry_get(struct entry *e) {
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}
uint32_t entry_hash(const char *name, size_t length);
/*
 * Absolute path of `e`, NUL-terminated; " (deleted)" behind an unlinked name.
 * Returns its length, -ENAMETOOLONG.
 */
long entry_path(struct entry *e, char *to, size_t size);
/* As above for getcwd: -ENOENT where unlinked. */
long entry_cwd_path(struct entry *e, char *to, size_t size);

/* A file that no directory names (pipe, eventfd): `name` is what readlink on
 * /proc/self/fd/N shows.  Takes over the inode reference, also on failure. */
struct entry *entry_create_anonymous(const char *name, struct inode *inode);

extern struct entry *vfs_root; /* constant after fs_init */

#define WALK_FOLLOW    1u /* follow a symbolic link at the end */
#define WALK_DIRECTORY 2u /* -ENOTDIR for anything else */
#define WALK_EMPTY     4u /* "" is `base` itself (AT_EMPTY_PATH) */

must_check int vfs_walk(struct entry *base, const char *path, unsigned flags, struct entry **out);

/* open(2): Linux's O_* flags, `mode` with the umask taken off; *out has one reference. */
must_check int vfs_open(struct entry *base, const char *path, uint32_t flags, uint32_t mode,
                        struct file **out);
/* From the root, for the kernel's own use. */
must_check int vfs_open_file(const char *path, int flags, struct file **out);
/* Any mode with S_IF* (0: regular): mknod, mkdir; symlink with `target`. */
must_check int vfs_create(struct entry *base, const char *path, uint32_t mode, uint32_t rdev,
                          const char *target);
/* As mknod, and *out gets what was made, with a reference. */
must_check int vfs_create_entry(struct entry *base, const char *path, uint32_t mode,
                                struct entry **out);
must_check int vfs_unlink(struct entry *base, const char *path, bool directory);
must_check int vfs_rename(struct entry *old_base, const char *old_path, struct entry *new_base,
                          const char *new_path, unsigned flags); /* RENAME_* */
must_check int vfs_link(struct entry *source, struct entry *base, const char *path);
/* Length of the target, cut to `size`. */
must_check long vfs_readlink(struct entry *base, const char *path, char *to, size_t size);
/* The names of directory `dir` from `cursor` on; 0 or the negative errno. */
must_check int vfs_list(struct entry *dir, uint64_t cursor, struct lister *l);

/* Working directory and umask of a process. */
struct fs_context {
    struct spinlock lock; /* RANK_FILE; guards cwd */
    struct entry *cwd;
    _Atomic(uint32_t) umask;
};
struct fs_context *fs_context_create(void);         /* "/", 022; NULL without memory */
struct entry *fs_context_cwd(struct fs_context *c); /* with a reference for the caller */
void fs_context_set_cwd(struct fs_context *c, struct entry *e); /* takes over the reference */
/* From a path, for the boot. */
must_check int fs_context_chdir(struct fs_context *c, const char *path);

/*
 * Boot: unpacks the initrd into the root, adds /dev and /proc.  *manifest gets
 * the contents of WIRE_MANIFEST, which lie in the initrd for ever (NULL: none).
 * Returns 0, -EINVAL for a broken archive, -ENOMEM.
 */
must_check int fs_init(const void *initrd, size_t size, const char **manifest,
                       size_t *manifest_size);

/* The program's descriptors 0, 1 and 2, over the wire; bit n of `tty_bits`: n is a terminal. */
must_check int fs_open_standard_streams(struct fd_table *t, unsigned tty_bits);

#endif
