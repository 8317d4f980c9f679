/* SPDX-License-Identifier: MIT */
/*
 * What the command needs to know of ELF files: whether a program can start,
 * the names of addresses, and the build id.  Every function takes the file as
 * bytes in memory and trusts none of them.
 */
#ifndef CLI_ELF_H
#define CLI_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Why the file cannot start on Mimosa, as the end of a sentence that begins
 * with its name ("is not an ELF file"), or NULL when it can: a static x86-64
 * executable, position independent or not.  The text is static.
 */
const char *elf_refuse(const uint8_t *bytes, size_t size);

/* Whether a program that elf_refuse() let pass is position independent. */
bool elf_is_pie(const uint8_t *bytes, size_t size);

/* Copies the GNU build id; returns its length, 0 when there is none. */
size_t elf_build_id(const uint8_t *bytes, size_t size, uint8_t id[static 64]);

/* The first physical address behind all that the file loads; 0 when it loads nothing. */
uint64_t elf_load_end(const uint8_t *bytes, size_t size);

struct symbol {
    uint64_t address;
    uint64_t size; /* 0: up to the next symbol */
    const char *name;
};

/* The functions of one ELF file, sorted by address. */
struct symbols {
    struct symbol *entries;
    size_t count;
};

/*
 * Reads the symbol table; `bytes` must stay as long as `symbols` is used, since
 * the names lie in it.  A file without one gives no entries.  Free with
 * symbols_free.
 */
void symbols_read(struct symbols *symbols, const uint8_t *bytes, size_t size);
void symbols_free(struct symbols *symbols);

/*
 * The function that holds `address`, or NULL; *offset gets the distance from
 * its start.
 */
const char *symbols_find(const struct symbols *symbols, uint64_t address, uint64_t *offset);

/*
 * The value of the symbol `name` of any kind, by a linear search.  Returns 0,
 * or -1 when there is none.
 */
int elf_symbol_value(const uint8_t *bytes, size_t size, const char *name, uint64_t *value);

#endif
