/* SPDX-License-Identifier: MIT */
/* expect: 0
 * mem 128M */
#include "test/errors/errors.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sysinfo.h>

static int is_refused(void *block) {
    int error = errno;

    errno = 0;
    return block == NULL && error == ENOMEM;
}

/* Where whoever runs this Linux allows it all (mode 1), nothing is refused. */
static int allows_all(void) {
    char mode = '0';
    int fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY);

    if (fd >= 0 && read(fd, &mode, 1) < 0)
        _exit(98);
    return mode == '1';
}

/* Beyond any machine, and beyond this one: three times all that it has. */
int main(void) {
    struct sysinfo info;
    char *small;

    said("before\n");
    if (!is_refused(malloc(1UL << 45)))
        return 1;
    if (sysinfo(&info))
        return 2;
    size_t thrice = 3 * (info.totalram + info.totalswap) * info.mem_unit;
    if (!allows_all() && (!is_refused(malloc(thrice)) || !is_refused(calloc(3, thrice / 3)) ||
                          !is_refused(realloc(NULL, thrice))))
        return 3;
    /* A refusal leaves the heap as it was. */
    small = malloc(1 << 20);
    if (!small)
        return 4;
    memset(small, 1, 1 << 20);
    if (!allows_all() && !is_refused(realloc(small, thrice)))
        return 5;
    return small[0] == 1 && small[(1 << 20) - 1] == 1 ? 0 : 6;
}
