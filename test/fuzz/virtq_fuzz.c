/* SPDX-License-Identifier: MIT */
/* tests: dev/virtq.c */
/*
 * An evil device against a virtqueue: the input chooses what the driver does and
 * what the device writes, anywhere in the memory that they share.
 */
#include "dev/virtq.h"
#include <string.h>
#include "test/fuzz/fuzz.h"

#define MAX_TOKENS 4096

/* A chain that the driver has added, by its token less 1. */
struct chain {
    bool out; /* not taken yet */
    uint16_t head, descriptors;
    uint32_t writable;
};

static struct chain chains[MAX_TOKENS];
static uintptr_t added;
static struct virtq q;
static struct virtq_memory memory;
static unsigned ring_size;

static void driver_adds(struct input *in) {
    struct virtq_piece pieces[14];
    unsigned out = input_u8(in) & 7, inward = input_u8(in) & 7;
    struct chain c = { .out = true, .head = q.free_head };
    uint16_t before = q.free_count;

    if (added == MAX_TOKENS)
        return;
    for (unsigned i = 0; i < out + inward; i++) {
        pieces[i] = (struct virtq_piece){ PADDR(0x1000ul * i), 1 + (i * 97) % 300 };
        c.writable += i >= out ? pieces[i].length : 0;
    }
    if (virtq_add(&q, pieces, out, inward, (void *)(added + 1)))
        return;
    c.descriptors = (uint16_t)(before - q.free_count);
    must(c.descriptors == out + inward ||
         (c.descriptors == 1 && out + inward <= memory.table_entries));
    chains[added++] = c;
}

static void driver_takes(void) {
    void *token = NULL;
    uint32_t length = 0;
    int got = virtq_take(&q, &token, &length);
    uintptr_t n = (uintptr_t)token;

    if (got <= 0) {
        must(token == NULL && (got == 0 || q.broken));
        return;
    }
    must(n >= 1 && n <= added && chains[n - 1].out);
    must(length <= chains[n - 1].writable);
    chains[n - 1].out = false;
}

static void device_uses(struct input *in, uint32_t id) {
    q.used->ring[q.used->index % ring_size] = (struct virtq_used_entry){ id, input_u16(in) };
    q.used->index++;
}

static void step(struct input *in) {
    uint8_t what = input_u8(in);
    uint8_t *shared = (uint8_t *)q.desc;

    switch (what % 10) {
    case 0:
    case 1:
        driver_adds(in);
        break;
    case 2:
        (void)!virtq_publish(&q);
        break;
    case 3:
        driver_takes();
        break;
    case 4:
        must(!virtq_enable_interrupt(&q) || virtq_has_used(&q));
        break;
    case 5:
        virtq_disable_interrupt(&q);
        break;
    case 6: /* a chain that is there, or was */
        device_uses(in, added ? chains[input_u8(in) % added].head : 0);
        break;
    case 7:
        device_uses(in, what & 0x80 ? input_u32(in) : input_u8(in));
        break;
    case 8:
        q.used->index = input_u16(in);
        break;
    case 9:
        shared[input_u16(in) % virtq_memory_bytes(ring_size)] = input_u8(in);
        break;
    }
}

/* Every descriptor is free, or of a chain that is under way. */
static void check(void) {
    unsigned used = 0, in_flight = 0;

    for (uintptr_t i = 0; i < added; i++) {
        used += chains[i].out ? chains[i].descriptors : 0;
        in_flight += chains[i].out;
    }
    must(used + q.free_count == ring_size);
    must(in_flight == virtq_in_flight(&q));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    struct input in = { data, bytes };
    uint8_t options = input_u8(&in);

    ring_size = 4u << (options & 3);
    memory = (struct virtq_memory){
        .ring = aligned_alloc(16, ALIGN_UP(virtq_memory_bytes(ring_size), 16ul)),
        .slots = calloc(ring_size, sizeof *memory.slots),
        .table_entries = options & 4 ? 4 : 0,
        .tables_address = PADDR(0x100000),
    };
    if (memory.table_entries)
        memory.tables = calloc((size_t)ring_size * memory.table_entries, sizeof *memory.tables);
    memset(memory.ring, 0, virtq_memory_bytes(ring_size));
    added = 0;
    virtq_init(&q, ring_size, &memory, options & 8);
    while (in.left)
        step(&in);
    check();
    free(memory.ring);
    free(memory.slots);
    free(memory.tables);
    return 0;
}
