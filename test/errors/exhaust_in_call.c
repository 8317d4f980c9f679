/* SPDX-License-Identifier: MIT */
/* expect: 137
 * mem 64M
 * text ended: the machine is out of memory \(try --mem\)$
 * text ^  a system call used [0-9a-f]{16}$
 * text ^  there: [0-9a-f]+-[0-9a-f]+ rw-p
 * text out of memory: the program holds 6[0-9]{4} KiB of 6[0-9]{4} KiB, [0-9]{1,4} KiB are free$
 * text touched: [0-9a-f]+-[0-9a-f]+ rw- anonymous: [56][0-9]{4} KiB of 262144 KiB in memory$
 * text ^mimosa:   [0-9a-f]+-[0-9a-f]+ rw- anonymous: [56][0-9]{4} KiB of 262144 KiB in memory$
 * text ^  at +[_a-z]+\+0x
 * on mimosa */
#include "test/errors/errors.h"
#include <fcntl.h>
#include <sys/mman.h>

/* The memory ends while a system call writes to it: no EFAULT, the program ends. */
int main(void) {
    size_t size = 256ul << 20;
    char *block = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int fd = open("/dev/urandom", O_RDONLY);
    said("before\n");
    while (read(fd, block, size) > 0)
        block += 1 << 20;
    return 3;
}
