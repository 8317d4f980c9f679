/* SPDX-License-Identifier: MIT */
/* What the files of fs/ share about the tree of names. */
#ifndef FS_VFS_IMPL_H
#define FS_VFS_IMPL_H

#include "fs/vfs.h"

/* Guards every name, parent and listing of every file system; see vfs_entry.c. */
extern struct mutex vfs_tree_lock;

extern const struct file_ops vfs_directory_ops; /* for inodes of directories */
extern const struct file_ops vfs_path_ops;      /* O_PATH: a name, no contents */

/* A path on its way to an entry: begin, then walk_parent, ... and always walk_end. */
struct walk {
    struct entry *at;   /* where we are; one reference */
    const char *rest;   /* what is still to come */
    char *buffer;       /* WALK_BUFFER bytes once a link was met; `rest` lies at its end */
    unsigned links;     /* followed so far */
    const char *last;   /* the final component, after walk_parent */
    size_t last_length; /* 0: the path has none ("/") */
    bool slash;         /* one or more follow it */
};

/* All of these need the tree lock. */
int walk_begin(struct walk *w, struct entry *base, const char *path);
void walk_end(struct walk *w);
/* Goes to the directory of the final component and fills last, last_length, slash. */
int walk_parent(struct walk *w);
/* The entry of the final component itself, with a reference; "." and ".." too. -ENOENT. */
int walk_last(struct walk *w, struct entry **out);
/*
 * `e` is the final component and a symbolic link: goes where it leads.
 * Returns 0 after placing its target in front of the rest (walk_parent again),
 * 1 with *out where it leads to an entry directly.
 */
int walk_link(struct walk *w, struct entry *e, struct entry **out);
/* Whether the final component is "." or ".." or missing. */
bool walk_last_is_special(const struct walk *w);

#endif
