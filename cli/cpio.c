/* SPDX-License-Identifier: MIT */
/* The cpio writer; see cpio.h for the rules of the archive. */
#include "cli/cpio.h"

#include "cli/commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES 110u
#define FILLER_BYTES 1024u

static void fail(struct cpio *cpio, int error, const char *culprit) {
    if (!cpio->error) {
        cpio->error = error;
        cpio->culprit = xstrdup(culprit);
    }
}

static void put(struct cpio *cpio, const void *bytes, size_t size) {
    if (!cpio->error && size && fwrite(bytes, 1, size, cpio->out) != size) {
        fail(cpio, errno ? -errno : -EIO, "the initrd");
    }
    cpio->offset += size;
}

static void put_zeros(struct cpio *cpio, size_t count) {
    static const char zeros[CPIO_PAGE];

    while (count) {
        size_t part = count < sizeof(zeros) ? count : sizeof(zeros);
        put(cpio, zeros, part);
        count -= part;
    }
}

static void put_padding(struct cpio *cpio) {
    put_zeros(cpio, -cpio->offset & 3);
}

/* Header and name; the name field takes `name_bytes`, the rest of it zeros. */
static void put_header(struct cpio *cpio, const char *name, size_t name_bytes, mode_t mode,
                       uint64_t size) {
    char header[HEADER_BYTES + 1];
    uint32_t links = S_ISDIR(mode) ? 2 : 1;

    snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
             ++cpio->inode, (unsigned)mode, 0u, 0u, links, 0u, (unsigned)size, 0u, 0u, 0u, 0u,
             (unsigned)name_bytes, 0u);
    put(cpio, header, HEADER_BYTES);
    put(cpio, name, strlen(name));
    put_zeros(cpio, name_bytes - strlen(name));
    put_padding(cpio);
}

/* Bytes that the name must grow by so that contents start on a page boundary. */
static size_t gap_to_page(const struct cpio *cpio, size_t name_bytes) {
    uint64_t contents = (cpio->offset + HEADER_BYTES + name_bytes + 3) & ~3ull;

    return -contents & (CPIO_PAGE - 1);
}

static void begin_entry(struct cpio *cpio, const char *name, mode_t mode, uint64_t size) {
    size_t name_bytes = strlen(name) + 1;

    if (size > UINT32_MAX || name_bytes > PATH_MAX / 2) {
        fail(cpio, size > UINT32_MAX ? -EFBIG : -ENAMETOOLONG, name);
        return;
    }
    if (S_ISREG(mode) && size >= CPIO_PAGE) {
        /* Linux takes no name above PATH_MAX: an entry that changes nothing fills the rest. */
        while (name_bytes + gap_to_page(cpio, name_bytes) > PATH_MAX - 8) {
            put_header(cpio, "tmp", FILLER_BYTES, S_IFDIR | S_ISVTX | 0777, 0);
        }
        /* The padding to 4 bytes is part of the gap: count it into the name. */
        size_t slack = -(HEADER_BYTES + name_bytes) & 3;
        name_bytes += slack;
        name_bytes += gap_to_page(cpio, name_bytes);
    }
    put_header(cpio, name, name_bytes, mode, size);
}

static void add_parents(struct cpio *cpio, const char *name) {
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        char *parent = strndup(name, (size_t)(slash - name));
        cpio_add_directory(cpio, parent);
        free(parent);
    }
}

void cpio_begin(struct cpio *cpio, int fd) {
    *cpio = (struct cpio){ .inode = 0 };
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    cpio->out = copy >= 0 ? fdopen(copy, "wb") : NULL;
    if (!cpio->out) {
        fail(cpio, -errno, "the initrd");
    }
}

/* True when the directory is new to the archive, and remembers it. */
static bool remember_folder(struct cpio *cpio, const char *name) {
    for (size_t i = 0; i < cpio->folder_count; i++) {
        if (!strcmp(cpio->folders[i], name)) {
            return false;
        }
    }
    cpio->folders = xrealloc(cpio->folders, (cpio->folder_count + 1) * sizeof(char *));
    cpio->folders[cpio->folder_count++] = xstrdup(name);
    return true;
}

void cpio_add_directory(struct cpio *cpio, const char *name) {
    if (cpio->error || !*name || !remember_folder(cpio, name)) {
        return;
    }
    add_parents(cpio, name);
    begin_entry(cpio, name, S_IFDIR | (strcmp(name, "tmp") ? 0755 : S_ISVTX | 0777), 0);
}

void cpio_add_bytes(struct cpio *cpio, const char *name, mode_t mode, const void *bytes,
                    size_t size) {
    if (cpio->error) {
        return;
    }
    add_parents(cpio, name);
    begin_entry(cpio, name, mode & S_IFMT ? mode : S_IFREG | mode, size);
    put(cpio, bytes, size);
    put_padding(cpio);
}

static void copy_contents(struct cpio *cpio, int fd, uint64_t size, const char *host_path) {
    static char buffer[1 << 16];

    while (size && !cpio->error) {
        ssize_t got = read(fd, buffer, size < sizeof(buffer) ? size : sizeof(buffer));
        if (got <= 0) {
            /* A file that shrank while we read it is as bad as an error. */
            fail(cpio, got < 0 ? -errno : -EIO, host_path);
            return;
        }
        put(cpio, buffer, (size_t)got);
        size -= (uint64_t)got;
    }
    put_padding(cpio);
}

void cpio_add_file(struct cpio *cpio, const char *name, const char *host_path) {
    struct stat info;

    if (cpio->error) {
        return;
    }
    int fd = open(host_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) < 0) {
        fail(cpio, -errno, host_path);
    } else if (!S_ISREG(info.st_mode)) {
        fail(cpio, S_ISDIR(info.st_mode) ? -EISDIR : -EINVAL, host_path);
    } else {
        add_parents(cpio, name);
        begin_entry(cpio, name, S_IFREG | (info.st_mode & 0777), (uint64_t)info.st_size);
        copy_contents(cpio, fd, (uint64_t)info.st_size, host_path);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void add_link(struct cpio *cpio, const char *name, const char *host_path) {
    char target[PATH_MAX];
    ssize_t length = readlink(host_path, target, sizeof(target));

    if (length < 0) {
        fail(cpio, -errno, host_path);
    } else {
        cpio_add_bytes(cpio, name, S_IFLNK | 0777, target, (size_t)length);
    }
}

static int not_dots(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

static void add_node(struct cpio *cpio, const char *name, const char *host_path, bool follow) {
    struct stat info;
    struct dirent **list;

    if (cpio->error) {
        return;
    }
    if (follow ? stat(host_path, &info) : lstat(host_path, &info)) {
        fail(cpio, -errno, host_path);
    } else if (S_ISLNK(info.st_mode)) {
        add_link(cpio, name, host_path);
    } else if (S_ISREG(info.st_mode)) {
        cpio_add_file(cpio, name, host_path);
    } else if (S_ISDIR(info.st_mode)) {
        cpio_add_directory(cpio, name);
        /* Sorted, so that the archive does not depend on the host's disk. */
        int count = scandir(host_path, &list, not_dots, alphasort);
        if (count < 0) {
            fail(cpio, -errno, host_path);
            return;
        }
        for (int i = 0; i < count; i++) {
            char *child = xasprintf("%s%s%s", name, *name ? "/" : "", list[i]->d_name);
            char *child_path = xasprintf("%s/%s", host_path, list[i]->d_name);
            add_node(cpio, child, child_path, false);
            free(child);
            free(child_path);
            free(list[i]);
        }
        free(list);
    }
}

void cpio_add_tree(struct cpio *cpio, const char *name, const char *host_path) {
    add_node(cpio, name, host_path, true);
}

int cpio_finish(struct cpio *cpio, char **culprit) {
    if (!cpio->error) {
        begin_entry(cpio, "TRAILER!!!", 0, 0);
        put_zeros(cpio, -cpio->offset & (CPIO_PAGE - 1));
    }
    if (cpio->out && fclose(cpio->out) && !cpio->error) {
        fail(cpio, -errno, "the initrd");
    }
    for (size_t i = 0; i < cpio->folder_count; i++) {
        free(cpio->folders[i]);
    }
    free(cpio->folders);
    if (culprit) {
        *culprit = cpio->culprit;
    } else {
        free(cpio->culprit);
    }
    return cpio->error;
}
