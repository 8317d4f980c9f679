/* SPDX-License-Identifier: MIT */
/*
 * The virtio entropy device: the host fills a buffer that we give to it.
 *
 * There is one buffer and one user at a time: init, which waits a moment for
 * the first bytes, and from then on the timer, which looks once a minute
 * whether the buffer has come back, mixes it in and gives it away again.  So
 * there is no lock and no interrupt; a buffer that does not come back costs
 * nothing.  The bytes are the host's word only: they are added to what the CPU
 * gave (random_mix()), and taken out of the buffer.
 */
#include "dev/virtio_rng.h"
#include <asm-generic/errno.h>
#include "arch/x86_64/cpu.h"
#include "base/string.h"
#include "dev/virtio.h"
#include "kernel/log.h"
#include "kernel/random.h"
#include "kernel/slab.h"
#include "kernel/timer.h"

#define BYTES    64 /* asked for at a time: twice the state's */
#define PERIOD   (60 * NS_PER_SEC)
#define LIMIT_NS (100 * NS_PER_MS) /* for the first; boot does not hang on a slow host */

struct rng {
    struct virtio_queue queue;
    struct timer timer;
    uint8_t bytes[BYTES];
};

/* Gives the buffer to the host. */
static int ask(struct rng *r) {
    int err = virtio_queue_add(&r->queue, r->bytes, BYTES, true, r);

    if (!err)
        virtio_queue_kick(&r->queue);
    return err;
}

/* Mixes in what has come: how many bytes, 0 for none yet, or -errno. */
static int collect(struct rng *r) {
    void *token;
    uint32_t length;
    int got = virtio_queue_take(&r->queue, &token, &length);

    if (got <= 0)
        return got;
    if (!random_mix(r->bytes, length))
        return -EPERM;
    memset(r->bytes, 0, BYTES);
    got = ask(r);
    return got ? got : (int)length;
}

static void look(struct timer *t) {
    struct rng *r = container_of(t, struct rng, timer);

    if (collect(r) >= 0)
        timer_arm(t, clock_now_ns() + PERIOD);
}

static int start(struct rng *r, struct virtio_device *d) {
    const struct virtio_queue_setup setup = { .index = 0, .size = 2 };
    int err = virtio_begin(d, VIRTIO_F_EVENT_IDX);

    if (!err)
        err = virtio_queue_init(d, &r->queue, &setup);
    if (err)
        return err;
    virtio_ready(d);
    return ask(r);
}

void virtio_rng_init(void) {
    struct virtio_device *d = virtio_find(VIRTIO_ID_RNG, 0);
    uint64_t limit = clock_now_ns() + LIMIT_NS;
    struct rng *r;
    int got;

    if (!d || !random_mix(NULL, 0))
        return;
    r = kmalloc(sizeof *r);
    if (!r)
        return;
    got = start(r, d);
    if (got) {
        /* The memory stays: the device may know it. */
        log_error("virtio-rng: cannot set up %s (%d)", d->name, got);
        virtio_fail(d);
        return;
    }
    while ((got = collect(r)) == 0 && clock_now_ns() < limit)
        cpu_relax();
    log_info("virtio-rng: %s, %d bytes at boot", d->name, got);
    timer_init(&r->timer, look);
    if (got >= 0)
        timer_arm(&r->timer, clock_now_ns() + PERIOD);
}
