/* SPDX-License-Identifier: MIT */
/*
 * How much a peer may send before the program reads.
 *
 * lwIP gives every connection the largest window from the start.  Whoever opens
 * some hundreds of them, and whose bytes nobody reads, would have all the memory
 * that is for frames.  Here a window begins small, and doubles each time the
 * program has read a windowful.  What all windows come to is PROMISED_SHARE of
 * memory: close to that they grow no more, and those of who connects to us begin
 * smaller, though never below WINDOW_LEAST.  (Our own SYN has always offered 64
 * KiB.)  So what is promised is there, and nothing that a peer may send is thrown
 * away for want of memory.
 *
 * lwIP's rcv_wnd is the window less what was not read, and all that it accepts.
 * It lets the peer know of more when there is a segment or half the largest
 * window of it, which a small window never comes to: once a quarter of the window
 * was read, it is told here.
 *
 * Under net_lock, all of it.
 */
#include "kernel/machine.h"
#include "lwip/priv/tcp_priv.h"
#include "net/tcp_impl.h"

#define PROMISED_SHARE 8  /* of memory, for windows */
#define FIRST_SHARE    64 /* of what is left of that, for the next */
#define WINDOW_FIRST   KIB(64)
#define WINDOW_LEAST   KIB(4)

static uint64_t promised;

uint64_t tcp_window_promised(void) {
    return promised;
}

static uint64_t unpromised(void) {
    uint64_t most = machine.memory_bytes / PROMISED_SHARE;
    return most - MIN(promised, most);
}

/* The program may want less (SO_RCVBUF).  Who connects has offered WINDOW_FIRST by then. */
static uint32_t largest(const struct tcp_socket *s, const struct tcp_pcb *pcb) {
    uint32_t limit = s ? s->socket.receive_limit : 0, most = TCP_WND_MAX(pcb);
    return limit ? MIN(MAX(limit, (uint32_t)WINDOW_LEAST), most) : most;
}

void tcp_window_offer(const struct tcp_socket *listener, struct tcp_pcb *pcb) {
    uint64_t part = ALIGN_DOWN(unpromised() / FIRST_SHARE, KIB(1));
    uint32_t first = (uint32_t)MAX(MIN(part, WINDOW_FIRST), WINDOW_LEAST);
    pcb->rcv_wnd = pcb->rcv_ann_wnd = MIN(first, largest(listener, pcb));
}

void tcp_window_begin(struct tcp_socket *s, struct tcp_pcb *pcb) {
    if (pcb->rcv_wnd > WINDOW_FIRST) /* we connected: what our SYN has offered */
        pcb->rcv_wnd = pcb->rcv_ann_wnd = MIN((uint32_t)WINDOW_FIRST, TCP_WND_MAX(pcb));
    s->window = pcb->rcv_wnd;
    promised += s->window;
}

void tcp_window_end(struct tcp_socket *s) {
    promised -= s->window;
    s->window = s->window_read = 0;
}

/* The program has read so much more: by how much the window grows. */
static uint32_t growth(struct tcp_socket *s, uint32_t read) {
    uint32_t now = s->window, most = MAX(largest(s, s->pcb), now), more = MIN(now, most - now);
    s->window_read = MIN(s->window_read + read, now);
    if (s->window_read < now || more > unpromised() || net_memory_is_short())
        return 0;
    s->window_read = 0;
    return more;
}

void tcp_window_open(struct tcp_socket *s, uint32_t read) {
    struct tcp_pcb *pcb = s->pcb;
    uint32_t more = growth(s, read);
    promised += more;
    s->window += more;
    pcb->rcv_wnd += read + more;
    int32_t unknown = (int32_t)(pcb->rcv_nxt + pcb->rcv_wnd - pcb->rcv_ann_right_edge);
    if (unknown < (int32_t)tcp_window_step(s))
        return;
    pcb->rcv_ann_wnd = pcb->rcv_wnd;
    tcp_ack_now(pcb);
    tcp_output(pcb);
}

void tcp_window_all_read(struct tcp_pcb *pcb) {
    pcb->rcv_wnd = TCP_WND_MAX(pcb);
}
