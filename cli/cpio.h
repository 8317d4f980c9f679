/* SPDX-License-Identifier: MIT */
/*
 * Writes a cpio archive ("newc"), the initrd of Mimosa and of Linux.
 *
 *     struct cpio cpio;
 *     cpio_begin(&cpio, fd);
 *     cpio_add_directory(&cpio, "etc");
 *     cpio_add_bytes(&cpio, "etc/hosts", 0644, text, strlen(text));
 *     int error = cpio_finish(&cpio);
 *
 * Names are relative, without a leading slash; missing parents are added by
 * themselves.  Times are zero and inode numbers count up, so that equal input
 * gives equal bytes.  The contents of a file of a page or more start on a page
 * boundary of the archive (the name is padded with NUL bytes), so that a
 * kernel can map them where they lie.
 *
 * Errors stick: every call after a failed one does nothing, and cpio_finish
 * returns the first one.
 */
#ifndef CLI_CPIO_H
#define CLI_CPIO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define CPIO_PAGE 4096u

struct cpio {
    FILE *out;
    uint64_t offset; /* bytes written so far */
    uint32_t inode;
    int error;      /* 0, or the first error: a negative errno */
    char *culprit;  /* the host path or the name that it happened to */
    char **folders; /* directories that are in the archive already */
    size_t folder_count;
};

/* Starts an archive on `fd`, which stays the caller's. */
void cpio_begin(struct cpio *cpio, int fd);

void cpio_add_directory(struct cpio *cpio, const char *name);

/* A regular file, or a link if `mode` says S_IFLNK (its bytes: the target). */
void cpio_add_bytes(struct cpio *cpio, const char *name, mode_t mode, const void *bytes,
                    size_t size);

/* A host file under another name, following symbolic links. */
void cpio_add_file(struct cpio *cpio, const char *name, const char *host_path);

/*
 * A host file or a whole directory.  Symbolic links below the top stay links;
 * sockets, FIFOs and devices are left out.  `name` "" is the archive's root.
 */
void cpio_add_tree(struct cpio *cpio, const char *name, const char *host_path);

/*
 * Ends the archive.  Returns 0 or the first error; *culprit (if not NULL) then
 * gets the path concerned, which the caller frees.
 */
int cpio_finish(struct cpio *cpio, char **culprit);

#endif
