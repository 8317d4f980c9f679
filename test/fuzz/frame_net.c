/* SPDX-License-Identifier: MIT */
#include "test/fuzz/frame_net.h"
#include "kernel/slab.h"
#include "kernel/timer.h"
#include "lwip/dns.h"
#include "lwip/priv/tcp_priv.h"
#include "net/tcp_impl.h"
#include "test/fuzz/fuzz.h"
#include "test/host/shim/memory.h"

bool memory_is_short, clock_wanted;
unsigned allocations_left;

void *net_malloc(size_t size) {
    if (!allocations_left)
        return NULL;
    allocations_left--;
    return kmalloc(size);
}

bool net_memory_is_short(void) {
    return memory_is_short;
}

void net_assert_locked(void) {}

void card_see_segment(struct pbuf *p, const struct tcp_pcb *pcb) {
    must(p->tot_len >= TCP_HLEN && (pcb || p->tot_len < 100)); /* a reset belongs to none */
    p->segment_bytes = 0;
}

bool card_cuts_next(void) {
    return false;
}

void tcp_nagle_see_segment(const struct pbuf *p, const struct tcp_hdr *header,
                           const struct tcp_pcb *pcb) {
    must(p && header && (pcb || p->tot_len < 100));
}

u32_t sys_now(void) {
    return (u32_t)(host_now_ns / NS_PER_MS);
}

void tcp_timer_needed(void) {
    clock_wanted = true;
}

void dns_setserver(u8_t number, const ip_addr_t *server) {
    must(number < DNS_MAX_SERVERS && server);
}
