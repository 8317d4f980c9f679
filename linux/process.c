/* SPDX-License-Identifier: MIT */
/*
 * The process: its birth, its tasks, its end.
 *
 * Ending.  Whoever ends the process (exit_group, a fatal signal, the last
 * task's exit) sets `exiting` under process.lock, fixes the status if it is the
 * first, and flags every task with WORK_EXIT.  That interrupts their CPUs and
 * their interruptible sleeps; each leaves by linux_user_work -> task_exit.  The
 * last to leave wakes process_run, which says goodbye to the command.
 *
 * A task's memory is freed by the reaper, once no CPU uses its stack.
 */
#include "linux/process.h"

#include <asm-generic/errno.h>

#include "arch/x86_64/uaccess.h"
#include "base/format.h"
#include "base/string.h"
#include "dev/console.h"
#include "fs/fdtable.h"
#include "fs/vfs.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/slab.h"
#include "linux/exec.h"
#include "linux/proc_self.h"
#include "linux/syscalls.h"

#define OUR_FAILURE 125u
#define TID_MAX 4194304
#define LIMIT_NPROC 6
#define LIMIT_NOFILE 7

struct process *the_process;
static struct process process;
static struct slab_cache *task_cache;

/* What the first task needs until it has loaded the program. */
static struct {
    struct elf_image image;
    const struct manifest *manifest;
} birth;

struct task *process_find_task(struct process *p, int tid) {
    struct task *t;

    list_for_each(t, &p->tasks, link)
        if (t->thread.tid == tid)
            return t;
    return NULL;
}

uint64_t process_runtime_ns(struct process *p) {
    uint64_t flags = spin_lock_irqsave(&p->lock), sum = p->ended_runtime_ns;
    struct task *t;

    list_for_each(t, &p->tasks, link)
        sum += thread_runtime_ns(&t->thread);
    spin_unlock_irqrestore(&p->lock, flags);
    return sum;
}

/* A tid that no task has; p->lock held. */
static int tid_choose(struct process *p) {
    static int next = 1;
    static bool wrapped;

    do {
        if (next > TID_MAX) {
            next = 2;
            wrapped = true;
        }
        next++;
    } while (wrapped && process_find_task(p, next - 1));
    return next - 1;
}

static void task_begin(void *arg) {
    struct task *t = arg;

    thread_enter_user(&t->start);
}

static struct task *create(struct process *p, const char *name, void (*entry)(void *)) {
    struct task *t = slab_alloc(task_cache);

    if (!t)
        return NULL;
    t->process = p;
    list_init(&t->link);
    signal_init_task(t, current->aspace ? current_task() : NULL);
    if (thread_init_user(&t->thread, name, p->aspace, entry, t)) {
        slab_free(task_cache, t);
        return NULL;
    }
    t->thread.fs_base = current->aspace ? thread_get_fs_base() : 0;
    t->thread.gs_base = current->aspace ? thread_get_gs_base() : 0;
    return t;
}

struct task *task_create(struct process *p) {
    return create(p, current->name, task_begin);
}

static void task_reap(struct thread *thread) {
    thread_release(thread);
    slab_free(task_cache, task_of(thread));
}

void task_free(struct task *t) {
    spin_lock(&all_threads_lock);
    list_remove(&t->thread.all_link);
    spin_unlock(&all_threads_lock);
    task_reap(&t->thread);
}

int task_list(struct task *t) {
    struct process *p = t->process;
    uint64_t flags = spin_lock_irqsave(&p->lock);
    bool exiting = p->exiting;

    if (!exiting) {
        t->thread.tid = tid_choose(p);
        list_add_tail(&p->tasks, &t->link);
        p->task_count++;
        if (p->task_count == 2)
            atomic_store_explicit(&p->threaded, true, memory_order_relaxed);
    }
    spin_unlock_irqrestore(&p->lock, flags);
    return exiting ? -EAGAIN : 0;
}

/* Takes it off the list; true for the process's last. */
static bool task_unlist(struct task *t, uint32_t status) {
    struct process *p = t->process;
    uint64_t flags = spin_lock_irqsave(&p->lock);
    bool last;

    list_remove(&t->link);
    p->task_count--;
    p->ended_runtime_ns += thread_runtime_ns(&t->thread);
    p->ended_switches_voluntary += t->thread.switches_voluntary;
    p->ended_switches_preempted += t->thread.switches_preempted;
    if (t->thread.tid == p->pid)
        p->leader_status = status;
    last = p->task_count == 0;
    spin_unlock_irqrestore(&p->lock, flags);
    return last;
}

/* Fixes how the process ends, unless that has happened, and tells all its tasks. */
static void begin_end(struct process *p, uint32_t status, uint32_t signal) {
    uint64_t flags = spin_lock_irqsave(&p->lock);
    struct task *t;

    if (!p->exiting) {
        p->exit_status = status;
        p->exit_signal = signal;
        atomic_store(&p->exiting, true);
        list_for_each(t, &p->tasks, link)
            if (&t->thread != current)
                thread_notify(&t->thread, WORK_EXIT);
    }
    spin_unlock_irqrestore(&p->lock, flags);
}

void task_exit(uint32_t status) {
    struct task *t = current_task();
    struct process *p = t->process;
    bool last;

    futex_end_task(t);
    if (t->clear_child_tid && !atomic_load(&p->exiting) &&
        user_write_u32(t->clear_child_tid, 0) == 0)
        (void)futex_wake_address(t->clear_child_tid, 1);
    last = task_unlist(t, status);
    signal_end_task(t);
    if (last) {
        begin_end(p, p->leader_status, 0);
        atomic_store(&p->ended, true);
        wait_wake_all(&p->exited);
    }
    thread_exit(task_reap);
}

void process_exit_group(uint32_t status, uint32_t signal) {
    begin_end(current_task()->process, status, signal);
    task_exit(status);
}

/* The first task: it loads the program from within the address space that it fills. */
static void program_begin(void *arg) {
    struct task *t = arg;
    struct process *p = t->process;
    int err = exec_load(&birth.image, p, birth.manifest, &t->start);

    elf_close(&birth.image);
    if (!err)
        task_begin(t);
    report("mimosa: %s: %s\n", p->exe,
           err == -ENOMEM  ? "does not fit into the machine's memory (try --mem)"
           : err == -E2BIG ? "its arguments and environment are longer than 6 MiB"
           : err == -EIO   ? "cannot be read"
                           : "cannot be loaded");
    if (err != -ENOMEM)
        log_error("loading %s: error %d", p->exe, -err);
    process_exit_group(OUR_FAILURE, 0);
}

static void signal_from_command(int signo) {
    siginfo_t info = { .si_signo = signo, .si_code = SI_USER };

    if (signo >= 1 && signo <= SIGNAL_COUNT)
        (void)signal_send_process(&process, signo, &info);
}

static void limits_init(struct rlimits *l) {
    static const struct {
        unsigned which;
        uint64_t soft, hard;
    } set[] = {
        { 3, MIB(8), UINT64_MAX },              /* STACK */
        { 4, 0, UINT64_MAX },                   /* CORE */
        { LIMIT_NPROC, 32768, 32768 },          /* as many as memory allows: not enforced */
        { LIMIT_NOFILE, 1024, FD_LIMIT_MAX },   /* enforced by fs/fdtable.c */
        { 8, UINT64_MAX, UINT64_MAX },          /* MEMLOCK */
        { 11, 32768, 32768 },                   /* SIGPENDING */
        { 12, 819200, 819200 },                 /* MSGQUEUE */
        { 13, 0, 0 },                           /* NICE */
        { 14, 0, 0 },                           /* RTPRIO */
    };

    for (unsigned i = 0; i < RLIMIT_COUNT; i++)
        l->of[i].soft = l->of[i].hard = UINT64_MAX;
    for (unsigned i = 0; i < ARRAY_SIZE(set); i++) {
        l->of[set[i].which].soft = set[i].soft;
        l->of[set[i].which].hard = set[i].hard;
    }
}

static int process_init(struct process *p, const struct manifest *m) {
    p->pid = 1;
    p->start_ns = clock_now_ns();
    spin_init(&p->lock, RANK_PROCESS);
    list_init(&p->tasks);
    wait_init(&p->exited);
    limits_init(&p->limits);
    if (m->program[0] == '/')
        string_copy(p->exe, m->program, sizeof(p->exe));
    else
        format(p->exe, sizeof(p->exe), "/%s", m->program);
    signal_init_process(p);
    sys_time_init(p);
    p->aspace = aspace_create();
    p->files = fd_table_create();
    p->fs = fs_context_create();
    if (!p->aspace || !p->files || !p->fs)
        return -ENOMEM;
    if (fs_context_chdir(p->fs, m->cwd))
        log_info("working directory %s is not there; using /", m->cwd);
    proc_self_init();
    return fs_open_standard_streams(p->files, m->tty);
}

/* Starts the program: 0, or the status to end with. */
static unsigned start(const struct manifest *m) {
    struct process *p = &process;
    const char *base = strrchr(m->program, '/');
    char why[160];
    unsigned status;
    struct task *t;

    task_cache = slab_cache_create("task", sizeof(struct task), CACHE_LINE);
    if (!task_cache || process_init(p, m)) {
        report("mimosa: not enough memory to start a program (try --mem)\n");
        return OUR_FAILURE;
    }
    status = elf_open(&birth.image, p->exe, why, sizeof(why));
    if (status) {
        report("mimosa: %s: %s\n", p->exe, why);
        return status;
    }
    birth.manifest = m;
    t = create(p, base ? base + 1 : m->program, program_begin);
    if (!t || task_start(t)) {
        report("mimosa: not enough memory to start a program (try --mem)\n");
        return OUR_FAILURE;
    }
    return 0;
}

int task_start(struct task *t) {
    if (list_is_empty(&t->link) && task_list(t)) {
        task_free(t);
        return -EAGAIN;
    }
    thread_start(&t->thread);
    return 0;
}

void process_run(const struct manifest *m) {
    unsigned status;

    the_process = &process;
    signal_init();
    futex_init();
    if (m->strace)
        strace_enable();
    status = start(m);
    if (status) {
        console_exit(status, 0);
        return;
    }
    console_set_handlers(signal_from_command, report_all_threads);
    (void)wait_until(&process.exited, process.ended, TIME_NEVER, false);
    console_exit(process.exit_status, process.exit_signal);
}
