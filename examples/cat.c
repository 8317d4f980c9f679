/* SPDX-License-Identifier: MIT */
/* Input to output, as cat(1): echo hi | mimosa run cat */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char buffer[1 << 16];

/* Copies one file to standard output; 0, or -1 after saying why not. */
static int copy(int from, const char *name) {
    ssize_t got;

    while ((got = read(from, buffer, sizeof(buffer))) > 0) {
        for (ssize_t done = 0; done < got;) {
            ssize_t written = write(STDOUT_FILENO, buffer + done, (size_t)(got - done));
            if (written < 0) {
                fprintf(stderr, "cat: write: %s\n", strerror(errno));
                return -1;
            }
            done += written;
        }
    }
    if (got < 0) {
        fprintf(stderr, "cat: %s: %s\n", name, strerror(errno));
        return -1;
    }
    return 0;
}

int main(int argc, char **argv) {
    int status = 0;

    if (argc < 2) {
        return copy(STDIN_FILENO, "standard input") ? 1 : 0;
    }
    for (int i = 1; i < argc; i++) {
        int from = strcmp(argv[i], "-") ? open(argv[i], O_RDONLY) : STDIN_FILENO;
        if (from < 0) {
            fprintf(stderr, "cat: %s: %s\n", argv[i], strerror(errno));
            status = 1;
        } else {
            status |= copy(from, argv[i]) ? 1 : 0;
            if (from != STDIN_FILENO) {
                close(from);
            }
        }
    }
    return status;
}
