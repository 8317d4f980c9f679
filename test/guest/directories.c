/* SPDX-License-Identifier: MIT */
/* Directories, links, and metadata: results and errors. */
#define _GNU_SOURCE
#include "test/guest/scratch.h"
#include <limits.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <utime.h>

static void touch(const char *name) {
    int fd = open(name, O_WRONLY | O_CREAT, 0644);
    CHECK(fd >= 0);
    close(fd);
}

static int exists(const char *name) {
    struct stat st;
    return lstat(name, &st) == 0;
}

static void mkdir_and_rmdir(void) {
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

static void unlinking(void) {
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

static void renaming(void) {
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

static void links(void) {
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

static void listing(void) {
    REQUIRE(scratch_enter());
    int seen[300] = { 0 }, dots = 0, others = 0;
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

static void working_directory(void) {
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

static void stat_family(void) {
    struct stat a, b;
    REQUIRE(scratch_enter());
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    CHECK_EQ(write(fd, "12345", 5), 5);
    CHECK_EQ(fstat(fd, &a), 0);
    CHECK_EQ(stat("f", &b), 0);
    CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_ino != 0);
    CHECK(S_ISREG(a.st_mode) && a.st_size == 5 && a.st_nlink == 1);
    CHECK_EQ(a.st_mode & 0777, 0644);
    CHECK(a.st_mtim.tv_sec > 1000000000 && a.st_blksize > 0);
    CHECK_EQ(lstat("f", &b), 0);
    CHECK_EQ(fstatat(AT_FDCWD, "f", &b, AT_SYMLINK_NOFOLLOW), 0);
    CHECK_EQ(fstatat(fd, "", &b, AT_EMPTY_PATH), 0);
    CHECK_EQ(b.st_ino, a.st_ino);
    CHECK_EQ(stat(".", &b), 0);
    CHECK(S_ISDIR(b.st_mode));
    CHECK_ERRNO(stat("nothing", &b), ENOENT);
    CHECK_ERRNO(stat("f/x", &b), ENOTDIR);
    CHECK_ERRNO(fstat(999, &b), EBADF);
    CHECK_ERRNO(syscall(SYS_fstat, fd, (void *)8), EFAULT);
    CHECK_ERRNO(fstatat(AT_FDCWD, "f", &b, 0x40000000), EINVAL);
    CHECK_EQ(access("f", R_OK | W_OK), 0);
    CHECK_ERRNO(access("nothing", F_OK), ENOENT);
    CHECK_ERRNO(access("f", 64), EINVAL);
    CHECK_EQ(faccessat(AT_FDCWD, "f", F_OK, 0), 0);
    CHECK_EQ(chmod("f", 0600), 0);
    CHECK_EQ(fchmod(fd, 0400), 0);
    CHECK(stat("f", &b) == 0 && (b.st_mode & 0777) == 0400);
    struct timespec times[2] = { { 1000, 5 }, { 2000, 7 } };
    CHECK_EQ(futimens(fd, times), 0);
    CHECK(stat("f", &b) == 0 && b.st_atim.tv_sec == 1000 && b.st_mtim.tv_sec == 2000);
    close(fd);
    scratch_leave();
}

static void modes_and_owners(void) {
    struct stat st;
    REQUIRE(scratch_enter());
    touch("f");
    CHECK_EQ(fchmodat(AT_FDCWD, "f", 0604, 0), 0);
    CHECK(stat("f", &st) == 0 && (st.st_mode & 07777) == 0604);
    CHECK_ERRNO(chmod("nothing", 0600), ENOENT);
    CHECK_EQ(chown("f", getuid(), getgid()), 0);
    CHECK_EQ(lchown("f", -1, -1), 0);
    CHECK_EQ(fchownat(AT_FDCWD, "f", getuid(), -1, 0), 0);
    CHECK_ERRNO(chown("nothing", 0, 0), ENOENT);
    int fd = open("f", O_RDONLY);
    CHECK_EQ(fchown(fd, getuid(), getgid()), 0);
    close(fd);
    CHECK_EQ(syscall(SYS_faccessat2, AT_FDCWD, "f", F_OK, 0), 0);
    CHECK_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, "f", F_OK, 0x40), EINVAL);
    mode_t old = umask(077);
    touch("g");
    CHECK(stat("g", &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK_EQ(umask(old), 077);
    scratch_leave();
}

static void times_of_files(void) {
    struct stat st;
    struct utimbuf whole = { 1000, 2000 };
    struct timeval parts[2] = { { 3000, 5 }, { 4000, 7 } };
    struct timespec exact[2] = { { 5000, 9 }, { 0, UTIME_OMIT } };
    REQUIRE(scratch_enter());
    touch("f");
    CHECK_EQ(utime("f", &whole), 0);
    CHECK(stat("f", &st) == 0 && st.st_atim.tv_sec == 1000 && st.st_mtim.tv_sec == 2000);
    CHECK_EQ(utimes("f", parts), 0);
    CHECK(stat("f", &st) == 0 && st.st_atim.tv_sec == 3000 && st.st_mtim.tv_sec == 4000);
    CHECK_EQ(syscall(SYS_futimesat, AT_FDCWD, "f", parts), 0);
    CHECK_EQ(utimensat(AT_FDCWD, "f", exact, 0), 0);
    CHECK(stat("f", &st) == 0 && st.st_atim.tv_sec == 5000 && st.st_mtim.tv_sec == 4000);
    CHECK_ERRNO(utimensat(AT_FDCWD, "nothing", exact, 0), ENOENT);
    exact[0].tv_nsec = 1000000000;
    CHECK_ERRNO(utimensat(AT_FDCWD, "f", exact, 0), EINVAL);
    CHECK_EQ(utimensat(AT_FDCWD, "f", NULL, 0), 0);
    CHECK(stat("f", &st) == 0 && st.st_mtim.tv_sec > 1000000000);
    scratch_leave();
}

static void file_systems(void) {
    struct statfs fs;
    struct {
        unsigned mask, block_size;
        unsigned long attributes;
        unsigned links, uid, gid;
        unsigned short mode, pad;
        unsigned long inode, size, rest[26];
    } stx;
    REQUIRE(scratch_enter());
    CHECK_EQ(statfs(".", &fs), 0);
    CHECK(fs.f_bsize > 0 && fs.f_namelen >= 255 && fs.f_bfree <= fs.f_blocks);
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    CHECK_EQ(fstatfs(fd, &fs), 0);
    CHECK_ERRNO(statfs("nothing", &fs), ENOENT);
    CHECK_EQ(write(fd, "1234", 4), 4);
    CHECK_EQ(syscall(SYS_statx, AT_FDCWD, "f", 0, 0x7ff, &stx), 0);
    CHECK(stx.size == 4 && stx.links == 1 && S_ISREG(stx.mode));
    CHECK_ERRNO(syscall(SYS_statx, AT_FDCWD, "f", 0, 0x80000000, &stx), EINVAL);
    close(fd);
    scratch_leave();
}

static void relative_to_directories(void) {
    char target[8];
    REQUIRE(scratch_enter());
    CHECK_EQ(mkdir("d", 0755), 0);
    int dir = open("d", O_RDONLY | O_DIRECTORY);
    REQUIRE(dir >= 0);
    CHECK_EQ(symlinkat("x", dir, "s"), 0);
    CHECK_EQ(readlinkat(dir, "s", target, sizeof target), 1);
    CHECK_EQ(renameat(dir, "s", AT_FDCWD, "t"), 0);
    CHECK(exists("t") && !exists("d/s"));
    touch("a");
    touch("b");
    CHECK_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 1), EEXIST); /* NOREPLACE */
    CHECK_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 0x80), EINVAL);
    CHECK_EQ(linkat(AT_FDCWD, "a", dir, "l", 0), 0);
    CHECK(exists("d/l"));
    CHECK_ERRNO(link("d", "e"), EPERM);
    CHECK_ERRNO(link("a", "b"), EEXIST);
    CHECK_EQ(unlinkat(dir, "l", 0), 0);
    close(dir);
    CHECK_ERRNO(unlinkat(dir, "l", 0), EBADF);
    scratch_leave();
}

GUEST_MAIN(CASE(mkdir_and_rmdir), CASE(unlinking), CASE(renaming), CASE(links), CASE(listing),
           CASE(working_directory), CASE(stat_family), CASE(modes_and_owners), CASE(times_of_files),
           CASE(file_systems), CASE(relative_to_directories))
