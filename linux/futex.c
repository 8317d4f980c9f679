/* SPDX-License-Identifier: MIT */
/*
 * Futexes: sleeping and waking on a word of the program's memory.
 *
 * Waiters hang in hashed buckets, one lock each, as many as the CPUs are likely
 * to keep busy.  A key names the word: (address space, address) for private
 * ones, which costs no look-up, (object, offset) for shared ones.
 *
 * No wake-up is lost because the waiter announces itself before it looks:
 *
 *   waiter:  bucket.waiters++;  lock;  reads the word;  enqueues or leaves
 *   waker:   the program has changed the word;  full barrier;
 *            reads bucket.waiters;  lock, wakes - or leaves if there is nobody
 *
 * So FUTEX_WAKE with nobody waiting writes nothing that CPUs share, and a
 * FUTEX_WAIT whose value differs finds that out before it announces itself.
 *
 * The word is read under the bucket's lock, where no fault may be served: if it
 * cannot be reached, the lock is dropped, the page faulted in, and all starts
 * again.  A waker wakes under the lock and a woken waiter passes through the
 * lock before it goes on, so that its thread cannot vanish under the waker.
 *
 * Lock order: two buckets by address (spin_lock_pair), then the run queue's.
 */
#include <asm-generic/errno.h>
#include <linux/futex.h>
#include <stdatomic.h>

#include "arch/x86_64/uaccess.h"
#include "base/list.h"
#include "kernel/lock.h"
#include "kernel/count.h"
#include "kernel/panic.h"
#include "kernel/slab.h"
#include "linux/process.h"
#include "linux/syscalls.h"
#include "linux/time_user.h"

#define BUCKETS_PER_CPU 64u
#define BUCKETS_MAX     2048u

struct bucket {
    struct spinlock lock;      /* RANK_FUTEX; guards `queue` and the keys of those in it */
    _Atomic(uint32_t) waiters; /* those in `queue` or about to enter it */
    struct list queue;
} cache_aligned;

struct futex_key {
    const void *base;
    uint64_t offset;
};

struct futex_waiter {
    struct list link; /* bucket.queue; empty once woken */
    struct thread *thread;
    struct futex_key key;
    uint32_t bitset;
    _Atomic(struct bucket *) bucket; /* changes in a requeue, under both locks; NULL: woken */
    struct bucket *woken_in;         /* set before `bucket` becomes NULL */
};

static struct bucket *buckets;
static unsigned bucket_mask;

void futex_init(void) {
    unsigned count = 1;

    while (count < MIN(BUCKETS_PER_CPU * cpu_count, BUCKETS_MAX))
        count *= 2;
    buckets = kmalloc((count + 1) * sizeof(*buckets));
    if (!buckets)
        give_up("too little memory for futexes");
    buckets = (struct bucket *)ALIGN_UP((uintptr_t)buckets, CACHE_LINE);
    bucket_mask = count - 1;
    for (unsigned i = 0; i < count; i++) {
        spin_init(&buckets[i].lock, RANK_FUTEX);
        list_init(&buckets[i].queue);
    }
}

static struct bucket *bucket_of(const struct futex_key *k) {
    uint64_t h = ((uintptr_t)k->base ^ k->offset >> 2) * 0x9e3779b97f4a7c15ul;

    return &buckets[h >> 40 & bucket_mask];
}

static bool key_equal(const struct futex_key *a, const struct futex_key *b) {
    return a->base == b->base && a->offset == b->offset;
}

/* 0, -EINVAL for an address that is no word's, -EFAULT. */
static int key_make(uintptr_t addr, bool shared, struct futex_key *out) {
    if (addr % sizeof(uint32_t))
        return -EINVAL;
    if (!user_range_ok((void *)addr, sizeof(uint32_t)))
        return -EFAULT;
    if (shared)
        return aspace_futex_key(current->aspace, addr, &out->base, &out->offset);
    out->base = current->aspace;
    out->offset = addr;
    return 0;
}

/* Takes `w` out of its bucket and lets it run; the bucket's lock is held. */
static void wake_locked(struct bucket *b, struct futex_waiter *w) {
    struct thread *t = w->thread;

    list_remove(&w->link);
    w->woken_in = b;
    count_shared_write(b);
    atomic_fetch_sub_explicit(&b->waiters, 1, memory_order_relaxed);
    atomic_store_explicit(&w->bucket, NULL, memory_order_release); /* pairs with dequeue */
    thread_wake(t);
}

static long wake_key(const struct futex_key *key, int count, uint32_t bitset) {
    struct bucket *b = bucket_of(key);
    struct futex_waiter *w, *tmp;
    long woken = 0;

    atomic_thread_fence(memory_order_seq_cst); /* pairs with the waiter's announcement */
    if (!atomic_load_explicit(&b->waiters, memory_order_relaxed))
        return 0;
    spin_lock(&b->lock);
    list_for_each_safe(w, tmp, &b->queue, link) {
        if (!key_equal(&w->key, key) || !(w->bitset & bitset))
            continue;
        wake_locked(b, w);
        if (++woken >= count)
            break;
    }
    spin_unlock(&b->lock);
    return woken;
}

static long futex_wake(uintptr_t addr, bool shared, int count, uint32_t bitset) {
    struct futex_key key;
    int err = bitset ? key_make(addr, shared, &key) : -EINVAL;

    return err ? err : wake_key(&key, count, bitset);
}

long futex_wake_address(uint32_t *addr, int count) {
    long woken = futex_wake((uintptr_t)addr, false, count, FUTEX_BITSET_MATCH_ANY);

    /* Joiners may wait with either kind of key (musl waits privately, glibc shared). */
    if (woken == 0)
        woken = futex_wake((uintptr_t)addr, true, count, FUTEX_BITSET_MATCH_ANY);
    return woken;
}

/* Announces `w` and enqueues it if the word still has `value`.  0, -EAGAIN, -EFAULT, -EINVAL. */
static int enqueue(struct futex_waiter *w, uintptr_t addr, bool shared, uint32_t value) {
    const uint32_t *word = (const uint32_t *)addr;
    uint32_t found;
    int err;

    for (;;) {
        struct bucket *b;

        err = key_make(addr, shared, &w->key);
        if (err || (err = user_read_u32(&found, word)) != 0)
            return err;
        if (found != value)
            return -EAGAIN;
        b = bucket_of(&w->key);
        count_shared_write(b);
        atomic_fetch_add(&b->waiters, 1); /* seq_cst: before the look at the word */
        spin_lock(&b->lock);
        err = user_read_u32_nofault(&found, word);
        if (!err && found == value) {
            atomic_store_explicit(&w->bucket, b, memory_order_relaxed);
            list_add_tail(&b->queue, &w->link);
            spin_unlock(&b->lock);
            return 0;
        }
        spin_unlock(&b->lock);
        count_shared_write(b);
        atomic_fetch_sub_explicit(&b->waiters, 1, memory_order_relaxed);
        if (!err)
            return -EAGAIN;
    }
}

/* Takes `w` back unless it was woken; true where it was still waiting. */
static bool dequeue(struct futex_waiter *w) {
    struct bucket *b;

    while ((b = atomic_load_explicit(&w->bucket, memory_order_acquire)) != NULL) {
        spin_lock(&b->lock);
        if (atomic_load_explicit(&w->bucket, memory_order_relaxed) == b) {
            list_remove(&w->link);
            count_shared_write(b);
            atomic_fetch_sub_explicit(&b->waiters, 1, memory_order_relaxed);
            spin_unlock(&b->lock);
            return true;
        }
        spin_unlock(&b->lock); /* it was woken or requeued meanwhile */
    }
    spin_lock(&w->woken_in->lock); /* the waker may still be waking this thread */
    spin_unlock(&w->woken_in->lock);
    return false;
}

/* Sleeps until woken.  0, -ETIMEDOUT or -EINTR. */
static int wait_woken(struct futex_waiter *w, uint64_t deadline_ns) {
    int err = 0;

    for (;;) {
        thread_block_prepare(true);
        if (!atomic_load_explicit(&w->bucket, memory_order_acquire)) {
            thread_block_cancel();
            return 0;
        }
        if (err) {
            thread_block_cancel();
            return err;
        }
        err = thread_block(deadline_ns);
    }
}

static long futex_wait(uintptr_t addr, bool shared, uint32_t value, uint32_t bitset,
                       uint64_t deadline_ns) {
    struct futex_waiter w = { .thread = current, .bitset = bitset };
    int err;

    if (!bitset)
        return -EINVAL;
    err = enqueue(&w, addr, shared, value);
    if (err)
        return err;
    err = wait_woken(&w, deadline_ns);
    return dequeue(&w) ? err : 0;
}

static long restart_wait(struct restart *r) {
    long result = futex_wait(r->addr, r->values[2], (uint32_t)r->values[0], (uint32_t)r->values[1],
                             r->deadline_ns);

    return result == -EINTR ? -ERESTART_RESTARTBLOCK : result;
}

/* As futex_wait, and ready to go on after a signal that has no handler. */
static long wait_restartable(uintptr_t addr, bool shared, uint32_t value, uint32_t bitset,
                             uint64_t deadline_ns) {
    struct restart *r = &current_task()->restart;
    long result = futex_wait(addr, shared, value, bitset, deadline_ns);

    if (result != -EINTR)
        return result;
    if (deadline_ns == TIME_NEVER)
        return -ERESTARTSYS;
    r->call = restart_wait;
    r->addr = addr;
    r->deadline_ns = deadline_ns;
    r->values[0] = value;
    r->values[1] = bitset;
    r->values[2] = shared;
    return -ERESTART_RESTARTBLOCK;
}

/* Moves `w` from one bucket to the other; both locks held. */
static void requeue_locked(struct bucket *from, struct bucket *to, struct futex_waiter *w,
                           const struct futex_key *key) {
    w->key = *key;
    if (from == to)
        return;
    list_remove(&w->link);
    list_add_tail(&to->queue, &w->link);
    count_shared_write(to);
    atomic_fetch_add(&to->waiters, 1);
    count_shared_write(from);
    atomic_fetch_sub_explicit(&from->waiters, 1, memory_order_relaxed);
    atomic_store_explicit(&w->bucket, to, memory_order_release);
}

/* `expected` NULL: FUTEX_REQUEUE.  Returns how many were woken and, in that form, moved. */
static long futex_requeue(uintptr_t addr, uintptr_t addr2, bool shared, int wake, int move,
                          const uint32_t *expected) {
    struct futex_key key, key2;
    struct futex_waiter *w, *tmp;
    struct bucket *b, *b2;
    int woken = 0, moved = 0, err;
    uint32_t found = 0;

    if (wake < 0 || move < 0)
        return -EINVAL;
again:
    err = key_make(addr, shared, &key);
    if (!err)
        err = key_make(addr2, shared, &key2);
    if (!err && expected)
        err = user_read_u32(&found, (const uint32_t *)addr);
    if (err)
        return err;
    b = bucket_of(&key), b2 = bucket_of(&key2);
    spin_lock_pair(&b->lock, &b2->lock);
    if (expected) {
        err = user_read_u32_nofault(&found, (const uint32_t *)addr);
        if (err || found != *expected) {
            spin_unlock_pair(&b->lock, &b2->lock);
            if (err)
                goto again;
            return -EAGAIN;
        }
    }
    list_for_each_safe(w, tmp, &b->queue, link) {
        if (!key_equal(&w->key, &key))
            continue;
        if (woken < wake) {
            wake_locked(b, w);
            woken++;
        } else if (moved < move) {
            requeue_locked(b, b2, w, &key2);
            moved++;
        } else {
            break;
        }
    }
    spin_unlock_pair(&b->lock, &b2->lock);
    return woken + moved;
}

/* What FUTEX_WAKE_OP does to the second word; reports the old value. */
static int change_word(uint32_t *word, uint32_t op, uint32_t *old) {
    int32_t arg = (int32_t)(op << 8) >> 20; /* bits 12 to 23, signed */
    uint32_t seen, new;
    int err;

    if (op & (uint32_t)FUTEX_OP_OPARG_SHIFT << 28)
        arg = (int32_t)(1u << (arg & 31));
    err = user_read_u32(&seen, word);
    while (!err) {
        switch (op >> 28 & 7) {
        case FUTEX_OP_SET:
            new = (uint32_t)arg;
            break;
        case FUTEX_OP_ADD:
            new = seen + (uint32_t)arg;
            break;
        case FUTEX_OP_OR:
            new = seen | (uint32_t)arg;
            break;
        case FUTEX_OP_ANDN:
            new = seen & ~(uint32_t)arg;
            break;
        case FUTEX_OP_XOR:
            new = seen ^ (uint32_t)arg;
            break;
        default:
            return -ENOSYS;
        }
        *old = seen;
        err = user_cmpxchg_u32(word, &seen, new);
        if (!err && seen == *old)
            return 0;
    }
    return err;
}

static bool compare_word(uint32_t old, uint32_t op, bool *known) {
    int32_t arg = (int32_t)(op << 20) >> 20, value = (int32_t)old;

    *known = true;
    switch (op >> 24 & 15) {
    case FUTEX_OP_CMP_EQ:
        return value == arg;
    case FUTEX_OP_CMP_NE:
        return value != arg;
    case FUTEX_OP_CMP_LT:
        return value < arg;
    case FUTEX_OP_CMP_GE:
        return value >= arg;
    case FUTEX_OP_CMP_LE:
        return value <= arg;
    case FUTEX_OP_CMP_GT:
        return value > arg;
    default:
        *known = false;
        return false;
    }
}

static long futex_wake_op(uintptr_t addr, uintptr_t addr2, bool shared, int count, int count2,
                          uint32_t op) {
    struct futex_key key, key2;
    int err = key_make(addr, shared, &key);
    uint32_t old = 0;
    bool known, wake2;
    long woken;

    if (!err)
        err = key_make(addr2, shared, &key2);
    if (!err)
        err = change_word((uint32_t *)addr2, op, &old);
    if (err)
        return err;
    wake2 = compare_word(old, op, &known);
    if (!known)
        return -ENOSYS;
    woken = wake_key(&key, count, FUTEX_BITSET_MATCH_ANY);
    if (wake2)
        woken += wake_key(&key2, count2, FUTEX_BITSET_MATCH_ANY);
    return woken;
}

/* The deadline that a waiting operation's time-out means; TIME_NEVER for NULL. */
static int read_deadline(const void *timeout, int op, uint64_t *deadline_ns) {
    int command = op & FUTEX_CMD_MASK;
    uint64_t ns;
    int err;

    *deadline_ns = TIME_NEVER;
    if (!timeout)
        return 0;
    err = timespec_from_user(timeout, &ns);
    if (err)
        return err;
    if (command == FUTEX_WAIT)
        *deadline_ns = deadline_after(ns);
    else
        *deadline_ns = op & FUTEX_CLOCK_REALTIME ? deadline_of_realtime(ns) : ns;
    return 0;
}

long sys_futex(long addr, long op, long value, long timeout, long addr2, long value3) {
    bool shared = !(op & FUTEX_PRIVATE_FLAG);
    uint32_t expected = (uint32_t)value3;
    uint64_t deadline_ns;
    uint32_t bitset = FUTEX_BITSET_MATCH_ANY;
    int command = (int)op & FUTEX_CMD_MASK, err;

    if ((op & FUTEX_CLOCK_REALTIME) && command != FUTEX_WAIT_BITSET)
        return -ENOSYS;
    switch (command) {
    case FUTEX_WAIT_BITSET:
        bitset = (uint32_t)value3;
        /* fall through */
    case FUTEX_WAIT:
        err = read_deadline((const void *)timeout, (int)op, &deadline_ns);
        if (err)
            return err;
        return wait_restartable((uintptr_t)addr, shared, (uint32_t)value, bitset, deadline_ns);
    case FUTEX_WAKE_BITSET:
        bitset = (uint32_t)value3;
        /* fall through */
    case FUTEX_WAKE:
        return futex_wake((uintptr_t)addr, shared, (int)value, bitset);
    case FUTEX_REQUEUE:
        return futex_requeue((uintptr_t)addr, (uintptr_t)addr2, shared, (int)value, (int)timeout,
                             NULL);
    case FUTEX_CMP_REQUEUE:
        return futex_requeue((uintptr_t)addr, (uintptr_t)addr2, shared, (int)value, (int)timeout,
                             &expected);
    case FUTEX_WAKE_OP:
        return futex_wake_op((uintptr_t)addr, (uintptr_t)addr2, shared, (int)value, (int)timeout,
                             (uint32_t)value3);
    default:
        return -ENOSYS;
    }
}
