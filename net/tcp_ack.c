/* SPDX-License-Identifier: MIT */
/*
 * When to acknowledge what was received.
 *
 * An answer carries the acknowledgement for nothing, so lwIP waits for one: for a
 * second segment, or its clock of 250 ms.  A client that sends a request in two
 * parts waits with it, since Nagle's algorithm (RFC 896) holds the second part
 * until the first is acknowledged.  So, as Linux does it, the first segments of a
 * connection are acknowledged at once, until the program has answered one, and
 * later ones within 40 ms: `owed` has the sockets that have not answered yet.
 */
#include "kernel/timer.h"
#include "lwip/priv/tcp_priv.h"
#include "net/tcp_impl.h"
#include "net/tcp_lists.h"

#define AT_ONCE  16 /* segments */
#define DELAY_NS (40 * NS_PER_MS)

static struct list owed = LIST_INIT(owed); /* tcp_socket.owed; net_lock */
static bool armed;                         /* `timer`; net_lock */
static struct timer timer;
static atomic_bool due; /* the timer has fired */

static void see_timer(struct timer *t) {
    (void)t;
    atomic_store(&due, true);
    net_wake_queue(0);
}

void tcp_ack_init(void) {
    timer_init(&timer, see_timer);
}

void tcp_ack_owe(struct tcp_socket *s, struct tcp_pcb *pcb) {
    if (s->acked_at_once < AT_ONCE) {
        s->acked_at_once++;
        tcp_ack_now(pcb);
        return;
    }
    if (list_is_empty(&s->owed))
        list_add_tail(&owed, &s->owed);
    if (!armed) {
        armed = true;
        timer_arm(&timer, clock_now_ns() + DELAY_NS);
    }
}

void tcp_ack_answered(struct tcp_socket *s) {
    s->acked_at_once = AT_ONCE;
    if (s->pcb && !(s->pcb->flags & TF_ACK_DELAY))
        list_remove(&s->owed);
}

void tcp_ack_tick(void) {
    if (!atomic_exchange(&due, false))
        return;
    net_lock();
    armed = false;
    while (!list_is_empty(&owed)) {
        struct tcp_socket *s = list_first(&owed, struct tcp_socket, owed);
        list_remove(&s->owed);
        if (!s->pcb || !(s->pcb->flags & TF_ACK_DELAY))
            continue;
        tcp_lists_select(s->pcb);
        tcp_ack_now(s->pcb);
        tcp_output(s->pcb);
    }
    net_unlock();
}
