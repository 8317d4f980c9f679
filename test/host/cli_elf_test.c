/* SPDX-License-Identifier: MIT */
/* Good programs start, others are named for what they are, damaged ones crash nobody. */
/* tests: cli/elf.c cli/util.c */
#include "cli/elf.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A small program with two functions, a build id, and a symbol table. */
struct file {
    Elf64_Ehdr header;
    Elf64_Phdr segments[3];
    Elf64_Shdr sections[3];
    Elf64_Nhdr note;
    char note_name[4];
    uint8_t note_id[20];
    Elf64_Sym symbols[5];
    char names[32];
};

static struct file make_file(void) {
    struct file file = {
        .header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                    .e_type = ET_EXEC,
                    .e_machine = EM_X86_64,
                    .e_entry = 0x1000,
                    .e_phoff = offsetof(struct file, segments),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 2,
                    .e_shoff = offsetof(struct file, sections),
                    .e_shentsize = sizeof(Elf64_Shdr),
                    .e_shnum = 3 },
        .segments = { { .p_type = PT_LOAD, .p_filesz = sizeof(struct file) },
                      { .p_type = PT_NOTE,
                        .p_offset = offsetof(struct file, note),
                        .p_filesz = sizeof(Elf64_Nhdr) + 24 } },
        .sections = { { .sh_type = SHT_NULL },
                      { .sh_type = SHT_SYMTAB,
                        .sh_offset = offsetof(struct file, symbols),
                        .sh_size = sizeof(file.symbols),
                        .sh_link = 2 },
                      { .sh_type = SHT_STRTAB,
                        .sh_offset = offsetof(struct file, names),
                        .sh_size = sizeof(file.names) } },
        .note = { 4, 20, NT_GNU_BUILD_ID },
        .note_name = "GNU",
        .note_id = { 1, 2, 3 },
        .symbols = { { 0 },
                     { .st_name = 7,
                       .st_info = STT_FUNC,
                       .st_shndx = 1,
                       .st_value = 0x1100,
                       .st_size = 0x20 },
                     { .st_name = 1,
                       .st_info = STT_FUNC,
                       .st_shndx = 1,
                       .st_value = 0x1000,
                       .st_size = 0x100 },
                     { .st_name = 14, .st_info = STT_OBJECT, .st_shndx = 1, .st_value = 0x1050 },
                     { .st_name = 20, .st_info = STT_NOTYPE, .st_shndx = 1, .st_value = 0x2000 } },
        .names = "\0first\0second\0thing\0entry",
    };

    return file;
}

static const char *refuse(const struct file *file) {
    return elf_refuse((const uint8_t *)file, sizeof(*file));
}

static void test_refuse(void **state) {
    struct file file = make_file();

    (void)state;
    assert_null(refuse(&file));
    file.header.e_type = ET_DYN;
    assert_null(refuse(&file));
    file.segments[1].p_type = PT_INTERP;
    assert_non_null(strstr(refuse(&file), "-static"));
    file = make_file();
    file.header.e_machine = EM_AARCH64;
    assert_non_null(strstr(refuse(&file), "ARM"));
    file.header.e_machine = EM_386;
    assert_non_null(strstr(refuse(&file), "32-bit"));
    file = make_file();
    file.header.e_ident[EI_CLASS] = ELFCLASS32;
    assert_non_null(strstr(refuse(&file), "32-bit"));
    file = make_file();
    file.header.e_type = ET_REL;
    assert_non_null(strstr(refuse(&file), "object file"));
    file = make_file();
    file.segments[0].p_filesz++;
    assert_non_null(strstr(refuse(&file), "truncated"));
    file.segments[0].p_offset = UINT64_MAX;
    assert_non_null(strstr(refuse(&file), "truncated"));
    assert_non_null(strstr(elf_refuse((const uint8_t *)"#!/bin/sh\n", 10), "script"));
    assert_non_null(strstr(elf_refuse((const uint8_t *)"text", 4), "not an ELF"));
    assert_non_null(strstr(elf_refuse(NULL, 0), "empty"));
}

/* Cut anywhere, the file is refused; the sanitizers see to the rest. */
static void test_cut(void **state) {
    struct file file = make_file();
    uint8_t id[64];

    (void)state;
    for (size_t size = 0; size < sizeof(file); size++) {
        struct symbols symbols;
        uint64_t value;
        uint8_t *copy = malloc(size ? size : 1);
        memcpy(copy, &file, size);
        assert_non_null(elf_refuse(copy, size));
        elf_build_id(copy, size, id);
        elf_symbol_value(copy, size, "second", &value);
        symbols_read(&symbols, copy, size);
        symbols_free(&symbols);
        free(copy);
    }
}

static void test_damaged(void **state) {
    uint8_t id[64];

    (void)state;
    srand(3);
    for (int round = 0; round < 30000; round++) {
        struct file file = make_file();
        uint8_t *bytes = (uint8_t *)&file;
        struct symbols symbols;
        uint64_t offset;
        for (int i = rand() % 8; i >= 0; i--) {
            bytes[(size_t)rand() % sizeof(file)] = (uint8_t)(rand() % 2 ? rand() : 0xff);
        }
        elf_refuse(bytes, sizeof(file));
        elf_build_id(bytes, sizeof(file), id);
        symbols_read(&symbols, bytes, sizeof(file));
        symbols_find(&symbols, 0x1010, &offset);
        symbols_free(&symbols);
    }
}

static void test_symbols(void **state) {
    struct file file = make_file();
    struct symbols symbols;
    uint64_t offset, value;

    (void)state;
    symbols_read(&symbols, (const uint8_t *)&file, sizeof(file));
    assert_int_equal(symbols.count, 3);
    assert_string_equal(symbols_find(&symbols, 0x1000, &offset), "first");
    assert_int_equal(offset, 0);
    assert_string_equal(symbols_find(&symbols, 0x1060, &offset), "first");
    assert_int_equal(offset, 0x60);
    assert_string_equal(symbols_find(&symbols, 0x1110, &offset), "second");
    assert_null(symbols_find(&symbols, 0xfff, &offset));
    assert_null(symbols_find(&symbols, 0x1200, &offset));
    assert_string_equal(symbols_find(&symbols, 0x2004, &offset), "entry");
    assert_null(symbols_find(&symbols, 0x999999, &offset));
    symbols_free(&symbols);
    assert_int_equal(elf_symbol_value((const uint8_t *)&file, sizeof(file), "thing", &value), 0);
    assert_int_equal(value, 0x1050);
    assert_int_equal(elf_symbol_value((const uint8_t *)&file, sizeof(file), "none", &value), -1);
}

static void test_build_id(void **state) {
    struct file file = make_file();
    uint8_t id[64];

    (void)state;
    assert_int_equal(elf_build_id((const uint8_t *)&file, sizeof(file), id), 20);
    assert_int_equal(id[2], 3);
    file.note.n_descsz = 2000;
    assert_int_equal(elf_build_id((const uint8_t *)&file, sizeof(file), id), 0);
}

static void test_load_end(void **state) {
    struct file file = make_file();

    (void)state;
    file.segments[0].p_paddr = 0x5000;
    file.segments[0].p_memsz = 0x1234;
    file.segments[1].p_paddr = 0x900000;
    assert_int_equal(elf_load_end((const uint8_t *)&file, sizeof(file)), 0x6234);
    assert_int_equal(elf_load_end((const uint8_t *)&file, sizeof(file.header)), 0);
    assert_int_equal(elf_load_end((const uint8_t *)"text", 4), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuse),   cmocka_unit_test(test_cut),
        cmocka_unit_test(test_damaged),  cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_build_id), cmocka_unit_test(test_load_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
