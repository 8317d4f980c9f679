/* SPDX-License-Identifier: MIT */
/* /dev and /proc: what programs and allocators read there. */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <termios.h>

static char text[200000];

/* The whole file as a string in text; its length, or -1. */
static long slurp(const char *path) {
    long size = 0, n;
    int fd = open(path, O_RDONLY);
    if (!CHECK(fd >= 0))
        return -1;
    while (size < (long)sizeof text - 1 && (n = read(fd, text + size, sizeof text - 1 - size)) > 0)
        size += n;
    text[size] = 0;
    close(fd);
    return size;
}

static void dev_null_zero_full(void) {
    char bytes[100];
    struct stat st;
    int fd = open("/dev/null", O_RDWR);
    REQUIRE(fd >= 0);
    CHECK_EQ(read(fd, bytes, 100), 0);
    CHECK_EQ(write(fd, bytes, 100), 100);
    CHECK(fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0x103);
    close(fd);
    fd = open("/dev/zero", O_RDWR);
    REQUIRE(fd >= 0);
    memset(bytes, 1, sizeof bytes);
    CHECK_EQ(read(fd, bytes, 100), 100);
    CHECK(bytes[0] == 0 && bytes[99] == 0);
    CHECK_EQ(write(fd, bytes, 100), 100);
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    REQUIRE(p != MAP_FAILED); /* the old way to anonymous memory */
    CHECK_EQ(p[5000], 0);
    p[5000] = 1;
    munmap(p, 8192);
    close(fd);
    fd = open("/dev/full", O_RDWR);
    REQUIRE(fd >= 0);
    CHECK_EQ(read(fd, bytes, 100), 100);
    CHECK_ERRNO(write(fd, bytes, 1), ENOSPC);
    close(fd);
}

static void dev_random(void) {
    unsigned char a[64] = { 0 }, b[64] = { 0 };
    int fd = open("/dev/urandom", O_RDONLY);
    REQUIRE(fd >= 0);
    CHECK_EQ(read(fd, a, 64), 64);
    CHECK_EQ(read(fd, b, 64), 64);
    CHECK(memcmp(a, b, 64) != 0);
    close(fd);
}

static void proc_cpuinfo(void) {
    static const char *const lines[] = { "\nvendor_id\t: ", "\ncpu family\t: ", "\nmodel\t\t: ",
                                         "\nstepping\t: ",  "\ncpu MHz\t\t: ",  "\napicid\t\t: " };
    REQUIRE(slurp("/proc/cpuinfo") > 0);
    for (unsigned i = 0; i < LENGTH(lines); i++)
        CHECK(strstr(text, lines[i]) != NULL);
    char *flags = strstr(text, "\nflags\t\t: ");
    REQUIRE(flags != NULL);
    *strchr(flags + 1, '\n') = ' ';
    CHECK_EQ(strstr(flags, " sse4_2 ") != NULL, __builtin_cpu_supports("sse4.2") != 0);
    CHECK_EQ(strstr(flags, " popcnt ") != NULL, __builtin_cpu_supports("popcnt") != 0);
    CHECK_EQ(strstr(flags, " avx ") != NULL, __builtin_cpu_supports("avx") != 0);
    CHECK_EQ(strstr(flags, " avx2 ") != NULL, __builtin_cpu_supports("avx2") != 0);
}

/* Of the whole machine and of its CPUs, for programs, those of low priority and the kernel; 100 in
 * a second. */
static long ticks(const char *name) {
    long user, low, kernel;
    char *line = slurp("/proc/stat") > 0 ? strstr(text, name) : NULL;
    if (!line || sscanf(line + strlen(name), "%ld %ld %ld", &user, &low, &kernel) != 3)
        return -1;
    return user + low + kernel;
}

static void *spin_for_a_while(void *arg) {
    struct timespec used;
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    while (used.tv_sec == 0 && used.tv_nsec < 300000000);
    return arg;
}

/* It grows while a thread spins, and stays when the thread has ended. */
static void proc_stat_never_falls(void) {
    pthread_t thread;
    long before = ticks("cpu "), now, last = before;
    REQUIRE(before >= 0);
    REQUIRE(thread_start(&thread, spin_for_a_while, NULL));
    CHECK_SOON(ticks("cpu ") >= before + 10);
    for (int i = 0; i < 50; i++, last = now) {
        now = ticks("cpu ");
        CHECK(now >= last);
        sleep_ms(1);
    }
    thread_join(thread);
    now = ticks("cpu ");
    CHECK(now >= last && now >= before + 20);
}

static void terminals(void) {
    struct termios settings;
    struct winsize size;
    int fd = open("/dev/null", O_RDWR);
    CHECK_ERRNO(ioctl(fd, TCGETS, &settings), ENOTTY);
    CHECK_ERRNO(ioctl(fd, TIOCGWINSZ, &size), ENOTTY);
    CHECK_EQ(isatty(fd), 0);
    CHECK_ERRNO(ioctl(999, TCGETS, &settings), EBADF);
    close(fd);
    if (isatty(1)) {
        CHECK_EQ(ioctl(1, TCGETS, &settings), 0);
        CHECK_EQ(ioctl(1, TIOCGWINSZ, &size), 0);
    }
    fd = open("/dev/tty", O_RDWR); /* there only with a controlling terminal */
    if (fd >= 0)
        CHECK_EQ(isatty(fd), 1);
    else
        CHECK(errno == ENXIO || errno == ENOENT);
    close(fd);
}

static void proc_self_maps(void) {
    static char mine[3 * 4096];
    int local, found_stack = 0, found_data = 0, found_text = 0, bad = 0, lines = 0;
    unsigned long last = 0;
    REQUIRE(slurp("/proc/self/maps") > 0);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        unsigned long start, end, offset, inode;
        char access[5], device[12];
        if (sscanf(line, "%lx-%lx %4s %lx %11s %lu", &start, &end, access, &offset, device,
                   &inode) != 6) {
            bad++;
            continue;
        }
        bad += start >= end || (start < last && start < 1UL << 47);
        last = end;
        unsigned long data = (unsigned long)mine, code = (unsigned long)slurp;
        if ((unsigned long)&local >= start && (unsigned long)&local < end)
            found_stack = !strcmp(access, "rw-p") && strstr(line, "[stack]");
        if (data >= start && data < end)
            found_data = access[1] == 'w';
        if (code >= start && code < end)
            found_text = !strcmp(access, "r-xp");
    }
    CHECK_EQ(bad, 0);
    CHECK(lines >= 4);
    CHECK(found_stack && found_data && found_text);
}

static long number_after(const char *key) {
    const char *at = strstr(text, key);
    return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static void proc_self_status(void) {
    REQUIRE(slurp("/proc/self/status") > 0);
    CHECK(!strncmp(text, "Name:\t", 6));
    CHECK_EQ(number_after("\nPid:"), getpid());
    CHECK_EQ(number_after("\nTgid:"), getpid());
    CHECK(number_after("\nThreads:") == 1);
    CHECK(number_after("\nVmRSS:") > 0 && number_after("\nVmSize:") >= number_after("\nVmRSS:"));
}

static unsigned long long hex_after(const char *name) {
    const char *at = strstr(text, name);
    return CHECK(at != NULL) ? strtoull(at + strlen(name), NULL, 16) : 0;
}

static void on_signal(int signo) {
    (void)signo;
}

static void proc_self_status_changes(void) {
    const long size = 32L << 20;
    char *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(p != MAP_FAILED && slurp("/proc/self/status") > 0);
    long with = number_after("\nVmSize:");
    munmap(p, size);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, on_signal);
    REQUIRE(slurp("/proc/self/status") > 0);
    CHECK(number_after("\nVmPeak:") >= with && number_after("\nVmSize:") < with);
    CHECK_EQ(hex_after("\nSigIgn:") >> (SIGUSR1 - 1) & 1, 1);
    CHECK_EQ(hex_after("\nSigIgn:") >> (SIGUSR2 - 1) & 1, 0);
    CHECK_EQ(hex_after("\nSigCgt:") >> (SIGUSR1 - 1) & 1, 0);
    CHECK_EQ(hex_after("\nSigCgt:") >> (SIGUSR2 - 1) & 1, 1);
    CHECK(strstr(text, "\nCpus_allowed_list:\t") != NULL);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}

static void proc_self_comm(void) {
    char before[16] = "", now[16] = "";
    CHECK_EQ(prctl(PR_GET_NAME, before), 0);
    CHECK_EQ(prctl(PR_SET_NAME, "renamed"), 0);
    CHECK(slurp("/proc/self/comm") > 0 && !strcmp(text, "renamed\n"));
    CHECK(slurp("/proc/self/status") > 0 && !strncmp(text, "Name:\trenamed\n", 14));
    int fd = open("/proc/self/comm", O_WRONLY);
    REQUIRE(fd >= 0);
    CHECK_EQ(write(fd, "written-and-far-too-long", 24), 24);
    close(fd);
    CHECK_EQ(prctl(PR_GET_NAME, now), 0);
    CHECK(!strcmp(now, "written-and-far"));
    CHECK(slurp("/proc/self/stat") > 0 && strstr(text, " (written-and-far) ") != NULL);
    CHECK_EQ(prctl(PR_SET_NAME, before), 0);
}

static void proc_self_statm_and_stat(void) {
    long size, resident, resident_later;
    REQUIRE(slurp("/proc/self/statm") > 0);
    REQUIRE(sscanf(text, "%ld %ld", &size, &resident) == 2);
    CHECK(size >= resident && resident > 0);
    char *p = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 1, 8 << 20);
    REQUIRE(slurp("/proc/self/statm") > 0);
    REQUIRE(sscanf(text, "%ld %ld", &size, &resident_later) == 2);
    CHECK(resident_later - resident >= 1900 && resident_later - resident < 2600);
    munmap(p, 8 << 20);
    REQUIRE(slurp("/proc/self/stat") > 0);
    CHECK_EQ(strtol(text, NULL, 10), getpid());
    char *after_name = strrchr(text, ')');
    REQUIRE(after_name != NULL);
    CHECK_EQ(after_name[2], 'R');
}

static void proc_self_exe(void) {
    char path[PATH_MAX];
    long length = readlink("/proc/self/exe", path, sizeof path - 1);
    REQUIRE(length > 0);
    path[length] = 0;
    CHECK(path[0] == '/' && strstr(path, "special_files"));
    int fd = open("/proc/self/exe", O_RDONLY);
    REQUIRE(fd >= 0);
    CHECK_EQ(read(fd, text, 4), 4);
    CHECK(!memcmp(text, "\177ELF", 4));
    close(fd);
}

static void proc_machine(void) {
    int cpus[CPUS_MAX], count = cpus_list(cpus), processors = 0, cpu_lines = 0;
    REQUIRE(slurp("/proc/meminfo") > 0);
    long total = number_after("MemTotal:"), available = number_after("MemAvailable:");
    CHECK(total > 0 && available > 0 && available <= total);
    CHECK(number_after("MemFree:") <= total);
    CHECK(strstr(text, " kB\n") != NULL);
    REQUIRE(slurp("/proc/cpuinfo") > 0);
    for (char *at = text; (at = strstr(at, "processor\t:")); at++)
        processors++;
    CHECK(processors >= count);
    CHECK(strstr(text, "flags\t\t:") != NULL);
    REQUIRE(slurp("/proc/stat") > 0);
    CHECK(!strncmp(text, "cpu  ", 5));
    for (char *at = text; (at = strstr(at, "\ncpu")); at++)
        cpu_lines++;
    CHECK(cpu_lines >= count);
    CHECK(strstr(text, "\nbtime ") != NULL);
}

static void proc_is_read_only_and_exact(void) {
    char part[10];
    int fd = open("/proc/meminfo", O_RDONLY);
    REQUIRE(fd >= 0);
    CHECK_EQ(read(fd, part, 9), 9);
    CHECK(!strncmp(part, "MemTotal:", 9)); /* read in pieces */
    CHECK_EQ(lseek(fd, 3, SEEK_SET), 3);
    CHECK_EQ(read(fd, part, 5), 5);
    CHECK(!strncmp(part, "Total", 5));
    close(fd);
    CHECK_ERRNO(open("/proc/nothing", O_RDONLY), ENOENT);
    CHECK_ERRNO(mkdir("/proc/self/x", 0755), ENOENT);
}

GUEST_MAIN(CASE(dev_null_zero_full), CASE(dev_random), CASE(terminals), CASE(proc_cpuinfo),
           CASE(proc_stat_never_falls), CASE(proc_self_maps), CASE(proc_self_status),
           CASE(proc_self_status_changes), CASE(proc_self_comm), CASE(proc_self_statm_and_stat),
           CASE(proc_self_exe), CASE(proc_machine), CASE(proc_is_read_only_and_exact))
