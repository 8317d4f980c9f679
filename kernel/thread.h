/* SPDX-License-Identifier: MIT */
/*
 * Threads and the scheduler: one run queue per CPU, preemptive, round robin,
 * wake-up on idle CPUs, stealing, affinity.
 *
 * To sleep until something happens, use kernel/wait.h.  The raw protocol below
 * it: announce with thread_block_prepare(), look at the condition, then
 * thread_block() or thread_block_cancel(); a wake-up between the first and the
 * last is not lost.
 */
#ifndef KERNEL_THREAD_H
#define KERNEL_THREAD_H

#include <stdatomic.h>
#include "arch/x86_64/percpu.h"
#include "base/list.h"
#include "base/types.h"
#include "kernel/timer.h"

struct aspace;
struct trap_frame;

enum thread_state {
    THREAD_NEW,
    THREAD_RUNNABLE, /* on a run queue, or running */
    THREAD_BLOCKING, /* announced, still running */
    THREAD_BLOCKED,
    THREAD_DEAD,
};

/* Bits of thread.work: reasons to look up before going back to ring 3. */
#define WORK_RESCHEDULE 1u
#define WORK_SIGNAL     2u /* linux/: an unblocked signal may be pending; interrupts sleeps */
#define WORK_EXIT       4u /* linux/: the process is ending; interrupts sleeps */
#define WORK_FRAME      8u /* the frame for ring 3 was changed: return by iretq; the thread's own */
#define WORK_LINUX      (WORK_SIGNAL | WORK_EXIT)

struct thread {
    /* Read by entry.S; keep the order (checked by static asserts there). */
    atomic_uint work;       /* WORK_* bits; set by anyone */
    uint32_t preempt_count; /* debug builds: of preempt_disable; own thread only */
    uintptr_t stack_top;    /* of the kernel stack; the trap frame from ring 3 ends there */
    uintptr_t saved_rsp;    /* while not running */

    /* Owned by the scheduler: run-queue lock of `cpu`, or the thread itself. */
    _Atomic(uint32_t) state; /* enum thread_state */
    atomic_bool on_cpu;      /* its context is live on a CPU; release on switch-out */
    bool interruptible;      /* the present sleep ends for WORK_LINUX */
    bool is_idle;
    _Atomic(unsigned) cpu;      /* where it runs or last ran */
    _Atomic(uint64_t) affinity; /* bit per CPU */
    struct list run_link;
    /* 1 + the CPU in whose queue it waits, 0 if in none; written under that queue's lock. */
    _Atomic(unsigned) queued;
    struct timer sleep_timer;
    atomic_uint time_seq; /* a seqlock round the next two; its writer leaves the CPU */
    uint64_t runtime_ns;  /* CPU time used, up to the last switch */
    uint64_t started_ns;  /* when it came on the CPU; 0: it runs nowhere */
    uint64_t switches_voluntary, switches_preempted;
    uint64_t wakes; /* of others that slept, by this thread and by interrupts of it, or fewer */

    /* The thread's own. */
    struct aspace *aspace;     /* NULL: kernel thread */
    void *fpu_area;            /* NULL: kernel thread */
    unsigned fpu_cpu;          /* CPU whose registers may still hold fpu_area */
    uint64_t fs_base, gs_base; /* of the program, while not running */
    uint64_t faults;           /* of pages, by this thread */
    bool wakes_here;           /* it sleeps soon after it wakes somebody: who may take its CPU */
    bool no_fault;             /* uaccess _nofault section: do not serve faults */

    void (*reap)(struct thread *); /* set by thread_exit */
    int tid;
    char name[16];
    struct list all_link; /* all_threads; all_threads_lock */
};

extern PERCPU struct thread *current_thread;
#define current (this_cpu_read(current_thread))

extern struct list all_threads;          /* every thread but the idle ones */
extern struct spinlock all_threads_lock; /* RANK_THREADS */
extern uint64_t threads_started;         /* since boot, the idle ones left out; all_threads_lock */

/*
 * Prepares `t` (zeroed by the caller, inside a larger struct perhaps) to run
 * `entry(arg)` on a kernel stack of its own.  `entry` must not return.
 * Returns 0 or -ENOMEM.  thread_start() makes it runnable.
 */
must_check int thread_init(struct thread *t, const char *name, void (*entry)(void *), void *arg);
/* A thread of the program: as thread_init, plus address space and extended state;
 * `entry` ends in thread_enter_user(). */
must_check int thread_init_user(struct thread *t, const char *name, struct aspace *as,
                                void (*entry)(void *), void *arg);
void thread_start(struct thread *t);
/* Goes to ring 3 with the registers at `f` (copied to the top of the stack). */
noreturn_fn void thread_enter_user(const struct trap_frame *f);
/* The frame that the current thread entered the kernel with, from ring 3. */
struct trap_frame *thread_user_frame(struct thread *t);

/*
 * Ends the current thread.  `reap(t)` is called later, in a kernel thread, once
 * no CPU uses its stack any more; it frees the memory that `t` lies in after
 * thread_release(t) gave back stack and extended state.
 */
noreturn_fn void thread_exit(void (*reap)(struct thread *t));
void thread_release(struct thread *t);

/*
 * A kernel thread works in the program's address space from now on, so that it
 * can use uaccess.h; NULL ends that.  `as` must outlive it.
 */
void thread_borrow_aspace(struct aspace *as);

/* An idle CPU leaves the address space that it is still in.  Interrupts off. */
void sched_leave_idle_aspace(void);

/* Gives up the CPU but stays runnable. */
void thread_yield(void);
/* A named point where a long walk in the kernel may be preempted; no lock may be held. */
void thread_preempt_point(void);

void thread_block_prepare(bool interruptible);
void thread_block_cancel(void);
/*
 * Sleeps until thread_wake(), the deadline (clock_now_ns() scale, TIME_NEVER
 * for none) or, if interruptible, a WORK_LINUX bit.  Returns 0, -ETIMEDOUT or
 * -EINTR; 0 wherever it was woken as well.
 */
must_check int thread_block(uint64_t deadline_ns);
/* Makes a sleeping thread runnable; false where it was not asleep.  Context: any. */
bool thread_wake(struct thread *t);
/* Sets `bits` in t->work, to be noticed soon: ends an interruptible sleep, interrupts its CPU. */
void thread_notify(struct thread *t, uint32_t bits);

/* Restricts `t` to the CPUs in `mask` (must name an online one) and moves it there. */
void thread_set_affinity(struct thread *t, uint64_t mask);
/* CPU time that `t` has used, the running slice included. */
uint64_t thread_runtime_ns(struct thread *t);

/* Of one CPU since boot: time with a thread on it and without, switches away from threads.
 * None ever falls.  Context: any without the lock of a run queue. */
struct sched_usage {
    uint64_t busy_ns, idle_ns, switches;
};
void sched_usage(unsigned cpu, struct sched_usage *out);

/*
 * Round what must stay on its CPU.  The kernel is preempted at named points only
 * (sched.c), so nothing has to be done: debug builds count, and assert at those
 * points that the count is zero; host tests do likewise.
 */
static inline void preempt_disable(void) {
#if defined(DEBUG) || defined(HOST_TEST)
    current->preempt_count++;
#endif
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void preempt_enable(void) {
    atomic_signal_fence(memory_order_seq_cst);
#if defined(DEBUG) || defined(HOST_TEST)
    current->preempt_count--;
#endif
}

extern _Atomic(uint64_t) cpus_online; /* bit per CPU that schedules */

/* Boot: the idle thread of `cpu` (whose per-CPU copies lie at `offset`); returns its stack top. */
uintptr_t thread_prepare_idle(unsigned cpu, uintptr_t offset);
/* This CPU schedules from now on, as its idle thread. */
noreturn_fn void thread_idle_loop(void);
/* From IPI_RESCHEDULE. */
void thread_reschedule_interrupt(void);
/* From entry.S before a return to ring 3 with work pending; interrupts on. */
void thread_user_work(struct trap_frame *f);

#endif
