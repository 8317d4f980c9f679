/* SPDX-License-Identifier: MIT */
/* The device files of /dev; private to fs/. */
#ifndef FS_DEV_IMPL_H
#define FS_DEV_IMPL_H

#include "fs/vfs.h"

/* Gives the inode of a character device the operations of its rdev (none: open is -ENXIO). */
void dev_attach(struct inode *i);
int dev_open(struct file *f); /* inode_ops.open of character devices */
/* Makes /dev and its files below `root`.  0 or -errno. */
int dev_populate(void);
/* Makes /sys and its files: sysfs.c. 0 or -errno. */
int sysfs_populate(void);

/* Terminal and stream files: tty.c. */
extern const struct file_ops tty_file_ops;
bool tty_exists(void);        /* one of the standard streams is a terminal */
int tty_open(struct file *f); /* inode_ops.open of /dev/tty and /dev/console */

#endif
