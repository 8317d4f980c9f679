/* SPDX-License-Identifier: MIT */
/*
 * The file that comes out: the kernel's bytes, the initrd from the next page
 * on, then a new program header table with one more entry.  The old table stays
 * where it was, unused: there is no room behind it to grow into.
 */
#include "cli/pack.h"

#include "cli/commands.h"
#include "cli/elf.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define PAGE  4096ull
#define MAGIC "MIMOSA-INITRD-1" /* 16 bytes with its end */

/* As in the kernel (arch/x86_64/boot.c), where nothing but the magic tells its place. */
struct image_initrd {
    char magic[16];
    uint64_t start, size;
};

static uint64_t page_up(uint64_t value) {
    return (value + PAGE - 1) & ~(PAGE - 1);
}

/* The file offset of the kernel's struct image_initrd, or 0. */
static size_t find_slot(const struct mapped *kernel) {
    const uint8_t *at = memmem(kernel->bytes, kernel->size, MAGIC, sizeof(MAGIC));
    size_t offset = at ? (size_t)(at - kernel->bytes) : 0;

    return offset && kernel->size - offset >= sizeof(struct image_initrd) ? offset : 0;
}

static const char *read_segments(const struct mapped *kernel, const Elf64_Ehdr *header,
                                 Elf64_Phdr *segments) {
    uint64_t length = (uint64_t)header->e_phnum * sizeof(Elf64_Phdr);

    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff > kernel->size ||
        length > kernel->size - header->e_phoff) {
        return "its program headers are damaged";
    }
    memcpy(segments, kernel->bytes + header->e_phoff, length);
    return NULL;
}

const char *pack_image(struct packed *packed, const struct mapped *kernel,
                       const struct mapped *initrd) {
    Elf64_Ehdr header;

    if (kernel->size < sizeof(header) || memcmp(kernel->bytes, ELFMAG, SELFMAG)) {
        return "it is not an ELF file";
    }
    memcpy(&header, kernel->bytes, sizeof(header));
    size_t slot = find_slot(kernel);
    if (!slot) {
        return "it has no place for an initrd; is it a Mimosa kernel?";
    }
    Elf64_Phdr *segments = xmalloc(((size_t)header.e_phnum + 1) * sizeof(Elf64_Phdr));
    const char *why = read_segments(kernel, &header, segments);
    if (why) {
        free(segments);
        return why;
    }
    uint64_t offset = page_up(kernel->size);
    uint64_t table = page_up(offset + initrd->size);
    uint64_t start = page_up(elf_load_end(kernel->bytes, kernel->size));
    struct image_initrd place = { MAGIC, start, initrd->size };
    segments[header.e_phnum++] = (Elf64_Phdr){
        .p_type = PT_LOAD,
        .p_flags = PF_R,
        .p_offset = offset,
        .p_vaddr = place.start,
        .p_paddr = place.start,
        .p_filesz = initrd->size,
        .p_memsz = initrd->size,
        .p_align = PAGE,
    };
    header.e_phoff = table;
    packed->size = table + header.e_phnum * sizeof(Elf64_Phdr);
    packed->bytes = xmalloc(packed->size);
    memset(packed->bytes, 0, packed->size);
    memcpy(packed->bytes, kernel->bytes, kernel->size);
    memcpy(packed->bytes, &header, sizeof(header));
    memcpy(packed->bytes + slot, &place, sizeof(place));
    memcpy(packed->bytes + offset, initrd->bytes, initrd->size);
    memcpy(packed->bytes + table, segments, header.e_phnum * sizeof(Elf64_Phdr));
    packed->address = place.start;
    packed->least_memory = place.start + initrd->size;
    free(segments);
    return NULL;
}
