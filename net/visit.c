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
 * A queue's interrupt is off after a visit that found something, and after the
 * queue's thread has woken somebody, who is then expected to visit.  If nobody
 * comes for WATCH_NS, the queues' threads take over: the timer fires for as long
 * as there are visits, and finds out.  So at any time a queue's interrupt is on,
 * or its thread is about to run, or `watched` is true.
 */
#include <stdatomic.h>
#include "kernel/timer.h"
#include "kernel/wait.h"
#include "net/net_impl.h"

/*
 * Half a time slice.  It is how long a packet may lie there because another thread
 * of the program meant to come and computes instead.  A round of 50 requests takes
 * a millisecond where the CPU is emulated.
 */
#define WATCH_NS (2 * NS_PER_MS)

static struct timer watch;
static atomic_bool watched; /* the timer is armed, or about to be */
static atomic_bool visited; /* since the timer fired last */

static void see_watch(struct timer *t) {
    if (atomic_exchange(&visited, false)) {
        timer_arm(t, clock_now_ns() + WATCH_NS);
        return;
    }
    /* Before the look: who turned an interrupt off and then saw this true is seen there. */
    atomic_store(&watched, false);
    for (unsigned queue = 0; queue < card_queues(); queue++)
        if (!card_will_tell(queue))
            net_wake_queue(queue);
}

void visit_expect(void) {
    atomic_store(&visited, true);
    if (!atomic_exchange(&watched, true))
        timer_arm(&watch, clock_now_ns() + WATCH_NS);
}

static void visit(unsigned queue) {
    (void)net_take_in(queue); /* a batch: the next visit finds the rest */
    visit_expect();
}

static void take_in(void) {
    for (unsigned queue = 0; queue < card_queues(); queue++)
        if (card_has_received(queue))
            visit(queue);
}

static bool rest(void) {
    bool some = false;
    for (unsigned queue = 0; queue < card_queues(); queue++)
        if (!card_will_tell(queue) && card_rest(queue)) {
            visit(queue);
            some = true;
        }
    return some;
}

static const struct wait_source source = { take_in, rest };

void visit_init(void) {
    timer_init(&watch, see_watch);
    wait_source = &source;
}
