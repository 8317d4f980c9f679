/* SPDX-License-Identifier: MIT */
/*
 * Frames to the host.
 *
 * A frame is one physically contiguous buffer, header and payload, and one
 * descriptor of the transmit queue.  Frames come from a fixed set; a buffer
 * (one page, or 64 KiB for bulk data) is allocated when a frame first needs it
 * and stays with it.  A writer reserves credit and a frame under output_lock,
 * copies without it, and queues under it again; the notification, in which an
 * emulated device does all of its work, is outside.
 *
 * Used frames are collected by whoever wants one next.  The device interrupts
 * only while somebody waits for room, so the usual write costs no interrupt.
 * Data leaves the last frames to reports, and these the very last to control
 * frames, so that credit always gets through.
 *
 * output_lock (RANK_DEVICE; threads only) guards the queue and all state here.
 */
#include <asm-generic/errno.h>
#include "base/string.h"
#include "dev/console_impl.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/pages.h"

#define FRAMES          VIRTQ_MAX_SIZE
#define LARGE_ORDER     4   /* 64 KiB */
#define LARGE_MAX       16  /* frames with a large buffer */
#define LARGE_MEMORY    128 /* large buffers never take more of the memory than this part */
#define SMALL_MEMORY    64  /* nor small ones than this */
#define SMALL_MIN       16
#define RESERVE_REPORT  8 /* frames that data leaves */
#define RESERVE_CONTROL 4 /* frames that reports leave */

enum buffer_kind { BUFFER_NONE, BUFFER_SMALL, BUFFER_LARGE, BUFFER_KINDS };

struct frame {
    struct list link; /* free_frames, while free */
    struct wire_header *buffer;
    enum buffer_kind kind;
};

struct wait_queue console_room = WAIT_QUEUE_INIT(console_room);

static struct spinlock output_lock = SPINLOCK_INIT(RANK_DEVICE);
static struct virtio_queue *queue;
static struct frame frames[FRAMES];
static struct list free_frames[BUFFER_KINDS];
static unsigned kind_count[BUFFER_KINDS]; /* frames of each kind, free or not; not of NONE */
static unsigned kind_limit[BUFFER_KINDS];
static unsigned free_equipped; /* free frames that have a buffer */
static uint32_t credit[WIRE_STDERR + 1];
static bool closed[WIRE_STDERR + 1];

static bool equip(enum buffer_kind kind);

int output_init(struct virtio_queue *transmit) {
    uint64_t memory_pages = machine.memory_bytes / PAGE_SIZE;
    uint64_t large = MIN(memory_pages / LARGE_MEMORY >> LARGE_ORDER, (uint64_t)LARGE_MAX);
    uint64_t small = MIN(MAX(memory_pages / SMALL_MEMORY, (uint64_t)SMALL_MIN), FRAMES - large);

    queue = transmit;
    kind_limit[BUFFER_LARGE] = (unsigned)large;
    kind_limit[BUFFER_SMALL] = (unsigned)small;
    for (unsigned k = 0; k < BUFFER_KINDS; k++)
        list_init(&free_frames[k]);
    /* As many as can be queued at once: adding a frame to the queue never fails for want of room.
     */
    for (unsigned i = 0; i < MIN(large + small, (uint64_t)queue->ring.size); i++)
        list_add_tail(&free_frames[BUFFER_NONE], &frames[i].link);
    /* Even with all memory gone, the exit status must get out. */
    while (free_equipped <= RESERVE_REPORT)
        if (!equip(BUFFER_SMALL))
            return -ENOMEM;
    credit[WIRE_STDOUT] = credit[WIRE_STDERR] = WIRE_WINDOW;
    return 0;
}

static uint32_t capacity(const struct frame *f) {
    size_t bytes = f->kind == BUFFER_LARGE ? PAGE_SIZE << LARGE_ORDER : PAGE_SIZE;

    return (uint32_t)(bytes - sizeof(struct wire_header));
}

static void put_frame(struct frame *f) {
    list_add_head(&free_frames[f->kind], &f->link);
    free_equipped++;
}

/*
 * Collects what the device has taken.  Who collects also answers for the
 * interrupt: it may not come for these frames any more, so those who wait for
 * it are woken here, and ask for it anew if this was not enough for them.
 */
static void reclaim(void) {
    bool any = false;
    void *token;
    uint32_t length;

    while (virtio_queue_take(queue, &token, &length) > 0) {
        put_frame(token);
        any = true;
    }
    if (any && queue->ring.interrupt_wanted) {
        virtq_disable_interrupt(&queue->ring);
        console_room_appeared();
    }
}

/* Moves a frame without a buffer to `kind`; false where there is no memory. */
static bool equip(enum buffer_kind kind) {
    struct frame *f;
    struct page *p;

    if (list_is_empty(&free_frames[BUFFER_NONE]) || kind_count[kind] >= kind_limit[kind])
        return false;
    p = pages_alloc(kind == BUFFER_LARGE ? LARGE_ORDER : 0);
    if (!p)
        return false;
    f = list_first(&free_frames[BUFFER_NONE], struct frame, link);
    list_remove(&f->link);
    kind_count[kind]++;
    f->buffer = page_address(p);
    f->kind = kind;
    put_frame(f);
    return true;
}

/* Frames with a buffer that a class leaves to those above it. */
static unsigned class_leaves(enum output_class class) {
    return class == OUTPUT_DATA ? RESERVE_REPORT : class == OUTPUT_REPORT ? RESERVE_CONTROL : 0;
}

/* Collects, and equips more, until `class` may take a frame; false where it cannot. */
static bool ensure(enum output_class class) {
    reclaim();
    while (free_equipped <= class_leaves(class))
        if (!equip(BUFFER_SMALL))
            return false;
    return true;
}

static struct frame *take_kind(enum buffer_kind kind) {
    struct frame *f;

    if (list_is_empty(&free_frames[kind]))
        return NULL;
    f = list_first(&free_frames[kind], struct frame, link);
    list_remove(&f->link);
    free_equipped--;
    return f;
}

/* A frame for about `size` bytes of payload, or NULL. */
static struct frame *get_frame(enum output_class class, size_t size) {
    bool large = size > PAGE_SIZE - sizeof(struct wire_header);
    struct frame *f = NULL;

    if (!ensure(class))
        return NULL;
    if (large && list_is_empty(&free_frames[BUFFER_LARGE]))
        (void)equip(BUFFER_LARGE);
    f = take_kind(large ? BUFFER_LARGE : BUFFER_SMALL);
    if (!f)
        f = take_kind(large ? BUFFER_SMALL : BUFFER_LARGE);
    return f;
}

/* Queues a filled frame, and notifies the device after unlocking. */
static void send_frame(struct frame *f) {
    bool notify = false;

    spin_lock(&output_lock);
    if (virtio_queue_add(queue, f->buffer, sizeof *f->buffer + f->buffer->length, false, f) == 0)
        notify = virtio_queue_publish(queue);
    else
        put_frame(f);
    console_stats.frames_sent++;
    console_stats.notifications += notify;
    spin_unlock(&output_lock);
    if (notify)
        virtio_queue_notify(queue);
}

static void fill_header(struct frame *f, enum wire_type type, enum wire_stream stream,
                        size_t size) {
    *f->buffer = (struct wire_header){
        .type = (uint8_t)type,
        .stream = (uint8_t)stream,
        .length = (uint32_t)size,
    };
}

long output_write(enum wire_stream stream, const void *from, size_t size) {
    struct frame *f;

    spin_lock(&output_lock);
    if (closed[stream] || queue->ring.broken) {
        spin_unlock(&output_lock);
        return -EPIPE;
    }
    size = MIN(size, (size_t)MIN(credit[stream], WIRE_MAX_PAYLOAD));
    f = size ? get_frame(OUTPUT_DATA, size) : NULL;
    if (!f) {
        spin_unlock(&output_lock);
        return 0;
    }
    size = MIN(size, (size_t)capacity(f));
    credit[stream] -= (uint32_t)size;
    console_stats.bytes_sent += size;
    spin_unlock(&output_lock);

    fill_header(f, WIRE_DATA, stream, size);
    memcpy(f->buffer + 1, from, size);
    send_frame(f);
    return (long)size;
}

/* Whether `class` may have a frame; if not, the device will interrupt when one is free. */
static bool has_room_locked(enum output_class class) {
    while (!ensure(class))
        if (!virtq_enable_interrupt(&queue->ring) || queue->ring.broken)
            return false;
    return true;
}

bool output_has_room(enum output_class class) {
    bool room;

    spin_lock(&output_lock);
    room = has_room_locked(class);
    spin_unlock(&output_lock);
    return room;
}

bool output_writable(enum wire_stream stream) {
    bool writable;

    spin_lock(&output_lock);
    writable = closed[stream] || queue->ring.broken ||
               (credit[stream] > 0 && has_room_locked(OUTPUT_DATA));
    spin_unlock(&output_lock);
    return writable;
}

int output_add_credit(enum wire_stream stream, uint32_t size) {
    bool valid;

    spin_lock(&output_lock);
    valid = size <= WIRE_WINDOW - credit[stream];
    if (valid)
        credit[stream] += size;
    spin_unlock(&output_lock);
    return valid ? 0 : -EPROTO;
}

void output_close(enum wire_stream stream) {
    spin_lock(&output_lock);
    closed[stream] = true;
    spin_unlock(&output_lock);
}

bool output_send(enum output_class class, enum wire_type type, enum wire_stream stream,
                 const void *payload, size_t size) {
    struct frame *f;

    spin_lock(&output_lock);
    f = get_frame(class, size);
    if (!f)
        (void)has_room_locked(class);
    spin_unlock(&output_lock);
    if (!f)
        return false;
    fill_header(f, type, stream, size);
    memcpy(f->buffer + 1, payload, size);
    send_frame(f);
    return true;
}

/* Frames that the device has not taken; while there are any, it will interrupt when it takes one.
 */
static unsigned in_flight(void) {
    unsigned n;

    spin_lock(&output_lock);
    do {
        reclaim();
        n = queue->ring.broken ? 0 : virtq_in_flight(&queue->ring);
    } while (n && virtq_enable_interrupt(&queue->ring));
    spin_unlock(&output_lock);
    return n;
}

bool output_flush(void) {
    unsigned before = in_flight();

    while (before) {
        unsigned now = before;
        int err = wait_until(&console_room, (now = in_flight()) < before,
                             clock_now_ns() + OUTPUT_STALL_NS, false);

        if (err && now >= before)
            return false;
        before = now;
    }
    return true;
}
