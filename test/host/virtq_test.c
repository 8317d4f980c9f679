/* SPDX-License-Identifier: MIT */
/* tests: dev/virtq.c */
/* The virtqueue against an honest device and against a malicious one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "dev/virtq.h"

#define BYTES_PER_PIECE 100u
#define TABLES_ADDRESS  0x7000000000ul /* where the device thinks that the tables lie */

/* The other side: it sees only the shared memory. */
struct device {
    unsigned size;
    uint8_t *memory;
    struct virtq_slot *slots; /* the driver's; only to be freed */
    struct virtq_desc *tables;
    unsigned table_entries;
    struct virtq_desc *desc;
    struct virtq_avail *avail;
    struct virtq_used *used;
    uint16_t seen; /* next available entry to look at */
    uint16_t *used_event, *avail_event;
    uint16_t told; /* used index at which it last decided about an interrupt */
};

static void device_init_tables(struct device *d, struct virtq *q, unsigned size, bool event_index,
                               unsigned table_entries) {
    struct virtq_memory memory;

    d->size = size;
    d->memory = aligned_alloc(16, ALIGN_UP(virtq_memory_bytes(size), 16ul));
    memset(d->memory, 0, virtq_memory_bytes(size));
    d->slots = calloc(size, sizeof *d->slots);
    d->tables = calloc((size_t)size * table_entries + 1, sizeof *d->tables);
    d->table_entries = table_entries;
    d->desc = (struct virtq_desc *)(void *)d->memory;
    d->avail = (struct virtq_avail *)(void *)(d->memory + virtq_avail_offset(size));
    d->used = (struct virtq_used *)(void *)(d->memory + virtq_used_offset(size));
    d->used_event = &d->avail->ring[size];
    d->avail_event = (uint16_t *)&d->used->ring[size];
    d->seen = d->told = 0;
    memory = (struct virtq_memory){ .ring = d->memory,
                                    .slots = d->slots,
                                    .tables = d->tables,
                                    .tables_address = PADDR(TABLES_ADDRESS),
                                    .table_entries = table_entries };
    virtq_init(q, size, &memory, event_index);
}

static void device_init(struct device *d, struct virtq *q, unsigned size, bool event_index) {
    device_init_tables(d, q, size, event_index, 0);
}

static void device_free(struct device *d) {
    free(d->memory);
    free(d->slots);
    free(d->tables);
}

static bool device_has_work(const struct device *d) {
    return d->avail->index != d->seen;
}

/* Takes the head of the next chain. */
static uint16_t device_pop(struct device *d) {
    return d->avail->ring[d->seen++ % d->size];
}

static void device_push(struct device *d, uint32_t id, uint32_t length) {
    d->used->ring[d->used->index % d->size] = (struct virtq_used_entry){ id, length };
    d->used->index++;
}

/* Whether the device would interrupt now, by the rule of the event index. */
static bool device_interrupts(struct device *d, bool event_index) {
    uint16_t new = d->used->index, old = d->told;

    d->told = new;
    if (!event_index)
        return new != old && !(d->avail->flags & 1);
    return (uint16_t)(new - *d->used_event - 1) < (uint16_t)(new - old);
}

/* The first descriptor of the chain at `head`, in the ring or in a table; *table is its origin. */
static const struct virtq_desc *chain_first(const struct device *d, uint16_t head,
                                            const struct virtq_desc **table) {
    const struct virtq_desc *first = &d->desc[head];

    *table = d->desc;
    if (first->flags & 4) {
        uint64_t at = (first->address - TABLES_ADDRESS) / sizeof *first;

        assert_int_equal(first->flags, 4);
        assert_int_equal(first->address % 16, 0);
        assert_int_equal(at % d->table_entries, 0);
        assert_true(at + first->length / sizeof *first <= d->size * d->table_entries);
        first = *table = &d->tables[at];
    }
    return first;
}

static unsigned chain_length(const struct device *d, uint16_t head) {
    const struct virtq_desc *table, *at = chain_first(d, head, &table);
    unsigned n = 1;

    for (; at->flags & 1; at = &table[at->next])
        n++;
    if (d->desc[head].flags & 4)
        assert_int_equal(d->desc[head].length, n * sizeof *at);
    return n;
}

static int add(struct virtq *q, unsigned out, unsigned in, uintptr_t token) {
    struct virtq_piece pieces[8];

    for (unsigned i = 0; i < out + in; i++)
        pieces[i] = (struct virtq_piece){ PADDR(0x100000 * token + i), BYTES_PER_PIECE };
    return virtq_add(q, pieces, out, in, (void *)token);
}

/* Publishes, whether the device wants to be told or not. */
static void publish(struct virtq *q) {
    bool notify = virtq_publish(q);

    (void)notify;
}

static void areas_do_not_overlap(void **state) {
    (void)state;
    for (unsigned size = 1; size <= VIRTQ_MAX_SIZE; size *= 2) {
        assert_true(virtq_avail_offset(size) >= 16 * size);
        assert_true(virtq_used_offset(size) >= virtq_avail_offset(size) + 6 + 2 * size);
        assert_int_equal(virtq_used_offset(size) % 4, 0);
        assert_true(virtq_memory_bytes(size) >= virtq_used_offset(size) + 6 + 8 * size);
        assert_true(virtq_memory_bytes(size) <= PAGE_SIZE || size > 128);
    }
}

static void chain_is_what_was_added(void **state) {
    struct virtq q;
    struct device d;
    uint16_t head, at;

    (void)state;
    device_init(&d, &q, 8, false);
    assert_int_equal(add(&q, 2, 1, 5), 0);
    assert_false(device_has_work(&d)); /* not before it is published */
    assert_true(virtq_publish(&q));
    assert_false(virtq_publish(&q));
    head = at = device_pop(&d);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(d.desc[at].address, 0x500000 + i);
        assert_int_equal(d.desc[at].length, BYTES_PER_PIECE);
        assert_int_equal(d.desc[at].flags, (i < 2 ? 1 : 0) | (i == 2 ? 2 : 0));
        at = d.desc[at].next;
    }
    device_push(&d, head, BYTES_PER_PIECE);
    device_free(&d);
}

/* Random chains, finished out of order, through many wraps of the 16-bit indices. */
static void random_traffic(unsigned size, bool event_index, unsigned tables) {
    struct virtq q;
    struct device d;
    uintptr_t next_token = 1;
    uint32_t expected_length[200] = { 0 };
    bool out[200] = { false };
    uint16_t held[VIRTQ_MAX_SIZE];
    unsigned held_count = 0, in_flight = 0;

    device_init_tables(&d, &q, size, event_index, tables);
    for (int step = 0; step < 400000; step++) {
        void *token;
        uint32_t length;
        int got;

        if (rand() % 2) {
            unsigned o = (unsigned)rand() % 3, i = (unsigned)rand() % 3;
            uintptr_t t = next_token;

            if (o + i == 0 || out[t % 200])
                continue;
            if (add(&q, o, i, t) == 0) {
                out[t % 200] = true;
                expected_length[t % 200] = i * BYTES_PER_PIECE;
                next_token++;
                in_flight++;
            }
            publish(&q);
        }
        while (device_has_work(&d) && rand() % 4)
            held[held_count++] = device_pop(&d);
        *d.avail_event = d.seen;
        if (held_count && rand() % 2) {
            unsigned pick = (unsigned)rand() % held_count;
            uint16_t head = held[pick];
            const struct virtq_desc *table;
            uintptr_t t = chain_first(&d, head, &table)->address / 0x100000;

            held[pick] = held[--held_count];
            assert_true(chain_length(&d, head) <= 4);
            device_push(&d, head, expected_length[t % 200]);
        }
        if (rand() % 3 == 0)
            while ((got = virtq_take(&q, &token, &length)) > 0) {
                uintptr_t t = (uintptr_t)token;

                assert_true(out[t % 200]);
                out[t % 200] = false;
                assert_int_equal(length, expected_length[t % 200]);
                in_flight--;
                assert_int_equal(virtq_in_flight(&q), in_flight);
            }
        assert_false(q.broken);
    }
    assert_true(next_token > 70000 || size < 8);
    device_free(&d);
}

static void honest_device(void **state) {
    (void)state;
    for (unsigned size = 4; size <= VIRTQ_MAX_SIZE; size *= 4) {
        random_traffic(size, false, 0);
        random_traffic(size, true, 0);
        random_traffic(size, true, 2); /* some chains fit into a table, some do not */
        random_traffic(size, false, 4);
    }
}

static void full_queue_refuses(void **state) {
    struct virtq q;
    struct device d;

    (void)state;
    device_init(&d, &q, 4, true);
    assert_int_equal(add(&q, 3, 0, 1), 0);
    assert_int_equal(add(&q, 1, 1, 2), -ENOSPC);
    assert_int_equal(add(&q, 0, 1, 3), 0);
    assert_int_equal(add(&q, 0, 1, 4), -ENOSPC);
    assert_int_equal(add(&q, 0, 0, 5), -ENOSPC);
    device_free(&d);
}

/* A chain that fits into a table takes one descriptor; one that does not is in the ring. */
static void tables_save_descriptors(void **state) {
    struct virtq q;
    struct device d;
    void *token;
    uint32_t length;
    uint16_t head;

    (void)state;
    device_init_tables(&d, &q, 4, true, 3);
    for (uintptr_t i = 1; i <= 4; i++)
        assert_int_equal(add(&q, 2, 1, i), 0);
    assert_int_equal(add(&q, 2, 1, 5), -ENOSPC);
    assert_int_equal(q.free_count, 0);
    publish(&q);
    for (uintptr_t i = 1; i <= 4; i++) {
        const struct virtq_desc *table, *first;

        head = device_pop(&d);
        assert_int_equal(d.desc[head].flags, 4);
        assert_int_equal(chain_length(&d, head), 3);
        first = chain_first(&d, head, &table);
        for (unsigned k = 0; k < 3; k++) {
            assert_int_equal(first[k].address, 0x100000 * i + k);
            assert_int_equal(first[k].length, BYTES_PER_PIECE);
            assert_int_equal(first[k].flags, (k < 2 ? 1 : 0) | (k == 2 ? 2 : 0));
        }
        device_push(&d, head, BYTES_PER_PIECE);
        assert_int_equal(virtq_take(&q, &token, &length), 1);
        assert_int_equal((uintptr_t)token, i);
    }
    assert_int_equal(add(&q, 4, 0, 6), 0);
    assert_int_equal(q.free_count, 0);
    publish(&q);
    head = device_pop(&d);
    assert_int_equal(d.desc[head].flags, 1);
    assert_int_equal(chain_length(&d, head), 4);
    device_push(&d, head, 1); /* nothing of it is for the device to write */
    assert_int_equal(virtq_take(&q, &token, &length), -EIO);
    device_free(&d);
}

/* No lost wake-up, and no notification that was not asked for. */
static void event_index_suppresses(void **state) {
    struct virtq q;
    struct device d;
    void *token;
    uint32_t length;

    (void)state;
    device_init(&d, &q, 16, true);
    assert_int_equal(add(&q, 1, 0, 1), 0);
    assert_true(virtq_publish(&q)); /* the device waits for index 0 */
    assert_int_equal(add(&q, 1, 0, 2), 0);
    assert_false(virtq_publish(&q)); /* it has been told, and did not look since */
    device_push(&d, device_pop(&d), 0);
    device_push(&d, device_pop(&d), 0);
    *d.avail_event = d.seen;
    assert_false(device_interrupts(&d, true)); /* off after virtq_init() */
    assert_int_equal(add(&q, 1, 0, 3), 0);
    assert_true(virtq_publish(&q));

    assert_true(virtq_enable_interrupt(&q)); /* two are there already */
    assert_int_equal(virtq_take(&q, &token, &length), 1);
    assert_int_equal(virtq_take(&q, &token, &length), 1);
    assert_int_equal(virtq_take(&q, &token, &length), 0);
    assert_false(virtq_enable_interrupt(&q));
    device_push(&d, device_pop(&d), 0);
    assert_true(device_interrupts(&d, true));
    virtq_disable_interrupt(&q);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(virtq_take(&q, &token, &length), 1);
        assert_int_equal(add(&q, 1, 0, 4), 0);
        publish(&q);
        device_push(&d, device_pop(&d), 0);
        assert_false(device_interrupts(&d, true));
    }
    device_free(&d);
}

static void expect_broken(struct virtq *q) {
    void *token = NULL;
    uint32_t length = 0;

    assert_int_equal(virtq_take(q, &token, &length), -EIO);
    assert_int_equal(virtq_take(q, &token, &length), -EIO);
    assert_int_equal(add(q, 1, 0, 9), -EIO);
    assert_false(virtq_publish(q));
    assert_true(virtq_has_used(q));
    assert_null(token);
}

/* One lie each; `lie` gets the head of a published chain with one writable piece. */
static void tell_lie(void (*lie)(struct device *d, uint16_t head)) {
    struct virtq q;
    struct device d;

    device_init(&d, &q, 8, true);
    assert_int_equal(add(&q, 1, 1, 1), 0);
    assert_int_equal(add(&q, 0, 1, 2), 0);
    publish(&q);
    lie(&d, device_pop(&d));
    expect_broken(&q);
    device_free(&d);
}

static void lie_id_outside(struct device *d, uint16_t head) {
    (void)head;
    device_push(d, d->size, 0);
}

static void lie_id_huge(struct device *d, uint16_t head) {
    (void)head;
    device_push(d, UINT32_MAX, 0);
}

static void lie_id_inside_chain(struct device *d, uint16_t head) {
    device_push(d, d->desc[head].next, 0);
}

static void lie_id_free(struct device *d, uint16_t head) {
    (void)head;
    device_push(d, 7, 0);
}

static void lie_length(struct device *d, uint16_t head) {
    device_push(d, head, BYTES_PER_PIECE + 1);
}

static void lie_length_huge(struct device *d, uint16_t head) {
    device_push(d, head, UINT32_MAX);
}

static void lie_index_ahead(struct device *d, uint16_t head) {
    (void)head;
    d->used->index = 3;
}

static void lie_index_back(struct device *d, uint16_t head) {
    (void)head;
    d->used->index = UINT16_MAX;
}

static void lies_are_found_out(void **state) {
    (void)state;
    tell_lie(lie_id_outside);
    tell_lie(lie_id_huge);
    tell_lie(lie_id_inside_chain);
    tell_lie(lie_id_free);
    tell_lie(lie_length);
    tell_lie(lie_length_huge);
    tell_lie(lie_index_ahead);
    tell_lie(lie_index_back);
}

static void same_chain_twice(void **state) {
    struct virtq q;
    struct device d;
    void *token;
    uint32_t length;
    uint16_t head;

    (void)state;
    device_init(&d, &q, 8, true);
    assert_int_equal(add(&q, 0, 1, 1), 0);
    assert_int_equal(add(&q, 0, 1, 2), 0);
    publish(&q);
    head = device_pop(&d);
    device_push(&d, head, 1);
    device_push(&d, head, 1);
    assert_int_equal(virtq_take(&q, &token, &length), 1);
    expect_broken(&q);
    device_free(&d);
}

/* Chains hold together although the device rewrites all it can reach. */
static void descriptors_overwritten(void **state) {
    struct virtq q;
    struct device d;
    void *token;
    uint32_t length;

    (void)state;
    device_init(&d, &q, 8, true);
    for (int round = 0; round < 100; round++) {
        assert_int_equal(add(&q, 2, 2, 1), 0);
        publish(&q);
        device_push(&d, device_pop(&d), 2 * BYTES_PER_PIECE);
        memset(d.memory, round & 1 ? 0xff : round, virtq_avail_offset(d.size));
        assert_int_equal(virtq_take(&q, &token, &length), 1);
        assert_int_equal(q.free_count, 8);
    }
    device_free(&d);
}

/* The device scribbles at random; whatever happens, nothing of ours goes astray. */
static void scribbling_device(void **state) {
    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct virtq q;
        struct device d;
        uintptr_t token_count = 0;

        device_init_tables(&d, &q, 8, round & 1, round & 2);
        for (int step = 0; step < 60 && !q.broken; step++) {
            void *token;
            uint32_t length;

            if (add(&q, (unsigned)rand() % 3, 1, token_count + 1) == 0)
                token_count++;
            publish(&q);
            if (rand() % 4 == 0)
                d.memory[(size_t)rand() % virtq_memory_bytes(d.size)] = (uint8_t)rand();
            if (rand() % 2)
                device_push(&d, (uint32_t)rand() % 9, (uint32_t)rand() % 120);
            if (virtq_take(&q, &token, &length) > 0) {
                assert_true((uintptr_t)token >= 1 && (uintptr_t)token <= token_count);
                assert_true(length <= BYTES_PER_PIECE);
            }
            assert_true(q.free_count <= 8);
            assert_int_equal(virtq_enable_interrupt(&q), virtq_has_used(&q));
        }
        device_free(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(areas_do_not_overlap),   cmocka_unit_test(chain_is_what_was_added),
        cmocka_unit_test(honest_device),          cmocka_unit_test(full_queue_refuses),
        cmocka_unit_test(event_index_suppresses), cmocka_unit_test(lies_are_found_out),
        cmocka_unit_test(same_chain_twice),       cmocka_unit_test(descriptors_overwritten),
        cmocka_unit_test(scribbling_device),      cmocka_unit_test(tables_save_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
