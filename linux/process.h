/* SPDX-License-Identifier: MIT */
/*
 * The program as Linux sees it: one process, its tasks (threads), and what
 * they share.  `struct task` embeds the scheduler's thread.
 */
#ifndef LINUX_PROCESS_H
#define LINUX_PROCESS_H

#include "arch/x86_64/trap.h"
#include "kernel/aspace.h"
#include "kernel/lock.h"
#include "kernel/thread.h"
#include "kernel/wait.h"
#include "linux/signal.h"

struct fd_table;   /* fs/fdtable.h */
struct fs_context; /* fs/vfs.h: working directory, umask; own lock */

#define RLIMIT_COUNT 16
struct rlimits {
    struct {
        _Atomic(uint64_t) soft, hard; /* UINT64_MAX: none */
    } of[RLIMIT_COUNT];               /* by Linux's RLIMIT_* */
};

struct process {
    int pid; /* 1 */
    struct aspace *aspace;
    struct fd_table *files;
    struct fs_context *fs;
    char exe[256]; /* absolute path of the program */
    /* For /proc/self/cmdline and environ: NUL-separated; constant once the program runs. */
    char *arguments, *environment;
    size_t arguments_size, environment_size;

    struct spinlock lock; /* RANK_PROCESS, irqsave; guards the fields down to the blank line */
    struct list tasks;    /* task.link */
    unsigned task_count;
    uint32_t exit_status, exit_signal;
    uint64_t ended_runtime_ns; /* CPU time of tasks that are gone */
    uint64_t ended_switches_voluntary, ended_switches_preempted;

    atomic_bool exiting;            /* set under `lock`; read anywhere */
    atomic_bool ended;              /* the last task has gone */
    atomic_bool threaded;           /* it has, or had, more than one task */
    atomic_bool undumpable;         /* prctl's word; there are no core dumps */
    struct wait_queue exited;       /* woken when the last task has gone */
    struct process_signals signals; /* own lock, RANK_SIGNAL */
    struct rlimits limits;
    uint64_t start_ns;
    /* Where the program lies, and how far from where it was linked: 0 unless it is a static PIE. */
    uintptr_t image_start, image_end, load_bias; /* constant once the program runs */
    uintptr_t stack_top; /* of the main stack; constant once the program runs */
    uintptr_t vdso_base; /* 0: none */
};

/* A call that restart_syscall goes on with. */
struct restart {
    long (*call)(struct restart *r); /* NULL: none */
    uint64_t deadline_ns;
    uintptr_t addr;
    uint64_t values[3];
};

#define TIMER_SLACK_NS 50000 /* what Linux begins with */

/* What prctl sets and gets back; own task only. */
struct task_settings {
    uint64_t timer_slack_ns; /* kept, not used: timers are exact */
    uint32_t death_signal;   /* of a parent, which there is none */
    bool no_new_privs;       /* nor are there any to gain */
    bool keep_capabilities;  /* for when it stops being root, which it cannot */
};

struct task {
    struct thread thread;
    struct process *process;
    struct list link; /* process->tasks; process->lock */
    struct task_signals signals;
    struct restart restart; /* own task only */
    struct task_settings settings;
    uint32_t *clear_child_tid; /* program address; own task only */
    void *robust_list;         /* program address; own task only */
    uintptr_t starved_at;      /* where a call found no memory for a page; own task only */
    struct trap_frame start;   /* registers that it begins with */
};

static inline struct task *task_of(struct thread *t) {
    return container_of(t, struct task, thread);
}
#define current_task() task_of(current)

/* The task with this tid, or NULL.  Caller holds p->lock, or the task may be gone. */
struct task *process_find_task(struct process *p, int tid);
/* CPU time used by all tasks, living and ended. */
uint64_t process_runtime_ns(struct process *p);
/* CPU time of the task or process that a negative clock id names: 0 or -EINVAL.  Context: any that
 * holds no lock. */
must_check int time_read_cpu_clock(int clock, uint64_t *ns);

must_check int task_init(void); /* once; 0 or -ENOMEM */
/*
 * A new task of `p`, not yet running and not yet listed, that will start with
 * t->start (to be filled by the caller).  NULL without memory.
 */
struct task *task_create(struct process *p);
/* The same, starting with `entry(task)` in the kernel. */
struct task *task_create_at(struct process *p, const char *name, void (*entry)(void *));
/* Gives it a tid and lists it.  -EAGAIN where the process is ending. */
must_check int task_list(struct task *t);
/* Lists it, unless that was done, and lets it run.  -EAGAIN (`t` freed) where the process ends. */
must_check int task_start(struct task *t);
void task_free(struct task *t); /* one that never started */
/* Ends the process, with a report, where the current task's call found no memory for a page. */
void exception_end_if_starved(const struct trap_frame *f);
/* Ends the current task; the process with it, if it is the last (with `status`). */
noreturn_fn void task_exit(uint32_t status);

/* Marks the locks that the ending current task holds (robust lists; futex.c). */
void futex_end_task(struct task *t);
void futex_init(void); /* -> panics without memory */
/* Wakes up to `count` waiters on a word of the current program; context: its thread. */
long futex_wake_address(uint32_t *addr, int count);

struct manifest {
    const char *program, *cwd;
    const char *net;           /* "dhcp" or an address; NULL: no network asked for */
    const char **argv, **envp; /* NULL-terminated */
    unsigned argc, envc;
    uint64_t seed, time_ns;
    bool has_seed, verbose, strace, populate;
    unsigned tty;           /* bit per descriptor */
    uint16_t rows, columns; /* of the terminal; 0: there is none */
};

/* Parses the archive's manifest (base/wire.h); pointers lead into `text`. 0 or -EINVAL, -ENOMEM. */
must_check int manifest_parse(struct manifest *m, const char *text, size_t size);

/*
 * Builds the process and starts its first task; afterwards waits for its end.
 * Returns after console_exit(); the caller powers off.  Prints one clear line
 * and uses status 125 (or 126/127 as a shell would) where it cannot start.
 */
void process_run(const struct manifest *m);

void sys_timer_init(struct process *p); /* the timers of setitimer */

extern struct process *the_process;

/* Ends all tasks of the current process; never returns. status: 0 to 255; signal: 0 or fatal. */
noreturn_fn void process_exit_group(uint32_t status, uint32_t signal);

#endif
