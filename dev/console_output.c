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
 * Small writes share a frame, since a notification costs more than ten system
 * calls: the open frame takes them until it is full or something else must go
 * out behind it, but at most 2 * HOLD_NS after the last notification.  So the
 * first write after a pause, a line typed or a prompt, goes at once, and of
 * many in a row a few thousand go together.  Whoever writes after HOLD_NS
 * sends the frame; when nobody does, a timer has the receiving thread do it
 * (the lock is none for interrupts), and a reader who finds nothing before.
 *
 * Used frames are collected by whoever wants one next.  The device interrupts
 * only while somebody waits for room, so the usual write costs no interrupt.
 * Data leaves the last frames to reports, and these the very last to control
 * frames, so that credit always gets through.
 *
 * output_lock (RANK_DEVICE; threads only) guards the queue and all state here.
 */
#include <asm-generic/errno.h>
#include <stdatomic.h>
#include "base/string.h"
#include "dev/console_impl.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/pages.h"
#include "kernel/timer.h"

#define FRAMES          CONSOLE_PORT_FRAMES
#define LARGE_ORDER     4   /* 64 KiB */
#define LARGE_MAX       16  /* frames with a large buffer */
#define LARGE_MEMORY    128 /* large buffers never take more of the memory than this part */
#define SMALL_MEMORY    64  /* nor small ones than this */
#define SMALL_MIN       16
#define RESERVE_REPORT  8                 /* frames that data leaves */
#define RESERVE_CONTROL 4                 /* frames that reports leave */
#define SMALL_WRITE     1024              /* bytes that are worth waiting for more */
#define HOLD_NS         (200 * NS_PER_US) /* how long they may wait */

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
static struct frame *open_frame; /* takes small writes; not queued yet */
static bool open_large;          /* the last one was full in no time: make the next one large */
static uint64_t pushed_ns;       /* the last notification */
static struct timer hold_timer;
static atomic_bool hold_over; /* the timer's word to the receiving thread */

static bool equip(enum buffer_kind kind);

static void hold_ended(struct timer *t) {
    (void)t;
    atomic_store_explicit(&hold_over, true, memory_order_release); /* pairs with output_is_due */
    console_output_due();
}

int output_init(struct virtio_queue *transmit) {
    uint64_t memory_pages = machine.memory_bytes / PAGE_SIZE;
    uint64_t large = MIN(memory_pages / LARGE_MEMORY >> LARGE_ORDER, (uint64_t)LARGE_MAX);
    uint64_t small = MIN(MAX(memory_pages / SMALL_MEMORY, (uint64_t)SMALL_MIN), FRAMES - large);

    queue = transmit;
    timer_init(&hold_timer, hold_ended);
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

/* Queues a filled frame; the device learns of it with the next push. */
static void queue_locked(struct frame *f) {
    if (virtio_queue_add(queue, f->buffer, sizeof *f->buffer + f->buffer->length, false, f))
        put_frame(f);
    console_stats.frames_sent++;
}

static void close_open_locked(void) {
    if (open_frame) {
        queue_locked(open_frame);
        open_frame = NULL;
    }
}

/* Makes everything queued known; whether the device must be notified, after unlocking. */
must_check static bool push_locked(void) {
    bool notify;

    close_open_locked();
    if (queue->ring.published == queue->ring.added)
        return false;
    notify = virtio_queue_publish(queue);
    console_stats.notifications += notify;
    pushed_ns = clock_now_ns();
    return notify;
}

static void unlock_and_notify(bool notify) {
    spin_unlock(&output_lock);
    if (notify)
        virtio_queue_notify(queue);
}

/* Queues a filled frame behind what is open, and notifies the device after unlocking. */
static void send_frame(struct frame *f) {
    spin_lock(&output_lock);
    close_open_locked();
    queue_locked(f);
    unlock_and_notify(push_locked());
}

void output_push(void) {
    spin_lock(&output_lock);
    atomic_store_explicit(&hold_over, false, memory_order_relaxed);
    unlock_and_notify(push_locked());
}

bool output_is_due(void) {
    return atomic_load_explicit(&hold_over, memory_order_acquire); /* pairs with hold_ended */
}

static void fill_header(struct frame *f, enum wire_type type, enum wire_stream stream,
                        size_t size) {
    *f->buffer = (struct wire_header){
        .type = (uint8_t)type,
        .stream = (uint8_t)stream,
        .length = (uint32_t)size,
    };
}

/* An open frame for `size` bytes of the stream; NULL where there is none to be had. */
static struct frame *open_for_locked(enum wire_stream stream, size_t size) {
    struct frame *f = open_frame;

    if (f && f->buffer->stream == stream && f->buffer->length + size <= capacity(f))
        return f;
    open_large = f && f->buffer->stream == stream;
    close_open_locked();
    f = open_frame = get_frame(OUTPUT_DATA, open_large ? WIRE_MAX_PAYLOAD / 2 : size);
    if (f)
        fill_header(f, WIRE_DATA, stream, 0);
    return f;
}

/* Adds to the open frame, and sends it unless a notification was just now.  0: no frame. */
static size_t write_small_locked(enum wire_stream stream, const void *from, size_t size,
                                 bool *notify) {
    struct frame *f = open_for_locked(stream, size);

    if (!f)
        return 0;
    memcpy((char *)(f->buffer + 1) + f->buffer->length, from, size);
    f->buffer->length += (uint32_t)size;
    if (clock_now_ns() - pushed_ns >= HOLD_NS)
        *notify = push_locked();
    else if (f->buffer->length == size)
        timer_arm(&hold_timer, pushed_ns + 2 * HOLD_NS); /* not while writers keep coming */
    return size;
}

long output_write(enum wire_stream stream, const void *from, size_t size) {
    bool notify = false;
    struct frame *f = NULL;

    spin_lock(&output_lock);
    if (closed[stream] || queue->ring.broken) {
        spin_unlock(&output_lock);
        return -EPIPE;
    }
    size = MIN(size, (size_t)MIN(credit[stream], WIRE_MAX_PAYLOAD));
    if (size > SMALL_WRITE) {
        f = get_frame(OUTPUT_DATA, size);
        size = f ? MIN(size, (size_t)capacity(f)) : 0;
    } else if (size)
        size = write_small_locked(stream, from, size, &notify);
    if (!size) /* the writer will wait for the host, who must have everything */
        notify = push_locked();
    credit[stream] -= (uint32_t)size;
    console_stats.bytes_sent += size;
    unlock_and_notify(notify);
    if (!f)
        return (long)size;
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
        unsigned now;
        int err = wait_until(&console_room, (now = in_flight()) < before,
                             clock_now_ns() + OUTPUT_STALL_NS, false);

        if (err && now >= before)
            return false;
        before = now;
    }
    return true;
}
