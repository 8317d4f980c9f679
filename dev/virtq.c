/* SPDX-License-Identifier: MIT */
/*
 * The split virtqueue.
 *
 * Two rings of indices that only grow (modulo 2^16): `avail->index` is written
 * here and read by the device, `used->index` the other way round.
 *
 *   driver: fill descriptors, avail ring entry; store-release avail->index
 *           full fence; read avail_event (or used->flags); notify if wanted
 *   device: the mirror image with used->index and used_event
 *
 * The full fences on both sides make sure that of "I publish, then look
 * whether you sleep" and "I say that I sleep, then look for more" at least one
 * sees the other.
 *
 * With the event index each side names the index at which it wants to be told.
 * A side that wants nothing names one that was passed just now, which is 65,535
 * steps away; virtq_take() drags it along.
 *
 * Tables: each descriptor of the ring owns one, so that none is ever looked for:
 * a chain that fits uses the table of its one descriptor.
 *
 * Trust: the device shares only the three areas.  Chains, lengths and tokens
 * are kept in `slots`, out of its reach, so that a used entry can be checked:
 * its id must start a chain that is under way, its length must fit what that
 * chain allows, and the used index may not pass the number of chains under way.
 */
#include "dev/virtq.h"
#include <asm-generic/errno.h>
#include <stdatomic.h>

#define DESC_NEXT     1
#define DESC_WRITE    2 /* the device writes */
#define DESC_INDIRECT 4 /* a table of descriptors */

#define AVAIL_NO_INTERRUPT 1
#define USED_NO_NOTIFY     1

#define NO_SLOT UINT16_MAX

size_t virtq_avail_offset(unsigned size) {
    return sizeof(struct virtq_desc) * size;
}

size_t virtq_used_offset(unsigned size) {
    size_t end =
        virtq_avail_offset(size) + sizeof(struct virtq_avail) + sizeof(uint16_t) * (size + 1);

    return ALIGN_UP(end, sizeof(uint32_t));
}

size_t virtq_memory_bytes(unsigned size) {
    return virtq_used_offset(size) + sizeof(struct virtq_used) +
           sizeof(struct virtq_used_entry) * size + sizeof(uint16_t);
}

static uint16_t load_shared(const uint16_t *p) {
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void store_shared(uint16_t *p, uint16_t v) {
    __atomic_store_n(p, v, __ATOMIC_RELAXED);
}

/* At which used index the device shall interrupt; behind the available ring. */
static uint16_t *used_event(const struct virtq *q) {
    return &q->avail->ring[q->size];
}

/* At which available index the device wants to be told; behind the used ring. */
static const uint16_t *avail_event(const struct virtq *q) {
    return (const uint16_t *)&q->used->ring[q->size];
}

/* Acquire; pairs with the device's release of what the used entries say. */
static uint16_t used_index(const struct virtq *q) {
    return __atomic_load_n(&q->used->index, __ATOMIC_ACQUIRE);
}

void virtq_init(struct virtq *q, unsigned size, const struct virtq_memory *memory,
                bool event_index) {
    char *ring = memory->ring;

    *q = (struct virtq){
        .desc = memory->ring,
        .avail = (void *)(ring + virtq_avail_offset(size)),
        .used = (void *)(ring + virtq_used_offset(size)),
        .slots = memory->slots,
        .tables = memory->tables,
        .tables_address = memory->tables_address,
        .table_entries = (uint16_t)memory->table_entries,
        .size = (uint16_t)size,
        .event_index = event_index,
        .free_count = (uint16_t)size,
    };
    for (unsigned i = 0; i < size; i++)
        q->slots[i].next = (uint16_t)(i + 1 < size ? i + 1 : NO_SLOT);
    virtq_disable_interrupt(q);
}

static void set_desc(struct virtq_desc *d, const struct virtq_piece *piece, bool in, bool last,
                     uint16_t next) {
    d->address = piece->address.value;
    d->length = piece->length;
    d->flags = (uint16_t)((last ? 0 : DESC_NEXT) | (in ? DESC_WRITE : 0));
    d->next = last ? 0 : next;
}

/* Descriptors from the free list; returns the first that it did not need. */
static uint16_t fill_chain(struct virtq *q, uint16_t at, const struct virtq_piece *pieces,
                           unsigned out, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        uint16_t next = q->slots[at].next;

        set_desc(&q->desc[at], &pieces[i], i >= out, i + 1 == count, next);
        at = next;
    }
    return at;
}

/* The descriptor `head` and its table. */
static uint16_t fill_table(struct virtq *q, uint16_t head, const struct virtq_piece *pieces,
                           unsigned out, unsigned count) {
    size_t first = (size_t)head * q->table_entries;
    struct virtq_desc *table = &q->tables[first];

    for (unsigned i = 0; i < count; i++)
        set_desc(&table[i], &pieces[i], i >= out, i + 1 == count, (uint16_t)(i + 1));
    q->desc[head] = (struct virtq_desc){
        .address = q->tables_address.value + first * sizeof *table,
        .length = (uint32_t)(count * sizeof *table),
        .flags = DESC_INDIRECT,
    };
    return q->slots[head].next;
}

int virtq_add(struct virtq *q, const struct virtq_piece *pieces, unsigned out, unsigned in,
              void *token) {
    unsigned count = out + in;
    bool indirect = count > 1 && count <= q->table_entries;
    unsigned taken = indirect ? 1 : count; /* of the ring's descriptors */
    uint16_t head = q->free_head;
    uint32_t writable = 0;

    if (q->broken)
        return -EIO;
    if (count == 0 || taken > q->free_count)
        return -ENOSPC;

    for (unsigned i = out; i < count; i++)
        writable += pieces[i].length;
    q->free_head = indirect ? fill_table(q, head, pieces, out, count)
                            : fill_chain(q, head, pieces, out, count);
    q->free_count -= (uint16_t)taken;
    q->slots[head].token = token;
    q->slots[head].writable = writable;
    q->slots[head].count = (uint16_t)taken;

    store_shared(&q->avail->ring[q->added & (q->size - 1)], head);
    q->added++;
    return 0;
}

bool virtq_publish(struct virtq *q) {
    uint16_t old = q->published, new = q->added;

    if (q->broken || old == new)
        return false;
    q->published = new;
    /* Release; pairs with the device's acquire before it reads descriptors. */
    __atomic_store_n(&q->avail->index, new, __ATOMIC_RELEASE);
    atomic_thread_fence(memory_order_seq_cst);
    if (!q->event_index)
        return !(load_shared(&q->used->flags) & USED_NO_NOTIFY);
    /* Did we step over the index that the device named? */
    return (uint16_t)(new - load_shared(avail_event(q)) - 1) < (uint16_t)(new - old);
}

/* Puts the chain that starts at `head` back on the free list. */
static void free_chain(struct virtq *q, uint16_t head) {
    uint16_t last = head;

    for (unsigned i = 1; i < q->slots[head].count; i++)
        last = q->slots[last].next;
    q->free_count += q->slots[head].count;
    q->slots[head].count = 0;
    q->slots[last].next = q->free_head;
    q->free_head = head;
}

int virtq_break(struct virtq *q) {
    q->broken = true;
    return -EIO;
}

int virtq_take(struct virtq *q, void **token, uint32_t *length) {
    struct virtq_used_entry entry;
    uint16_t ready;

    if (q->broken)
        return -EIO;
    ready = (uint16_t)(used_index(q) - q->taken);
    if (ready == 0)
        return 0;
    if (ready > (uint16_t)(q->published - q->taken))
        return virtq_break(q);

    /* Copied before it is checked: the device could change it in between. */
    entry.id = __atomic_load_n(&q->used->ring[q->taken & (q->size - 1)].id, __ATOMIC_RELAXED);
    entry.length =
        __atomic_load_n(&q->used->ring[q->taken & (q->size - 1)].length, __ATOMIC_RELAXED);
    if (entry.id >= q->size || q->slots[entry.id].count == 0 ||
        entry.length > q->slots[entry.id].writable)
        return virtq_break(q);

    *token = q->slots[entry.id].token;
    *length = entry.length;
    free_chain(q, (uint16_t)entry.id);
    q->taken++;
    if (q->event_index)
        store_shared(used_event(q), (uint16_t)(q->interrupt_wanted ? q->taken : q->taken - 1));
    return 1;
}

bool virtq_has_used(const struct virtq *q) {
    return q->broken || used_index(q) != q->taken;
}

bool virtq_enable_interrupt(struct virtq *q) {
    q->interrupt_wanted = true;
    if (q->event_index)
        store_shared(used_event(q), q->taken);
    else
        store_shared(&q->avail->flags, 0);
    atomic_thread_fence(memory_order_seq_cst);
    return virtq_has_used(q);
}

void virtq_disable_interrupt(struct virtq *q) {
    q->interrupt_wanted = false;
    if (q->event_index)
        store_shared(used_event(q), (uint16_t)(q->taken - 1));
    else
        store_shared(&q->avail->flags, AVAIL_NO_INTERRUPT);
}
