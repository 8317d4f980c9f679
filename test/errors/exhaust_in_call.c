/* SPDX-License-Identifier: MIT */
/* expect: 137
 * mem 64M
 * text out of memory
 * on mimosa */
#include "test/errors/errors.h"
#include <fcntl.h>
#include <sys/mman.h>

/* The memory ends while a system call writes to it: no EFAULT, the program ends. */
int main(void)
{
    size_t size = 256ul << 20;
    char *block = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int fd = open("/dev/urandom", O_RDONLY);
    said("before\n");
    while (read(fd, block, size) > 0)
        block += 1 << 20;
    return 3;
}
