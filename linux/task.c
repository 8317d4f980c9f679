/* SPDX-License-Identifier: MIT */
/*
 * Tasks: the program's threads, from clone to the reaper; and how all end.
 *
 * Ending.  Whoever ends the process (exit_group, a fatal signal, the last
 * task's exit) sets `exiting` under process.lock, fixes the status if it is the
 * first, and flags every task with WORK_EXIT.  That interrupts their CPUs and
 * their interruptible sleeps; each leaves by linux_user_work -> task_exit.  The
 * last to leave wakes process_run, which says goodbye to the command.
 *
 * A task's memory is freed by the reaper, once no CPU uses its stack.
 */
#include <asm-generic/errno.h>

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/slab.h"
#include "linux/process.h"

#define TID_MAX 4194304

static struct slab_cache *task_cache;

int task_init(void) {
    task_cache = slab_cache_create("task", sizeof(struct task), CACHE_LINE);
    return task_cache ? 0 : -ENOMEM;
}

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

struct task *task_create_at(struct process *p, const char *name, void (*entry)(void *)) {
    struct task *t = slab_alloc(task_cache);

    if (!t)
        return NULL;
    t->process = p;
    list_init(&t->link);
    signal_init_task(t, current->aspace ? current_task() : NULL);
    t->settings = current->aspace ? current_task()->settings
                                  : (struct task_settings){ .timer_slack_ns = TIMER_SLACK_NS };
    t->settings.death_signal = 0;
    if (thread_init_user(&t->thread, name, p->aspace, entry, t)) {
        slab_free(task_cache, t);
        return NULL;
    }
    t->thread.fs_base = current->aspace ? cpu_get_fs_base() : 0;
    t->thread.gs_base = current->aspace ? cpu_get_user_gs_base() : 0;
    return t;
}

struct task *task_create(struct process *p) {
    return task_create_at(p, current->name, task_begin);
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
static bool task_unlist(struct task *t) {
    struct process *p = t->process;
    uint64_t flags = spin_lock_irqsave(&p->lock);
    bool last;

    list_remove(&t->link);
    p->task_count--;
    p->ended_runtime_ns += thread_runtime_ns(&t->thread);
    p->ended_switches_voluntary += t->thread.switches_voluntary;
    p->ended_switches_preempted += t->thread.switches_preempted;
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
    last = task_unlist(t);
    signal_end_task(t);
    if (last) {
        begin_end(p, status, 0); /* as on Linux since 5.18; before, the first thread's counted */
        atomic_store(&p->ended, true);
        wait_wake_all(&p->exited);
    }
    thread_exit(task_reap);
}

void process_exit_group(uint32_t status, uint32_t signal) {
    begin_end(current_task()->process, status, signal);
    task_exit(status);
}

int task_start(struct task *t) {
    if (list_is_empty(&t->link) && task_list(t)) {
        task_free(t);
        return -EAGAIN;
    }
    thread_start(&t->thread);
    return 0;
}
