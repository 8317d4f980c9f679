/* SPDX-License-Identifier: MIT */
/*
 * Checking an ELF file.  The file is the program's author's, so every number is
 * checked before it is used, and each refusal says in one line what is wrong.
 */
#include <asm-generic/errno.h>
#include <linux/elf.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "arch/x86_64/paging.h"
#include "base/format.h"
#include "base/string.h"
#include "fs/file.h"
#include "fs/vfs.h"
#include "kernel/slab.h"
#include "linux/exec.h"

#define HEADERS_MAX 128
#define LOWEST_ADDR 0x10000ul /* Linux's vm.mmap_min_addr */
#define CANNOT_RUN  126u
#define NOT_FOUND   127u
#define OUR_FAILURE 125u

static const char *machine_of(unsigned machine) {
    switch (machine) {
    case EM_386:
        return "32-bit x86";
    case EM_ARM:
        return "32-bit ARM";
    case EM_AARCH64:
        return "64-bit ARM";
    case EM_RISCV:
        return "RISC-V";
    default:
        return "another kind of machine";
    }
}

/* NULL where the header is one we can run, else what is wrong with it. */
static const char *check_header(const Elf64_Ehdr *h, size_t size, char *why, size_t why_size) {
    if (size < SELFMAG || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
        return size >= 2 && memcmp(h->e_ident, "#!", 2) == 0
                   ? "is a script: run its interpreter instead"
                   : "is not an ELF program";
    if (size < sizeof(*h))
        return "is truncated: its ELF header is incomplete";
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != EM_X86_64) {
        format(why, why_size, "is built for %s; this machine runs 64-bit x86",
               h->e_machine == EM_X86_64 ? "the x32 ABI" : machine_of(h->e_machine));
        return why;
    }
    if (h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_ident[EI_VERSION] != EV_CURRENT ||
        h->e_version != EV_CURRENT)
        return "has an ELF header of another byte order or version";
    if (h->e_ident[EI_OSABI] != 0 && h->e_ident[EI_OSABI] != 3 /* GNU/Linux */)
        return "is built for another operating system";
    if (h->e_type == ET_REL)
        return "is an object file: link it first";
    if (h->e_type == ET_CORE)
        return "is a core dump";
    if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
        return "has an unknown ELF type";
    if (h->e_phnum == 0 || h->e_phentsize != sizeof(Elf64_Phdr))
        return "has no usable program headers";
    if (h->e_phnum > HEADERS_MAX)
        return "has too many program headers";
    return NULL;
}

/* One PT_LOAD; `above` is the end of the one before. */
static const char *check_segment(const Elf64_Phdr *s, uint64_t file_size, uint64_t above) {
    if (s->p_filesz > s->p_memsz)
        return "has a segment with more bytes in the file than in memory";
    if (s->p_offset > file_size || s->p_filesz > file_size - s->p_offset)
        return "is truncated: a segment lies beyond the end of the file";
    if (s->p_vaddr >= USER_END || s->p_memsz > USER_END - s->p_vaddr)
        return "has a segment outside the program's addresses";
    if (s->p_align > 1 && (s->p_align & (s->p_align - 1)))
        return "has a segment whose alignment is not a power of two";
    if (s->p_align > GIB(1))
        return "has a segment with an absurd alignment";
    if ((s->p_vaddr ^ s->p_offset) & (PAGE_SIZE - 1))
        return "has a segment that does not lie in memory as it lies in the file";
    if (ALIGN_DOWN(s->p_vaddr, PAGE_SIZE) < above)
        return "has overlapping or unordered segments";
    return NULL;
}

static const char *check_segments(struct elf_image *image, uint64_t file_size,
                                  const Elf64_Ehdr *h) {
    const Elf64_Phdr *s = image->headers;
    uint64_t above = 0;
    bool entry_found = false;
    const char *wrong;

    image->low = UINT64_MAX;
    image->align = PAGE_SIZE;
    image->executable_stack = false; /* as Linux since 5.8: unless PT_GNU_STACK asks for it */
    for (; s < (const Elf64_Phdr *)image->headers + image->count; s++) {
        if (s->p_type == PT_INTERP)
            return "is dynamically linked, which Mimosa cannot run yet: link it with -static";
        if (s->p_type == PT_GNU_STACK)
            image->executable_stack = s->p_flags & PF_X;
        if (s->p_type != PT_LOAD || s->p_memsz == 0)
            continue;
        wrong = check_segment(s, file_size, above);
        if (wrong)
            return wrong;
        above = ALIGN_UP(s->p_vaddr + s->p_memsz, PAGE_SIZE);
        image->low = MIN(image->low, ALIGN_DOWN(s->p_vaddr, PAGE_SIZE));
        image->high = above;
        image->align = MAX(image->align, s->p_align);
        if ((s->p_flags & PF_X) && h->e_entry >= s->p_vaddr && h->e_entry - s->p_vaddr < s->p_memsz)
            entry_found = true;
        if (h->e_phoff >= s->p_offset && h->e_phoff - s->p_offset < s->p_filesz)
            image->headers_addr = h->e_phoff - s->p_offset + s->p_vaddr;
    }
    if (image->low == UINT64_MAX)
        return "has nothing to load";
    if (!image->relocatable && image->low < LOWEST_ADDR)
        return "wants to be loaded at address 0";
    return entry_found ? NULL : "has an entry point outside its code";
}

static const char *read_headers(struct elf_image *image, char *why, size_t why_size) {
    uint64_t file_size = image->file->inode->size;
    Elf64_Ehdr h = { 0 };
    long n = file_read_at(image->file, &h, sizeof(h), 0);
    size_t size;
    const char *wrong;

    if (n < 0)
        return "cannot be read";
    wrong = check_header(&h, (size_t)n, why, why_size);
    if (wrong)
        return wrong;
    size = h.e_phnum * sizeof(Elf64_Phdr);
    if (h.e_phoff > file_size || size > file_size - h.e_phoff)
        return "is truncated: its program headers lie beyond the end of the file";
    image->count = h.e_phnum;
    image->relocatable = h.e_type == ET_DYN;
    image->entry = h.e_entry;
    image->headers = kmalloc(size);
    if (!image->headers)
        return "does not fit into memory";
    if (file_read_at(image->file, image->headers, size, h.e_phoff) != (long)size)
        return "cannot be read";
    return check_segments(image, file_size, &h);
}

unsigned elf_open(struct elf_image *image, const char *path, char *why, size_t why_size) {
    int err = vfs_open_file(path, O_RDONLY, &image->file);
    const char *wrong;

    image->headers = NULL;
    image->headers_addr = 0;
    if (err) {
        format(why, why_size, err == -ENOENT ? "not found" : "cannot be opened (error %d)", -err);
        image->file = NULL;
        return err == -ENOENT ? NOT_FOUND : err == -ENOMEM ? OUR_FAILURE : CANNOT_RUN;
    }
    if (inode_type(image->file->inode) != S_IFREG)
        wrong = "is not a regular file";
    else
        wrong = read_headers(image, why, why_size);
    if (!wrong)
        return 0;
    if (wrong != why)
        string_copy(why, wrong, why_size);
    elf_close(image);
    return CANNOT_RUN;
}

void elf_close(struct elf_image *image) {
    kfree(image->headers);
    image->headers = NULL;
    if (image->file)
        file_put(image->file);
    image->file = NULL;
}
