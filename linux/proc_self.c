/* SPDX-License-Identifier: MIT */
/* What /proc says about the program, and what uname would say. */
#include <asm-generic/errno.h>
#include "base/format.h"
#include "base/string.h"
#include "fs/fdtable.h"
#include "fs/proc.h"
#include "fs/vfs.h"
#include "kernel/aspace.h"
#include "linux/proc_self.h"
#include "linux/process.h"

#define MAPS_STEP   KIB(4)
#define NS_PER_TICK (NS_PER_SEC / 100) /* USER_HZ */

struct name {
    char text[16];
};

/* The first task's, which prctl may have changed; the program's, once that task has ended. */
static struct name program_name(void) {
    const char *slash = strrchr(the_process->exe, '/');
    struct name name = { "" };
    uint64_t flags = spin_lock_irqsave(&the_process->lock);
    const struct task *first = process_find_task(the_process, the_process->pid);
    string_copy(name.text,
                first   ? first->thread.name
                : slash ? slash + 1
                        : the_process->exe,
                sizeof(name.text));
    spin_unlock_irqrestore(&the_process->lock, flags);
    return name;
}

static int program_rename(const char *text, size_t size) {
    struct name name = { "" };
    memcpy(name.text, text, MIN(size, sizeof(name.text) - 1));
    uint64_t flags = spin_lock_irqsave(&the_process->lock);
    struct task *first = process_find_task(the_process, the_process->pid);
    if (first)
        string_copy(first->thread.name, name.text, sizeof(first->thread.name));
    spin_unlock_irqrestore(&the_process->lock, flags);
    return first ? 0 : -ESRCH;
}

static void maps(struct proc_buffer *b) {
    uint64_t cursor = 0;
    for (;;) {
        char *at = proc_reserve(b, MAPS_STEP);
        size_t n = at ? aspace_format_maps(the_process->aspace, &cursor, at, MAPS_STEP) : 0;
        if (!n)
            return;
        b->size += n;
    }
}

/* Counts under the process's lock. */
static unsigned task_count(void) {
    uint64_t flags = spin_lock_irqsave(&the_process->lock);
    unsigned n = the_process->task_count;
    spin_unlock_irqrestore(&the_process->lock, flags);
    return n;
}

/* Signals that are ignored, and those that have handlers. */
static void actions(struct proc_buffer *b) {
    struct process_signals *s = &the_process->signals;
    uint64_t ignored = 0, caught = 0;
    uint64_t flags = spin_lock_irqsave(&s->lock);
    for (int signo = 1; signo <= SIGNAL_COUNT; signo++) {
        uintptr_t handler = s->actions[signo - 1].handler;
        if (handler == (uintptr_t)SIG_IGN)
            ignored |= SIGNAL_BIT(signo);
        else if (handler != (uintptr_t)SIG_DFL)
            caught |= SIGNAL_BIT(signo);
    }
    spin_unlock_irqrestore(&s->lock, flags);
    proc_printf(b, "SigIgn:\t%016lx\nSigCgt:\t%016lx\n", ignored, caught);
}

/* As "0-2,5". */
static void cpu_list(struct proc_buffer *b, uint64_t cpus) {
    const char *comma = "";
    for (unsigned first = 0, end; first < 64; first = end + 1) {
        for (end = first; end < 64 && (cpus >> end & 1); end++)
            ;
        if (end == first)
            continue;
        proc_printf(b, end - first > 1 ? "%s%u-%u" : "%s%u", comma, first, end - 1);
        comma = ",";
    }
    proc_printf(b, "\n");
}

static void status(struct proc_buffer *b) {
    struct aspace_stats s;
    aspace_stats(the_process->aspace, &s);
    struct task *t = current_task();
    proc_printf(b, "Name:\t%s\nUmask:\t%04o\nState:\tR (running)\nTgid:\t1\nNgid:\t0\n",
                program_name().text, the_process->fs->umask);
    proc_printf(b, "Pid:\t1\nPPid:\t0\nTracerPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n");
    proc_printf(b, "FDSize:\t%u\nGroups:\t0 \n", fd_table_limit(the_process->files));
    proc_printf(b, "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t%8lu kB\n",
                s.peak_mapped_bytes / 1024, s.mapped_bytes / 1024, s.locked_bytes / 1024);
    proc_printf(b, "VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\n", s.peak_resident_bytes / 1024,
                s.resident_bytes / 1024);
    proc_printf(b, "VmData:\t%8lu kB\nVmStk:\t%8lu kB\nVmExe:\t%8lu kB\nVmLib:\t%8lu kB\n",
                s.data_bytes / 1024, s.stack_bytes / 1024, s.text_bytes / 1024, 0ul);
    proc_printf(b, "Threads:\t%u\n", task_count());
    proc_printf(b, "SigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\n", t->signals.pending.set,
                the_process->signals.pending.set, t->signals.blocked);
    actions(b);
    proc_printf(b, "Cpus_allowed:\t%lx\nCpus_allowed_list:\t", t->thread.affinity & cpus_online);
    cpu_list(b, t->thread.affinity & cpus_online);
    proc_printf(b, "voluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t%lu\n",
                t->thread.switches_voluntary, t->thread.switches_preempted);
}

static void statm(struct proc_buffer *b) {
    struct aspace_stats s;
    aspace_stats(the_process->aspace, &s);
    proc_printf(b, "%lu %lu 0 %lu 0 %lu 0\n", s.mapped_bytes / PAGE_SIZE,
                s.resident_bytes / PAGE_SIZE, s.text_bytes / PAGE_SIZE,
                (s.data_bytes + s.stack_bytes) / PAGE_SIZE);
}

static void stat(struct proc_buffer *b) {
    struct aspace_stats s;
    aspace_stats(the_process->aspace, &s);
    proc_printf(b, "1 (%s) R 0 1 1 0 -1 4194560 %lu 0 0 0 ", program_name().text, s.faults);
    proc_printf(b, "%lu 0 0 0 20 0 %u 0 %lu ", process_runtime_ns(the_process) / NS_PER_TICK,
                task_count(), the_process->start_ns / NS_PER_TICK);
    proc_printf(b, "%lu %lu 18446744073709551615 0 0 %lu 0 0 0 0 0 0 0 0 0 17 %u 0 0 0 0 0 ",
                s.mapped_bytes, s.resident_bytes / PAGE_SIZE, the_process->stack_top,
                current->cpu + 0u);
    proc_printf(b, "0 0 0 0 0 0 0 0\n");
}

static void cmdline(struct proc_buffer *b) {
    proc_write(b, the_process->arguments, the_process->arguments_size);
}

static void environ(struct proc_buffer *b) {
    proc_write(b, the_process->environment, the_process->environment_size);
}

static void comm(struct proc_buffer *b) {
    proc_printf(b, "%s\n", program_name().text);
}

static void limits(struct proc_buffer *b) {
    static const struct {
        unsigned resource;
        const char *name, *unit;
    } rows[] = {
        { 0, "Max cpu time", "seconds" },     { 1, "Max file size", "bytes" },
        { 2, "Max data size", "bytes" },      { 3, "Max stack size", "bytes" },
        { 4, "Max core file size", "bytes" }, { 5, "Max resident set", "bytes" },
        { 6, "Max processes", "processes" },  { 7, "Max open files", "files" },
        { 8, "Max locked memory", "bytes" },  { 9, "Max address space", "bytes" },
    };
    proc_printf(b, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t value[2] = { the_process->limits.of[rows[i].resource].soft,
                              the_process->limits.of[rows[i].resource].hard };
        proc_printf(b, "%-25s ", rows[i].name);
        for (unsigned k = 0; k < 2; k++) {
            char text[24] = "unlimited";
            if (value[k] != UINT64_MAX)
                format(text, sizeof text, "%lu", value[k]);
            proc_printf(b, "%-20s ", text);
        }
        proc_printf(b, "%-10s\n", rows[i].unit);
    }
}

static long exe_target(char *to, size_t size) {
    size_t n = MIN(strlen(the_process->exe), size);
    memcpy(to, the_process->exe, n);
    return (long)n;
}

static void version(struct proc_buffer *b) {
    proc_printf(b, "Linux version %s %s\n", UNAME_RELEASE, UNAME_VERSION);
}

static void ostype(struct proc_buffer *b) {
    proc_printf(b, "Linux\n");
}

static void osrelease(struct proc_buffer *b) {
    proc_printf(b, "%s\n", UNAME_RELEASE);
}

static void hostname(struct proc_buffer *b) {
    proc_printf(b, "%s\n", UNAME_NODE);
}

static void pid_max(struct proc_buffer *b) {
    proc_printf(b, "4194304\n");
}

static void threads_max(struct proc_buffer *b) {
    proc_printf(b, "%lu\n", the_process->limits.of[6].soft + 0ul);
}

static int cwd_follow(struct entry **out) {
    *out = fs_context_cwd(the_process->fs);
    return 0;
}

static int root_follow(struct entry **out) {
    *out = entry_get(vfs_root);
    return 0;
}

/* The smallest tid that is there and not below `from`, or -1. */
static int next_task(int from) {
    int best = -1;
    struct task *t;
    uint64_t flags = spin_lock_irqsave(&the_process->lock);
    list_for_each(t, &the_process->tasks, link)
        if (t->thread.tid >= from && (best < 0 || t->thread.tid < best))
            best = t->thread.tid;
    spin_unlock_irqrestore(&the_process->lock, flags);
    return best;
}

static struct entry *self_entry; /* /proc/1; constant once the program runs */

/* A thread shows what its program shows. */
static int follow_task(int tid, struct entry **out) {
    if (!self_entry || next_task(tid) != tid)
        return -ENOENT;
    *out = entry_get(self_entry);
    return 0;
}

static const struct proc_numbers tasks = { .next = next_task, .follow = follow_task };

static int next_descriptor(int from) {
    return fd_next_open(the_process->files, from);
}

static int follow_descriptor(int fd, struct entry **out) {
    struct file *f = fd_get(the_process->files, fd);
    if (!f)
        return -ENOENT;
    *out = entry_get(f->entry);
    file_put(f);
    return 0;
}

static const struct proc_numbers descriptors = { .next = next_descriptor,
                                                 .follow = follow_descriptor };

static unsigned aspace_counters(struct proc_counter *out, unsigned max) {
    struct aspace_stats s;
    aspace_stats(the_process->aspace, &s);
    const struct proc_counter all[] = {
        { "mapped_bytes", s.mapped_bytes },
        { "resident_bytes", s.resident_bytes },
        { "peak_resident_bytes", s.peak_resident_bytes },
        { "faults", s.faults },
        { "faults_huge", s.faults_huge },
        { "faults_copied", s.faults_copied },
        { "shootdowns", s.shootdowns },
        { "shootdown_ipis", s.shootdown_ipis },
        { "tasks", task_count() },
        { "runtime_ns", process_runtime_ns(the_process) },
    };
    unsigned n = MIN((unsigned)ARRAY_SIZE(all), max);
    for (unsigned i = 0; i < n; i++)
        out[i] = all[i];
    return n;
}

void proc_self_init(void) {
    proc_register("self/maps", maps);
    proc_register("self/status", status);
    proc_register("self/statm", statm);
    proc_register("self/stat", stat);
    proc_register("self/cmdline", cmdline);
    proc_register("self/environ", environ);
    proc_register_writable("self/comm", comm, program_rename);
    proc_register("self/limits", limits);
    proc_register("version", version);
    proc_register("sys/kernel/ostype", ostype);
    proc_register("sys/kernel/osrelease", osrelease);
    proc_register("sys/kernel/hostname", hostname);
    proc_register("sys/kernel/pid_max", pid_max);
    proc_register("sys/kernel/threads-max", threads_max);
    proc_register_link("self/exe", exe_target);
    proc_register_jump("self/cwd", cwd_follow);
    proc_register_jump("self/root", root_follow);
    proc_register_numbers("self/fd", &descriptors);
    proc_register_numbers("self/task", &tasks);
    if (vfs_walk(vfs_root, "/proc/1", 0, &self_entry))
        self_entry = NULL;
    proc_register_counters("mimosa/program", aspace_counters);
}
