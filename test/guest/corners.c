/* SPDX-License-Identifier: MIT */
/*
 * Corners of the ABI: the unused half of int arguments, the order of errors of
 * what sends signals, SIGPIPE and SIGXFSZ, long directories, the environment.
 */
#define _GNU_SOURCE
#include "test/guest/guest.h"
#include "test/guest/scratch.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* An int or unsigned int as the compiler may pass it: the upper half is anything. */
#define DIRTY(x) ((long)(uint32_t)(x) | 0x5aa5l << 40)
#define NOBODY   3999999

static siginfo_t seen;
static volatile int seen_count;

static void note(int signo, siginfo_t *info, void *context) {
    (void)signo, (void)context;
    seen = *info;
    seen_count++;
}

static void handle(int signo) {
    struct sigaction a = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
    seen_count = 0;
    CHECK_EQ(sigaction(signo, &a, NULL), 0);
}

static void upper_halves_do_not_matter(void) {
    int fds[2];
    char byte;
    struct stat s;
    struct pollfd p;
    CHECK_EQ(syscall(SYS_pipe2, fds, DIRTY(O_CLOEXEC)), 0);
    CHECK_EQ(syscall(SYS_fstat, DIRTY(fds[0]), &s), 0);
    CHECK_EQ(syscall(SYS_write, DIRTY(fds[1]), "x", 1), 1);
    CHECK_EQ(syscall(SYS_read, DIRTY(fds[0]), &byte, 1), 1);
    CHECK_EQ(syscall(SYS_dup3, DIRTY(fds[0]), DIRTY(90), DIRTY(O_CLOEXEC)), 90);
    CHECK_EQ(syscall(SYS_fcntl, DIRTY(90), DIRTY(F_GETFD), 0), FD_CLOEXEC);
    p = (struct pollfd){ .fd = 90, .events = POLLIN };
    CHECK_EQ(syscall(SYS_poll, &p, DIRTY(1), DIRTY(0)), 0);
    CHECK_EQ(syscall(SYS_close_range, DIRTY(90), DIRTY(91), DIRTY(0)), 0);
    CHECK_ERRNO(syscall(SYS_close, DIRTY(90)), EBADF);
    long event = syscall(SYS_eventfd2, DIRTY(1), DIRTY(O_CLOEXEC));
    CHECK(event >= 0);
    close((int)event);
    CHECK_EQ(syscall(SYS_newfstatat, DIRTY(AT_FDCWD), "/", &s, DIRTY(AT_SYMLINK_NOFOLLOW)), 0);
    CHECK_EQ(syscall(SYS_faccessat, DIRTY(AT_FDCWD), "/", DIRTY(R_OK)), 0);
    CHECK_ERRNO(syscall(SYS_unlinkat, DIRTY(AT_FDCWD), "/none/x", DIRTY(AT_REMOVEDIR)), ENOENT);
    CHECK_EQ(syscall(SYS_kill, DIRTY(getpid()), DIRTY(0)), 0);
    CHECK_EQ(syscall(SYS_rt_sigprocmask, DIRTY(SIG_BLOCK), NULL, NULL, 8), 0);
    CHECK_ERRNO(syscall(SYS_munlock, 0x1000, 0x1000), ENOMEM);
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_EQ(syscall(SYS_msync, page, 4096, DIRTY(MS_ASYNC)), 0);
    CHECK_EQ(syscall(SYS_madvise, page, 4096, DIRTY(MADV_DONTNEED)), 0);
    CHECK_EQ(syscall(SYS_mprotect, page, 4096, (long)PROT_READ), 0);
    munmap(page, 4096);
    close(fds[0]);
    close(fds[1]);
}

static void receivers_are_looked_up_first(void) {
    siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_QUEUE };
    CHECK_ERRNO(kill(NOBODY, 99), ESRCH);
    CHECK_ERRNO(kill(getpid(), 99), EINVAL);
    CHECK_ERRNO(kill(getpid(), -1), EINVAL);
    CHECK_ERRNO(syscall(SYS_tgkill, getpid(), NOBODY, 99), ESRCH);
    CHECK_ERRNO(syscall(SYS_tgkill, getpid(), getpid(), 99), EINVAL);
    CHECK_ERRNO(syscall(SYS_tgkill, -1, getpid(), 99), EINVAL);
    CHECK_ERRNO(syscall(SYS_tkill, NOBODY, 99), ESRCH);
    CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, NOBODY, SIGUSR1, &info), ESRCH);
    CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, getpid(), 99, &info), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, (void *)8), EFAULT);
    info.si_code = SI_USER; /* nobody else may claim what the kernel says */
    CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, NOBODY, SIGUSR1, &info), EPERM);
    CHECK_ERRNO(syscall(SYS_rt_tgsigqueueinfo, getpid(), NOBODY, SIGUSR1, &info), EPERM);
    info.si_code = SI_TKILL;
    CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, NOBODY, SIGUSR1, &info), EPERM);
    handle(SIGUSR1);
    CHECK_EQ(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info), 0); /* but to oneself */
    CHECK_EQ(seen_count, 1);
    CHECK_EQ(seen.si_code, SI_TKILL);
}

static void broken_pipe_names_the_writer(void) {
    int fds[2];
    REQUIRE(pipe(fds) == 0);
    close(fds[0]);
    handle(SIGPIPE);
    CHECK_ERRNO(write(fds[1], "x", 1), EPIPE);
    CHECK_EQ(seen_count, 1);
    CHECK_EQ(seen.si_signo, SIGPIPE);
    CHECK_EQ(seen.si_code, SI_USER);
    CHECK_EQ(seen.si_pid, getpid());
    CHECK_EQ(write(fds[1], "x", 0), 0);
    CHECK_EQ(seen_count, 1);
    close(fds[1]);
}

static void files_end_at_their_limit(void) {
    const char *path = "limited";
    char block[1000];
    struct rlimit before, limit;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    REQUIRE(scratch_enter());
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    REQUIRE(fd >= 0);
    memset(block, 'b', sizeof block);
    limit = before;
    limit.rlim_cur = 2500;
    handle(SIGXFSZ);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_EQ(write(fd, block, 1000), 1000);
    CHECK_EQ(write(fd, block, 1000), 1000);
    CHECK_EQ(write(fd, block, 1000), 500);
    CHECK_EQ(seen_count, 0);
    CHECK_ERRNO(write(fd, block, 1000), EFBIG);
    CHECK_EQ(seen_count, 1);
    CHECK_EQ(seen.si_signo, SIGXFSZ);
    CHECK_EQ(seen.si_code, SI_USER);
    CHECK_EQ(write(fd, block, 0), 0);
    CHECK_ERRNO(pwrite(fd, block, 1, 2500), EFBIG);
    CHECK_EQ(pwrite(fd, block, 10, 2495), 5);
    CHECK_EQ(ftruncate(fd, 2500), 0);
    CHECK_EQ(seen_count, 2);
    CHECK_ERRNO(ftruncate(fd, 2501), EFBIG);
    CHECK_ERRNO(truncate(path, 2501), EFBIG);
    CHECK_EQ(seen_count, 4);
    CHECK_EQ(ftruncate(fd, 10), 0);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK_EQ(ftruncate(fd, 9000), 0);
    close(fd);
    scratch_leave();
}

#define FILES 3000

/* In many parts, some of it removed and added meanwhile: each name that stays is seen once. */
static void long_directories(void) {
    static unsigned char shown[FILES];
    const char *path = "long";
    char name[32], buffer[512];
    REQUIRE(scratch_enter());
    int dir = mkdir(path, 0700) ? -1 : open(path, O_RDONLY | O_DIRECTORY);
    long n;
    REQUIRE(dir >= 0);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "f%d", i);
        int fd = openat(dir, name, O_CREAT | O_WRONLY, 0600);
        REQUIRE(fd >= 0);
        close(fd);
    }
    while ((n = syscall(SYS_getdents64, dir, buffer, sizeof buffer)) > 0) {
        int last = -1;
        for (char *at = buffer; at < buffer + n;) {
            unsigned short length;
            memcpy(&length, at + 16, sizeof length);
            if (at[19] == 'f') {
                last = atoi(at + 20);
                REQUIRE(last >= 0 && last < FILES);
                CHECK_EQ(shown[last], 0);
                shown[last]++;
            }
            at += length;
        }
        if (last < 0)
            continue;
        snprintf(name, sizeof name, "f%d", last); /* what was shown goes */
        CHECK_EQ(unlinkat(dir, name, 0), 0);
    }
    CHECK_EQ(n, 0);
    for (int i = 0; i < FILES; i++) {
        CHECK_EQ(shown[i], 1);
        snprintf(name, sizeof name, "f%d", i);
        unlinkat(dir, name, 0);
    }
    close(dir);
    CHECK_EQ(rmdir(path), 0);
    scratch_leave();
}

static void environment_is_in_proc(void) {
    extern char **environ;
    static char text[65536];
    int fd = open("/proc/self/environ", O_RDONLY);
    REQUIRE(fd >= 0);
    long n = 0, more;
    while ((more = read(fd, text + n, sizeof text - (size_t)n)) > 0)
        n += more;
    close(fd);
    char *at = text;
    for (char **e = environ; *e && at < text + n; at += strlen(at) + 1)
        CHECK(strcmp(at, *e++) == 0);
    CHECK_EQ(at - text, n);
}

GUEST_MAIN(CASE(upper_halves_do_not_matter), CASE(receivers_are_looked_up_first),
           CASE(broken_pipe_names_the_writer), CASE(files_end_at_their_limit),
           CASE(long_directories), CASE(environment_is_in_proc))
