/* SPDX-License-Identifier: MIT */
/* What the system says of itself, of the process and of its limits. */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static void identities(void) {
    CHECK(getpid() > 0);
    CHECK_EQ(syscall(SYS_gettid), getpid());
    CHECK(getppid() >= 0 && getppid() != getpid());
    CHECK(getpgrp() >= 0);
    CHECK(getsid(0) >= 0);
    CHECK_EQ(getuid(), getauxval(AT_UID));
    CHECK_EQ(geteuid(), getauxval(AT_EUID));
    CHECK_EQ(getgid(), getauxval(AT_GID));
    CHECK_EQ(getegid(), getauxval(AT_EGID));
    uid_t real = 99, effective = 99, saved = 99;
    CHECK_EQ(getresuid(&real, &effective, &saved), 0);
    CHECK(real == getuid() && effective == geteuid());
    gid_t gids[3];
    CHECK_EQ(getresgid(&gids[0], &gids[1], &gids[2]), 0);
    CHECK(gids[0] == getgid() && gids[1] == getegid());
    CHECK(getgroups(0, NULL) >= 0);
    CHECK_ERRNO(wait4(-1, NULL, 0, NULL), ECHILD);
    CHECK_ERRNO(waitpid(-1, NULL, WNOHANG), ECHILD);
    mode_t mask = umask(022);
    CHECK_EQ(umask(mask), 022);
}

static void names(void) {
    struct utsname name;
    CHECK_EQ(uname(&name), 0);
    CHECK(!strcmp(name.sysname, "Linux") && !strcmp(name.machine, "x86_64"));
    CHECK(name.nodename[0] && name.release[0] && name.version[0]);
    CHECK_ERRNO(syscall(SYS_uname, (void *)8), EFAULT);
    char text[32] = "";
    CHECK_EQ(prctl(PR_SET_NAME, "a name of a thread"), 0);
    CHECK_EQ(prctl(PR_GET_NAME, text), 0);
    CHECK(!strcmp(text, "a name of a thr")); /* fifteen bytes */
}

static void *inherits(void *arg) {
    int signal = 1;
    CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    CHECK_EQ(prctl(PR_GET_TIMERSLACK), 12345);
    CHECK_EQ(prctl(PR_GET_KEEPCAPS), 1);
    CHECK_EQ(prctl(PR_GET_PDEATHSIG, &signal), 0);
    CHECK_EQ(signal, 0); /* this one is not inherited */
    return arg;
}

static void prctl_gives_back_what_it_took(void) {
    int signal = 1;
    CHECK_EQ(prctl(PR_GET_PDEATHSIG, &signal), 0);
    CHECK_EQ(signal, 0);
    CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
    CHECK_EQ(prctl(PR_GET_PDEATHSIG, &signal), 0);
    CHECK_EQ(signal, SIGUSR1);
    CHECK_ERRNO(prctl(PR_SET_PDEATHSIG, 65), EINVAL);
    CHECK_ERRNO(prctl(PR_GET_PDEATHSIG, (void *)8), EFAULT);
    CHECK_EQ(prctl(PR_SET_PDEATHSIG, 0), 0);
    CHECK_EQ(prctl(PR_SET_DUMPABLE, 0), 0);
    CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
    CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
    CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
    CHECK_ERRNO(prctl(PR_SET_DUMPABLE, 7), EINVAL);
    CHECK_EQ(prctl(PR_GET_KEEPCAPS), 0);
    CHECK_EQ(prctl(PR_SET_KEEPCAPS, 1), 0);
    CHECK_EQ(prctl(PR_GET_KEEPCAPS), 1);
    CHECK_ERRNO(prctl(PR_SET_KEEPCAPS, 2), EINVAL);
    CHECK_EQ(prctl(PR_SET_TIMERSLACK, 12345), 0);
    CHECK_EQ(prctl(PR_GET_TIMERSLACK), 12345);
    CHECK_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0), EINVAL);
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, inherits, NULL) == 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_ERRNO(prctl(9999), EINVAL);
}

static void memory_adds_up(void) {
    struct sysinfo info;
    REQUIRE(sysinfo(&info) == 0);
    CHECK(info.mem_unit > 0 && info.totalram > 0);
    CHECK(info.freeram <= info.totalram);
    CHECK(info.procs >= 1);
    CHECK_EQ(sysconf(_SC_PHYS_PAGES), info.totalram * info.mem_unit / 4096);
    CHECK_EQ(sysconf(_SC_PAGESIZE), 4096);
    CHECK_ERRNO(syscall(SYS_sysinfo, (void *)8), EFAULT);
    /* What the program takes is missing there. */
    char *p = malloc(24 << 20);
    REQUIRE(p != NULL);
    for (long i = 0; i < 24 << 20; i += 4096)
        *(volatile char *)(p + i) = 1;
    struct rusage usage;
    CHECK_EQ(getrusage(RUSAGE_SELF, &usage), 0);
    CHECK(usage.ru_maxrss >= 23 << 10); /* Linux counts on each CPU, and adds up now and then */
    CHECK(usage.ru_minflt > 0 && usage.ru_stime.tv_sec >= 0);
    free(p);
    CHECK_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
    CHECK_ERRNO(getrusage(99, &usage), EINVAL);
}

static void *own_usage(void *arg) {
    struct rusage *usage = arg;
    volatile char fresh[8 * 4096];
    for (unsigned i = 0; i < sizeof fresh; i += 4096)
        fresh[i] = 1;
    /* On a busy host a sleep may be over before the thread has given its CPU away. */
    for (int i = 0; i < 1000 && usage->ru_nvcsw < 3; i++) {
        sleep_ms(1);
        CHECK_EQ(getrusage(RUSAGE_THREAD, usage), 0);
    }
    return NULL;
}

static void usage_of_threads(void) {
    const long pages = 1024;
    char *p = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct rusage mine, other = { 0 };
    pthread_t thread;
    REQUIRE(p != MAP_FAILED);
    madvise(p, pages * 4096, MADV_NOHUGEPAGE);
    for (long i = 0; i < pages; i++)
        p[i * 4096] = 1;
    CHECK_EQ(getrusage(RUSAGE_THREAD, &mine), 0);
    CHECK(mine.ru_minflt >= pages);
    REQUIRE(thread_start(&thread, own_usage, &other));
    thread_join(thread);
    CHECK(other.ru_minflt > 0 && other.ru_minflt < pages / 2);
    CHECK(other.ru_nvcsw >= 3);
    munmap(p, pages * 4096);
}

static void random_bytes(void) {
    unsigned char a[256], b[256];
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    CHECK_EQ(getrandom(a, sizeof a, 0), sizeof a);
    CHECK_EQ(getrandom(b, sizeof b, GRND_NONBLOCK), sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0);
    int ones = 0;
    for (int i = 0; i < 256; i++)
        ones += __builtin_popcount(a[i]);
    CHECK(ones > 850 && ones < 1200); /* of 2048: seven sigma either way */
    CHECK_EQ(getrandom(a, 0, 0), 0);
    CHECK_ERRNO(getrandom(a, 16, 0x80), EINVAL);
    CHECK_ERRNO(syscall(SYS_getrandom, (void *)8, 16, 0), EFAULT);
}

static void limits(void) {
    struct rlimit limit, again;
    for (int i = 0; i < RLIM_NLIMITS; i++)
        CHECK_EQ(getrlimit(i, &limit), 0);
    CHECK_EQ(getrlimit(RLIMIT_STACK, &limit), 0);
    CHECK(limit.rlim_cur >= 1 << 20);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK(limit.rlim_cur >= 64);
    rlim_t old = limit.rlim_cur;
    limit.rlim_cur = 50;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_EQ(prlimit(0, RLIMIT_NOFILE, NULL, &again), 0);
    CHECK_EQ(again.rlim_cur, 50);
    CHECK_ERRNO(fcntl(0, F_DUPFD, 60), EINVAL);
    limit.rlim_cur = old;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max + 1;
    if (limit.rlim_cur > limit.rlim_max)
        CHECK_ERRNO(setrlimit(RLIMIT_NOFILE, &limit), EINVAL);
    CHECK_ERRNO(getrlimit(99, &limit), EINVAL);
    CHECK_ERRNO(syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, (void *)8), EFAULT);
}

static void affinity(void) {
    int cpus[CPUS_MAX], count = cpus_list(cpus);
    unsigned long mask[16] = { 0 };
    long size = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    CHECK(size >= 8 && size % 8 == 0); /* the kernel's own size of a mask */
    CHECK_ERRNO(syscall(SYS_sched_getaffinity, 0, 7, mask), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_getaffinity, 0, sizeof mask, (void *)8), EFAULT);
    CHECK_ERRNO(syscall(SYS_sched_setaffinity, 0, sizeof mask, (void *)8), EFAULT);
    for (int i = 0; i < count; i++) {
        unsigned cpu = 999, node = 999;
        CHECK_EQ(cpu_pin(cpus[i]), 0);
        CHECK_EQ(syscall(SYS_getcpu, &cpu, &node, NULL), 0);
        CHECK_EQ(cpu, cpus[i]);
        CHECK_EQ(node, 0);
    }
    CHECK_EQ(syscall(SYS_getcpu, NULL, NULL, NULL), 0);
    CHECK_ERRNO(syscall(SYS_getcpu, (void *)8, NULL, NULL), EFAULT);
    CHECK_EQ(cpu_unpin(cpus, count), 0);
}

static void scheduling(void) {
    struct sched_param param = { 0 };
    CHECK_EQ(sched_yield(), 0);
    CHECK_EQ(syscall(SYS_sched_getscheduler, 0), SCHED_OTHER);
    CHECK_EQ(syscall(SYS_sched_getparam, 0, &param), 0);
    CHECK_EQ(param.sched_priority, 0);
    CHECK_EQ(sched_get_priority_max(SCHED_OTHER), 0);
    CHECK_EQ(sched_get_priority_max(SCHED_FIFO), 99);
    CHECK_EQ(sched_get_priority_min(SCHED_FIFO), 1);
    errno = 0;
    int nice_now = getpriority(PRIO_PROCESS, 0);
    CHECK(errno == 0 && nice_now >= -20 && nice_now <= 19);
}

static void unknown_calls(void) {
    CHECK_ERRNO(syscall(9999), ENOSYS);
    CHECK_ERRNO(syscall(-5), ENOSYS);
    CHECK_ERRNO(syscall(9999 | 1L << 40), ENOSYS);
    CHECK_EQ(syscall(SYS_getpid | 1L << 40), getpid()); /* only 32 bits count */
    CHECK_ERRNO(syscall(SYS_getpid | 1L << 31), ENOSYS);
}

GUEST_MAIN(CASE(identities), CASE(names), CASE(prctl_gives_back_what_it_took), CASE(memory_adds_up),
           CASE(usage_of_threads), CASE(random_bytes), CASE(limits), CASE(affinity),
           CASE(scheduling), CASE(unknown_calls))
