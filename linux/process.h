/* SPDX-License-Identifier: MIT */
/*
 * The program as Linux sees it: one process, its tasks (threads), and what
 * they share.  `struct task` embeds the scheduler's thread.
 */
#ifndef LINUX_PROCESS_H
#define LINUX_PROCESS_H

#include "kernel/aspace.h"
#include "kernel/lock.h"
#include "kernel/thread.h"
#include "kernel/wait.h"
#include "linux/signal.h"

struct fd_table;   /* fs/fdtable.h */
struct fs_context; /* fs/vfs.h: root, working directory, umask; own lock */

struct process {
    int pid; /* 1 */
    struct aspace *aspace;
    struct fd_table *files;
    struct fs_context *fs;
    char exe[256]; /* absolute path of the program */
    const char *arguments; /* for /proc/self/cmdline: NUL-separated; constant */
    size_t arguments_size;

    struct spinlock lock; /* RANK_PROCESS; guards the fields down to the blank line */
    struct list tasks;    /* task.link */
    unsigned task_count;
    bool exiting;
    uint32_t exit_status, exit_signal;

    struct wait_queue exited; /* woken when the last task has gone */
    struct process_signals signals; /* own lock, RANK_SIGNAL */
    struct rlimits *limits;
    uint64_t start_ns;
};

struct task {
    struct thread thread;
    struct process *process;
    struct list link;          /* process->tasks; process->lock */
    struct task_signals signals;
    uint32_t *clear_child_tid; /* program address; own task only */
    void *robust_list;         /* program address; own task only */
    uint64_t user_ns, system_ns;
    uint64_t min_faults, max_faults;
};

static inline struct task *task_of(struct thread *t) {
    return container_of(t, struct task, thread);
}
#define current_task() task_of(current)

struct manifest {
    const char *program, *cwd;
    const char **argv, **envp; /* NULL-terminated */
    unsigned argc, envc;
    uint64_t seed, time_ns;
    bool has_seed, verbose, strace, populate;
    unsigned tty;          /* bit per descriptor */
};

/* Parses the archive's manifest (base/wire.h); pointers lead into `text`. 0 or -EINVAL, -ENOMEM. */
must_check int manifest_parse(struct manifest *m, const char *text, size_t size);

/*
 * Builds the process and starts its first task; afterwards waits for its end.
 * Returns after console_exit(); the caller powers off.  Prints one clear line
 * and uses status 125 (or 126/127 as a shell would) where it cannot start.
 */
void process_run(const struct manifest *m);

extern struct process *the_process;

/* Ends all tasks of the current process; returns to nobody. status: 0 to 255; signal: 0 or fatal. */
noreturn_fn void process_exit_group(uint32_t status, uint32_t signal);

#endif
