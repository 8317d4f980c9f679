/* SPDX-License-Identifier: MIT */
/*
 * What time does to a connection, besides lwIP's own clocks.
 *
 * A closed window is probed as Linux does it, with an old sequence number and no
 * byte.  lwIP's probe carries the next byte; what it sends from then on lies
 * behind that, so one byte beyond the window, where Linux (tcp_sequence) and
 * RFC 9293 (3.10.7.4) ignore it, acknowledgements included: two that do not read
 * for a while then wait for one another.
 *
 * A connection that the program has closed goes on until the peer has all of it.
 * lwIP lets it wait for ever while the window stays closed, or ends it by a time
 * that began with close(), whatever moved since.  Here it ends when the peer has
 * taken nothing for a while, and sooner when memory is short.
 */
#include "lwip/priv/tcp_priv.h"
#include "net/net_impl.h"
#include "net/tcp_impl.h"
#include "net/tcp_lists.h"

#define TICKS(seconds)    ((seconds)*1000u / TCP_SLOW_INTERVAL)
#define CLOSED_MOST       TICKS(240) /* about what Linux's tcp_orphan_retries come to */
#define CLOSED_MOST_SHORT TICKS(10)
#define FIRST_RTO         (1500 / TCP_SLOW_INTERVAL) /* one second at least, RFC 6298; lwIP: 3 */

/* Called by lwIP in the place of its own. */
err_t tcp_zero_window_probe(struct tcp_pcb *pcb) {
    if (pcb->persist_probe < UINT8_MAX)
        pcb->persist_probe++;
    return tcp_keepalive(pcb);
}

err_t lwip_tcp_split_unsent_seg(struct tcp_pcb *pcb, u16_t split);

/* In the place of lwIP's, for a window that takes only a part of the next segment.  That leaves the
 * end of the connection on the first part too, and the peer would never see the rest. */
err_t tcp_split_unsent_seg(struct tcp_pcb *pcb, u16_t split) {
    struct tcp_seg *head = pcb->unsent;
    bool is_cut = head && head->len > split;
    err_t err = lwip_tcp_split_unsent_seg(pcb, split);
    if (is_cut && err == ERR_OK)
        TCPH_UNSET_FLAG(head->tcphdr, TCP_FIN | TCP_PSH);
    return err;
}

/* lwIP: a SYN has made `pcb`, which is not answered yet. */
err_t tcp_see_syn(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb) {
    const struct tcp_socket *s = listener->callback_arg;
    (void)id;
    if (s)
        ip_options_apply(&s->ip, (struct ip_pcb *)pcb, IP_IS_V6_VAL(pcb->remote_ip));
    tcp_begin_timers(pcb);
    tcp_window_offer(s, pcb);
    return ERR_OK;
}

void tcp_begin_timers(struct tcp_pcb *pcb) {
    pcb->rto = pcb->sv = FIRST_RTO;
}

/* lwIP: the peer has taken something of what was left when the program closed. */
static err_t see_progress(void *arg, struct tcp_pcb *pcb, u16_t size) {
    (void)arg, (void)size;
    pcb->tmr = tcp_ticks;
    return ERR_OK;
}

void tcp_watch_closed(struct tcp_pcb *pcb) {
    tcp_sent(pcb, see_progress);
    pcb->tmr = tcp_ticks;
}

static void end_closed(void) {
    u32_t most = net_memory_is_short() ? CLOSED_MOST_SHORT : CLOSED_MOST;
    for (struct tcp_pcb *pcb = tcp_active_pcbs, *next; pcb; pcb = next) {
        next = pcb->next;
        if (pcb->sent == see_progress && (pcb->unsent || pcb->unacked) &&
            (u32_t)(tcp_ticks - pcb->tmr) > most)
            tcp_abort(pcb);
    }
}

/* lwIP goes on probing where a late acknowledgement has left nothing to send, and then asserts
 * that there is something. */
static void end_probing(void) {
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next)
        if (!pcb->unsent || pcb->unacked)
            pcb->persist_backoff = 0;
}

/* lwIP would ask six times, every 1.5 s; Linux waits two times as long each time, 127 s in all. */
static void slow_asking(void) {
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next)
        if (pcb->state == SYN_SENT && pcb->nrtx)
            pcb->rto = (s16_t)(TICKS(1) << pcb->nrtx);
}

void tcp_timers_tick(void) {
    end_probing();
    end_closed();
    tcp_tmr();
    slow_asking();
}
