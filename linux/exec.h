/* SPDX-License-Identifier: MIT */
/* Loading a program: ELF file, stack, auxiliary vector, vDSO. */
#ifndef LINUX_EXEC_H
#define LINUX_EXEC_H

#include "base/types.h"

struct file;
struct manifest;
struct process;
struct trap_frame;

/* What the checks found out about an ELF file. */
struct elf_image {
    struct file *file;
    void *headers; /* Elf64_Phdr[count]; kmalloc'ed */
    unsigned count;
    bool relocatable; /* ET_DYN: static-PIE */
    bool executable_stack;
    uint64_t entry;
    uint64_t low, high;    /* addresses of all segments, before relocation */
    uint64_t align;        /* the largest of all segments' */
    uint64_t headers_addr; /* of the program headers in memory, before relocation; 0: nowhere */
};

/*
 * Opens and checks the program.  Every field that loading relies on is looked
 * at here; nothing is mapped.  Returns 0, or the exit status to end with (125,
 * 126, 127), with a line for the person in `why`.
 */
must_check unsigned elf_open(struct elf_image *image, const char *path, char *why, size_t why_size);
void elf_close(struct elf_image *image);

/*
 * Maps the program, its stack, vDSO and break into the current thread's empty
 * address space and fills `start` with the registers to begin with.  Context:
 * the program's first thread.  Returns 0 or -errno.
 */
must_check int exec_load(const struct elf_image *image, struct process *p, const struct manifest *m,
                         struct trap_frame *start);

/* Maps the clock page and the vDSO; returns the vDSO's address, or 0 (the program does without). */
uintptr_t vdso_map(struct process *p);

#endif
