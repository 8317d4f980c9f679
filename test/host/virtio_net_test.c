/* SPDX-License-Identifier: MIT */
/* tests: dev/virtio_net.c dev/virtio_net_rx.c dev/virtio_net_tx.c dev/virtio_net_header.c */
/* tests: dev/virtio.c dev/virtq.c base/string.c kernel/random.c kernel/lock.c */
/* tests: test/host/net_device.c */
/* tests: test/host/shim/shim.c test/host/shim/memory.c */
/* A virtio network card: what is agreed, frames in and out, interrupts, a full queue, lies. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86_64/percpu.h"
#include "kernel/machine.h"
#include "kernel/timer.h"
#include "test/host/net_device.h"
#include "test/host/shim/memory.h"
#include "kernel/thread.h"
#include "test/host/shim/shim.h"

#define F_MTU (1ul << 3)
#define F_MAC (1ul << 5)
#define F_MQ  (1ul << 17 | 1ul << 22) /* and the control queue that it needs */
#define F_TSO                                                                                      \
    (VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_HOST_TSO4 |                  \
     VIRTIO_NET_F_HOST_TSO6)
#define F_ALL                                                                                      \
    (VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM |   \
     F_TSO | VIRTIO_NET_F_MRG_RXBUF | F_MTU | F_MAC | F_MQ)

static struct netdev *card;
static unsigned ready_count[4];
static unsigned done_count;
static struct netdev_counts begun; /* the counts are the machine's, not one card's */

static void ready(unsigned queue) {
    assert_int_equal(current->preempt_count, 0);
    ready_count[queue]++;
}

static void open_card(uint64_t features, unsigned pairs, unsigned size) {
    host_objects_free();
    host_objects_create();
    memset(ready_count, 0, sizeof ready_count);
    done_count = 0;
    net_device_create(features, pairs, size);
    net_device.config[10] = 9000 & 0xff;
    net_device.config[11] = 9000 >> 8;
    card = netdev_open(ready);
    if (card)
        netdev_count(card, &begun);
}

static int setup(void **state) {
    (void)state;
    host_cpu_start(0);
    for (unsigned n = 1; n < 4; n++)
        percpu_offsets[n] = percpu_offsets[0];
    cpu_count = 1;
    machine.memory_bytes = MIB(256);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    host_objects_free();
    return 0;
}

static uint64_t agreed(uint64_t offered) {
    open_card(offered, 1, 256);
    assert_non_null(card);
    assert_true(net_device.status & VIRTIO_DRIVER_OK);
    assert_true(net_device.accepted & VIRTIO_F_VERSION_1);
    assert_int_equal(net_device.accepted & ~net_device.offered, 0);
    return net_device.accepted;
}

static void features_fit_together(void **state) {
    static const uint8_t address[6] = { 0x52, 0x54, 0, 1, 2, 3 };
    const struct netdev_features *f;

    (void)state;
    assert_int_equal(agreed(F_ALL), F_ALL | VIRTIO_F_VERSION_1);
    f = netdev_features(card);
    assert_memory_equal(f->address, address, 6);
    assert_int_equal(f->mtu, 9000);
    assert_true(f->sends_checksum && f->sends_segments && f->sends_segments_ipv6);
    /* Without merged buffers there is no room for segments, nor for a long frame. */
    assert_int_equal(agreed(F_ALL & ~VIRTIO_NET_F_MRG_RXBUF) &
                         (VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | F_MTU),
                     0);
    assert_int_equal(netdev_features(card)->mtu, 1500);
    assert_int_equal(agreed(F_ALL & ~VIRTIO_NET_F_GUEST_CSUM) &
                         (VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6),
                     0);
    assert_int_equal(agreed(F_ALL & ~VIRTIO_NET_F_CSUM) & VIRTIO_NET_F_HOST_TSO4, 0);
    assert_false(netdev_features(card)->sends_segments);
    assert_int_equal(agreed(F_ALL & ~(1ul << 17)) & F_MQ, 0);
    assert_int_equal(agreed(F_ALL | 1ul << 9 | 1ul << 60), F_ALL | VIRTIO_F_VERSION_1);
    agreed(F_ALL & ~F_MAC);
    f = netdev_features(card);
    assert_int_equal(f->address[0] & 3, 2);
    assert_memory_not_equal(f->address, address, 6);
}

/* How many pairs of queues the driver takes. */
static unsigned pairs_of(unsigned cpus, unsigned pairs, unsigned vectors, uint64_t memory) {
    cpu_count = cpus;
    machine.memory_bytes = memory;
    host_objects_free();
    host_objects_create();
    net_device_create(F_ALL, pairs, 1024);
    net_device.vector_count = vectors;
    card = netdev_open(ready);
    assert_non_null(card);
    cpu_count = 1;
    return netdev_features(card)->queues;
}

static void queues_for_cpus_vectors_and_memory(void **state) {
    (void)state;
    assert_int_equal(pairs_of(4, 4, 9, MIB(256)), 4);
    assert_int_equal(net_device.pairs, 4);
    assert_int_equal(net_device.queues[6].driver->cpu, 3);
    assert_int_equal(net_device.queues[7].driver->cpu, 3);
    assert_int_equal(net_device.queues[0].size, 512); /* 4 MiB in all */
    assert_int_equal(net_device.queues[1].size, 256);
    assert_int_equal(pairs_of(2, 4, 9, MIB(256)), 2);
    assert_int_equal(net_device.queues[4].driver, NULL);
    assert_int_equal(pairs_of(4, 2, 9, MIB(256)), 2);
    assert_int_equal(pairs_of(4, 4, 6, MIB(256)), 2);
    assert_int_equal(pairs_of(4, 4, 1, MIB(256)), 1);
    assert_int_equal(net_device.pairs, 0); /* nothing to ask for */
    assert_int_equal(pairs_of(4, 4, 9, MIB(24)), 3);
    assert_int_equal(net_device.queues[0].size, 64);
    assert_int_equal(pairs_of(1, 1, 1, MIB(24)), 1);
    assert_int_equal(net_device.queues[0].size, 128);
    assert_int_equal(pairs_of(1, 1, 1, GIB(4)), 1);
    assert_int_equal(net_device.queues[0].size, 1024);
}

static void control_queue_refuses(void **state) {
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        cpu_count = 4;
        host_objects_free();
        host_objects_create();
        net_device_create(F_ALL, 4, 256);
        net_device.control_answer = 1;
        net_device.control_silent = silent;
        card = netdev_open(ready);
        assert_non_null(card);
        assert_int_equal(netdev_features(card)->queues, 1);
        assert_int_equal(net_device.queues[2].notified, 0);
    }
}

static void unusable_cards(void **state) {
    (void)state;
    open_card(F_ALL, 1, 32); /* a frame would not fit into its queue */
    assert_null(card);
    assert_true(net_device.status & VIRTIO_FAILED);
    open_card(F_ALL, 1, 0);
    assert_null(card);
}

static void fill(uint8_t *frame, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        frame[i] = (uint8_t)rand();
}

static void free_chain(struct netdev_buffer *b) {
    while (b) {
        struct netdev_buffer *next = b->next;

        memset(b->owner, 0xff, sizeof b->owner); /* it is ours */
        netdev_buffer_free(b);
        b = next;
    }
}

/* Receives one frame and compares it. */
static void expect_frame(const uint8_t *frame, size_t bytes, struct netdev_offload *offload) {
    struct netdev_buffer *first = netdev_receive(card, 0);
    size_t at = 0;

    assert_non_null(first);
    assert_int_equal(((uintptr_t)first->data + 14) % 64, 0);
    for (struct netdev_buffer *b = first; b; b = b->next) {
        assert_true(b->length > 0 && at + b->length <= bytes);
        assert_memory_equal(b->data, frame + at, b->length);
        at += b->length;
    }
    assert_int_equal(at, bytes);
    if (offload)
        *offload = first->offload;
    free_chain(first);
}

static void frames_come_in(void **state) {
    static uint8_t frame[VIRTIO_NET_MAX_FRAME];
    struct virtio_net_header none = { 0 };
    struct netdev_counts c;
    uint64_t bytes_sum = 0, frames = 0;

    (void)state;
    for (int event_index = 0; event_index < 2; event_index++) {
        open_card(event_index ? F_ALL : F_ALL & ~VIRTIO_F_EVENT_IDX, 1, 256);
        bytes_sum = frames = 0;
        for (int i = 0; i < 3000; i++) {
            size_t bytes = i % 50 == 0 ? sizeof frame : 14 + (size_t)rand() % 5000;

            fill(frame, MIN(bytes, 300ul));
            assert_int_not_equal(net_device_give(0, none, frame, bytes), 0);
            expect_frame(frame, bytes, NULL);
            bytes_sum += bytes;
            frames++;
            if (rand() % 4 == 0)
                assert_null(netdev_receive(card, 0));
        }
        netdev_count(card, &c);
        assert_int_equal(c.received_frames, frames);
        assert_int_equal(c.received_bytes, bytes_sum);
        assert_int_equal(c.buffers_out - begun.buffers_out, 0);
        assert_int_equal(c.dropped, 0);
        assert_true(host_pages_used <= 128 + 1);
        assert_true(c.kicks < frames / 2);
    }
}

static void offloads_come_in(void **state) {
    static uint8_t frame[20000];
    struct virtio_net_header h = { .flags = 1, .checksum_start = 34, .checksum_offset = 16 };
    struct netdev_offload o;

    (void)state;
    open_card(F_ALL, 1, 256);
    net_device_give(0, h, frame, 60);
    expect_frame(frame, 60, &o);
    assert_true(o.needs_checksum && !o.checksum_valid && o.segment_bytes == 0);
    assert_true(o.checksum_start == 34 && o.checksum_offset == 16);
    h = (struct virtio_net_header){ .flags = 2, .segment_bytes = 99 };
    net_device_give(0, h, frame, 60);
    expect_frame(frame, 60, &o);
    assert_true(!o.needs_checksum && o.checksum_valid && o.segment_bytes == 0);
    h = (struct virtio_net_header){ .flags = 1,
                                    .checksum_start = 54,
                                    .checksum_offset = 16,
                                    .segment_kind = 4,
                                    .segment_bytes = 1440 };
    net_device_give(0, h, frame, sizeof frame);
    expect_frame(frame, sizeof frame, &o);
    assert_true(o.needs_checksum && o.is_ipv6 && o.segment_bytes == 1440);
    h.segment_kind = 1;
    net_device_give(0, h, frame, sizeof frame);
    expect_frame(frame, sizeof frame, &o);
    assert_true(!o.is_ipv6 && o.segment_bytes == 1440);
}

/* The header breaks a rule: the frame is dropped, and the next one comes. */
static void expect_drop(uint64_t features, struct virtio_net_header h, size_t bytes) {
    static uint8_t frame[5000];
    struct virtio_net_header none = { 0 };
    struct netdev_counts c;

    open_card(features, 1, 256);
    assert_int_not_equal(net_device_give(0, h, frame, bytes), 0);
    fill(frame, 100);
    assert_int_equal(net_device_give(0, none, frame, 100), 1);
    expect_frame(frame, 100, NULL);
    assert_null(netdev_receive(card, 0));
    netdev_count(card, &c);
    assert_int_equal(c.dropped, 1);
    assert_int_equal(c.received_frames, 1);
    assert_int_equal(c.buffers_out - begun.buffers_out, 0);
}

static void nonsense_in_headers(void **state) {
    struct virtio_net_header h = { .flags = 1, .checksum_start = 34, .checksum_offset = 25 };

    (void)state;
    expect_drop(F_ALL, h, 60); /* one byte behind the end */
    h.checksum_start = 13;
    expect_drop(F_ALL, h, 60);
    h.checksum_start = h.checksum_offset = UINT16_MAX;
    expect_drop(F_ALL, h, 5000);
    h = (struct virtio_net_header){ .flags = 2 };
    expect_drop(F_ALL & ~VIRTIO_NET_F_GUEST_CSUM, h, 60);
    h = (struct virtio_net_header){ .segment_kind = 1 };
    expect_drop(F_ALL, h, 60); /* segments of no length */
    h.segment_bytes = 1000;
    expect_drop(F_ALL & ~VIRTIO_NET_F_GUEST_TSO4, h, 3000);
    h.segment_kind = 4;
    expect_drop(F_ALL & ~VIRTIO_NET_F_GUEST_TSO6, h, 60);
    h.segment_kind = 3; /* UDP */
    expect_drop(F_ALL, h, 60);
    h.segment_kind = 0x81; /* ECN */
    expect_drop(F_ALL, h, 60);
    expect_drop(F_ALL, (struct virtio_net_header){ 0 }, 13);
    expect_drop(F_ALL, (struct virtio_net_header){ 0 }, 1);
}

/* Takes `count` buffers and uses them, `length` bytes each; the first says `buffers`. */
static void use_buffers(unsigned count, uint32_t length, uint16_t buffers) {
    for (unsigned i = 0; i < count; i++) {
        struct virtio_net_header h = { .buffers = i == 0 ? buffers : 1 };
        struct net_device_chain c;

        assert_true(net_device_pop(0, &c));
        memset(c.piece[0].at, 0, c.bytes);
        memcpy(c.piece[0].at, &h, sizeof h);
        net_device_push(0, c.head, length);
    }
}

static void nonsense_about_buffers(void **state) {
    struct netdev_counts c;
    struct netdev_buffer *b;

    (void)state;
    open_card(F_ALL, 1, 256);
    use_buffers(1, 100, 0);
    use_buffers(1, 100, UINT16_MAX);
    use_buffers(1, 100, VIRTIO_NET_MAX_BUFFERS + 1);
    use_buffers(3, 100, 4); /* one is missing: none is kept to wait for it */
    assert_null(netdev_receive(card, 0));
    use_buffers(VIRTIO_NET_MAX_BUFFERS, 1946, VIRTIO_NET_MAX_BUFFERS); /* too long a frame */
    assert_null(netdev_receive(card, 0));
    use_buffers(VIRTIO_NET_MAX_BUFFERS, 1000, VIRTIO_NET_MAX_BUFFERS);
    b = netdev_receive(card, 0);
    assert_non_null(b);
    netdev_count(card, &c);
    assert_int_equal(c.dropped, 5);
    assert_int_equal(c.buffers_out - begun.buffers_out, VIRTIO_NET_MAX_BUFFERS);
    free_chain(b);
    assert_true(host_pages_used <= 128 + 1);
}

static void lengths_break_the_queue(void **state) {
    struct netdev_offload o = { 0 };
    uint8_t room[100] = { 0 };
    struct netdev_piece piece = { room + NETDEV_HEADER_BYTES, 60 };

    (void)state;
    for (unsigned before = 0; before < 2; before++) {
        open_card(F_ALL, 1, 256);
        use_buffers(before, 100, 2);
        use_buffers(1, 0, 1);
        assert_null(netdev_receive(card, 0));
        assert_true(net_device.queues[0].driver->ring.broken);
        assert_null(netdev_receive(card, 0));
    }
    open_card(F_ALL, 1, 256);
    use_buffers(1, 2000, 1);
    assert_null(netdev_receive(card, 0));
    assert_true(net_device.queues[0].driver->ring.broken);
    /* The other direction does not know yet. */
    assert_int_equal(netdev_send(card, 0, &piece, 1, &o, NULL, NULL), 0);
    netdev_flush(card, 0);
    net_device_push(1, 0, 5); /* nothing of it was to be written to */
    netdev_reclaim(card, 0);
    assert_int_equal(netdev_send(card, 0, &piece, 1, &o, NULL, NULL), -EIO);
}

static void tells_once(void **state) {
    static uint8_t frame[100];
    struct virtio_net_header none = { 0 };

    (void)state;
    for (int event_index = 0; event_index < 2; event_index++) {
        open_card(event_index ? F_ALL : F_ALL & ~VIRTIO_F_EVENT_IDX, 1, 256);
        for (unsigned round = 1; round < 10; round++) {
            net_device_give(0, none, frame, 100);
            assert_true(net_device_interrupt(0));
            net_device.queues[0].driver->handler(net_device.queues[0].driver->arg); /* shared */
            net_device.queues[1].driver->handler(net_device.queues[1].driver->arg);
            assert_int_equal(ready_count[0], round);
            expect_frame(frame, 100, NULL);
            net_device_give(0, none, frame, 100);
            assert_false(net_device_interrupt(0)); /* it is being looked at */
            assert_true(netdev_has_received(card, 0) && netdev_rest(card, 0));
            expect_frame(frame, 100, NULL);
            assert_null(netdev_receive(card, 0));
            assert_false(netdev_has_received(card, 0) || netdev_will_tell(card, 0));
            assert_int_equal(ready_count[0], round);
            assert_true(!netdev_rest(card, 0) && netdev_will_tell(card, 0));
        }
    }
}

/* A card that never runs out of nonsense is left alone for a while. */
static void rests_from_nonsense(void **state) {
    unsigned rests = 0;
    (void)state;
    open_card(F_ALL, 1, 256);
    for (use_buffers(1, 100, 0); netdev_rest(card, 0); use_buffers(1, 100, 0)) {
        assert_null(netdev_receive(card, 0));
        assert_true(++rests < 10);
    }
    assert_true(rests > 0);
    assert_int_equal(host_timers_fire(host_now_ns + NS_PER_SEC), 1);
    assert_int_equal(ready_count[0], 1);
}

static void recovers_from_no_memory(void **state) {
    static uint8_t frame[1500];
    struct virtio_net_header none = { 0 };
    struct netdev_buffer *held[256];
    unsigned n = 0;

    (void)state;
    open_card(F_ALL, 1, 256);
    host_pages_left = 0;
    while (net_device_give(0, none, frame, sizeof frame)) {
        held[n] = netdev_receive(card, 0);
        assert_non_null(held[n++]);
    }
    assert_int_equal(n, 256);
    assert_null(netdev_receive(card, 0));
    assert_int_equal(host_timers_fire(host_now_ns + NS_PER_SEC), 1);
    assert_int_equal(ready_count[0], 1);
    while (n > 0)
        netdev_buffer_free(held[--n]);
    host_pages_left = 1000;
    assert_null(netdev_receive(card, 0));
    assert_int_equal(net_device_give(0, none, frame, sizeof frame), 1);
    expect_frame(frame, sizeof frame, NULL);
}

static void done(void *token) {
    assert_int_equal(current->preempt_count, 0);
    done_count++;
    free(token);
}

/* Sends a frame of `count` pieces of `piece_bytes` each; what came back from netdev_send(). */
static int send_frame(unsigned count, uint32_t piece_bytes, uint8_t fill_with,
                      const struct netdev_offload *offload) {
    struct netdev_piece pieces[NETDEV_MAX_PIECES];
    uint8_t *room = malloc(NETDEV_HEADER_BYTES + count * piece_bytes);
    int err;

    memset(room, fill_with, NETDEV_HEADER_BYTES + count * piece_bytes);
    for (unsigned i = 0; i < count; i++) {
        pieces[i].data = room + NETDEV_HEADER_BYTES + i * piece_bytes;
        pieces[i].length = piece_bytes;
    }
    err = netdev_send(card, 0, pieces, count, offload, done, room);
    if (err)
        free(room);
    return err;
}

static void frames_go_out(void **state) {
    static uint8_t got[70000];
    struct netdev_offload o = { .needs_checksum = true,
                                .checksum_start = 34,
                                .checksum_offset = 16 };
    struct virtio_net_header h;
    struct netdev_counts c;

    (void)state;
    for (int tables = 0; tables < 2; tables++) {
        open_card(tables ? F_ALL : F_ALL & ~VIRTIO_F_INDIRECT_DESC, 1, 256);
        for (unsigned count = 1; count <= NETDEV_MAX_PIECES; count++) {
            o.segment_bytes = count > 2 ? 1000 : 0;
            o.is_ipv6 = count & 1;
            o.header_bytes = 54;
            assert_int_equal(send_frame(count, 100, (uint8_t)count, &o), 0);
            assert_int_equal(net_device_get(1, got, sizeof got), 0); /* not before the flush */
            netdev_flush(card, 0);
            assert_int_equal(net_device_get(1, got, sizeof got), sizeof h + 100 * count);
            memcpy(&h, got, sizeof h);
            assert_true(h.flags == 1 && h.checksum_start == 34 && h.checksum_offset == 16);
            assert_int_equal(h.segment_kind, count <= 2 ? 0 : count & 1 ? 4 : 1);
            assert_int_equal(h.segment_bytes, count > 2 ? 1000 : 0);
            assert_int_equal(h.header_bytes, count > 2 ? 54 : 0);
            for (unsigned i = 0; i < 100 * count; i++)
                assert_int_equal(got[sizeof h + i], count);
        }
        netdev_reclaim(card, 0);
        assert_int_equal(done_count, NETDEV_MAX_PIECES);
        netdev_count(card, &c);
        assert_int_equal(c.sent_frames, NETDEV_MAX_PIECES);
        assert_int_equal(c.sent_bytes, 100 * NETDEV_MAX_PIECES * (NETDEV_MAX_PIECES + 1) / 2);
        assert_int_equal(ready_count[0], 0);
        assert_int_equal(c.interrupts, 0);
    }
}

static void empty_pieces_are_left_out(void **state) {
    struct netdev_offload o = { 0 };
    uint8_t room[NETDEV_HEADER_BYTES + 60] = { 0 };
    struct netdev_piece pieces[3] = { { room + NETDEV_HEADER_BYTES, 0 },
                                      { room, 0 },
                                      { room + NETDEV_HEADER_BYTES, 60 } };
    struct net_device_chain c;

    (void)state;
    open_card(F_ALL, 1, 256);
    assert_int_equal(netdev_send(card, 0, pieces, 3, &o, NULL, NULL), 0);
    netdev_flush(card, 0);
    assert_true(net_device_pop(1, &c)); /* which looks at the lengths */
    assert_int_equal(c.count, 2);
}

static void one_notification_for_many(void **state) {
    struct netdev_offload o = { 0 };
    uint8_t got[200];

    (void)state;
    open_card(F_ALL, 1, 256);
    for (int i = 0; i < 100; i++)
        assert_int_equal(send_frame(1, 60, 1, &o), 0);
    assert_int_equal(net_device.queues[1].notified, 0);
    netdev_flush(card, 0);
    netdev_flush(card, 0);
    assert_int_equal(net_device.queues[1].notified, 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(net_device_get(1, got, sizeof got), 72);
    assert_int_equal(done_count, 0); /* late, and in batches */
    netdev_reclaim(card, 0);
    assert_int_equal(done_count, 100);
}

/* `collector`: somebody else takes what the card has sent before the interrupt comes. */
static void full_queue(uint64_t features, unsigned count, bool collector) {
    static uint8_t got[70000];
    struct netdev_offload o = { 0 };
    struct netdev_counts c;
    unsigned sent = 0;
    int err;

    open_card(features, 1, 64);
    while ((err = send_frame(count, 100, 1, &o)) == 0)
        sent++;
    assert_int_equal(err, -ENOSPC);
    assert_true(sent >= 1 && sent <= 64);
    assert_int_equal(net_device.queues[1].notified, 1); /* without a flush */
    assert_false(net_device_interrupt(1));
    assert_int_equal(ready_count[0], 0);
    assert_int_equal(net_device_get(1, got, sizeof got), 12 + 100 * count);
    if (collector)
        netdev_reclaim(card, 0);
    else
        assert_true(net_device_interrupt(1));
    assert_int_equal(ready_count[0], 1);
    assert_int_equal(send_frame(count, 100, 1, &o), 0);
    assert_int_equal(ready_count[0], 1);
    assert_int_equal(send_frame(count, 100, 1, &o), -ENOSPC);
    while (net_device_get(1, got, sizeof got))
        continue;
    for (unsigned i = 0; i < 3 * sent; i++) { /* full once more, and it collects by itself */
        assert_int_equal(send_frame(count, 100, 1, &o), 0);
        netdev_flush(card, 0);
        assert_int_equal(net_device_get(1, got, sizeof got), 12 + 100 * count);
    }
    netdev_reclaim(card, 0);
    assert_int_equal(done_count, 4 * sent + 1);
    netdev_count(card, &c);
    assert_int_equal(c.full, 2);
}

static void full_queue_tells_of_room(void **state) {
    (void)state;
    for (int collector = 0; collector < 2; collector++) {
        full_queue(F_ALL, 1, collector);
        full_queue(F_ALL, 5, collector);
        full_queue(F_ALL, NETDEV_MAX_PIECES, collector);
        full_queue(F_ALL & ~VIRTIO_F_INDIRECT_DESC, 5, collector);
        full_queue(F_ALL & ~VIRTIO_F_EVENT_IDX, 5, collector);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(features_fit_together, setup, teardown),
        cmocka_unit_test_setup_teardown(queues_for_cpus_vectors_and_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(control_queue_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(unusable_cards, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_come_in, setup, teardown),
        cmocka_unit_test_setup_teardown(offloads_come_in, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_in_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_about_buffers, setup, teardown),
        cmocka_unit_test_setup_teardown(lengths_break_the_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_once, setup, teardown),
        cmocka_unit_test_setup_teardown(rests_from_nonsense, setup, teardown),
        cmocka_unit_test_setup_teardown(recovers_from_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_go_out, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_pieces_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(one_notification_for_many, setup, teardown),
        cmocka_unit_test_setup_teardown(full_queue_tells_of_room, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
