/* SPDX-License-Identifier: MIT */
/* Reads ELF files that nobody vouches for: each offset is checked before use. */
#include "cli/elf.h"

#include "cli/commands.h"

#include <elf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool fits(size_t size, uint64_t offset, uint64_t length) {
    return offset <= size && length <= size - offset;
}

/* Copies the header if this is a 64-bit little-endian ELF file. */
static bool read_header(const uint8_t *bytes, size_t size, Elf64_Ehdr *header) {
    if (size < sizeof(*header)) {
        return false;
    }
    memcpy(header, bytes, sizeof(*header));
    return !memcmp(header->e_ident, ELFMAG, SELFMAG) && header->e_ident[EI_CLASS] == ELFCLASS64 &&
           header->e_ident[EI_DATA] == ELFDATA2LSB;
}

static bool read_segment(const uint8_t *bytes, size_t size, const Elf64_Ehdr *header,
                         unsigned index, Elf64_Phdr *segment) {
    uint64_t offset = (uint64_t)index * header->e_phentsize;

    if (index >= header->e_phnum || header->e_phentsize != sizeof(*segment) ||
        header->e_phoff > size || !fits(size, header->e_phoff + offset, sizeof(*segment))) {
        return false;
    }
    memcpy(segment, bytes + header->e_phoff + offset, sizeof(*segment));
    return true;
}

static bool read_section(const uint8_t *bytes, size_t size, const Elf64_Ehdr *header,
                         unsigned index, Elf64_Shdr *section) {
    uint64_t offset = (uint64_t)index * header->e_shentsize;

    if (index >= header->e_shnum || header->e_shentsize != sizeof(*section) ||
        header->e_shoff > size || !fits(size, header->e_shoff + offset, sizeof(*section))) {
        return false;
    }
    memcpy(section, bytes + header->e_shoff + offset, sizeof(*section));
    return true;
}

static const char *refuse_machine(unsigned machine) {
    switch (machine) {
    case EM_X86_64:
        return NULL;
    case EM_AARCH64:
        return "is a program for ARM (AArch64); Mimosa runs x86-64 ones";
    case EM_ARM:
        return "is a program for ARM (32-bit); Mimosa runs x86-64 ones";
    case EM_386:
        return "is a 32-bit x86 program; Mimosa runs 64-bit ones";
    case EM_RISCV:
        return "is a program for RISC-V; Mimosa runs x86-64 ones";
    default:
        return "is a program for another processor; Mimosa runs x86-64 ones";
    }
}

static const char *refuse_segments(const uint8_t *bytes, size_t size, const Elf64_Ehdr *header) {
    bool loads = false, cut = false, dynamic = false;

    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        if (!read_segment(bytes, size, header, i, &segment)) {
            return "is truncated: its program headers lie beyond its end";
        }
        dynamic |= segment.p_type == PT_INTERP;
        loads |= segment.p_type == PT_LOAD;
        cut |= segment.p_type == PT_LOAD && !fits(size, segment.p_offset, segment.p_filesz);
    }
    if (dynamic) {
        return "is dynamically linked, which Mimosa cannot run yet: link it with -static";
    }
    if (cut) {
        return "is truncated: a segment lies beyond its end";
    }
    return loads ? NULL : "has nothing to load";
}

const char *elf_refuse(const uint8_t *bytes, size_t size) {
    Elf64_Ehdr header;
    uint16_t machine;

    if (size >= 2 && !memcmp(bytes, "#!", 2)) {
        return "is a script, not an ELF program";
    }
    if (size < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG)) {
        return size ? "is not an ELF file" : "is empty, not an ELF file";
    }
    /* e_machine lies at the same place in 32-bit and 64-bit files. */
    if (size < offsetof(Elf64_Ehdr, e_machine) + sizeof(machine)) {
        return "is truncated: it ends within the ELF header";
    }
    memcpy(&machine, bytes + offsetof(Elf64_Ehdr, e_machine), sizeof(machine));
    if (bytes[EI_DATA] != ELFDATA2LSB) {
        return "is a big-endian program; Mimosa runs x86-64 ones";
    }
    if (refuse_machine(machine)) {
        return refuse_machine(machine);
    }
    if (bytes[EI_CLASS] != ELFCLASS64) {
        return "is a 32-bit program; Mimosa runs 64-bit ones";
    }
    if (!read_header(bytes, size, &header)) {
        return "is truncated: it ends within the ELF header";
    }
    if (header.e_type == ET_REL) {
        return "is an object file: link it first, with -static";
    }
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
        return "is not a program";
    }
    const char *why = refuse_segments(bytes, size, &header);
    if (!why && !header.e_entry) {
        why = "has no entry point; is it a shared library?";
    }
    return why;
}

bool elf_is_pie(const uint8_t *bytes, size_t size) {
    Elf64_Ehdr header;

    return read_header(bytes, size, &header) && header.e_type == ET_DYN;
}

size_t elf_build_id(const uint8_t *bytes, size_t size, uint8_t id[static 64]) {
    Elf64_Ehdr header;
    Elf64_Phdr segment;

    if (!read_header(bytes, size, &header)) {
        return 0;
    }
    for (unsigned i = 0; read_segment(bytes, size, &header, i, &segment); i++) {
        if (segment.p_type != PT_NOTE || !fits(size, segment.p_offset, segment.p_filesz)) {
            continue;
        }
        const uint8_t *notes = bytes + segment.p_offset;
        uint64_t left = segment.p_filesz;
        Elf64_Nhdr note;
        while (left >= sizeof(note)) {
            memcpy(&note, notes, sizeof(note));
            uint64_t name = ((uint64_t)note.n_namesz + 3) & ~3ull;
            uint64_t total = sizeof(note) + name + (((uint64_t)note.n_descsz + 3) & ~3ull);
            if (total > left) {
                break;
            }
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz <= 64 &&
                !memcmp(notes + sizeof(note), "GNU", 4)) {
                memcpy(id, notes + sizeof(note) + name, note.n_descsz);
                return note.n_descsz;
            }
            notes += total;
            left -= total;
        }
    }
    return 0;
}

uint64_t elf_load_end(const uint8_t *bytes, size_t size) {
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    uint64_t end = 0;

    if (!read_header(bytes, size, &header)) {
        return 0;
    }
    for (unsigned i = 0; read_segment(bytes, size, &header, i, &segment); i++) {
        uint64_t last = segment.p_paddr + segment.p_memsz;
        if (segment.p_type == PT_LOAD && last > end) {
            end = last;
        }
    }
    return end;
}

/* One symbol table and the strings that its names lie in. */
struct table {
    const uint8_t *entries;
    size_t count;
    const char *names;
    size_t names_size;
};

/* Finds .symtab; false when there is none that can be used. */
static bool find_table(const uint8_t *bytes, size_t size, struct table *table) {
    Elf64_Ehdr header;
    Elf64_Shdr section, strings;

    if (!read_header(bytes, size, &header)) {
        return false;
    }
    for (unsigned i = 0; read_section(bytes, size, &header, i, &section); i++) {
        if (section.sh_type == SHT_SYMTAB && fits(size, section.sh_offset, section.sh_size) &&
            read_section(bytes, size, &header, section.sh_link, &strings) &&
            fits(size, strings.sh_offset, strings.sh_size) && strings.sh_size) {
            table->entries = bytes + section.sh_offset;
            table->count = section.sh_size / sizeof(Elf64_Sym);
            table->names = (const char *)bytes + strings.sh_offset;
            table->names_size = strings.sh_size;
            /* With its last byte zero, every name in the table ends within it. */
            return table->names[table->names_size - 1] == '\0';
        }
    }
    return false;
}

/* Copies entry `i`; its name, or NULL when that lies outside the strings. */
static const char *read_symbol(const struct table *table, size_t i, Elf64_Sym *symbol) {
    memcpy(symbol, table->entries + i * sizeof(*symbol), sizeof(*symbol));
    return symbol->st_name < table->names_size ? table->names + symbol->st_name : NULL;
}

static int compare_symbols(const void *left, const void *right) {
    const struct symbol *a = left, *b = right;

    if (a->address != b->address) {
        return a->address < b->address ? -1 : 1;
    }
    /* Of two names for one address, the one with a size is found last. */
    return a->size < b->size ? -1 : a->size > b->size;
}

void symbols_read(struct symbols *symbols, const uint8_t *bytes, size_t size) {
    struct table table;

    *symbols = (struct symbols){ 0 };
    if (!find_table(bytes, size, &table)) {
        return;
    }
    symbols->entries = xmalloc(table.count * sizeof(struct symbol));
    for (size_t i = 0; i < table.count; i++) {
        Elf64_Sym symbol;
        const char *name = read_symbol(&table, i, &symbol);
        unsigned type = ELF64_ST_TYPE(symbol.st_info);
        bool code = type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE;
        if (name && *name && code && symbol.st_shndx != SHN_UNDEF && symbol.st_shndx != SHN_ABS) {
            symbols->entries[symbols->count++] =
                (struct symbol){ symbol.st_value, symbol.st_size, name };
        }
    }
    if (symbols->count) {
        qsort(symbols->entries, symbols->count, sizeof(struct symbol), compare_symbols);
    }
}

void symbols_free(struct symbols *symbols) {
    free(symbols->entries);
    *symbols = (struct symbols){ 0 };
}

const char *symbols_find(const struct symbols *symbols, uint64_t address, uint64_t *offset) {
    size_t low = 0, high = symbols->count;

    /* The last entry whose address is not above the one asked for. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->entries[middle].address <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (!low) {
        return NULL;
    }
    const struct symbol *symbol = &symbols->entries[low - 1];
    *offset = address - symbol->address;
    /* A return address may lie just past a function that ends in a call. */
    if (symbol->size ? *offset > symbol->size : low == symbols->count && *offset > 4096) {
        return NULL;
    }
    return symbol->name;
}

int elf_symbol_value(const uint8_t *bytes, size_t size, const char *name, uint64_t *value) {
    struct table table;

    if (!find_table(bytes, size, &table)) {
        return -1;
    }
    for (size_t i = 0; i < table.count; i++) {
        Elf64_Sym symbol;
        const char *found = read_symbol(&table, i, &symbol);
        if (found && !strcmp(found, name) && symbol.st_shndx != SHN_UNDEF) {
            *value = symbol.st_value;
            return 0;
        }
    }
    return -1;
}
