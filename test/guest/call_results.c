/* SPDX-License-Identifier: MIT */
/* Results and errors of small calls that other programs here only use. */
#define _GNU_SOURCE
#include "test/guest/guest.h"
#include "test/guest/scratch.h"
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/uio.h>

#define NOBODY    3999999
#define SET_FS    0x1002
#define GET_FS    0x1003
#define SET_GS    0x1001
#define GET_GS    0x1004
#define EXCHANGE  2
#define NOREPLACE 1
static void *const nowhere = (void *)8;

static unsigned mode_of(const char *path) {
    struct stat s;
    return CHECK_EQ(lstat(path, &s), 0) ? s.st_mode & 07777 : 0;
}

static void modes_and_owners(void) {
    struct stat s;
    REQUIRE(scratch_enter());
    int fd = open("f", O_CREAT | O_RDWR, 0666);
    int path = open("f", O_PATH);
    REQUIRE(fd >= 0 && path >= 0);
    CHECK_EQ(mode_of("f"), 0644); /* scratch_enter sets the umask */
    CHECK_EQ(chmod("f", 04711), 0);
    CHECK_EQ(mode_of("f"), 04711);
    CHECK_EQ(fchmod(fd, 0600), 0);
    CHECK_EQ(mode_of("f"), 0600);
    CHECK_ERRNO(chmod("none", 0600), ENOENT);
    CHECK_ERRNO(chmod("", 0600), ENOENT);
    CHECK_ERRNO(chmod("f/x", 0600), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_chmod, nowhere, 0600), EFAULT);
    CHECK_ERRNO(syscall(SYS_fchmod, 999, 0600), EBADF);
    CHECK_ERRNO(syscall(SYS_fchmod, path, 0600), EBADF);
    CHECK_EQ(fchown(fd, 0, 0), 0);
    CHECK_EQ(fchown(fd, -1, -1), 0);
    CHECK_ERRNO(syscall(SYS_fchown, 999, 0, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_fchown, path, 0, 0), EBADF);
    CHECK_ERRNO(chown("none", 0, 0), ENOENT);
    CHECK_ERRNO(syscall(SYS_chown, nowhere, 0, 0), EFAULT);
    CHECK_EQ(symlink("none", "dangling"), 0);
    CHECK_EQ(lchown("dangling", 0, 0), 0);
    CHECK_ERRNO(chown("dangling", 0, 0), ENOENT);
    CHECK_ERRNO(lchown("none", 0, 0), ENOENT);
    CHECK_EQ(fstat(fd, &s), 0);
    CHECK_EQ(s.st_uid, 0);
    CHECK_EQ(umask(077), 022);
    CHECK_EQ(umask(022), 077);
    close(fd);
    close(path);
    scratch_leave();
}

static void renaming_with_flags(void) {
    REQUIRE(scratch_enter());
    close(open("a", O_CREAT | O_WRONLY, 0600));
    CHECK_EQ(mkdir("b", 0700), 0);
    CHECK_EQ(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", NOREPLACE), 0);
    CHECK_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "b", NOREPLACE), EEXIST);
    CHECK_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "d", EXCHANGE), ENOENT);
    CHECK_EQ(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "b", EXCHANGE), 0);
    CHECK_ERRNO(rmdir("b"), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "b", EXCHANGE | NOREPLACE), EINVAL);
    CHECK_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "b", 64), EINVAL);
    CHECK_ERRNO(syscall(SYS_renameat2, 999, "c", AT_FDCWD, "b", 0), EBADF);
    CHECK_ERRNO(syscall(SYS_renameat2, AT_FDCWD, nowhere, AT_FDCWD, "b", 0), EFAULT);
    scratch_leave();
}

static void statfs_of_descriptors(void) {
    struct statfs by_path, by_fd;
    int fd = open("/", O_RDONLY | O_DIRECTORY);
    CHECK_EQ(statfs("/", &by_path), 0);
    CHECK_EQ(fstatfs(fd, &by_fd), 0);
    CHECK(by_path.f_type == by_fd.f_type && by_path.f_bsize == by_fd.f_bsize);
    CHECK_ERRNO(fstatfs(999, &by_fd), EBADF);
    CHECK_ERRNO(syscall(SYS_fstatfs, fd, nowhere), EFAULT);
    CHECK_ERRNO(syscall(SYS_statfs, "/", nowhere), EFAULT);
    CHECK_ERRNO(statfs("/none", &by_fd), ENOENT);
    close(fd);
}

static void copying_ranges(void) {
    char text[16] = "0123456789";
    loff_t from = 2, to = 1, wrong = -1;
    REQUIRE(scratch_enter());
    int a = open("a", O_CREAT | O_RDWR, 0600), b = open("b", O_CREAT | O_RDWR, 0600);
    int read_only = open("b", O_RDONLY), append = open("b", O_WRONLY | O_APPEND), fds[2];
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    REQUIRE(a >= 0 && b >= 0 && read_only >= 0 && append >= 0 && dir >= 0 && pipe(fds) == 0);
    CHECK_EQ(write(a, text, 10), 10);
    CHECK_EQ(syscall(SYS_copy_file_range, a, &from, b, &to, 4, 0), 4);
    CHECK(from == 6 && to == 5);
    CHECK_EQ(pread(b, text, 16, 0), 5);
    CHECK(memcmp(text,
                 "\0"
                 "2345",
                 5) == 0);
    CHECK_EQ(syscall(SYS_copy_file_range, a, NULL, b, NULL, 4, 0), 0); /* `a` stands at its end */
    CHECK_ERRNO(syscall(SYS_copy_file_range, a, &from, b, &to, 4, 1), EINVAL);
    CHECK_ERRNO(syscall(SYS_copy_file_range, 999, &from, b, &to, 4, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_copy_file_range, a, &from, read_only, &to, 4, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_copy_file_range, a, &from, append, &to, 4, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_copy_file_range, dir, &from, b, &to, 4, 0), EISDIR);
    CHECK_ERRNO(syscall(SYS_copy_file_range, fds[0], NULL, b, &to, 4, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_copy_file_range, a, nowhere, b, &to, 4, 0), EFAULT);
    from = 0, to = 3; /* one file, and the ranges meet */
    CHECK_ERRNO(syscall(SYS_copy_file_range, a, &from, a, &to, 4, 0), EINVAL);
    CHECK_EQ(syscall(SYS_copy_file_range, a, &from, a, &to, 3, 0), 3);
    struct iovec parts[2] = { { text, 2 }, { text + 2, 3 } };
    CHECK_EQ(pwritev(b, parts, 2, 100), 5);
    CHECK_EQ(preadv(b, parts, 2, 102), 3);
    CHECK_ERRNO(pwritev(b, parts, 2, wrong), EINVAL);
    CHECK_ERRNO(preadv(b, parts, 2, wrong), EINVAL);
    CHECK_ERRNO(syscall(SYS_pwritev, b, parts, 1025, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_pwritev, b, nowhere, 1, 0, 0), EFAULT);
    CHECK_ERRNO(pwritev(read_only, parts, 2, 0), EBADF);
    CHECK_ERRNO(pwritev(fds[1], parts, 2, 0), ESPIPE);
    CHECK_ERRNO(preadv(fds[0], parts, 2, 0), ESPIPE);
    const int all[] = { a, b, read_only, append, dir, fds[0], fds[1] };
    for (unsigned i = 0; i < LENGTH(all); i++)
        close(all[i]);
    scratch_leave();
}

static void affinity(void) {
    unsigned long mask[32] = { 0 }, none[32] = { 0 };
    long size = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    CHECK(size >= 8 && size % 8 == 0);
    CHECK_ERRNO(syscall(SYS_sched_getaffinity, 0, 7, mask), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_getaffinity, 0, size + 1, mask), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_getaffinity, NOBODY, size, mask), ESRCH);
    CHECK_ERRNO(syscall(SYS_sched_getaffinity, -1, size, mask), ESRCH);
    CHECK_ERRNO(syscall(SYS_sched_getaffinity, 0, size, nowhere), EFAULT);
    CHECK_EQ(syscall(SYS_sched_setaffinity, 0, size, mask), 0);
    CHECK_ERRNO(syscall(SYS_sched_setaffinity, 0, size, none), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_setaffinity, NOBODY, size, mask), ESRCH);
    CHECK_ERRNO(syscall(SYS_sched_setaffinity, 0, size, nowhere), EFAULT);
}

static void scheduling(void) {
    struct sched_param p = { .sched_priority = 7 };
    CHECK_EQ(syscall(SYS_sched_getparam, 0, &p), 0);
    CHECK_EQ(p.sched_priority, 0);
    CHECK_ERRNO(syscall(SYS_sched_getparam, 0, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_getparam, -1, &p), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_getparam, NOBODY, &p), ESRCH);
    CHECK_ERRNO(syscall(SYS_sched_getparam, 0, nowhere), EFAULT);
    CHECK_EQ(syscall(SYS_sched_getscheduler, 0), SCHED_OTHER);
    CHECK_ERRNO(syscall(SYS_sched_getscheduler, -1), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_getscheduler, NOBODY), ESRCH);
    CHECK_EQ(sched_get_priority_max(SCHED_FIFO), 99);
    CHECK_EQ(sched_get_priority_min(SCHED_RR), 1);
    CHECK_EQ(sched_get_priority_max(SCHED_OTHER), 0);
    CHECK_ERRNO(sched_get_priority_max(77), EINVAL);
    CHECK_ERRNO(sched_get_priority_min(-1), EINVAL);
    CHECK_ERRNO(getpriority(77, 0), EINVAL);
    CHECK_ERRNO(getpriority(PRIO_PROCESS, NOBODY), ESRCH);
}

static void identity(void) {
    unsigned a = 1, b = 1, c = 1;
    gid_t groups[64];
    CHECK_EQ(syscall(SYS_getresuid, &a, &b, &c), 0);
    CHECK(a == getuid() && b == geteuid());
    CHECK_ERRNO(syscall(SYS_getresuid, &a, nowhere, &c), EFAULT);
    CHECK_EQ(syscall(SYS_getresgid, &a, &b, &c), 0);
    CHECK(a == getgid() && b == getegid());
    CHECK_ERRNO(syscall(SYS_getresgid, &a, &b, nowhere), EFAULT);
    CHECK(getgroups(64, groups) >= 0);
    CHECK_EQ(getgroups(0, NULL), getgroups(64, groups));
    CHECK_ERRNO(syscall(SYS_getgroups, -1, groups), EINVAL);
}

static void pending_signals_and_time(void) {
    uint64_t set = 0, mask;
    struct timeval now;
    signal(SIGUSR1, SIG_DFL);
    mask = 1ul << (SIGUSR1 - 1);
    CHECK_EQ(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &mask, NULL, 8), 0);
    raise(SIGUSR1);
    CHECK_EQ(syscall(SYS_rt_sigpending, &set, 8), 0);
    CHECK_EQ(set, mask);
    CHECK_EQ(syscall(SYS_rt_sigpending, &set, 4), 0); /* less is as good */
    CHECK_ERRNO(syscall(SYS_rt_sigpending, &set, 16), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigpending, nowhere, 8), EFAULT);
    signal(SIGUSR1, SIG_IGN); /* and it is gone */
    CHECK_EQ(syscall(SYS_rt_sigpending, &set, 8), 0);
    CHECK_EQ(set, 0);
    CHECK_EQ(syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, NULL, 8), 0);
    CHECK_EQ(syscall(SYS_gettimeofday, &now, NULL), 0);
    CHECK(now.tv_sec > 1500000000 && now.tv_usec < 1000000);
    CHECK_EQ(syscall(SYS_gettimeofday, NULL, NULL), 0);
    CHECK_ERRNO(syscall(SYS_gettimeofday, nowhere, NULL), EFAULT);
}

static void of_a_thread(void) {
    uintptr_t base = 0, other = 0;
    void *list = NULL, *mine = NULL;
    size_t size = 0;
    int tid = (int)syscall(SYS_gettid);
    CHECK_EQ(syscall(SYS_arch_prctl, GET_FS, &base), 0);
    CHECK(base != 0);
    CHECK_EQ(syscall(SYS_arch_prctl, SET_GS, 0x12345678ul), 0);
    CHECK_EQ(syscall(SYS_arch_prctl, GET_GS, &other), 0);
    CHECK_EQ(other, 0x12345678ul);
    CHECK_EQ(syscall(SYS_arch_prctl, SET_GS, 0), 0);
    CHECK_ERRNO(syscall(SYS_arch_prctl, SET_FS, 1ul << 63), EPERM);
    CHECK_ERRNO(syscall(SYS_arch_prctl, SET_GS, 1ul << 63), EPERM);
    CHECK_ERRNO(syscall(SYS_arch_prctl, GET_FS, nowhere), EFAULT);
    CHECK_ERRNO(syscall(SYS_arch_prctl, 0x7777, 0), EINVAL);
    CHECK_EQ(syscall(SYS_get_robust_list, 0, &list, &size), 0);
    CHECK_EQ(syscall(SYS_get_robust_list, tid, &mine, &size), 0);
    CHECK(list == mine);
    CHECK_EQ(size, 24);
    CHECK_ERRNO(syscall(SYS_get_robust_list, NOBODY, &list, &size), ESRCH);
    CHECK_ERRNO(syscall(SYS_get_robust_list, 0, nowhere, &size), EFAULT);
    CHECK_ERRNO(syscall(SYS_get_robust_list, 0, &list, nowhere), EFAULT);
    CHECK_ERRNO(syscall(SYS_set_robust_list, list, 23), EINVAL);
    CHECK_EQ(syscall(SYS_set_robust_list, list, 24), 0);
}

GUEST_MAIN(CASE(modes_and_owners), CASE(renaming_with_flags), CASE(statfs_of_descriptors),
           CASE(copying_ranges), CASE(affinity), CASE(scheduling), CASE(identity),
           CASE(pending_signals_and_time), CASE(of_a_thread))
