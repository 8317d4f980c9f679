/* SPDX-License-Identifier: MIT */
/*
 * A plugin for QEMU that counts the instructions of a machine with one CPU: the
 * kernel's, whose addresses are in the upper half, and all others.  It knows
 * nothing of what runs and costs the machine nothing that it could see, so that
 * two kernels under one program are counted alike.
 *
 * The two numbers lie in a file that others may map (`counts=PATH`): first the
 * kernel's, then the program's, 64 bits each.
 *
 * Counted is each block of translated code as it begins.  A block that a page
 * fault leaves half-way counts whole: an error of a few instructions a fault.
 *
 * QEMU's header for plugins is not among Debian's packages: what we use of its
 * interface (version 1) is declared here.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
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

static uint64_t *counts;

static void count_block(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    uint64_t *number = &counts[qemu_plugin_tb_vaddr(tb) & UPPER_HALF ? 0 : 1];

    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, number,
                                             qemu_plugin_tb_n_insns(tb));
}

__attribute__((visibility("default"))) int
qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv) {
    void *mapped = MAP_FAILED;

    (void)info;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "counts=", 7)) {
            int fd = open(argv[i] + 7, O_RDWR | O_CLOEXEC);
            mapped =
                fd < 0 ? MAP_FAILED
                       : mmap(NULL, 2 * sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            close(fd);
        }
    }
    if (mapped == MAP_FAILED) {
        fprintf(stderr, "count: counts=PATH, a file of 16 bytes, is missing\n");
        return -1;
    }
    counts = mapped;
    qemu_plugin_register_vcpu_tb_trans_cb(id, count_block);
    return 0;
}
