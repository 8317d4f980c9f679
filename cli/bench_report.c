/* SPDX-License-Identifier: MIT */
/* The files of `mimosa bench`'s reports. */
#include "cli/bench.h"

#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int report_try(const char *path) {
    if (!path) {
        return 0;
    }
    bool is_new = access(path, F_OK) != 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return cli_fail("%s: %s: nothing was measured, since the report would be lost", path,
                        strerror(errno));
    }
    close(fd);
    if (is_new) {
        unlink(path);
    }
    return 0;
}

int report_write(const char *path, void (*report)(const struct results *, FILE *),
                 const struct results *results) {
    FILE *to = path ? fopen(path, "w") : NULL;

    if (!path) {
        return 0;
    }
    if (!to) {
        return cli_fail("%s: %s", path, strerror(errno));
    }
    report(results, to);
    if (fclose(to)) {
        return cli_fail("%s: %s", path, strerror(errno));
    }
    return 0;
}
