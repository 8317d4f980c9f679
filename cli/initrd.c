/* SPDX-License-Identifier: MIT */
/* Builds the initrd: nothing of the program's ever stands on QEMU's command line. */
#include "cli/initrd.h"

#include "base/wire.h"
#include "cli/commands.h"
#include "cli/cpio.h"
#include "cli/elf.h"
#include "cli/net.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The clock of --icount runs starts here, so that they repeat: 2024-01-01. */
#define ICOUNT_TIME_NS 1704067200000000000ull
#define ICOUNT_SEED    1u

int file_map(struct mapped *file, const char *path) {
    struct stat info;
    int error = 0;
    void *bytes;

    *file = (struct mapped){ NULL, 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &info) < 0) {
        error = -errno;
    } else if (!S_ISREG(info.st_mode)) {
        error = S_ISDIR(info.st_mode) ? -EISDIR : -EINVAL;
    } else if (info.st_size) {
        bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            error = -errno;
        } else {
            *file = (struct mapped){ bytes, (size_t)info.st_size };
        }
    }
    close(fd);
    return error;
}

void file_unmap(struct mapped *file) {
    if (file->size) {
        munmap((void *)(uintptr_t)file->bytes, file->size);
    }
    *file = (struct mapped){ NULL, 0 };
}

static bool is_file(const char *path) {
    struct stat info;

    return !stat(path, &info) && S_ISREG(info.st_mode);
}

/* The file `name` in one of the folders of PATH, or NULL. */
static char *search_path(const char *name) {
    const char *folder = getenv("PATH");

    while (folder && *folder) {
        int length = (int)strcspn(folder, ":");
        char *path = xasprintf("%.*s/%s", length, folder, name);
        if (length && is_file(path) && !access(path, X_OK)) {
            return path;
        }
        free(path);
        folder += length;
        folder += *folder == ':';
    }
    return NULL;
}

static char *search_program(const struct run_options *options) {
    const char *name = options->program[0];

    if (options->root) {
        char *path = xasprintf("%s/%s", options->root, name);
        if (is_file(path)) {
            return path;
        }
        free(path);
    }
    if (strchr(name, '/')) {
        return xstrdup(name);
    }
    char *built = xasprintf("bin/%s", name);
    const char *const places[] = { built, NULL };
    char *path = cli_find(places);
    free(built);
    return path ? path : search_path(name);
}

char *program_find(const struct run_options *options) {
    const char *name = options->program[0];
    struct mapped file;
    char *path = search_program(options);

    if (!path) {
        cli_fail("there is no program '%s', neither among the examples nor in PATH%s", name,
                 is_file(name) ? "; the file here is ./NAME, with a slash" : "");
        return NULL;
    }
    int error = file_map(&file, path);
    if (error) {
        cli_fail("cannot read the program %s: %s", path, strerror(-error));
        free(path);
        return NULL;
    }
    const char *why = elf_refuse(file.bytes, file.size);
    file_unmap(&file);
    if (why) {
        cli_fail("%s %s", path, why);
        free(path);
        return NULL;
    }
    return path;
}

char *kernel_find(const struct run_options *options) {
    static const char *const places[] = { "mimosa-kernel", NULL };
    const char *chosen = options->kernel ? options->kernel : getenv("MIMOSA_KERNEL");
    char *kernel;

    if (chosen && *chosen) {
        kernel = access(chosen, R_OK) ? NULL : xstrdup(chosen);
        if (!kernel) {
            cli_fail("cannot read the kernel %s: %s", chosen, strerror(errno));
        }
    } else {
        kernel = cli_find(places);
        if (!kernel) {
            cli_fail("there is no mimosa-kernel next to this command; type `make`, or give "
                     "--kernel FILE");
        }
    }
    return kernel;
}

char *linux_find(const char *system) {
    const char *cache = getenv("MIMOSA_CACHE");
    const char *home = getenv("HOME");
    char *folders[] = {
        xasprintf("%s/%s", cache && *cache ? cache : ".", system),
        xasprintf("%s/../.cache/%s", cli_home(), system),
        xasprintf(".cache/%s", system),
        xasprintf("%s/.cache/mimosa/%s", home ? home : "", system),
    };
    char *found = NULL;

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        char *kernel = xasprintf("%s/vmlinuz", folders[i]);
        if (!found && !access(kernel, R_OK)) {
            found = folders[i];
        } else {
            free(folders[i]);
        }
        free(kernel);
    }
    return found;
}

/* Sets NAME=VALUE, replacing an earlier value; takes over `text`. */
static void environment_set(struct words *environment, char *text) {
    size_t length = strcspn(text, "=") + 1;

    for (size_t i = 0; i < environment->count; i++) {
        if (!strncmp(environment->items[i], text, length)) {
            free(environment->items[i]);
            environment->items[i] = text;
            return;
        }
    }
    words_add(environment, text);
}

void environment_build(const struct run_options *options, struct words *environment) {
    *environment = (struct words){ 0 };
    environment_set(environment, xstrdup("PATH=/usr/local/bin:/usr/bin:/bin"));
    environment_set(environment, xstrdup("HOME=/"));
    if (getenv("TERM") && (isatty(0) || isatty(1))) {
        environment_set(environment, xasprintf("TERM=%s", getenv("TERM")));
    }
    if (getenv("MIMOSA_HEAP")) {
        environment_set(environment, xasprintf("MIMOSA_HEAP=%s", getenv("MIMOSA_HEAP")));
    }
    for (size_t i = 0; i < options->environment.count; i++) {
        const char *text = options->environment.items[i];
        if (strchr(text, '=')) {
            environment_set(environment, xstrdup(text));
        } else if (getenv(text)) {
            environment_set(environment, xasprintf("%s=%s", text, getenv(text)));
        }
    }
    if (options->heap) {
        environment_set(environment, xasprintf("MIMOSA_HEAP=%s", options->heap));
    }
}

void manifest_begin(struct manifest *manifest) {
    *manifest = (struct manifest){ xmalloc(1), 0 };
}

void manifest_add(struct manifest *manifest, const char *key, const char *value) {
    size_t length = strlen(key) + 1 + strlen(value) + 1;

    manifest->bytes = xrealloc(manifest->bytes, manifest->size + length);
    snprintf(manifest->bytes + manifest->size, length, "%s=%s", key, value);
    manifest->size += length;
}

static void manifest_add_number(struct manifest *manifest, const char *key, uint64_t value) {
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    manifest_add(manifest, key, text);
}

static void add_terminal(struct manifest *manifest) {
    struct winsize size;
    unsigned bits = 0;

    for (int fd = 0; fd <= 2; fd++) {
        bits |= isatty(fd) ? 1u << fd : 0;
    }
    manifest_add_number(manifest, "tty", bits);
    if (bits && (!ioctl(1, TIOCGWINSZ, &size) || !ioctl(0, TIOCGWINSZ, &size))) {
        char *text = xasprintf("%ux%u", size.ws_row, size.ws_col);
        manifest_add(manifest, "winsize", text);
        free(text);
    }
}

static void manifest_fill(struct manifest *manifest, const struct run_options *options,
                          const char *program) {
    struct words environment;
    struct timespec now;

    manifest_begin(manifest);
    manifest_add(manifest, "program", program);
    for (char **word = options->program; *word; word++) {
        manifest_add(manifest, "arg", *word);
    }
    environment_build(options, &environment);
    for (size_t i = 0; i < environment.count; i++) {
        manifest_add(manifest, "env", environment.items[i]);
        free(environment.items[i]);
    }
    free(environment.items);
    manifest_add(manifest, "cwd", "/");
    clock_gettime(CLOCK_REALTIME, &now);
    manifest_add_number(manifest, "time",
                        options->icount
                            ? ICOUNT_TIME_NS
                            : (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    if (options->has_seed || options->icount) {
        manifest_add_number(manifest, "seed", options->has_seed ? options->seed : ICOUNT_SEED);
    }
    add_terminal(manifest);
    if (net_manifest(options)) {
        manifest_add(manifest, "net", net_manifest(options));
    }
    const struct {
        const char *key;
        bool on;
    } flags[] = { { "verbose", options->verbose },
                  { "strace", options->strace },
                  { "populate", options->populate } };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (flags[i].on) {
            manifest_add(manifest, flags[i].key, "1");
        }
    }
}

static void add_small_root(struct cpio *cpio) {
    static const char passwd[] = "root:x:0:0:root:/:/bin/sh\n";
    static const char group[] = "root:x:0:\n";
    static const char hosts[] = "127.0.0.1 localhost\n::1 localhost\n";

    cpio_add_bytes(cpio, "etc/passwd", 0644, passwd, sizeof(passwd) - 1);
    cpio_add_bytes(cpio, "etc/group", 0644, group, sizeof(group) - 1);
    cpio_add_bytes(cpio, "etc/hosts", 0644, hosts, sizeof(hosts) - 1);
}

/* --file HOST[:GUEST]; without GUEST, the file's own name in the root. */
static void add_extra_file(struct cpio *cpio, const char *text) {
    char *host = xstrdup(text);
    char *colon = strrchr(host, ':');
    const char *guest;

    if (colon && colon[1] && access(text, F_OK)) {
        *colon = '\0';
        guest = colon + 1;
    } else {
        size_t length = strlen(host);
        while (length > 1 && host[length - 1] == '/') {
            host[--length] = '\0';
        }
        guest = strrchr(host, '/') ? strrchr(host, '/') + 1 : host;
    }
    while (*guest == '/') {
        guest++;
    }
    char *parent = strndup(guest, strrchr(guest, '/') ? (size_t)(strrchr(guest, '/') - guest) : 0);
    cpio_add_directory(cpio, parent);
    free(parent);
    cpio_add_tree(cpio, guest, host);
    free(host);
}

/* Whether `path` lies in the folder that --root names. */
static bool is_in_root(const struct run_options *options, const char *path) {
    size_t length = options->root ? strlen(options->root) : 0;

    return length && !strncmp(path, options->root, length) && path[length] == '/';
}

/* The program's path in the archive: its own in --root, else bin/NAME. */
static char *program_guest_path(const struct run_options *options, const char *path) {
    if (is_in_root(options, path)) {
        path += strlen(options->root);
        return xstrdup(path + strspn(path, "/"));
    }
    const char *slash = strrchr(path, '/');
    return xasprintf("bin/%s", slash ? slash + 1 : path);
}

static void add_modules(struct cpio *cpio, const char *init_path, const char *module_folder) {
    if (init_path) {
        cpio_add_file(cpio, "init", init_path);
        cpio_add_directory(cpio, "sys");
        cpio_add_directory(cpio, "run");
    }
    if (module_folder) {
        cpio_add_tree(cpio, ".mimosa/modules", module_folder);
    }
}

int initrd_build(const struct run_options *options, const char *program_path, const char *init_path,
                 const char *module_folder, uint64_t *size) {
    static const char *const folders[] = { "dev", "proc", "tmp", "bin", "etc", ".mimosa" };
    struct manifest manifest;
    struct cpio cpio;
    char *culprit = NULL;
    int fd = memfd_create("mimosa-initrd", MFD_CLOEXEC);

    if (fd < 0) {
        cli_fail("cannot make the initrd: %s", strerror(errno));
        return -1;
    }
    char *guest_path = program_guest_path(options, program_path);
    manifest_fill(&manifest, options, guest_path);
    cpio_begin(&cpio, fd);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        cpio_add_directory(&cpio, folders[i]);
    }
    /* The manifest comes early, so that a kernel finds it at once. */
    cpio_add_bytes(&cpio, WIRE_MANIFEST, 0400, manifest.bytes, manifest.size);
    if (options->root) {
        cpio_add_tree(&cpio, "", options->root);
    } else {
        add_small_root(&cpio);
    }
    if (!is_in_root(options, program_path)) {
        cpio_add_file(&cpio, guest_path, program_path);
    }
    for (size_t i = 0; i < options->files.count; i++) {
        add_extra_file(&cpio, options->files.items[i]);
    }
    add_modules(&cpio, init_path, module_folder);
    int error = cpio_finish(&cpio, &culprit);
    *size = cpio.offset;
    free(guest_path);
    free(manifest.bytes);
    if (error) {
        cli_fail("cannot put %s into the initrd: %s", culprit, strerror(-error));
        close(fd);
        fd = -1;
    }
    free(culprit);
    return fd;
}
