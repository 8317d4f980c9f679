/* SPDX-License-Identifier: MIT */
/*
 * When a small segment waits.
 *
 * Nagle's rule (RFC 896) holds a segment that is not full while anything is under
 * way.  So the tail of a long answer waits for its last full segment, which the
 * peer may acknowledge as late as it likes.  Minshall's form of the rule, which
 * Linux has as well, holds it only while another small one is under way: at most
 * one is at any time, and that is what the rule is for.
 * (draft-minshall-nagle-01, 1999.)
 *
 * lwIP knows Nagle's, and TF_NODELAY against it.  Here the flag is set while no
 * small segment is under way; lwIP shows each that it sends, and tells what was
 * acknowledged before it looks whether it may send more.
 */
#include "lwip/priv/tcp_priv.h"
#include "net/tcp_impl.h"

void tcp_nagle_apply(struct tcp_socket *s) {
    if (!s->corked && (s->no_delay || !s->small_sent))
        tcp_set_flags(s->pcb, TF_NODELAY);
    else
        tcp_clear_flags(s->pcb, TF_NODELAY);
}

/* lwIP: `p`, TCP header and payload, is about to be sent.  Without payload, `pcb` may be a
 * listener's, which is shorter, or NULL. */
void tcp_nagle_see_segment(const struct pbuf *p, const struct tcp_hdr *header,
                           const struct tcp_pcb *pcb) {
    unsigned size = p->tot_len - TCPH_HDRLEN_BYTES(header);
    struct tcp_socket *s = size ? pcb->callback_arg : NULL;
    if (!s || s->pcb != pcb || s->no_delay) /* the listener's socket, until there is one */
        return;
    if (size % card_segment_bytes(pcb) == 0)
        return;
    s->small_sent = true;
    s->small_end = lwip_ntohl(header->seqno) + size;
    tcp_nagle_apply(s);
}

void tcp_nagle_see_sent(struct tcp_socket *s) {
    if (!s->small_sent || TCP_SEQ_LT(s->pcb->lastack, s->small_end))
        return;
    s->small_sent = false;
    tcp_nagle_apply(s);
}
