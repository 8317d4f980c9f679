/* SPDX-License-Identifier: MIT */
/* Paths and inodes in detail: *at calls, trailing slashes, rename's flags, modes, times, statx. */
#define _GNU_SOURCE
#include "test/guest/scratch.h"
#include <limits.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <utime.h>

/* musl has no statx; the kernel's header and <sys/stat.h> of glibc do not agree. */
struct statx_raw {
    unsigned mask, block_size;
    unsigned long attributes;
    unsigned links, uid, gid;
    unsigned short mode, spare;
    unsigned long inode, size, blocks, attributes_mask;
    char rest[256 - 64];
};
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1u
#define RENAME_EXCHANGE  2u
#endif
#define MASK_BASIC 0x7ffu

static int touch(const char *name) {
    int fd = open(name, O_WRONLY | O_CREAT, 0644);
    CHECK(fd >= 0);
    return close(fd);
}

static int raw_rename(const char *from, const char *to, unsigned flags) {
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static unsigned long inode_of(const char *name) {
    struct stat st;
    return lstat(name, &st) ? 0 : st.st_ino;
}

static void relative_to_descriptors(void) {
    struct stat st;
    char target[16];
    REQUIRE(scratch_enter());
    CHECK_EQ(mkdir("d", 0755), 0);
    int dir = open("d", O_RDONLY | O_DIRECTORY);
    REQUIRE(dir >= 0);
    int fd = openat(dir, "f", O_CREAT | O_EXCL | O_RDWR, 0600);
    REQUIRE(fd >= 0);
    CHECK_EQ(fstatat(dir, "f", &st, 0), 0);
    CHECK_EQ(st.st_ino, inode_of("d/f"));
    CHECK_ERRNO(fstatat(fd, "f", &st, 0), ENOTDIR);
    CHECK_ERRNO(fstatat(999, "f", &st, 0), EBADF);
    CHECK_EQ(fstatat(999, "/", &st, 0), 0); /* an absolute path needs no descriptor */
    CHECK_ERRNO(fstatat(dir, "", &st, 0), ENOENT);
    CHECK_EQ(fstatat(fd, "", &st, AT_EMPTY_PATH), 0);
    CHECK(S_ISREG(st.st_mode));
    CHECK_EQ(symlinkat("f", dir, "s"), 0);
    CHECK_EQ(readlinkat(dir, "s", target, sizeof target), 1);
    CHECK_ERRNO(syscall(SYS_readlinkat, dir, "s", target, 0), EINVAL);
    CHECK_EQ(linkat(dir, "s", dir, "l", AT_SYMLINK_FOLLOW), 0);
    CHECK_EQ(inode_of("d/l"), inode_of("d/f"));
    CHECK_EQ(linkat(dir, "s", dir, "m", 0), 0);
    CHECK_EQ(inode_of("d/m"), inode_of("d/s"));
    CHECK_EQ(mkdirat(dir, "e", 0755), 0);
    CHECK_EQ(renameat(dir, "f", AT_FDCWD, "moved"), 0);
    CHECK(inode_of("moved") != 0 && inode_of("d/f") == 0);
    CHECK_ERRNO(openat(dir, "f", O_RDONLY), ENOENT);
    close(fd);
    close(dir);
    int path = open("moved", O_PATH);
    CHECK(path >= 0);
    CHECK_ERRNO(read(path, target, 1), EBADF);
    CHECK_ERRNO(ftruncate(path, 0), EBADF);
    CHECK_EQ(fstat(path, &st), 0);
    close(path);
    scratch_leave();
}

static void slashes_and_lengths(void) {
    struct stat st;
    char name[300];
    char *path = malloc(PATH_MAX + 10);
    REQUIRE(scratch_enter() && path);
    touch("f");
    CHECK_EQ(mkdir("d/", 0755), 0);
    CHECK_EQ(symlink("d", "s"), 0);
    CHECK_ERRNO(stat("f/", &st), ENOTDIR);
    CHECK_ERRNO(stat("f/x", &st), ENOTDIR);
    CHECK_ERRNO(stat("", &st), ENOENT);
    CHECK(stat(".//d//", &st) == 0 && S_ISDIR(st.st_mode));
    CHECK(lstat("s/", &st) == 0 && S_ISDIR(st.st_mode)); /* a slash follows the link */
    CHECK(lstat("s", &st) == 0 && S_ISLNK(st.st_mode));
    CHECK(stat("d/../f", &st) == 0 && S_ISREG(st.st_mode));
    CHECK_ERRNO(open("f/", O_RDONLY), ENOTDIR);
    CHECK_ERRNO(open("new/", O_CREAT | O_WRONLY, 0644), EISDIR);
    CHECK_ERRNO(open("d", O_WRONLY), EISDIR);
    CHECK_ERRNO(open("d", O_RDONLY | O_CREAT, 0644), EISDIR);
    CHECK_ERRNO(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_ERRNO(open("s", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
    CHECK_ERRNO(unlink("f/"), ENOTDIR);
    CHECK_ERRNO(rename("f", "g/"), ENOTDIR);
    CHECK_ERRNO(unlink("s/"), ENOTDIR);
    CHECK_ERRNO(rmdir("d/.."), ENOTEMPTY);
    CHECK_ERRNO(rename("d", "."), EBUSY);
    CHECK_ERRNO(mkdir("/", 0755), EEXIST);
    CHECK_ERRNO(rmdir("/"), EBUSY);
    memset(name, 'n', sizeof name);
    name[256] = '\0';
    CHECK_ERRNO(stat(name, &st), ENAMETOOLONG);
    CHECK_ERRNO(mkdir(name, 0755), ENAMETOOLONG);
    name[255] = '\0';
    CHECK_EQ(mkdir(name, 0755), 0);
    CHECK_EQ(rmdir(name), 0);
    memset(path, '/', PATH_MAX);
    path[PATH_MAX - 1] = '\0';
    CHECK_EQ(stat(path, &st), 0); /* 4095 slashes are the root */
    path[PATH_MAX - 1] = '/';
    path[PATH_MAX] = '\0';
    CHECK_ERRNO(stat(path, &st), ENAMETOOLONG);
    CHECK_ERRNO(syscall(SYS_stat, 8, &st), EFAULT);
    free(path);
    scratch_leave();
}

static void link_chains(void) {
    struct stat st;
    char name[16], target[16];
    REQUIRE(scratch_enter());
    touch("0");
    for (int i = 1; i <= 41; i++) {
        snprintf(name, sizeof name, "%d", i);
        snprintf(target, sizeof target, "%d", i - 1);
        CHECK_EQ(symlink(target, name), 0);
    }
    CHECK_EQ(stat("40", &st), 0);
    CHECK_ERRNO(stat("41", &st), ELOOP);
    CHECK_EQ(symlink("new", "dangling"), 0);
    int fd = open("dangling", O_CREAT | O_WRONLY, 0644); /* makes what the link names */
    CHECK(fd >= 0 && inode_of("new"));
    close(fd);
    CHECK_ERRNO(symlink("", "empty"), ENOENT);
    scratch_leave();
}

static void rename_flags(void) {
    REQUIRE(scratch_enter());
    touch("a");
    CHECK_EQ(mkdir("d", 0755), 0);
    CHECK_EQ(mkdir("d/inner", 0755), 0);
    unsigned long a = inode_of("a"), d = inode_of("d");
    CHECK_ERRNO(raw_rename("a", "d", RENAME_NOREPLACE), EEXIST);
    CHECK_ERRNO(raw_rename("a", "nothing", RENAME_EXCHANGE), ENOENT);
    CHECK_ERRNO(raw_rename("a", "d", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
    CHECK_ERRNO(raw_rename("a", "d", 1u << 20), EINVAL);
    CHECK_EQ(raw_rename("a", "d", RENAME_EXCHANGE), 0); /* a file and a directory */
    CHECK(inode_of("a") == d && inode_of("d") == a);
    CHECK(inode_of("a/inner") != 0);
    CHECK_ERRNO(raw_rename("a", "a/inner", RENAME_EXCHANGE), EINVAL);
    CHECK_ERRNO(rename("a/inner", "a"), ENOTEMPTY);
    CHECK_EQ(raw_rename("d", "e", RENAME_NOREPLACE), 0);
    CHECK_EQ(link("e", "f"), 0);
    CHECK_EQ(rename("e", "f"), 0); /* two names of one file: nothing happens */
    CHECK(inode_of("e") == a && inode_of("f") == a);
    CHECK_ERRNO(link("a", "g"), EPERM); /* a directory */
    CHECK_ERRNO(rename("e", "/proc/x"), EXDEV);
    CHECK_EQ(rename("a/inner", "inner"), 0);
    struct stat st;
    CHECK(stat("a", &st) == 0 && st.st_nlink == 2);
    CHECK(stat("inner/..", &st) == 0 && st.st_ino == inode_of("."));
    scratch_leave();
}

static void modes_and_access(void) {
    struct stat st;
    REQUIRE(scratch_enter());
    touch("f");
    if (geteuid() != 0)
        SKIP("for the super-user only");
    CHECK_EQ(access("f", F_OK), 0);
    CHECK_EQ(access("f", R_OK | W_OK), 0);
    CHECK_ERRNO(access("f", X_OK), EACCES);
    CHECK_ERRNO(access("f", 8), EINVAL);
    CHECK_ERRNO(access("nothing", F_OK), ENOENT);
    CHECK_EQ(access(".", X_OK), 0);
    CHECK_EQ(chmod("f", 0), 0);
    CHECK_EQ(access("f", R_OK | W_OK), 0); /* uid 0 */
    CHECK_EQ(chmod("f", 04711), 0);
    CHECK(stat("f", &st) == 0 && (st.st_mode & 07777) == 04711);
    CHECK_EQ(access("f", X_OK), 0);
    CHECK_EQ(chown("f", 5, (gid_t)-1), 0);
    CHECK(stat("f", &st) == 0 && st.st_uid == 5 && st.st_gid == 0);
    CHECK_EQ(st.st_mode & 07777, 0711); /* a new owner clears set-uid */
    int fd = open("f", O_RDONLY);
    CHECK_EQ(fchmod(fd, 0640), 0);
    CHECK_EQ(fchown(fd, 0, 7), 0);
    CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0640 && st.st_gid == 7);
    close(fd);
    umask(027);
    CHECK_EQ(umask(0), 027);
    CHECK_EQ(mkdir("d", 01777), 0);
    CHECK(stat("d", &st) == 0 && (st.st_mode & 07777) == 01777);
    umask(022);
    scratch_leave();
}

static void times(void) {
    struct stat st;
    REQUIRE(scratch_enter());
    touch("f");
    struct timespec t[2] = { { 100, 7 }, { 200, 9 } };
    CHECK_EQ(utimensat(AT_FDCWD, "f", t, 0), 0);
    CHECK_EQ(stat("f", &st), 0);
    CHECK(st.st_atim.tv_sec == 100 && st.st_atim.tv_nsec == 7);
    CHECK(st.st_mtim.tv_sec == 200 && st.st_mtim.tv_nsec == 9);
    CHECK(st.st_ctim.tv_sec > 200);
    t[0].tv_nsec = UTIME_OMIT;
    t[1].tv_nsec = UTIME_NOW;
    CHECK_EQ(utimensat(AT_FDCWD, "f", t, 0), 0);
    CHECK_EQ(stat("f", &st), 0);
    CHECK(st.st_atim.tv_sec == 100 && st.st_mtim.tv_sec > 200);
    t[1].tv_nsec = 1000000000;
    CHECK_ERRNO(utimensat(AT_FDCWD, "f", t, 0), EINVAL);
    CHECK_ERRNO(utimensat(AT_FDCWD, "nothing", NULL, 0), ENOENT);
    int fd = open("f", O_RDWR);
    struct timespec u[2] = { { 300, 0 }, { 400, 0 } };
    CHECK_EQ(futimens(fd, u), 0);
    CHECK(fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 400);
    CHECK_EQ(write(fd, "x", 1), 1);
    CHECK(fstat(fd, &st) == 0 && st.st_mtim.tv_sec > 400);
    close(fd);
    struct utimbuf old = { 500, 600 };
    CHECK_EQ(utime("f", &old), 0);
    CHECK(stat("f", &st) == 0 && st.st_mtim.tv_sec == 600);
    struct timeval v[2] = { { 1, 2 }, { 3, 4 } };
    CHECK_EQ(utimes("f", v), 0);
    CHECK(stat("f", &st) == 0 && st.st_mtim.tv_sec == 3 && st.st_mtim.tv_nsec == 4000);
    scratch_leave();
}

static void described_by_statx(void) {
    struct statx_raw x;
    struct stat st;
    struct statfs fs;
    REQUIRE(scratch_enter());
    touch("f");
    CHECK_EQ(truncate("f", 12345), 0);
    CHECK_EQ(stat("f", &st), 0);
    CHECK_EQ(st.st_size, 12345);
    CHECK_EQ(syscall(SYS_statx, AT_FDCWD, "f", 0, MASK_BASIC, &x), 0);
    CHECK((x.mask & MASK_BASIC) == MASK_BASIC);
    CHECK(x.size == 12345 && x.inode == st.st_ino && x.mode == st.st_mode && x.links == 1);
    CHECK_ERRNO(syscall(SYS_statx, AT_FDCWD, "f", 0, 1u << 31, &x), EINVAL);
    CHECK_ERRNO(syscall(SYS_statx, AT_FDCWD, "nothing", 0, 0, &x), ENOENT);
    CHECK_ERRNO(truncate("f", -1), EINVAL);
    CHECK_ERRNO(truncate(".", 0), EISDIR);
    CHECK_EQ(statfs(".", &fs), 0);
    CHECK(fs.f_bsize > 0 && fs.f_namelen == 255 && fs.f_blocks >= fs.f_bfree);
    CHECK_EQ(fstatfs(0, &fs), 0);
    CHECK_ERRNO(statfs("nothing", &fs), ENOENT);
    scratch_leave();
}

/* A directory that is removed while one stands in it. */
static void removed_directory(void) {
    char path[64];
    REQUIRE(scratch_enter());
    CHECK_EQ(mkdir("d", 0755), 0);
    CHECK_EQ(chdir("d"), 0);
    int fd = open(".", O_RDONLY);
    CHECK_EQ(rmdir("../d"), 0);
    CHECK_ERRNO(syscall(SYS_getcwd, path, sizeof path), ENOENT);
    CHECK_ERRNO(open("f", O_CREAT | O_WRONLY, 0644), ENOENT);
    CHECK_ERRNO(mkdir("e", 0755), ENOENT);
    CHECK_ERRNO(syscall(SYS_getdents64, fd, path, sizeof path), ENOENT);
    struct stat st;
    CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0);
    CHECK_EQ(chdir(".."), 0); /* it still knows where it was */
    close(fd);
    scratch_leave();
}

/* Names that come and go during a listing: those that stay are shown once. */
static void listing_during_changes(void) {
    char name[32], records[512];
    int seen[64] = { 0 }, wrong = 0;
    REQUIRE(scratch_enter());
    for (int i = 0; i < 128; i++) {
        snprintf(name, sizeof name, "%s%02d", i < 64 ? "stay" : "go", i % 64);
        touch(name);
    }
    int fd = open(".", O_RDONLY), removed = 0;
    for (long n; (n = syscall(SYS_getdents64, fd, records, sizeof records)) > 0;) {
        for (long at = 0; at < n;) {
            struct {
                unsigned long inode, next;
                unsigned short length;
                unsigned char type;
                char name[];
            } *e = (void *)(records + at);
            int number;
            if (sscanf(e->name, "stay%d", &number) == 1 && number >= 0 && number < 64)
                seen[number]++;
            at += e->length;
        }
        for (int k = 0; k < 8 && removed < 64; k++, removed++) {
            snprintf(name, sizeof name, "go%02d", removed);
            unlink(name);
            snprintf(name, sizeof name, "new%02d", removed);
            touch(name);
        }
    }
    close(fd);
    for (int i = 0; i < 64; i++)
        wrong += seen[i] != 1;
    CHECK_EQ(wrong, 0);
    scratch_leave();
}

GUEST_MAIN(CASE(relative_to_descriptors), CASE(slashes_and_lengths), CASE(link_chains),
           CASE(rename_flags), CASE(modes_and_access), CASE(times), CASE(described_by_statx),
           CASE(removed_directory), CASE(listing_during_changes))
