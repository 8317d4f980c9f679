/* SPDX-License-Identifier: MIT */
/*
 * Timers: a pairing heap per CPU (Fredman, Sedgewick, Sleator and Tarjan,
 * Algorithmica 1986), ordered by deadline: constant-time insertion, which is
 * what most timers see, since most are cancelled before they fire.
 *
 * Each heap has a lock, taken with interrupts off.  `firing` names the timer
 * whose callback runs at this moment, without the lock; timer_cancel() on
 * another CPU waits for it to pass.  A heap's hardware timer is its own CPU's:
 * timer_arm() always uses the CPU it runs on, so no CPU ever programs another's.
 *
 * Arming the hardware costs microseconds under an emulator, and deadlines mostly
 * move away (every switch begins a new time slice): so it is armed anew only for
 * an earlier deadline.  An interrupt that comes too early finds nothing to do and
 * arms for what is next.
 */
#include "kernel/timer.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/cpu.h"
#include "kernel/lock.h"
#include "kernel/thread_impl.h"

struct timer_heap {
    struct spinlock lock; /* guards all but `armed_for` */
    struct timer *root;
    struct timer *_Atomic firing;
    uint64_t armed_for; /* what the hardware is set to; the owner's, interrupts off */
} cache_aligned;

static PERCPU struct timer_heap timer_heap = { .lock = SPINLOCK_INIT(RANK_TIMER),
                                               .armed_for = TIME_NEVER };

/* prev: the elder sibling, or the parent of an eldest child. */
static struct timer *meld(struct timer *a, struct timer *b) {
    if (!a)
        return b;
    if (!b)
        return a;
    if (b->deadline_ns < a->deadline_ns) {
        struct timer *t = a;
        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    a->child = b;
    return a;
}

/* Melds a list of siblings in pairs, first left to right, then back. */
static struct timer *meld_siblings(struct timer *first) {
    struct timer *pairs = NULL, *root = NULL;
    while (first) {
        struct timer *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct timer *next = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void heap_remove(struct timer_heap *h, struct timer *t) {
    struct timer *children = meld_siblings(t->child);
    if (t == h->root) {
        h->root = children;
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next)
            t->next->prev = t->prev;
        h->root = meld(h->root, children);
    }
    t->child = t->next = t->prev = NULL;
    t->armed = false;
}

void timer_init(struct timer *t, void (*fire)(struct timer *)) {
    *t = (struct timer){ .fire = fire };
}

static void program(struct timer_heap *h, uint64_t now) {
    uint64_t slice = sched_tick(now), first = h->root ? h->root->deadline_ns : TIME_NEVER;
    uint64_t deadline = MIN(slice, first);
    if (deadline < h->armed_for) {
        h->armed_for = deadline;
        clock_arm(deadline);
    }
}

void timer_program(void) {
    struct timer_heap *h = this_cpu(timer_heap);
    spin_lock(&h->lock);
    program(h, clock_now_ns());
    spin_unlock(&h->lock);
}

void timer_arm(struct timer *t, uint64_t deadline_ns) {
    timer_cancel(t);
    uint64_t flags = irq_save();
    struct timer_heap *h = this_cpu(timer_heap);
    spin_lock(&h->lock);
    t->cpu = cpu_id();
    t->deadline_ns = deadline_ns;
    t->armed = true;
    h->root = meld(h->root, t);
    if (h->root == t)
        program(h, clock_now_ns());
    spin_unlock(&h->lock);
    irq_restore(flags);
}

bool timer_cancel(struct timer *t) {
    for (bool was = false;;) {
        struct timer_heap *h = cpu_of(timer_heap, t->cpu);
        uint64_t flags = spin_lock_irqsave(&h->lock);
        if (t->armed) {
            heap_remove(h, t);
            was = true;
        }
        /* On our own CPU its callback cannot run beside us, only below us. */
        bool fires = h != this_cpu(timer_heap) &&
                     atomic_load_explicit(&h->firing, memory_order_relaxed) == t;
        spin_unlock_irqrestore(&h->lock, flags);
        if (!fires)
            return was;
        while (atomic_load_explicit(&h->firing, memory_order_acquire) == t)
            cpu_relax();
        /* Once more: the callback may have armed it again. */
    }
}

void timer_interrupt(void) {
    struct timer_heap *h = this_cpu(timer_heap);
    spin_lock(&h->lock);
    uint64_t now = clock_now_ns();
    while (h->root && h->root->deadline_ns <= now) {
        struct timer *t = h->root;
        heap_remove(h, t);
        atomic_store_explicit(&h->firing, t, memory_order_relaxed);
        spin_unlock(&h->lock);
        t->fire(t);
        spin_lock(&h->lock);
        atomic_store_explicit(&h->firing, NULL, memory_order_release); /* pairs with timer_cancel */
    }
    h->armed_for = TIME_NEVER; /* it fired */
    program(h, now);
    spin_unlock(&h->lock);
}
