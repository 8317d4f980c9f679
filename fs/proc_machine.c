/* SPDX-License-Identifier: MIT */
/* What /proc says about the machine, and the kernel's own counters in /proc/mimosa. */
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/percpu.h"
#include "base/string.h"
#include "fs/file.h"
#include "fs/proc.h"
#include "kernel/count.h"
#include "fs/ramfs.h"
#include "kernel/pages.h"
#include "kernel/thread.h"
#include "kernel/timer.h"

static uint64_t kib(uint64_t pages) {
    return pages * (PAGE_SIZE / 1024);
}

static void meminfo(struct proc_buffer *b) {
    struct pages_stats s;
    pages_stats(&s);
    uint64_t files = ramfs_pages();
    const struct proc_counter lines[] = {
        { "MemTotal", s.total },
        { "MemFree", s.free },
        { "MemAvailable", s.free },
        { "Buffers", 0 },
        { "Cached", files },
        { "SwapCached", 0 },
        { "Active", 0 },
        { "Inactive", 0 },
        { "SwapTotal", 0 },
        { "SwapFree", 0 },
        { "Dirty", 0 },
        { "Writeback", 0 },
        { "Shmem", files },
        { "CommitLimit", s.total },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
        proc_printf(b, "%s:%*lu kB\n", lines[i].name, 23 - (int)strlen(lines[i].name),
                    kib(lines[i].value));
    proc_printf(
        b, "HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n");
}

/* The threads that are there; what all that ever were have used. */
struct thread_sums {
    uint64_t count, running, started;
    struct sched_usage used;
};

static struct thread_sums sum_threads(void) {
    struct thread_sums s = { 0 };
    struct thread *t;
    spin_lock(&all_threads_lock);
    list_for_each(t, &all_threads, all_link) {
        s.count++;
        s.running += t->state == THREAD_RUNNABLE;
    }
    s.started = threads_started;
    spin_unlock(&all_threads_lock);
    for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
        struct sched_usage u;
        sched_usage(cpu, &u);
        s.used.busy_ns += u.busy_ns;
        s.used.idle_ns += u.idle_ns;
        s.used.switches += u.switches;
    }
    return s;
}

#define NS_PER_TICK (NS_PER_SEC / 100) /* USER_HZ */

static void stat_line(struct proc_buffer *b, const struct sched_usage *u) {
    proc_printf(b, " %lu 0 0 %lu 0 0 0 0 0 0\n", u->busy_ns / NS_PER_TICK,
                u->idle_ns / NS_PER_TICK);
}

static void stat(struct proc_buffer *b) {
    struct thread_sums s = sum_threads();
    proc_printf(b, "cpu ");
    stat_line(b, &s.used);
    for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
        struct sched_usage u;
        sched_usage(cpu, &u);
        proc_printf(b, "cpu%u", cpu);
        stat_line(b, &u);
    }
    proc_printf(
        b, "intr 0\nctxt %lu\nbtime %lu\nprocesses %lu\nprocs_running %lu\nprocs_blocked 0\n",
        s.used.switches, (clock_realtime_ns() - clock_now_ns()) / NS_PER_SEC, s.started, s.running);
}

static void uptime(struct proc_buffer *b) {
    uint64_t now = clock_now_ns(), idle = sum_threads().used.idle_ns;
    proc_printf(b, "%lu.%02lu %lu.%02lu\n", now / NS_PER_SEC, now / (NS_PER_SEC / 100) % 100,
                idle / NS_PER_SEC, idle / (NS_PER_SEC / 100) % 100);
}

static void loadavg(struct proc_buffer *b) {
    struct thread_sums s = sum_threads();
    proc_printf(b, "0.00 0.00 0.00 %lu/%lu 1\n", s.running, s.count);
}

static void filesystems(struct proc_buffer *b) {
    proc_printf(b, "nodev\tproc\nnodev\ttmpfs\n");
}

static void mounts(struct proc_buffer *b) {
    proc_printf(b, "tmpfs / tmpfs rw 0 0\nproc /proc proc rw,relatime 0 0\n");
}

static long mounts_target(char *to, size_t size) {
    static const char target[] = "self/mounts";
    size_t n = MIN(size, sizeof target - 1);
    memcpy(to, target, n);
    return (long)n;
}

static void zero(struct proc_buffer *b) {
    proc_printf(b, "0\n");
}

static void max_map_count(struct proc_buffer *b) {
    proc_printf(b, "65530\n");
}

static void pipe_max_size(struct proc_buffer *b) {
    proc_printf(b, "1048576\n");
}

static void nr_open(struct proc_buffer *b) {
    proc_printf(b, "1048576\n");
}

static unsigned memory_counters(struct proc_counter *out, unsigned max) {
    struct pages_stats s;
    pages_stats(&s);
    const struct proc_counter all[] = {
        { "frames", s.total },
        { "frames_free", s.free },
        { "frames_free_huge", s.free_huge },
        { "cache_refills", s.refills },
        { "cache_drains", s.drains },
        { "file_frames", ramfs_pages() },
    };
    unsigned n = MIN((unsigned)ARRAY_SIZE(all), max);
    for (unsigned i = 0; i < n; i++)
        out[i] = all[i];
    return n;
}

static uint64_t cpus_running(void) {
    uint64_t n = 0;
    for (uint64_t left = cpus_online; left; left &= left - 1)
        n++;
    return n;
}

static unsigned thread_counters(struct proc_counter *out, unsigned max) {
    struct thread_sums s = sum_threads();
    const struct proc_counter all[] = {
        { "cpus", cpu_count },           { "cpus_online", cpus_running() },
        { "threads", s.count },          { "threads_runnable", s.running },
        { "switches", s.used.switches }, { "runtime_ns", s.used.busy_ns },
    };
    unsigned n = MIN((unsigned)ARRAY_SIZE(all), max);
    for (unsigned i = 0; i < n; i++)
        out[i] = all[i];
    return n;
}

static unsigned file_counters(struct proc_counter *out, unsigned max) {
    (void)max;
    out[0] = (struct proc_counter){ "files_open", file_count() };
    return 1;
}

/* Atomic writes to lines shared between CPUs; see kernel/count.h. */
static unsigned sharing_counters(struct proc_counter *out, unsigned max) {
    (void)max;
    out[0] = (struct proc_counter){ "counting", count_is_built() };
    out[1] = (struct proc_counter){ "shared_writes", count_shared_writes() };
    return 2;
}

void proc_register_machine(void) {
    proc_register("meminfo", meminfo);
    proc_register("cpuinfo", proc_cpuinfo);
    proc_register("stat", stat);
    proc_register("uptime", uptime);
    proc_register("loadavg", loadavg);
    proc_register("filesystems", filesystems);
    proc_register("self/mounts", mounts);
    proc_register_link("mounts", mounts_target);
    proc_register("sys/vm/overcommit_memory", zero);
    proc_register("sys/vm/max_map_count", max_map_count);
    proc_register("sys/fs/pipe-max-size", pipe_max_size);
    proc_register("sys/fs/nr_open", nr_open);
    proc_register_counters("mimosa/memory", memory_counters);
    proc_register_counters("mimosa/threads", thread_counters);
    proc_register_counters("mimosa/files", file_counters);
    proc_register_counters("mimosa/sharing", sharing_counters);
}
