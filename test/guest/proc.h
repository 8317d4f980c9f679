/* SPDX-License-Identifier: MIT */
/* Numbers that /proc tells, for guest tests. */
#ifndef TEST_GUEST_PROC_H
#define TEST_GUEST_PROC_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number behind a name in the first 4 KiB of a file ("MemFree:"); -1: none.  Not for two
 * threads at once: the text is static, so that it costs no memory while memory is counted. */
__attribute__((unused)) static long proc_number(const char *file, const char *name) {
    static char text[4096];
    memset(text, 0, sizeof text);
    int fd = open(file, O_RDONLY);
    if (fd < 0)
        return -1;
    long n = read(fd, text, sizeof text - 1);
    close(fd);
    const char *at = n > 0 ? strstr(text, name) : NULL;
    return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

/* Kilobytes that the machine has free, or -1. */
__attribute__((unused)) static long proc_free_kb(void) {
    return proc_number("/proc/meminfo", "MemFree:");
}

#endif
