/* SPDX-License-Identifier: MIT */
/*
 * The process: its birth, and the first task's, which loads the program from
 * within the address space that it fills.  Its end is task.c's.
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
#include "net/net.h"

#define OUR_FAILURE  125u
#define LIMIT_NPROC  6
#define LIMIT_NOFILE 7

struct process *the_process;
static struct process process;

/* What the first task needs until it has loaded the program. */
static struct {
    struct elf_image image;
    const struct manifest *manifest;
} birth;

/* The first task: it loads the program from within the address space that it fills. */
static void program_begin(void *arg) {
    struct task *t = arg;
    struct process *p = t->process;
    int err = exec_load(&birth.image, p, birth.manifest, &t->start);

    elf_close(&birth.image);
    if (err && t->starved_at)
        err = -ENOMEM;
    if (!err)
        thread_enter_user(&t->start);
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
        { 3, MIB(8), UINT64_MAX },            /* STACK */
        { 4, 0, UINT64_MAX },                 /* CORE */
        { LIMIT_NPROC, 32768, 32768 },        /* as many as memory allows: not enforced */
        { LIMIT_NOFILE, 1024, FD_LIMIT_MAX }, /* enforced by fs/fdtable.c */
        { 8, UINT64_MAX, UINT64_MAX },        /* MEMLOCK */
        { 11, 32768, 32768 },                 /* SIGPENDING */
        { 12, 819200, 819200 },               /* MSGQUEUE */
        { 13, 0, 0 },                         /* NICE */
        { 14, 0, 0 },                         /* RTPRIO */
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
    sys_timer_init(p);
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

    if (task_init() || process_init(p, m)) {
        report("mimosa: not enough memory to start a program (try --mem)\n");
        return OUR_FAILURE;
    }
    status = elf_open(&birth.image, p->exe, why, sizeof(why));
    if (status) {
        report("mimosa: %s: %s\n", p->exe, why);
        return status;
    }
    birth.manifest = m;
    t = task_create_at(p, base ? base + 1 : m->program, program_begin);
    if (!t || task_start(t)) {
        report("mimosa: not enough memory to start a program (try --mem)\n");
        return OUR_FAILURE;
    }
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
    fd_table_destroy(process.files);
    net_drain();
    console_exit(process.exit_status, process.exit_signal);
}
