/* SPDX-License-Identifier: MIT */
/*
 * What test/run-options runs: parts that show what an option of `mimosa run`
 * did to the machine, and `json`, which says here whether a text is JSON.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>
#include "test/guest/linux_abi.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

extern char **environ;

/* All that the kernel draws by lot: bytes, and where things lie. */
static int lots(void) {
    unsigned char bytes[16], more[16];
    int local;
    void *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return 1;
    memcpy(more, (void *)getauxval(AT_RANDOM), sizeof more);
    for (unsigned i = 0; i < sizeof bytes; i++)
        printf("%02x", bytes[i]);
    printf("\n");
    for (unsigned i = 0; i < sizeof more; i++)
        printf("%02x", more[i]);
    printf("\nprogram %p\nheap %p\nmapping %p\nvdso %#lx\nstack %p\n", (void *)&environ, sbrk(0),
           mapped, getauxval(AT_SYSINFO_EHDR), (void *)&local);
    return 0;
}

/* What a clock says before and after some work. */
static int clocks(void) {
    struct timespec now[4];
    clock_gettime(CLOCK_MONOTONIC, &now[0]);
    clock_gettime(CLOCK_REALTIME, &now[1]);
    for (int i = 0; i < 1000000; i++)
        __asm__ volatile("");
    clock_gettime(CLOCK_MONOTONIC, &now[2]);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now[3]);
    for (int i = 0; i < 4; i++)
        printf("%ld.%09ld\n", (long)now[i].tv_sec, now[i].tv_nsec);
    return 0;
}

/* The wall clock, in nanoseconds, at each line of input. */
static int watch(void) {
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        printf("%ld%09ld\n", (long)now.tv_sec, now.tv_nsec);
        fflush(stdout);
    }
    return 0;
}

static long free_kib(void) {
    char text[2048] = "";
    FILE *file = fopen("/proc/meminfo", "r");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[n] = 0;
    const char *at = strstr(text, "MemFree:");
    return at ? strtol(at + strlen("MemFree:"), NULL, 10) : -1;
}

/* How much of a new mapping of 64 MiB has memory before it is touched. */
static int committed(void) {
    enum { PAGES = 64 << 8 };
    static unsigned char resident[PAGES];
    long before = free_kib(), count = 0;
    char *p = mmap(NULL, PAGES * 4096L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mincore(p, PAGES * 4096L, resident))
        return 1;
    for (int i = 0; i < PAGES; i++)
        count += resident[i] & 1;
    long taken = before - free_kib();
    printf("%s, %s\n",
           count == PAGES ? "all"
           : count        ? "some"
                          : "none",
           taken >= 64 << 10 ? "all is taken"
           : taken > 1 << 10 ? "some is taken"
                             : "nothing is taken");
    return 0;
}

static int environment(void) {
    for (char **at = environ; *at; at++)
        puts(*at);
    return 0;
}

/* The files of /proc/mimosa. */
static int counters(void) {
    DIR *dir = opendir("/proc/mimosa");
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            puts(entry->d_name);
    return !dir;
}

/* The machine's memory in MiB and its CPUs. */
static int size(void) {
    struct sysinfo info;
    if (sysinfo(&info))
        return 1;
    printf("%lu %ld\n", info.totalram * info.mem_unit >> 20, sysconf(_SC_NPROCESSORS_ONLN));
    return 0;
}

/* Calls that --strace prints, and two that are not there. */
static int calls(void) {
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct timespec moment = { .tv_nsec = 5 };

    (void)syscall(SYS_openat, AT_FDCWD, "/none", O_RDWR | O_CLOEXEC, 0);
    long some = syscall(SYS_openat, AT_FDCWD, "/some", O_WRONLY | O_CREAT, 0600);
    (void)syscall(SYS_futex, p, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
    (void)syscall(SYS_futex, p, FUTEX_WAIT, 0, &moment, NULL, 0);
    (void)syscall(SYS_lseek, -1, -5000000000, SEEK_CUR);
    (void)syscall(SYS_lseek, some, 100000, SEEK_SET);
    (void)syscall(SYS_kill, -1000, SIGTERM);
    (void)syscall(SYS_kill, -1000, 34);
    (void)syscall(SYS_fchmod, -1, 0644);
    (void)syscall(SYS_setsid);
    (void)munmap(p, 8192);
    for (int i = 0; i < 2; i++)
        (void)syscall(SYS_memfd_create, "x", 0);
    (void)syscall(SYS_fchmodat2, AT_FDCWD, "/some", 0600, 0);
    return 0;
}

/* ---- RFC 8259, without a look at what it means ---- */

static const char *skip_blanks(const char *p) {
    return p + strspn(p, " \t\r\n");
}

static const char *json_string(const char *p) {
    if (*p++ != '"')
        return NULL;
    for (; *p != '"'; p++) {
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p != '\\')
            continue;
        if (*++p == 'u') {
            if (strspn(p + 1, "0123456789abcdefABCDEF") < 4)
                return NULL;
            p += 4;
        } else if (!*p || !strchr("\"\\/bfnrt", *p)) {
            return NULL;
        }
    }
    return p + 1;
}

static const char *json_digits(const char *p) {
    size_t n = strspn(p, "0123456789");
    return n ? p + n : NULL;
}

static const char *json_number(const char *p) {
    p += *p == '-';
    const char *begin = p;
    p = json_digits(p);
    if (!p || (*begin == '0' && p > begin + 1))
        return NULL;
    if (*p == '.' && !(p = json_digits(p + 1)))
        return NULL;
    if (*p == 'e' || *p == 'E')
        p = json_digits(p + 1 + (p[1] == '+' || p[1] == '-'));
    return p;
}

/* Behind the value at `p` and the blanks around it; NULL where there is none. */
static const char *json_value(const char *p, int depth) {
    static const char *const words[] = { "true", "false", "null" };
    p = skip_blanks(p);
    char close = *p == '{' ? '}' : ']';
    if (*p == '"') {
        p = json_string(p);
    } else if ((*p == '{' || *p == '[') && depth < 100) {
        int more = *skip_blanks(p + 1) != close;
        if (!more)
            p = skip_blanks(p + 1);
        while (more) {
            p = skip_blanks(p + 1);
            if (close == '}') {
                p = json_string(p);
                p = p ? skip_blanks(p) : NULL;
                p = p && *p == ':' ? p + 1 : NULL;
            }
            p = p ? json_value(p, depth + 1) : NULL;
            if (!p || (*p != ',' && *p != close))
                return NULL;
            more = *p == ',';
        }
        p++;
    } else {
        const char *word = NULL;
        for (int i = 0; i < 3; i++)
            if (!strncmp(p, words[i], strlen(words[i])))
                word = p + strlen(words[i]);
        p = word ? word : json_number(p);
    }
    return p ? skip_blanks(p) : NULL;
}

static int json(void) {
    enum { MOST = 4 << 20 };
    char *text = calloc(1, MOST);
    size_t size = text ? fread(text, 1, MOST - 1, stdin) : 0;
    const char *end = size && strlen(text) == size ? json_value(text, 0) : NULL;
    if (end && !*end)
        return 0;
    puts("not JSON");
    return 1;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(void);
    } parts[] = { { "lots", lots },
                  { "clocks", clocks },
                  { "watch", watch },
                  { "committed", committed },
                  { "environment", environment },
                  { "counters", counters },
                  { "size", size },
                  { "calls", calls },
                  { "json", json } };
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (argc > 1 && !strcmp(argv[1], parts[i].name))
            return parts[i].run();
    return 99;
}
