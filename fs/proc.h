/* SPDX-License-Identifier: MIT */
/*
 * /proc: files whose text is made when they are read.
 *
 * Other rooms add theirs; a path is relative to /proc ("self/status"), and its
 * directories are made with it.  "self/" is the program's own directory.
 * Registration: at boot, one thread; strings and tables must be constants.
 */
#ifndef FS_PROC_H
#define FS_PROC_H

#include "base/types.h"

struct entry;

/* Text that grows as it is written; `failed`: there was no memory for all of it. */
struct proc_buffer {
    char *text;
    size_t size, capacity;
    bool failed;
};

void proc_printf(struct proc_buffer *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void proc_write(struct proc_buffer *b, const void *bytes, size_t n);
/* Space for n more bytes, to be filled by the caller and then counted in b->size; NULL: no memory.
 */
char *proc_reserve(struct proc_buffer *b, size_t n);

/* Context of all generators: thread, may sleep, no spinlock held. */
void proc_register(const char *path, void (*generate)(struct proc_buffer *b));
/* `accept` takes what one write begins with, up to PROC_WRITE_MAX bytes; 0 or -errno. */
void proc_register_writable(const char *path, void (*generate)(struct proc_buffer *b),
                            int (*accept)(const char *text, size_t size));
#define PROC_WRITE_MAX 64

/* A symbolic link: `target` writes up to `size` bytes, returns their number or -errno.
 * May be called under the tree lock. */
void proc_register_link(const char *path, long (*target)(char *to, size_t size));
/* A link that leads to an entry, wherever its name may be (self/cwd); `follow` gives a reference.
 * May be called under the tree lock. */
void proc_register_jump(const char *path, int (*follow)(struct entry **out));

/* A directory of numbers, each a link to an entry (descriptors); under the tree lock or not. */
struct proc_numbers {
    int (*next)(int from);                         /* smallest present, >= from, or -1 */
    int (*follow)(int number, struct entry **out); /* with a reference; -ENOENT */
};
void proc_register_numbers(const char *path, const struct proc_numbers *numbers);

/* Named figures, as "path" (a line each) and "path.json". */
struct proc_counter {
    const char *name;
    uint64_t value;
};
/* `get` fills at most `max` and returns how many. */
void proc_register_counters(const char *path,
                            unsigned (*get)(struct proc_counter *out, unsigned max));
#define PROC_COUNTERS_MAX 64

/* Makes /proc below the root and its machine-wide files; 0 or -errno. */
must_check int proc_init(void);
void proc_register_machine(void); /* proc_machine.c */
void proc_cpuinfo(struct proc_buffer *b);

#endif
