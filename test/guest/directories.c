/* SPDX-License-Identifier: MIT */
/* Directories and links: making, listing, renaming, removing; results and errors. */
#define _GNU_SOURCE
#include "test/guest/scratch.h"
#include <limits.h>
#include <stdlib.h>

static void touch(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT, 0644);
    CHECK(fd >= 0);
    close(fd);
}

static int exists(const char *name)
{
    struct stat st;
    return lstat(name, &st) == 0;
}

static void mkdir_and_rmdir(void)
{
    struct stat st;
    REQUIRE(scratch_enter());
    CHECK_EQ(mkdir("d", 0750), 0);
    CHECK(stat("d", &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0750);
    CHECK_ERRNO(mkdir("d", 0755), EEXIST);
    CHECK_ERRNO(mkdir("nothing/d", 0755), ENOENT);
    touch("f");
    CHECK_ERRNO(mkdir("f/d", 0755), ENOTDIR);
    CHECK_EQ(mkdirat(AT_FDCWD, "d/e", 0755), 0);
    CHECK_ERRNO(rmdir("d"), ENOTEMPTY);
    CHECK_ERRNO(rmdir("f"), ENOTDIR);
    CHECK_ERRNO(rmdir("nothing"), ENOENT);
    CHECK_ERRNO(rmdir("d/e/."), EINVAL);
    CHECK_EQ(rmdir("d/e"), 0);
    CHECK_EQ(rmdir("d"), 0);
    CHECK(!exists("d"));
    scratch_leave();
}

static void unlinking(void)
{
    char c = 0;
    REQUIRE(scratch_enter());
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    CHECK_EQ(write(fd, "x", 1), 1);
    CHECK_EQ(unlink("f"), 0);
    CHECK(!exists("f"));
    CHECK(pread(fd, &c, 1, 0) == 1 && c == 'x'); /* it lives while it is open */
    struct stat st;
    CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0);
    close(fd);
    CHECK_ERRNO(unlink("f"), ENOENT);
    CHECK_EQ(mkdir("d", 0755), 0);
    CHECK_ERRNO(unlink("d"), EISDIR);
    CHECK_ERRNO(unlinkat(AT_FDCWD, "d", 0), EISDIR);
    CHECK_EQ(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR), 0);
    CHECK_ERRNO(unlinkat(AT_FDCWD, "d", 0x40000000), EINVAL);
    scratch_leave();
}

static void renaming(void)
{
    REQUIRE(scratch_enter());
    touch("a");
    CHECK_EQ(rename("a", "b"), 0);
    CHECK(!exists("a") && exists("b"));
    touch("c");
    CHECK_EQ(rename("b", "c"), 0); /* replaces */
    CHECK(!exists("b") && exists("c"));
    CHECK_EQ(mkdir("d", 0755), 0);
    CHECK_EQ(mkdir("d/inner", 0755), 0);
    CHECK_ERRNO(rename("c", "d"), EISDIR);
    CHECK_ERRNO(rename("d", "c"), ENOTDIR);
    CHECK_ERRNO(rename("nothing", "x"), ENOENT);
    CHECK_ERRNO(rename("d", "d/inner/x"), EINVAL);
    CHECK_EQ(mkdir("e", 0755), 0);
    CHECK_ERRNO(rename("e", "d"), ENOTEMPTY);
    CHECK_EQ(rename("d", "e"), 0); /* over an empty directory */
    CHECK(exists("e/inner") && !exists("d"));
    CHECK_EQ(rename("c", "e/inner/c"), 0);
    CHECK_EQ(rename("e/inner/c", "e/inner/c"), 0);
    CHECK(exists("e/inner/c"));
    CHECK_EQ(unlink("e/inner/c"), 0);
    scratch_leave();
}

static void links(void)
{
    char target[64];
    struct stat st;
    REQUIRE(scratch_enter());
    touch("f");
    CHECK_EQ(symlink("f", "s"), 0);
    CHECK_EQ(readlink("s", target, sizeof target), 1);
    CHECK_EQ(target[0], 'f');
    CHECK(lstat("s", &st) == 0 && S_ISLNK(st.st_mode) && st.st_size == 1);
    CHECK(stat("s", &st) == 0 && S_ISREG(st.st_mode));
    CHECK_ERRNO(symlink("x", "s"), EEXIST);
    CHECK_ERRNO(readlink("f", target, sizeof target), EINVAL);
    CHECK_ERRNO(readlink("nothing", target, sizeof target), ENOENT);
    CHECK_EQ(symlink("loop", "loop"), 0);
    CHECK_ERRNO(open("loop", O_RDONLY), ELOOP);
    CHECK_ERRNO(open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK_EQ(symlink("nowhere", "dangling"), 0);
    CHECK_ERRNO(stat("dangling", &st), ENOENT);
    if (link("f", "g") == 0) {
        CHECK(stat("g", &st) == 0 && st.st_nlink == 2);
        CHECK_EQ(unlink("g"), 0);
    }
    scratch_leave();
}

static void listing(void)
{
    REQUIRE(scratch_enter());
    int seen[300] = {0}, dots = 0, others = 0;
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "entry-%d", i);
        touch(name);
    }
    DIR *dir = opendir(".");
    REQUIRE(dir != NULL);
    for (int round = 0; round < 2; round++, rewinddir(dir))
        for (struct dirent *entry; (entry = readdir(dir));) {
            int number;
            if (sscanf(entry->d_name, "entry-%d", &number) == 1) {
                CHECK(number >= 0 && number < 300);
                CHECK(entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN);
                CHECK(entry->d_ino != 0);
                seen[number]++;
            } else if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) {
                dots++;
            } else {
                others++;
            }
        }
    closedir(dir);
    int wrong = 0;
    for (int i = 0; i < 300; i++)
        wrong += seen[i] != 2;
    CHECK_EQ(wrong, 0);
    CHECK_EQ(dots, 4);
    CHECK_EQ(others, 0);
    int fd = open("entry-1", O_RDONLY);
    char buffer[256];
    CHECK_ERRNO(syscall(SYS_getdents64, fd, buffer, sizeof buffer), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_getdents64, 999, buffer, sizeof buffer), EBADF);
    close(fd);
    fd = open(".", O_RDONLY);
    CHECK_ERRNO(syscall(SYS_getdents64, fd, buffer, 5), EINVAL); /* not even one fits */
    CHECK_ERRNO(read(fd, buffer, 5), EISDIR);
    close(fd);
    scratch_leave();
}

static void working_directory(void)
{
    char path[PATH_MAX], small[4];
    REQUIRE(scratch_enter());
    CHECK(getcwd(path, sizeof path) && !strcmp(path, scratch_path));
    CHECK_EQ(mkdir("d", 0755), 0);
    CHECK_EQ(chdir("d"), 0);
    CHECK(getcwd(path, sizeof path) && strstr(path, "/d"));
    CHECK_ERRNO(syscall(SYS_getcwd, small, sizeof small), ERANGE);
    CHECK_EQ(chdir(".."), 0);
    CHECK_ERRNO(chdir("nothing"), ENOENT);
    touch("f");
    CHECK_ERRNO(chdir("f"), ENOTDIR);
    int fd = open("d", O_RDONLY);
    CHECK_EQ(fchdir(fd), 0);
    touch("inner");
    CHECK(exists("../d/./inner"));
    CHECK_EQ(unlink("inner"), 0);
    close(fd);
    CHECK_EQ(chdir("/"), 0);
    CHECK(getcwd(path, sizeof path) && !strcmp(path, "/"));
    CHECK_EQ(chdir("/../.."), 0); /* above the root is the root */
    CHECK(getcwd(path, sizeof path) && !strcmp(path, "/"));
    scratch_leave();
}

GUEST_MAIN(CASE(mkdir_and_rmdir), CASE(unlinking), CASE(renaming), CASE(links), CASE(listing),
           CASE(working_directory))
