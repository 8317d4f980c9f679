/* SPDX-License-Identifier: MIT */
/*
 * Random system calls with random arguments from racing threads: no sequence
 * of them may crash or hang the kernel.
 *
 *   fuzz SECONDS [SEED]       harmless calls only: safe on the Linux at hand
 *   fuzz all-SECONDS [SEED]   every call, only on Mimosa
 *
 * The program must survive its own calls, so that what ends it is the
 * kernel's fault: pointers lead into a region that the thread owns, to another
 * thread's region, or to where nothing can be; calls that change mappings get
 * addresses of that region only, which is mapped anew afterwards (meanwhile
 * there is a hole in it, guarded on both sides, so every other mapping is made
 * too large for it); the calls that rightly end or lame a program are left out
 * (see `avoided`), or get arguments that do not (see tame_signals).  A signal
 * every few milliseconds gets threads out of calls that wait.
 *
 * It does the same work twice, cleaning up after each time, and on Mimosa the
 * free memory must then be the same but for LEAK_KB: the first time fills the
 * kernel's caches, of which each CPU has its own.
 *
 * guest: args-linux=3 args-mimosa=all-20 timeout=180 glibc=no
 */
#define _GNU_SOURCE
#include "test/guest/fuzz_calls.h"
#include "test/guest/proc.h"
#include "test/guest/threads.h"
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define WORKERS_MAX  10
#define REGION_PAGES 16L
#define REGION       (REGION_PAGES * 4096)
#define OUT          100 /* where standard output went, so that no random write garbles it */
#define SPARE        101 /* and up: what open_descriptors() copies; a call may remove the names */
#define SPARES       3
#define CALLS        463
#define ROUNDS       2
#define LEAK_KB      192 /* kernel stacks, half-used slabs; 100 bytes of each call are more */
#define LEAK_CPU_KB  48  /* caches of each CPU: those of 8 take 850 in all, after a million calls */
#define FIRST_FD     12  /* below are those of prepare() */
#define KEPT_FDS     12  /* from there on: live for a while */
#define TIMERS       4096 /* whose numbers cleaning up goes through */

struct worker {
    pthread_t thread;
    unsigned long state; /* of the random numbers */
    unsigned long calls, succeeded;
    char *region;
};
static struct worker workers[WORKERS_MAX];
static int cpu_total, worker_count, stop, all_calls;

static unsigned long pick(struct worker *w, unsigned long below) {
    return guest_random(&w->state) % below;
}

static unsigned long wild_pointer(struct worker *w) {
    static const unsigned long nowhere[] = {
        0,
        8,
        0x7ffffffff000,
        0x7fffffffffff,
        0x800000000000,
        0xffff7fffffffffff,
        0xffff800000000000,
        0xffff888000000000,
        0xffffffff80000000,
        0xffffffff81000000,
        0xfffffffffffff000,
        ~0UL,
        ~7UL,
        0x8000000000000000,
    };
    return nowhere[pick(w, LENGTH(nowhere))];
}

static unsigned long pointer(struct worker *w) {
    const struct worker *owner = pick(w, 8) ? w : &workers[pick(w, worker_count)];
    unsigned long p = (unsigned long)owner->region;
    switch (pick(w, 8)) {
    case 0:
        return wild_pointer(w);
    case 1:
        return p + REGION - pick(w, 64); /* reaches over its end */
    case 2:
        return p + pick(w, REGION);
    default:
        return p + pick(w, REGION_PAGES) * 4096 + pick(w, 64) * 8;
    }
}

static unsigned long number(struct worker *w) {
    switch (pick(w, 10)) {
    case 0:
        return 0;
    case 1:
        return ~0UL - pick(w, 200);
    case 2:
        return 1UL << pick(w, 64);
    case 3:
        return (1UL << pick(w, 64)) - pick(w, 3);
    case 4:
        return pick(w, 40) * 4096;
    case 5:
        return pick(w, 1 << 16);
    case 6:
        return (unsigned long)-100; /* AT_FDCWD */
    default:
        return pick(w, 40);
    }
}

/* An address that sockets can meet at: of a few paths, abstract names, ports of 127.0.0.1, ::1. */
static void fill_address(struct worker *w, unsigned long words[static 14]) {
    unsigned long port = (unsigned long)htons((uint16_t)(7000 + pick(w, 4))) << 16;
    memset(words, 0, 14 * sizeof *words);
    switch (pick(w, 4)) {
    case 0:
        words[0] = AF_NETLINK;
        break;
    case 1:
        words[0] = AF_UNIX | (pick(w, 4) + (pick(w, 2) ? 'a' : 0)) << 16;
        break;
    case 2:
        words[0] = AF_INET | port | (unsigned long)htonl(INADDR_LOOPBACK) << 32;
        break;
    default:
        words[0] = AF_INET6 | port;
        words[2] = 1UL << 56;
    }
}

/* Fills part of the region with what calls like to find. */
static void region_fill(struct worker *w) {
    static const char *const names[] = { "/",
                                         ".",
                                         "..",
                                         "a",
                                         "b/c",
                                         "/dev/null",
                                         "/dev/zero",
                                         "/proc/self/maps",
                                         "/proc/self/stat",
                                         "/proc",
                                         "a/../b" };
    char *at = w->region + pick(w, REGION_PAGES) * 4096;
    unsigned long words[64];
    switch (pick(w, 6)) {
    case 0:
        for (unsigned i = 0; i < LENGTH(words); i++)
            words[i] = guest_random(&w->state);
        break;
    case 1: /* struct iovec, and most lists of pointers */
        for (unsigned i = 0; i < LENGTH(words); i += 2) {
            words[i] = pointer(w);
            words[i + 1] = number(w);
        }
        break;
    case 2: /* times, struct pollfd */
        for (unsigned i = 0; i < LENGTH(words); i++)
            words[i] = pick(w, 4) ? pick(w, 3000) : number(w);
        break;
    case 3:
        memset(words, 0, sizeof words);
        break;
    case 4:
        memset(words, 0, sizeof words);
        fill_address(w, words);
        break;
    default:
        memset(words, 0, sizeof words);
        strcpy((char *)words, names[pick(w, LENGTH(names))]);
    }
    memcpy(at, words, sizeof words);
}

static void region_renew(struct worker *w) {
    void *p = mmap(w->region, REGION, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (p != w->region)
        _exit(6);
}

/* Signals that have a handler; the first is the one that gets threads out of calls. */
static const int caught[] = { SIGUSR1,   SIGALRM, SIGPIPE, SIGXFSZ, SIGIO,
                              SIGVTALRM, SIGPROF, SIGURG,  SIGCHLD, SIGHUP };

/* As the kernel has it: a handler that does nothing, with various flags, and SIG_IGN. */
static struct kernel_action { unsigned long handler, flags, restorer, mask; } safe_actions[4];

/* A number that sends nothing, or a signal that does no harm. */
static unsigned long safe_signal(struct worker *w) {
    static const long none[] = { 0, 65, 1000, -1 };
    return pick(w, 3) ? (unsigned long)caught[pick(w, LENGTH(caught))]
                      : (unsigned long)none[pick(w, LENGTH(none))];
}

/* Nobody is hurt by the signal, nor by what becomes of it; false: it is no call about signals. */
static int tame_signals(struct worker *w, long call, unsigned long a[6]) {
    static const unsigned long refused[] = { 0, SIGKILL, SIGSTOP, 65, ~0UL };
    static struct sigevent events[3];
    switch (call) {
    case SYS_kill:
    case SYS_tkill:
    case SYS_rt_sigqueueinfo:
        a[1] = safe_signal(w);
        break;
    case SYS_tgkill:
    case SYS_rt_tgsigqueueinfo:
        a[2] = safe_signal(w);
        break;
    case SYS_rt_sigaction: /* SIGUSR1 must go on interrupting */
        a[0] = pick(w, 4) ? (unsigned long)caught[1 + pick(w, LENGTH(caught) - 1)]
                          : refused[pick(w, LENGTH(refused))];
        a[1] = pick(w, 4) ? (unsigned long)&safe_actions[pick(w, LENGTH(safe_actions))]
                          : wild_pointer(w);
        a[3] = pick(w, 8) ? 8 : a[3];
        break;
    case SYS_timer_create:
        a[1] = pick(w, 4) ? (unsigned long)&events[pick(w, LENGTH(events))] : wild_pointer(w);
        events[0].sigev_notify = SIGEV_NONE;
        events[1].sigev_signo = SIGALRM;
        events[2].sigev_notify = 77; /* none that there is */
        break;
    default:
        return 0;
    }
    return 1;
}

/* Calls that are let in only to fail, or only to tell; false: none of these. */
static int tame_refused(struct worker *w, long call, unsigned long a[6]) {
    switch (call) {
    case SYS_brk:
        a[0] = wild_pointer(w);
        return 1;
    case SYS_clone: /* a thread that would not share its handlers */
        a[0] = (a[0] | CLONE_THREAD) & ~(unsigned long)CLONE_SIGHAND;
        return 1;
    case SYS_clone3: /* too small, too large, or nowhere */
        if (pick(w, 2))
            a[0] = wild_pointer(w);
        else
            a[1] = pick(w, 2) ? pick(w, 64) : 4097 + number(w) % 100000;
        return 1;
    case SYS_arch_prctl: /* not ARCH_SET_GS and ARCH_SET_FS */
        a[0] = pick(w, 2) ? 0x1003 + pick(w, 2) : number(w) & ~0x1000UL;
        return 1;
    }
    return 0;
}

/* Where an address is among the arguments, its size being the next; 0: nowhere. */
static int address_at(long call) {
    return call == SYS_bind || call == SYS_connect ? 1 : call == SYS_sendto ? 4 : 0;
}

/* Arguments by lot alone would make hardly any connection; false: it is no call on sockets. */
static int tame_sockets(struct worker *w, long call, unsigned long a[6]) {
    static const unsigned families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
    static const unsigned levels[] = { SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6 };
    static const unsigned sizes[] = { 3, sizeof(struct sockaddr_in), sizeof(struct sockaddr_in6) };
    unsigned long *page = (unsigned long *)(w->region + pick(w, REGION_PAGES) * 4096);
    int is_socket = 0, at = address_at(call);
    for (unsigned i = 0; i < LENGTH(socket_calls); i++)
        is_socket |= call == socket_calls[i];
    if (!is_socket || !pick(w, 4))
        return is_socket;
    if (call == SYS_socket || call == SYS_socketpair) {
        a[0] = families[pick(w, LENGTH(families))];
        a[1] = (1 + pick(w, 5)) | (pick(w, 2) ? SOCK_NONBLOCK : 0);
        a[2] = 0;
        return 1;
    }
    a[0] = 3 + pick(w, FIRST_FD + KEPT_FDS - 3);
    if (at) {
        fill_address(w, page);
        a[at] = (unsigned long)page;
        a[at + 1] = sizes[pick(w, LENGTH(sizes))];
        if (call == SYS_sendto && page[0] == AF_NETLINK) { /* a request: what there is */
            page[2] = 32 | (16 + pick(w, 12)) << 32 | (1 + pick(w, 2) * 0x300) << 48;
            page[4] = pick(w, 3);
            a[1] = (unsigned long)&page[2];
            a[2] = 32;
            a[5] = 12;
        }
    } else if (call == SYS_setsockopt || call == SYS_getsockopt) {
        page[0] = call == SYS_setsockopt ? number(w) : 4 + pick(w, 16);
        a[1] = levels[pick(w, LENGTH(levels))];
        a[2] = pick(w, 80);
        a[3] = (unsigned long)page;
        a[4] = call == SYS_setsockopt ? 4 * (1 + pick(w, 4)) : (unsigned long)page;
    }
    return 1;
}

/* Bends the arguments of calls that could hurt the program; false: leave the call out. */
static int tame(struct worker *w, long call, unsigned long a[6]) {
    unsigned long page = pick(w, REGION_PAGES);
    for (unsigned i = 0; i < LENGTH(avoided); i++)
        if (call == avoided[i])
            return 0;
    if (tame_signals(w, call, a) || tame_refused(w, call, a) || tame_sockets(w, call, a))
        return 1;
    if (a[0] >= OUT && a[0] < SPARE + SPARES)
        a[0] = 3;
    switch (call) {
    case SYS_mmap:
        if (pick(w, 2)) {
            a[0] = (unsigned long)w->region + page * 4096;
            a[1] = pick(w, REGION - page * 4096);
            a[3] |= MAP_FIXED;
        } else {
            if (a[1] <= REGION)
                a[1] += REGION + 1;
            a[3] &= ~(MAP_FIXED | 0x100000UL | MAP_GROWSDOWN | MAP_LOCKED | MAP_POPULATE);
        }
        return 1;
    case SYS_mprotect:
    case SYS_munmap:
    case SYS_madvise:
    case SYS_mremap:
        a[0] = (unsigned long)w->region + page * 4096 + (pick(w, 8) ? 0 : pick(w, 4096));
        a[1] = pick(w, REGION - page * 4096);
        a[3] &= ~0x10UL;
        if (call == SYS_madvise)
            a[2] = pick(w, 26);
        if (call == SYS_mprotect)
            a[2] &= 0xff; /* no growing down, onto what lies below */
        if (call == SYS_mremap) {
            a[3] &= ~(unsigned long)MREMAP_FIXED;
            a[2] = a[3] & MREMAP_MAYMOVE ? REGION + 1 + pick(w, REGION) : pick(w, REGION);
        }
        return 1;
    case SYS_rt_sigprocmask:
        a[0] = 1; /* unblock: the signal that gets us out must come through */
        return 1;
    case SYS_ppoll:
    case SYS_pselect6:
        a[call == SYS_ppoll ? 3 : 5] = 0; /* likewise */
        return 1;
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2:
        a[4] = 0;
        return 1;
    case SYS_prlimit64:
        a[2] = 0;
        return 1;
    case SYS_dup2:
    case SYS_dup3:
        a[1] = pick(w, 60);
        return 1;
    case SYS_mlockall:
        a[0] = 0;
        return 1;
    }
    return 1;
}

static void *fuzz_worker(void *arg) {
    struct worker *w = arg;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        unsigned long a[6];
        long call = !all_calls   ? harmless[pick(w, LENGTH(harmless))]
                    : pick(w, 8) ? (long)pick(w, CALLS)
                                 : socket_calls[pick(w, LENGTH(socket_calls))];
        for (int i = 0; i < 6; i++)
            a[i] = pick(w, 2) ? pointer(w) : number(w);
        if (!pick(w, 2))
            a[0] = 3 + pick(w, 30); /* a descriptor, most likely */
        if (!tame(w, call, a))
            continue;
        if (!pick(w, 4))
            region_fill(w);
        long result = syscall(call, a[0], a[1], a[2], a[3], a[4], a[5]);
        w->calls++;
        w->succeeded += result != -1;
        if (call == SYS_mmap && result != -1 &&
            (result < (long)w->region || result >= (long)w->region + REGION))
            munmap((void *)result, a[1]);
        if (call == SYS_mmap || call == SYS_munmap || call == SYS_mprotect || call == SYS_mremap ||
            call == SYS_madvise) {
            if (call == SYS_mremap && result != -1 && result != (long)a[0])
                munmap((void *)result, a[2]);
            region_renew(w);
        }
        if (w->calls % 64 == 0)
            for (int fd = FIRST_FD; fd < 64; fd++)
                if (fd >= FIRST_FD + KEPT_FDS || !pick(w, 16))
                    close(fd);
    }
    return NULL;
}

static void on_signal(int signal) {
    (void)signal;
}

static void say(const char *format, ...) {
    char line[200];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (write(OUT, line, length) != length)
        _exit(7);
}

/* Standard streams become /dev/null, and signals have handlers. */
static void prepare(void) {
    static const unsigned long flags[] = { 0, SA_RESTART, SA_NODEFER | SA_SIGINFO, SA_RESTART };
    struct sigaction action = { .sa_handler = on_signal };
    for (unsigned i = 0; i < LENGTH(caught); i++)
        sigaction(caught[i], &action, NULL);
    for (unsigned i = 0; i < LENGTH(safe_actions); i++) {
        if (syscall(SYS_rt_sigaction, SIGUSR1, NULL, &safe_actions[i], 8))
            _exit(10);
        safe_actions[i].flags |= flags[i];
    }
    safe_actions[LENGTH(safe_actions) - 1].handler = (unsigned long)SIG_IGN;
    int null = open("/dev/null", O_RDWR);
    if (dup2(1, OUT) != OUT || null < 0)
        _exit(8);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    close(null);
    static const char *const names[SPARES] = { "/dev/zero", "/proc/self/maps", "/" };
    for (int i = 0; i < SPARES; i++) {
        int fd = open(names[i], i ? O_RDONLY : O_RDWR);
        if (dup2(fd, SPARE + i) != SPARE + i)
            _exit(9);
        close(fd);
    }
}

static void close_descriptors(void) {
    for (int fd = 3; fd < OUT; fd++)
        close(fd);
}

/* Some descriptors to play with: 3 and up, below FIRST_FD. */
static void open_descriptors(void) {
    int ends[2];
    close_descriptors();
    if (pipe2(ends, O_NONBLOCK) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) ||
        socketpair(AF_UNIX, SOCK_DGRAM, 0, ends))
        _exit(12);
    for (int i = 0; i < SPARES; i++)
        if (dup(SPARE + i) >= FIRST_FD)
            _exit(13);
}

/* What the root held at first: nothing of it may be removed. */
static char kept_names[4096];

static int is_kept(const char *name) {
    for (const char *at = kept_names; *at; at += strlen(at) + 1)
        if (!strcmp(at, name))
            return 1;
    return 0;
}

static void tree_remove(const char *path) {
    char inner[4096];
    DIR *dir = unlink(path) ? opendir(path) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
            snprintf(inner, sizeof inner, "%s/%s", path, e->d_name) < (int)sizeof inner)
            tree_remove(inner);
    if (dir)
        closedir(dir);
    rmdir(path);
}

/* Removes what the root did not hold at first, or with `keep` notes what it holds. */
static void root_visit(int keep) {
    DIR *dir = opendir("/");
    size_t used = 0;
    char path[300];
    for (struct dirent *e; dir && (e = readdir(dir));) {
        size_t length = strlen(e->d_name) + 1;
        if (keep && used + length < sizeof kept_names - 1) {
            memcpy(kept_names + used, e->d_name, length);
            used += length;
        }
        if (keep || is_kept(e->d_name))
            continue;
        snprintf(path, sizeof path, "/%s", e->d_name);
        tree_remove(path);
    }
    if (dir)
        closedir(dir);
}

/* Everything that the calls can have left behind goes; what is free then, in kB. */
static long clean_up(void) {
    syscall(SYS_close_range, SPARE + SPARES, ~0U, 0);
    close_descriptors();
    for (int timer = 0; timer < TIMERS; timer++)
        syscall(SYS_timer_delete, timer);
    syscall(SYS_munlockall);
    for (int i = 0; i < worker_count; i++)
        region_renew(&workers[i]);
    umask(022);
    if (chdir("/"))
        _exit(11);
    root_visit(0);
    sleep_ms(100); /* the last thread is still leaving */
    return proc_free_kb();
}

/* The time's worth of calls by all workers; false where a thread could not be had. */
static int work(unsigned long seed, long duration_ns) {
    long end = now_ns() + duration_ns;
    stop = 0;
    for (int i = 0; i < worker_count; i++) {
        workers[i].state = (seed + 1) * 0x9e3779b97f4a7c15 + (unsigned long)i * 7919;
        workers[i].state += !workers[i].state;
        region_renew(&workers[i]);
    }
    for (int i = 0; i < worker_count; i++)
        if (!thread_start(&workers[i].thread, fuzz_worker, &workers[i]))
            return 0;
    while (now_ns() < end) {
        sleep_ms(5);
        for (int i = 0; i < worker_count; i++)
            pthread_kill(workers[i].thread, SIGUSR1);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < worker_count; i++) {
        /* One may just have gone to sleep: signal until it is gone. */
        while (pthread_kill(workers[i].thread, SIGUSR1) == 0 &&
               pthread_tryjoin_np(workers[i].thread, NULL))
            sleep_ms(1);
    }
    return 1;
}

static int report(const long free_kb[ROUNDS]) {
    unsigned long calls = 0, succeeded = 0;
    for (int i = 0; i < worker_count; i++) {
        calls += workers[i].calls;
        succeeded += workers[i].succeeded;
    }
    long lost = all_calls ? free_kb[0] - free_kb[ROUNDS - 1] : 0;
    int good = calls > 100 && lost <= LEAK_KB + cpu_total * LEAK_CPU_KB;
    say("# %lu calls, %lu of them succeeded\n", calls, succeeded);
    if (all_calls)
        say("# free kB %ld, then %ld; frames of files %ld\n", free_kb[0], free_kb[ROUNDS - 1],
            proc_number("/proc/mimosa/memory", "file_frames"));
    say("%s fuzz\n%d passed, %d failed\n", good ? "ok" : "not ok", good, !good);
    return !good;
}

int main(int argc, char **argv) {
    int cpus[CPUS_MAX];
    long free_kb[ROUNDS];
    const char *duration = argc > 1 ? argv[1] : "3";
    if (!strncmp(duration, "all-", 4)) {
        all_calls = 1;
        duration += 4;
        if (access("/proc/mimosa", F_OK)) {
            guest_print("fuzz all-...: only on Mimosa");
            return 2;
        }
    }
    unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
    if (!seed && syscall(SYS_getrandom, &seed, 4, 0) != 4)
        return 3;
    root_visit(1);
    prepare();
    cpu_total = cpus_list(cpus);
    worker_count = cpu_total + 2 < WORKERS_MAX ? cpu_total + 2 : WORKERS_MAX;
    say("# seed %#lx, %d threads, %s s\n", seed, worker_count, duration);
    for (int i = 0; i < worker_count; i++) {
        char *guarded = mmap(NULL, REGION + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        workers[i].region = guarded + 4096;
    }
    for (int round = 0; round < ROUNDS; round++) {
        open_descriptors();
        if (!work(seed, strtol(duration, NULL, 10) * 1000000000L / ROUNDS))
            return 4;
        if (all_calls)
            free_kb[round] = clean_up();
    }
    return report(free_kb);
}
