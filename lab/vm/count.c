/* SPDX-License-Identifier: MIT */
/*
 * A plugin for QEMU that counts the instructions of a machine with one CPU: the
 * kernel's, whose addresses are in the upper half, and all others.  It knows
 * nothing of what runs and costs the machine nothing that it could see, so that
 * two kernels under one program are counted alike.
 *
 * The numbers lie in files that others may map, 64 bits each.  `counts=PATH`, of
 * 16 bytes: first the kernel's, then the program's.  `blocks=PATH`, of any size:
 * pairs of the address of a block of the kernel and what was executed in it, in no
 * order and not without gaps of zeroes; what finds no room there is left out.
 *
 * Counted is each block of translated code as it begins.  A block that a page
 * fault leaves half-way counts whole: an error of a few instructions a fault.
 *
 * QEMU's header for plugins is not among Debian's packages: what we use of its
 * interface (version 1) is declared here.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define UPPER_HALF (1ull << 63)

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_info_t;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t id,
                                                              struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, enum qemu_plugin_op op,
                                              void *number, uint64_t added);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

__attribute__((visibility("default"))) extern int qemu_plugin_version;
__attribute__((visibility("default"))) int qemu_plugin_version = 1;

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv);

struct block {
    uint64_t address, executed;
};

static uint64_t *counts;
static struct block *blocks;
static size_t block_count;

static void add(struct qemu_plugin_tb *tb, uint64_t *number) {
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, number,
                                             qemu_plugin_tb_n_insns(tb));
}

/* The block's place in the table, or an empty one that becomes its own; NULL: the table is full.
 * QEMU calls from one thread, that of the only CPU. */
static struct block *block_at(uint64_t address) {
    for (size_t n = 0; n < block_count; n++) {
        struct block *b = &blocks[(address + n) % block_count];
        if (!b->address)
            b->address = address;
        if (b->address == address)
            return b;
    }
    return NULL;
}

static void count_block(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    bool kernel = address & UPPER_HALF;
    struct block *b = kernel ? block_at(address) : NULL;

    (void)id;
    if (counts)
        add(tb, &counts[kernel ? 0 : 1]);
    if (b)
        add(tb, &b->executed);
}

/* The file, mapped; NULL, and a line, if that fails. */
static void *map_file(const char *path, size_t *size) {
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *mapped = fd < 0 || fstat(fd, &st)
                       ? MAP_FAILED
                       : mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) {
        fprintf(stderr, "count: %s: there is no such file, or it is empty\n", path);
        return NULL;
    }
    *size = (size_t)st.st_size;
    return mapped;
}

__attribute__((visibility("default"))) int
qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv) {
    size_t size;

    (void)info;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "counts=", 7)) {
            counts = map_file(argv[i] + 7, &size);
        } else if (!strncmp(argv[i], "blocks=", 7)) {
            blocks = map_file(argv[i] + 7, &size);
            block_count = blocks ? size / sizeof *blocks : 0;
        }
    }
    if (!counts && !blocks) {
        fprintf(stderr, "count: counts=PATH or blocks=PATH is missing\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, count_block);
    return 0;
}
