/* SPDX-License-Identifier: MIT */
/* The few files of /sys that C libraries and allocators read at their start. */
#include <asm-generic/errno.h>
#include <asm-generic/fcntl.h>
#include <linux/stat.h>
#include "arch/x86_64/percpu.h"
#include "base/format.h"
#include "base/string.h"
#include "fs/dev_impl.h"

static const char *const folders[] = {
    "/sys",
    "/sys/devices",
    "/sys/devices/system",
    "/sys/devices/system/cpu",
    "/sys/kernel",
    "/sys/kernel/mm",
    "/sys/kernel/mm/transparent_hugepage",
};

static const char *const cpu_lists[] = {
    "/sys/devices/system/cpu/online",
    "/sys/devices/system/cpu/possible",
    "/sys/devices/system/cpu/present",
};

static int write_file(const char *path, const char *text) {
    struct file *f;
    int err = vfs_open_file(path, O_WRONLY | O_CREAT | O_TRUNC, &f);
    if (err)
        return err;
    struct iter it;
    char copy[64]; /* what a write takes from is not constant, though it only reads it */
    string_copy(copy, text, sizeof copy);
    iter_init_kernel(&it, copy, strlen(copy));
    long n = file_write(f, &it);
    f->inode->mode = S_IFREG | 0444;
    file_put(f);
    return n < 0 ? (int)n : 0;
}

int sysfs_populate(void) {
    char list[32];
    int err = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(folders) && !err; i++) {
        err = vfs_create(vfs_root, folders[i], S_IFDIR | 0755, 0, NULL);
        if (err == -EEXIST)
            err = 0;
    }
    format(list, sizeof list, cpu_count > 1 ? "0-%u\n" : "%u\n", cpu_count - 1);
    for (unsigned i = 0; i < ARRAY_SIZE(cpu_lists) && !err; i++)
        err = write_file(cpu_lists[i], list);
    if (!err)
        err = write_file("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
    return err;
}
