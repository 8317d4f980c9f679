/* SPDX-License-Identifier: MIT */
/* The packed image: a kernel with one more segment, and its place written down. */
/* tests: cli/pack.c cli/elf.c cli/util.c */
#include "cli/pack.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct file {
    Elf64_Ehdr header;
    Elf64_Phdr segments[2];
    char magic[16];
    uint64_t start, size;
};

static struct file make_kernel(void) {
    struct file file = {
        .header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                    .e_type = ET_EXEC,
                    .e_machine = EM_X86_64,
                    .e_phoff = offsetof(struct file, segments),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 2 },
        .segments = { { .p_type = PT_LOAD, .p_paddr = 0x100000, .p_memsz = 0x5001 },
                      { .p_type = PT_NOTE, .p_paddr = 0x900000, .p_memsz = 16 } },
        .magic = "MIMOSA-INITRD-1",
    };

    return file;
}

static void test_packed(void **state) {
    struct file kernel = make_kernel();
    uint8_t initrd_bytes[5000];
    struct mapped kernel_file = { (const uint8_t *)&kernel, sizeof(kernel) };
    struct mapped initrd = { initrd_bytes, sizeof(initrd_bytes) };
    struct packed packed;
    struct file *head;
    Elf64_Phdr segments[3];

    (void)state;
    memset(initrd_bytes, 0xab, sizeof(initrd_bytes));
    assert_null(pack_image(&packed, &kernel_file, &initrd));
    head = (struct file *)packed.bytes;
    assert_int_equal(head->header.e_phnum, 3);
    assert_int_equal(head->start, 0x106000);
    assert_int_equal(head->size, sizeof(initrd_bytes));
    assert_int_equal(packed.address, 0x106000);
    assert_true(head->header.e_phoff + sizeof(segments) <= packed.size);
    memcpy(segments, packed.bytes + head->header.e_phoff, sizeof(segments));
    assert_memory_equal(segments, kernel.segments, sizeof(kernel.segments));
    assert_int_equal(segments[2].p_type, PT_LOAD);
    assert_int_equal(segments[2].p_paddr, 0x106000);
    assert_int_equal(segments[2].p_offset % 4096, 0);
    assert_memory_equal(packed.bytes + segments[2].p_offset, initrd_bytes, sizeof(initrd_bytes));
    free(packed.bytes);
}

static void test_refused(void **state) {
    struct file kernel = make_kernel();
    struct mapped kernel_file = { (const uint8_t *)&kernel, sizeof(kernel) };
    struct mapped initrd = { (const uint8_t *)"x", 1 };
    struct packed packed;

    (void)state;
    kernel.magic[0] = 'X';
    assert_non_null(pack_image(&packed, &kernel_file, &initrd));
    kernel = make_kernel();
    kernel.header.e_phoff = UINT64_MAX - 4;
    assert_non_null(pack_image(&packed, &kernel_file, &initrd));
    kernel_file.size = 10;
    assert_non_null(pack_image(&packed, &kernel_file, &initrd));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
