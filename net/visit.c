/* SPDX-License-Identifier: MIT */
/*
 * The program's threads take in packets by themselves.
 *
 * Before a thread of the program looks for what is ready (wait_take_in) it takes
 * in what the card has, and before it sleeps (wait_rest) it does so once more and
 * turns the interrupts on.  A busy server is never interrupted so: each round of
 * its loop finds all that came during the last, and neither another thread nor
 * another CPU has to be woken for it.
 *
 * That is for a program whose threads are all awake.  While one sleeps and waits
 * for packets (`sleepers`), interrupts stay on, so that its packets need not wait
 * for what another computes.
 *
 * A queue's interrupt is off after a visit that found something, and after the
 * queue's thread has woken whoever slept, who is then expected to visit.  If nobody
 * comes for WATCH_NS, the queues' threads take over: the timer fires for as long
 * as there are visits, and finds out.  So at any time a queue's interrupt is on,
 * or a thread is at it or about to run, or `watched` is true.  Whom the visitor
 * woke is counted by thread.wakes, with others that interrupts woke meanwhile: a
 * sleeper may so be taken for one that was woken, and waits for the timer.
 */
#include <stdatomic.h>
#include "kernel/timer.h"
#include "kernel/wait.h"
#include "net/net_impl.h"

/*
 * Half a time slice.  It is how long acknowledgements, and packets for nobody who
 * waits, may lie there.  A round of 50 requests takes a millisecond where the CPU
 * is emulated.
 */
#define WATCH_NS (2 * NS_PER_MS)

static struct timer watch;
static atomic_bool watched;   /* the timer is armed, or about to be */
static atomic_bool visited;   /* since the timer fired last */
static atomic_ulong sleepers; /* between rest() and woke() */

/* The queues' threads take over where no interrupt would tell. */
static void hand_over(void) {
    for (unsigned queue = 0; queue < card_queues(); queue++)
        if (!card_will_tell(queue))
            net_wake_queue(queue);
}

static void see_watch(struct timer *t) {
    if (atomic_exchange(&visited, false)) {
        timer_arm(t, clock_now_ns() + WATCH_NS);
        return;
    }
    /* Before the look: who turned an interrupt off and then saw this true is seen there. */
    atomic_store(&watched, false);
    hand_over();
}

static void expect(void) {
    atomic_store(&visited, true);
    if (!atomic_exchange(&watched, true))
        timer_arm(&watch, clock_now_ns() + WATCH_NS);
}

bool visit_is_expected(uint64_t woken) {
    /* Pairs with rest(): an interrupt is turned off, and somebody sleeps; one sees the other. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&sleepers, memory_order_relaxed) > woken)
        return false;
    expect();
    return true;
}

/* A batch: the next visit finds the rest, or somebody sleeps and does not wait for that. */
static void visit(unsigned queue) {
    uint64_t wakes = current->wakes;
    (void)net_take_in(queue);
    if (!visit_is_expected(current->wakes - wakes) && card_rest(queue))
        net_wake_queue(queue);
}

static void take_in(void) {
    for (unsigned queue = 0; queue < card_queues(); queue++)
        if (card_has_received(queue))
            visit(queue);
}

static void woke(void) {
    atomic_fetch_sub_explicit(&sleepers, 1, memory_order_relaxed);
}

static bool must_go(uint64_t deadline_ns) {
    return (atomic_load_explicit(&current->work, memory_order_relaxed) & WORK_LINUX) ||
           clock_now_ns() >= deadline_ns;
}

static bool rest(uint64_t deadline_ns) {
    bool some = false;
    atomic_fetch_add(&sleepers, 1);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with visit_is_expected() */
    for (unsigned queue = 0; queue < card_queues(); queue++)
        some |= !card_will_tell(queue) && card_rest(queue);
    if (!some)
        return false;
    if (must_go(deadline_ns)) { /* packets that never end keep nobody from his signal */
        hand_over();
        return false;
    }
    woke();
    take_in();
    thread_preempt_point();
    return true;
}

static const struct wait_source source = { take_in, rest, woke };

void visit_init(void) {
    timer_init(&watch, see_watch);
    wait_source = &source;
}
