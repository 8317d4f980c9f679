/* SPDX-License-Identifier: MIT */
/*
 * Threads: stacks, birth, sleep, death.  Who runs when is sched.c's.
 *
 * Kernel stacks lie in slots of their own with an unmapped half below each, so
 * that an overflow is a double fault with a clear report.  They are cached, not
 * unmapped, when a thread ends: unmapping would need a shootdown.  The cache is
 * a list per CPU (interrupts off) of at most STACK_CACHE_MAX, linked through the
 * stacks' last words, and one list for all behind it: without that, a CPU that
 * creates threads which end on another one would map new stacks for ever.
 */
#include <asm-generic/errno.h>
#include "arch/x86_64/boot.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/trap.h"
#include "base/string.h"
#include "kernel/aspace.h"
#include "kernel/lock.h"
#include "kernel/pages.h"
#include "kernel/panic.h"
#include "kernel/slab.h"
#include "kernel/thread_impl.h"

#define STACK_SIZE (KERNEL_STACK_PAGES * PAGE_SIZE)
#define STACK_SLOT (2 * STACK_SIZE)

struct list all_threads = LIST_INIT(all_threads);
struct spinlock all_threads_lock = SPINLOCK_INIT(RANK_THREADS);
uint64_t threads_started;

/*
 * Stacks of ended threads.  Each CPU keeps some; the rest is shared.  None goes
 * back to the frame allocator: the kernel half of the address space is never
 * unmapped (paging.h), so the most threads that a program ever had at once keep
 * KERNEL_STACK_PAGES each, for threads to come.
 */
#define STACK_CACHE_MAX 16u

static PERCPU uintptr_t stack_cache; /* top of the first cached stack; interrupts off */
static PERCPU unsigned stack_cached; /* stacks in it; the same */
static struct spinlock stack_lock = SPINLOCK_INIT(RANK_SLAB); /* irqsave; guards stack_shared */
static _Atomic(uintptr_t) stack_shared; /* top of the first; a look without the lock is a hint */
static _Atomic(uintptr_t) stack_next = KERNEL_STACKS;
static struct thread boot_thread; /* becomes CPU 0's idle thread */
extern char boot_stack_top[];

static uintptr_t *stack_link(uintptr_t top) {
    return (uintptr_t *)(top - sizeof(uintptr_t));
}

static void stack_free(uintptr_t top) {
    uint64_t flags = irq_save();
    unsigned cached = this_cpu_read(stack_cached);
    if (cached < STACK_CACHE_MAX) {
        *stack_link(top) = this_cpu_read(stack_cache);
        this_cpu_write(stack_cache, top);
        this_cpu_write(stack_cached, cached + 1);
        irq_restore(flags);
        return;
    }
    irq_restore(flags);
    flags = spin_lock_irqsave(&stack_lock);
    *stack_link(top) = atomic_load_explicit(&stack_shared, memory_order_relaxed);
    atomic_store_explicit(&stack_shared, top, memory_order_relaxed);
    spin_unlock_irqrestore(&stack_lock, flags);
}

/* A cached stack, this CPU's before the shared ones; 0: none. */
static uintptr_t stack_from_cache(void) {
    uint64_t flags = irq_save();
    uintptr_t top = this_cpu_read(stack_cache);
    if (top) {
        this_cpu_write(stack_cache, *stack_link(top));
        this_cpu_write(stack_cached, this_cpu_read(stack_cached) - 1);
    }
    irq_restore(flags);
    if (top || !atomic_load_explicit(&stack_shared, memory_order_relaxed))
        return top;
    flags = spin_lock_irqsave(&stack_lock);
    top = atomic_load_explicit(&stack_shared, memory_order_relaxed);
    if (top)
        atomic_store_explicit(&stack_shared, *stack_link(top), memory_order_relaxed);
    spin_unlock_irqrestore(&stack_lock, flags);
    return top;
}

/* Top of a stack, or 0 without memory. */
static uintptr_t stack_alloc(void) {
    uintptr_t top = stack_from_cache();
    if (top)
        return top;

    struct page *pages[KERNEL_STACK_PAGES];
    unsigned n = 0;
    for (; n < KERNEL_STACK_PAGES; n++)
        if (!(pages[n] = pages_alloc(0)))
            goto free_pages;
    uintptr_t slot = atomic_fetch_add(&stack_next, STACK_SLOT);
    for (unsigned i = 0; i < KERNEL_STACK_PAGES; i++) {
        uintptr_t at = slot + STACK_SIZE + i * PAGE_SIZE;
        if (paging_map_kernel(at, page_to_phys(pages[i]), PTE_WRITE) == 0)
            continue;
        /* What the slot already maps is lost; the slot itself only if another was taken since. */
        while (n > i)
            pages_free(pages[--n], 0);
        uintptr_t after = slot + STACK_SLOT;
        if (i == 0) /* always: no table ends within a slot */
            atomic_compare_exchange_strong(&stack_next, &after, slot);
        return 0;
    }
    return slot + STACK_SLOT;

free_pages:
    while (n > 0)
        pages_free(pages[--n], 0);
    return 0;
}

static void sleep_over(struct timer *timer) {
    thread_wake(container_of(timer, struct thread, sleep_timer));
}

static void init_common(struct thread *t, const char *name) {
    string_copy(t->name, name, sizeof(t->name));
    list_init(&t->run_link);
    list_init(&t->all_link);
    timer_init(&t->sleep_timer, sleep_over);
    atomic_store(&t->affinity, ~0ul);
    t->fpu_cpu = MAX_CPUS;
}

void thread_init_boot(void) {
    struct thread *t = &boot_thread;
    init_common(t, "idle/0");
    t->is_idle = true;
    t->stack_top = (uintptr_t)boot_stack_top;
    atomic_store(&t->affinity, 1);
    atomic_store(&t->state, THREAD_RUNNABLE);
    atomic_store(&t->on_cpu, true);
    this_cpu_write(kernel_stack_top, t->stack_top);
    sched_init_idle(t, 0);
    atomic_store(&cpus_online, 1);
}

uintptr_t thread_prepare_idle(unsigned cpu, uintptr_t offset) {
    struct thread *t = kmalloc(sizeof(*t));
    if (!t || !(t->stack_top = stack_alloc()))
        give_up("too little memory for the idle thread of CPU %u", cpu);
    init_common(t, "idle");
    t->is_idle = true;
    atomic_store(&t->cpu, cpu);
    atomic_store(&t->affinity, 1ul << cpu);
    atomic_store(&t->state, THREAD_RUNNABLE);
    atomic_store(&t->on_cpu, true);
    percpu_offsets[cpu] = offset;
    *cpu_of(kernel_stack_top, cpu) = t->stack_top;
    sched_init_idle(t, cpu);
    return t->stack_top;
}

/* First C code of a new thread, from thread_first; interrupts off, the queue's lock held. */
void thread_begin(void (*entry)(void *), void *arg);
void thread_begin(void (*entry)(void *), void *arg) {
    sched_finish_switch();
    irq_enable();
    entry(arg);
    panic("thread %s returned", current->name);
}

int thread_init(struct thread *t, const char *name, void (*entry)(void *), void *arg) {
    sched_reap();
    t->stack_top = stack_alloc();
    if (!t->stack_top)
        return -ENOMEM;
    init_common(t, name);
    atomic_store(&t->state, THREAD_NEW);
    atomic_store(&t->cpu, cpu_id());

    /* Below the frame for ring 3, which thread_enter_user fills in while this stack is in use:
     * what switch_context pops: r15 r14 r13 r12 rbp rbx, then the return address. */
    uintptr_t *sp = (uintptr_t *)(void *)thread_user_frame(t);
    *--sp = (uintptr_t)thread_first;
    *--sp = 0;
    *--sp = 0;
    *--sp = (uintptr_t)entry; /* r12 */
    *--sp = (uintptr_t)arg;   /* r13 */
    *--sp = 0;
    *--sp = 0;
    t->saved_rsp = (uintptr_t)sp;

    spin_lock(&all_threads_lock);
    list_add_tail(&all_threads, &t->all_link);
    threads_started++;
    spin_unlock(&all_threads_lock);
    return 0;
}

static struct slab_cache *fpu_cache(void) {
    static _Atomic(struct slab_cache *) cache;
    struct slab_cache *c = atomic_load_explicit(&cache, memory_order_acquire);
    if (!c) { /* first called by one thread, before the program runs */
        c = slab_cache_create("extended state", cpu_features.xsave_size, CACHE_LINE);
        atomic_store_explicit(&cache, c, memory_order_release);
    }
    return c;
}

int thread_init_user(struct thread *t, const char *name, struct aspace *as, void (*entry)(void *),
                     void *arg) {
    void *area = fpu_cache() ? slab_alloc(fpu_cache()) : NULL;
    if (!area)
        return -ENOMEM;
    int err = thread_init(t, name, entry, arg);
    if (err) {
        slab_free(fpu_cache(), area);
        return err;
    }
    fpu_init_area(area);   /* saving leaves out what is in its initial state */
    if (current->fpu_area) /* a clone inherits rounding modes and all */
        fpu_save(area);
    t->fpu_area = area;
    t->aspace = as;
    return 0;
}

struct trap_frame *thread_user_frame(struct thread *t) {
    return (struct trap_frame *)(t->stack_top - sizeof(struct trap_frame));
}

void thread_enter_user(const struct trap_frame *f) {
    struct trap_frame *to = thread_user_frame(current);
    irq_disable();
    *to = *f;
    enter_user(to);
}

void thread_exit(void (*reap)(struct thread *)) {
    struct thread *me = current;
    sched_reap();
    spin_lock(&all_threads_lock);
    list_remove(&me->all_link);
    spin_unlock(&all_threads_lock);
    irq_disable();
    me->reap = reap;
    atomic_store(&me->state, THREAD_DEAD);
    sched_reschedule();
    panic("a dead thread ran");
}

void thread_release(struct thread *t) {
    stack_free(t->stack_top);
    if (t->fpu_area)
        slab_free(fpu_cache(), t->fpu_area);
}

void thread_block_prepare(bool interruptible) {
    struct thread *me = current;
    me->interruptible = interruptible;
    atomic_store(&me->state, THREAD_BLOCKING); /* seq_cst: before the caller's look */
}

void thread_block_cancel(void) {
    struct thread *me = current;
    me->interruptible = false;
    atomic_store(&me->state, THREAD_RUNNABLE);
}

int thread_block(uint64_t deadline_ns) {
    struct thread *me = current;
    assert_slow(me->preempt_count == 0 && irq_enabled());
    if (me->interruptible && (atomic_load(&me->work) & WORK_LINUX)) {
        thread_block_cancel();
        return -EINTR;
    }
    if (deadline_ns != TIME_NEVER)
        timer_arm(&me->sleep_timer, deadline_ns);
    irq_disable();
    if (atomic_load(&me->state) == THREAD_BLOCKING)
        sched_reschedule();
    irq_enable();
    int err = 0;
    if (deadline_ns != TIME_NEVER && !timer_cancel(&me->sleep_timer))
        err = -ETIMEDOUT;
    if (me->interruptible && (atomic_load(&me->work) & WORK_LINUX))
        err = -EINTR;
    thread_block_cancel();
    return err;
}
