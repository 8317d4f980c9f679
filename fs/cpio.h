/* SPDX-License-Identifier: MIT */
/*
 * Reads a cpio archive ("newc").  Pure: no memory, no state but the reader's,
 * and it trusts nothing in the archive.
 */
#ifndef FS_CPIO_H
#define FS_CPIO_H

#include "base/types.h"

struct cpio_reader {
    const char *data;
    size_t size, at;
};

struct cpio_entry {
    const char *name; /* NUL-terminated, in the archive; without leading "/" and "./" */
    const char *data; /* in the archive */
    size_t size;
    uint32_t mode, mtime, rdev_major, rdev_minor;
};

void cpio_start(struct cpio_reader *r, const void *data, size_t size);
/*
 * The next entry: 1; 0 behind the last one (the trailer); -EINVAL where the
 * archive is broken or cut off, or a name is empty in a part, contains ".." or is
 * too long for a path.  The name of the root directory itself is "".
 */
must_check int cpio_next(struct cpio_reader *r, struct cpio_entry *e);

#endif
