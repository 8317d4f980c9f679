/* SPDX-License-Identifier: MIT */
/* /proc/mimosa/network: what is open, and what the card has done. */
#include "dev/netdev.h"
#include "fs/proc.h"
#include "net/net_impl.h"
#include "net/tcp_impl.h"
#include "net/tcp_lists.h"

static unsigned network_counters(struct proc_counter *out, unsigned max) {
    struct tcp_counts tcp = { .active = 0 };
    struct netdev_counts card = { .received_frames = 0 };

    net_lock();
    tcp_lists_count(&tcp);
    card_count(&card);
    uint64_t held_ns = net_lock_held_ns(), promised = tcp_window_promised();
    net_unlock();
    const struct proc_counter all[] = {
        { "tcp_connections", tcp.active },
        { "tcp_time_wait", tcp.waiting },
        { "tcp_time_wait_dropped", tcp.waiting_dropped },
        { "tcp_received_bytes_unread", tcp_received_bytes() },
        { "tcp_window_bytes_promised", promised },
        { "received_frames", card.received_frames },
        { "received_bytes", card.received_bytes },
        { "received_dropped", card.dropped },
        { "receiving_queues", card.receiving },
        { "received_buffers_in_use", card.buffers_out },
        { "sent_frames", card.sent_frames },
        { "sent_bytes", card.sent_bytes },
        { "sent_frames_in_use", card.under_way },
        { "send_queue_full", card.full },
        { "interrupts", card.interrupts },
        { "interrupted_cpus", card.interrupted },
        { "kicks", card.kicks },
        { "lock_held_ns", held_ns },
    };
    unsigned n = 0;
    for (; n < max && n < ARRAY_SIZE(all); n++)
        out[n] = all[n];
    return n;
}

static void somaxconn(struct proc_buffer *b) {
    proc_printf(b, "%u\n", SOMAXCONN);
}

void count_register(void) {
    proc_register_counters("mimosa/network", network_counters);
    proc_register("sys/net/core/somaxconn", somaxconn); /* Go's listeners and Redis look */
}
