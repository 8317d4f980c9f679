/* SPDX-License-Identifier: MIT */
/*
 * What comes before lwIP sees a segment.  It takes some that no honest peer sends,
 * and later asserts that there were none.  An assertion of lwIP's is a panic, so
 * whoever may connect could stop the machine.  test/net/forge/ sends them all.
 */
#include "lwip/priv/tcp_priv.h"
#include "net/tcp_impl.h"

#define MSS_LEAST 48 /* Linux's, whatever a peer asks for */

/* The options as lwIP found them, in one or two parts. */
struct options {
    u8_t *first, *second;       /* second: NULL if there is none */
    u16_t first_length, length; /* length: of both */
};

static u8_t *option_at(const struct options *o, u16_t at) {
    return o->second && at >= o->first_length ? &o->second[at - o->first_length] : &o->first[at];
}

/*
 * Only what opens a connection has an MSS (RFC 9293, 3.7.1).  lwIP would take it from
 * any segment, while it has longer ones in its queue; so it finds nothing there.
 */
static void blank_mss(const struct options *o) {
    for (u16_t at = 0; at < o->length;) {
        u8_t kind = *option_at(o, at);
        u16_t size = 1;
        if (kind != LWIP_TCP_OPT_NOP) {
            if (kind == LWIP_TCP_OPT_EOL || at + 1 == o->length ||
                *option_at(o, (u16_t)(at + 1)) < 2)
                return; /* lwIP stops there, too */
            size = *option_at(o, (u16_t)(at + 1));
        }
        for (u16_t i = 0; kind == LWIP_TCP_OPT_MSS && i < size && at + i < o->length; i++)
            *option_at(o, (u16_t)(at + i)) = LWIP_TCP_OPT_NOP;
        at = (u16_t)(at + size);
    }
}

/*
 * Whether it is out of order and ends beyond the window: lwIP keeps that as it is,
 * where it is the first.  What is in order and ends where the window does covers all
 * that was kept, which goes: lwIP would add an end (FIN) of that to it, one byte
 * past the window.
 *
 * An acknowledgement without data comes from beyond after a probe with a byte, or
 * when the peer has sent more than it should.  Two that do not read for a while
 * would wait for one another if it were ignored (RFC 9293, 3.10.7.4).
 */
static bool is_beyond_window(struct tcp_pcb *pcb, const struct tcp_hdr *header, u32_t length) {
    u32_t edge = pcb->rcv_nxt + (length ? pcb->rcv_wnd : TCP_WND), end = header->seqno + length;
    if (TCP_SEQ_GT(header->seqno, pcb->rcv_nxt))
        return TCP_SEQ_GT(end, edge);
    if (TCP_SEQ_GEQ(end, edge))
        tcp_free_ooseq(pcb);
    return false;
}

/*
 * The end of a connection takes no room.  lwIP cuts it off a segment that fills the
 * window, and ignores it behind a closed one, so that the peer has to say it again.
 */
static void make_room_for_end(struct tcp_pcb *pcb, const struct tcp_hdr *header, u32_t length) {
    if (TCP_SEQ_LEQ(header->seqno, pcb->rcv_nxt) &&
        header->seqno + length == pcb->rcv_nxt + pcb->rcv_wnd)
        pcb->rcv_wnd++; /* once: lwIP takes this end */
}

/*
 * lwIP takes the window of a segment only if nothing later was heard, so not of one
 * that is sent again and acknowledges something new; and then it sends beyond.
 */
static void take_window(struct tcp_pcb *pcb, const struct tcp_hdr *header) {
    if (TCP_SEQ_GT(header->ackno, pcb->lastack) && TCP_SEQ_LEQ(header->ackno, pcb->snd_nxt) &&
        TCP_SEQ_LT(header->seqno, pcb->snd_wl1))
        pcb->snd_wl1 = header->seqno;
}

int tcp_refuses_packet(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t option_length,
                       u16_t first_length, u8_t *second, const struct pbuf *p) {
    struct tcp_socket *s = pcb->callback_arg;
    if (pcb->state == LISTEN)
        return s && s->finished_count > s->backlog; /* a full listener takes no more */
    if (pcb->state < SYN_RCVD)
        return 0;
    struct options o = { (u8_t *)(header + 1), second, first_length, option_length };
    unsigned flags = TCPH_FLAGS(header);
    if (!(flags & TCP_SYN))
        blank_mss(&o);
    if (flags & TCP_ACK)
        take_window(pcb, header);
    if (pcb->state >= CLOSE_WAIT)
        return 0;
    if ((flags & (TCP_FIN | TCP_SYN | TCP_RST)) == TCP_FIN) /* of others lwIP takes no end */
        make_room_for_end(pcb, header, p->tot_len);
    return is_beyond_window(pcb, header, p->tot_len + !!(flags & TCP_FIN));
}

void tcp_limit_peer(struct tcp_pcb *pcb) {
    pcb->mss = MAX(pcb->mss, (u16_t)MSS_LEAST);
    pcb->snd_wnd_max = MAX(pcb->snd_wnd_max, (tcpwnd_size_t)(2 * MSS_LEAST));
}
