/* SPDX-License-Identifier: MIT */
/*
 * A directory of one's own for tests of files: below /tmp where there is one,
 * else in the root (a guest's RAM file system).  scratch_enter makes it the
 * working directory, scratch_leave removes all that is in it, and it.
 */
#ifndef TEST_GUEST_SCRATCH_H
#define TEST_GUEST_SCRATCH_H

#include "test/guest/guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static char scratch_path[64];

static int scratch_enter(void) {
    umask(022);
    snprintf(scratch_path, sizeof scratch_path, "/tmp/guest-%d", (int)getpid());
    if (mkdir(scratch_path, 0755) && errno != EEXIST) {
        snprintf(scratch_path, sizeof scratch_path, "/guest-%d", (int)getpid());
        if (mkdir(scratch_path, 0755) && errno != EEXIST)
            return CHECK(!scratch_path[0]), 0; /* no place to write to */
    }
    return CHECK_EQ(chdir(scratch_path), 0);
}

/* Removes what is below the directory, two levels deep. */
static void scratch_empty(const char *path) {
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char inner[400];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (unlink(inner)) {
            scratch_empty(inner);
            rmdir(inner);
        }
    }
    closedir(dir);
}

static void scratch_leave(void) {
    scratch_empty(scratch_path);
    CHECK_EQ(chdir("/"), 0);
    CHECK_EQ(rmdir(scratch_path), 0);
}

#endif
