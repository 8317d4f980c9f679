/* SPDX-License-Identifier: MIT */
/* System calls that no other program here exercises: results and errors. */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

/* musl's compiler finds no headers of Linux. */
#define CAPABILITY_VERSION_3        0x20080522u
#define MEMBARRIER_QUERY            0
#define MEMBARRIER_PRIVATE          8
#define MEMBARRIER_REGISTER_PRIVATE 16
#define FUTEX_WAIT_SHARED           0

static void groups_and_sessions(void) {
    CHECK_EQ(getpgid(0), getpgrp());
    CHECK_EQ(getpgid(getpid()), getpgrp());
    CHECK_ERRNO(getpgid(-5), ESRCH);
    CHECK_ERRNO(getpgid(3999999), ESRCH);
    CHECK_EQ(getsid(getpid()), getsid(0));
    CHECK_ERRNO(getsid(3999999), ESRCH);
    CHECK_ERRNO(setpgid(0, -1), EINVAL);
}

static void capabilities(void) {
    struct {
        uint32_t version;
        int pid;
    } header = { CAPABILITY_VERSION_3, 0 };
    uint32_t data[6];
    CHECK_EQ(syscall(SYS_capget, &header, data), 0);
    header.version = 1;
    CHECK_ERRNO(syscall(SYS_capget, &header, data), EINVAL);
    CHECK_EQ(header.version, CAPABILITY_VERSION_3);
    header.pid = -1;
    CHECK_ERRNO(syscall(SYS_capget, &header, data), EINVAL);
    CHECK_ERRNO(syscall(SYS_capget, (void *)8, data), EFAULT);
    header.pid = 0;
    CHECK_ERRNO(syscall(SYS_capget, &header, (void *)8), EFAULT);
}

static void no_children(void) {
    siginfo_t info;
    CHECK_ERRNO(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
    CHECK_ERRNO(waitid(P_PID, getpid(), &info, WEXITED | WNOHANG), ECHILD);
    CHECK_ERRNO(waitid(P_ALL, 0, &info, 0), EINVAL);
    CHECK_ERRNO(waitid(P_ALL, 0, &info, 1 << 20), EINVAL);
    CHECK_ERRNO(waitid(77, 0, &info, WEXITED), EINVAL);
}

static void scheduling(void) {
    struct timespec slice = { -1, -1 };
    struct sched_param param = { .sched_priority = 0 };
    CHECK_EQ(sched_rr_get_interval(0, &slice), 0);
    CHECK(slice.tv_sec >= 0 && slice.tv_nsec >= 0);
    CHECK_ERRNO(sched_rr_get_interval(-1, &slice), EINVAL);
    CHECK_ERRNO(sched_rr_get_interval(3999999, &slice), ESRCH);
    CHECK_EQ(syscall(SYS_sched_getscheduler, 0), SCHED_OTHER);
    CHECK_EQ(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &param), 0);
    CHECK_EQ(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &param), 0);
    param.sched_priority = 3;
    CHECK_ERRNO(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &param), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_setscheduler, 0, 4711, &param), EINVAL);
    CHECK_EQ(syscall(SYS_sched_getparam, 0, &param), 0);
    CHECK_EQ(param.sched_priority, 0);
    unsigned cpu = 99, node = 99;
    CHECK_EQ(syscall(SYS_getcpu, &cpu, &node, NULL), 0);
    CHECK(cpu < 4096 && node < 64);
    CHECK_ERRNO(syscall(SYS_getcpu, (void *)8, NULL, NULL), EFAULT);
}

static volatile sig_atomic_t queued_value, queued_code;

static void on_queued(int signo, siginfo_t *info, void *context) {
    (void)signo, (void)context;
    queued_value = info->si_value.sival_int;
    queued_code = info->si_code;
}

static void queue_to_a_thread(void) {
    struct sigaction action = { .sa_sigaction = on_queued, .sa_flags = SA_SIGINFO };
    siginfo_t info = { .si_code = SI_QUEUE };
    info.si_value.sival_int = 4711;
    REQUIRE(sigaction(SIGRTMIN + 3, &action, NULL) == 0);
    long tid = syscall(SYS_gettid);
    CHECK_EQ(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGRTMIN + 3, &info), 0);
    CHECK_EQ(queued_value, 4711);
    CHECK_EQ(queued_code, SI_QUEUE);
    CHECK_ERRNO(syscall(SYS_rt_tgsigqueueinfo, getpid(), 3999999, SIGRTMIN + 3, &info), ESRCH);
    CHECK_ERRNO(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, 65, &info), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_tgsigqueueinfo, -1, tid, SIGRTMIN, &info), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGRTMIN, (void *)8), EFAULT);
}

static void syncing_and_locking(void) {
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(p != MAP_FAILED);
    CHECK_EQ(msync(p, 8192, MS_SYNC), 0);
    CHECK_EQ(msync(p, 8192, MS_ASYNC), 0);
    CHECK_ERRNO(msync(p, 8192, MS_SYNC | MS_ASYNC), EINVAL);
    CHECK_ERRNO(msync(p + 1, 4096, MS_SYNC), EINVAL);
    CHECK_EQ(syscall(SYS_mlock2, p, 4096, 0), 0);
    CHECK_ERRNO(syscall(SYS_mlock2, p, 4096, 64), EINVAL);
    CHECK_EQ(munlock(p, 4096), 0);
    CHECK_ERRNO(mlockall(0), EINVAL);
    CHECK_ERRNO(mlockall(64), EINVAL);
    CHECK_EQ(munmap(p, 8192), 0);
    CHECK_ERRNO(msync(p, 8192, MS_SYNC), ENOMEM);
    CHECK_ERRNO(syscall(SYS_mlock2, p, 4096, 0), ENOMEM);
}

static void barriers_on_all_cpus(void) {
    long known = syscall(SYS_membarrier, MEMBARRIER_QUERY, 0, 0);
    if (known < 0)
        return;
    CHECK_EQ(syscall(SYS_membarrier, MEMBARRIER_REGISTER_PRIVATE, 0, 0), 0);
    CHECK_EQ(syscall(SYS_membarrier, MEMBARRIER_PRIVATE, 0, 0), 0);
    CHECK_ERRNO(syscall(SYS_membarrier, 1 << 30, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_membarrier, MEMBARRIER_QUERY, 99, 0), EINVAL);
}

/* exit(2), not exit_group: the thread alone ends, and whoever waits for its tid is told. */
static int child_tid;

static int ends_itself(void *unused) {
    (void)unused;
    syscall(SYS_exit, 7);
    return 0;
}

static void exit_of_a_thread(void) {
    static char stack[65536] __attribute__((aligned(16)));
    volatile int *tid = &child_tid;
    long flags =
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_CLEARTID;
    child_tid = 4711;
    REQUIRE(clone(ends_itself, stack + sizeof stack, (int)flags, NULL, NULL, NULL, &child_tid) > 0);
    while (*tid != 0)
        syscall(SYS_futex, tid, FUTEX_WAIT_SHARED, 4711, NULL, NULL, 0);
    CHECK_EQ(*tid, 0);
    CHECK_ERRNO(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
}

/* Linux takes these arguments as int: the rest of the register means nothing.  test/run-errors
 * runs this case with --strace, which must print them. */
static void upper_halves_of_ints(void) {
    const long upper = 0x100000000000000;
    unsigned long none = 0;
    CHECK_EQ(syscall(SYS_rt_sigprocmask, upper | SIG_UNBLOCK, &none, NULL, sizeof none), 0);
    CHECK_ERRNO(syscall(SYS_rt_sigprocmask, upper | 3, &none, NULL, sizeof none), EINVAL);
    CHECK_EQ(syscall(SYS_tgkill, upper | getpid(), upper | getpid(), upper), 0);
    CHECK_EQ(syscall(SYS_fcntl, upper | 1, upper | F_GETFD), 0);
    CHECK_ERRNO(syscall(SYS_lseek, upper | 99, 0, upper), EBADF);
    CHECK_ERRNO(syscall(SYS_openat, upper | AT_FDCWD, "/nothing", upper | O_RDONLY), ENOENT);
}

GUEST_MAIN(CASE(groups_and_sessions), CASE(capabilities), CASE(no_children), CASE(scheduling),
           CASE(queue_to_a_thread), CASE(syncing_and_locking), CASE(barriers_on_all_cpus),
           CASE(exit_of_a_thread), CASE(upper_halves_of_ints))
