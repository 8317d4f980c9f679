/* SPDX-License-Identifier: MIT */
/* The initrd of a run: the program, the files that go with it, the manifest. */
#ifndef CLI_INITRD_H
#define CLI_INITRD_H

#include "cli/options.h"

#include <stdint.h>

/* A whole file, mapped for reading. */
struct mapped {
    const uint8_t *bytes;
    size_t size;
};

/* Maps a file; 0 or a negative errno.  An empty file gives size 0. */
int file_map(struct mapped *file, const char *path);
void file_unmap(struct mapped *file);

/*
 * Finds the program named on the command line: a name without a slash among
 * the examples next to the command, then in PATH; with --root, in there first.
 * Checks that it can start.  Returns its path, which the caller frees, or NULL
 * after printing why not.
 */
char *program_find(const struct run_options *options);

/*
 * The Mimosa kernel to boot: --kernel, $MIMOSA_KERNEL, or the one that belongs
 * to this command.  Returns its path, which the caller frees, or NULL after
 * printing why not.
 */
char *kernel_find(const struct run_options *options);

/*
 * The folder with Linux's kernel (vmlinuz), its version and its drivers for
 * `system`, "linux-vm" or "linux-lean".  Returns its path, which the caller
 * frees, or NULL.
 */
char *linux_find(const char *system);

/* The program's environment, NAME=VALUE; strings and list belong to the caller. */
void environment_build(const struct run_options *options, struct words *environment);

struct manifest {
    char *bytes;
    size_t size;
};

/* Starts an empty manifest; add records, then free `bytes`. */
void manifest_begin(struct manifest *manifest);
void manifest_add(struct manifest *manifest, const char *key, const char *value);

/*
 * Builds the initrd for `options` with the program at `program_path`.
 * Returns a file descriptor (a memfd) and its size, or -1 after printing why.
 * For a Linux machine, the init at `init_path` and the modules in `module_folder`
 * (both may be NULL) go in as /init and .mimosa/modules.
 */
int initrd_build(const struct run_options *options, const char *program_path, const char *init_path,
                 const char *module_folder, uint64_t *size);

#endif
