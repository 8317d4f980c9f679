/* SPDX-License-Identifier: MIT */
/*
 * The network's lock, threads and clock.
 *
 * Each receive queue of the card has a thread.  The queue's interrupt marks it
 * ready and wakes the thread, which takes frames in, a batch for each time that
 * it holds the lock, until the queue is empty; then it turns the interrupt on
 * again.  The program's threads take frames in as well: visit.c.  The first
 * thread is also lwIP's clock: it ticks every 250 ms while there are TCP
 * connections, else every second.
 */
#include "net/net.h"
#include <asm-generic/errno.h>
#include <stdatomic.h>
#include "kernel/mutex.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/pages.h"
#include "kernel/slab.h"
#include "kernel/thread.h"
#include "kernel/timer.h"
#include "kernel/wait.h"
#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mem.h"
#include "lwip/memp.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "lwip/udp.h"
#include "net/inet_impl.h"
#include "net/net_impl.h"
#include "net/tcp_impl.h"
#include "net/tcp_lists.h"

#define BATCH           32 /* frames taken in under one lock */
#define TICK_NS         (TCP_TMR_INTERVAL * NS_PER_MS)
#define TICKS_SECOND    4u
#define ADDRESS_WAIT_NS (5 * NS_PER_SEC)
#define LAST_PART       32 /* of memory, that lwIP leaves alone, but no more than LAST_MOST */
#define LAST_MOST       MIB(4)
#define SHORT_PART      8 /* the same for what can wait */
#define SHORT_MOST      MIB(32)

#define DRAIN_MOST_NS (2 * NS_PER_SEC)
#define DRAIN_LOOK_NS (2 * NS_PER_MS)

struct queue_thread {
    struct thread thread;
    unsigned queue;
    atomic_bool ready; /* set by the interrupt, cleared before the queue is looked at */
    struct wait_queue wake;
};

static struct mutex lock; /* lwIP */
static struct queue_thread *threads;
static atomic_uint thread_count;   /* of them, once all are there; constant after net_init */
static struct netif *card;         /* NULL: none; constant after net_init */
static atomic_bool tcp_clock_runs; /* lwIP wants its TCP clock; set under the lock */
static atomic_bool address_known;
static uint64_t address_deadline; /* nobody waits for it beyond; constant after net_init */
static struct wait_queue address_wait;
struct wait_queue net_room;
atomic_uint net_room_count;

uint32_t net_tcp_window, net_tcp_send_buffer;

#ifdef COUNT_SHARED_WRITES
static uint64_t held_since_ns, held_ns; /* lock */

static void begin_hold(void) {
    held_since_ns = clock_now_ns();
}

static void end_hold(void) {
    held_ns += clock_now_ns() - held_since_ns;
}

uint64_t net_lock_held_ns(void) {
    return held_ns;
}
#else
static void begin_hold(void) {}
static void end_hold(void) {}
uint64_t net_lock_held_ns(void) {
    return 0;
}
#endif

void net_lock(void) {
    mutex_lock(&lock);
    begin_hold();
}

/* netif_poll_all(), but for looking before; one interface's frames may be answered on another. */
static void deliver_loopback(void) {
    struct netif *n;
    for (bool some = true; some;) {
        some = false;
        NETIF_FOREACH(n) {
            if (!n->loop_first)
                continue;
            netif_poll(n);
            some = true;
        }
    }
}

void net_unlock(void) {
    card_trust_loopback();
    deliver_loopback();
    card_flush();
    end_hold();
    mutex_unlock(&lock);
}

void net_assert_locked(void) {
    assert_slow(mutex_is_mine(&lock));
}

/* Whether less is free than a part of memory, and than `most` bytes. */
static bool is_short(unsigned part, uint64_t most) {
    return pages_free_estimate() < MIN(machine.memory_bytes / part, most) / PAGE_SIZE;
}

/*
 * The program's next page fault is worth more than a frame, which will come
 * again.  What is under way may use memory that new data may not: only so do
 * those who wait for room ever get some.  And a program that has filled a large
 * machine to a few per cent, and stays there, is still to be reached.
 */
void *net_malloc(size_t size) {
    return is_short(LAST_PART, LAST_MOST) ? NULL : kmalloc_uncleared(size);
}

bool net_memory_is_short(void) {
    return is_short(SHORT_PART, SHORT_MOST);
}

u32_t sys_now(void) {
    return (u32_t)(clock_now_ns() / NS_PER_MS);
}

int net_errno_or_0(err_t err) {
    if (err == ERR_OK)
        return 0;
    static const uint8_t numbers[] = {
        [-ERR_MEM] = ENOMEM,
        [-ERR_BUF] = ENOBUFS,
        [-ERR_TIMEOUT] = ETIMEDOUT,
        [-ERR_RTE] = ENETUNREACH,
        [-ERR_INPROGRESS] = EINPROGRESS,
        [-ERR_VAL] = EINVAL,
        [-ERR_WOULDBLOCK] = EAGAIN,
        [-ERR_USE] = EADDRINUSE,
        [-ERR_ALREADY] = EALREADY,
        [-ERR_ISCONN] = EISCONN,
        [-ERR_CONN] = ENOTCONN,
        [-ERR_IF] = ENETDOWN,
        [-ERR_ABRT] = ETIMEDOUT,
        [-ERR_RST] = ECONNRESET,
        [-ERR_CLSD] = ENOTCONN,
        [-ERR_ARG] = EINVAL,
    };
    unsigned n = (unsigned)-err;
    return n < sizeof numbers ? -numbers[n] : -EIO;
}

static void wake(struct queue_thread *t) {
    atomic_store(&t->ready, true);
    wait_wake_all(&t->wake);
}

void net_wake_queue(unsigned queue) {
    if (queue < atomic_load_explicit(&thread_count, memory_order_acquire))
        wake(&threads[queue]);
}

/* lwIP: there is a connection to watch from now on. */
void tcp_timer_needed(void) {
    if (tcp_clock_runs)
        return;
    tcp_clock_runs = true;
    wake(&threads[0]);
}

/* Every second. */
static void tick_second(unsigned seconds) {
    etharp_tmr();
    ip_reass_tmr();
    nd6_tmr();
    ip6_reass_tmr();
    if (seconds && seconds % DHCP_COARSE_TIMER_SECS == 0) /* a lease is not a minute old at once */
        dhcp_coarse_tmr();
}

/* Every 250 ms, or every second while there is no connection. */
static void tick(unsigned count) {
    card_remind();
    if (tcp_clock_runs)
        tcp_clock_runs = tcp_lists_tick();
    if (count % (TICKS_SECOND / 2) == 0)
        dhcp_fine_tmr();
    mld6_tmr();
    if (count % TICKS_SECOND == 0)
        tick_second(count / TICKS_SECOND);
}

/* lwIP: the card's address, or whether it is up, has changed. */
static void see_status(struct netif *n) {
    if (ip4_addr_isany(netif_ip4_addr(n)))
        return;
    atomic_store(&address_known, true);
    wait_wake_all(&address_wait);
}

/* Ticks that are due at `now`; returns when the next one is. */
static uint64_t run_clock(uint64_t now) {
    static uint64_t next; /* only the first thread comes here */
    static unsigned count;
    if (next == 0)
        next = now + TICK_NS;
    for (unsigned n = 0; next <= now && n < TICKS_SECOND; n++) {
        net_lock();
        tick(count++);
        net_unlock();
        next += TICK_NS;
    }
    if (next <= now)
        next = now + TICK_NS; /* the machine stood still: no use in making it up */
    if (tcp_clock_runs || !atomic_load(&address_known))
        return next;
    return next + (TICKS_SECOND - 1 - count % TICKS_SECOND) * TICK_NS;
}

bool net_take_in(unsigned queue) {
    net_lock();
    card_reclaim();
    if (card_refused()) {
        tcp_lists_send_refused();
        udp_sockets_see_room();
        atomic_fetch_add(&net_room_count, 1);
        wait_wake_all(&net_room);
    }
    bool more = card && card_receive(queue, BATCH);
    net_unlock();
    return more;
}

/* All that the queue has.  Whoever was woken by it will look for more (visit.c). */
static void take_in_all(unsigned queue) {
    uint64_t wakes = current->wakes, woken;
    do {
        while (net_take_in(queue))
            thread_preempt_point();
        woken = current->wakes - wakes;
    } while (card && !(woken && visit_is_expected(woken)) && card_rest(queue));
}

static noreturn_fn void queue_main(void *arg) {
    struct queue_thread *t = arg;
    current->wakes_here = true;
    for (uint64_t deadline = 0;;) {
        int err = wait_until(&t->wake, atomic_load(&t->ready), deadline, false);
        (void)err; /* the deadline is as good a reason */
        atomic_store(&t->ready, false);
        take_in_all(t->queue);
        if (t->queue == 0)
            tcp_ack_tick();
        deadline = t->queue == 0 ? run_clock(clock_now_ns()) : TIME_NEVER;
    }
}

void net_wait_address(void) {
    if (!card || atomic_load(&address_known))
        return;
    int err = wait_until(&address_wait, atomic_load(&address_known), address_deadline, true);
    (void)err; /* without an address the call says so itself */
}

void net_drain(void) {
    struct wait_queue nobody;
    wait_init(&nobody);
    uint64_t end = clock_now_ns() + DRAIN_MOST_NS;
    for (bool some = card; some;) {
        net_lock();
        some = tcp_lists_unsent();
        net_unlock();
        uint64_t now = clock_now_ns();
        if (now >= end)
            return;
        if (some) {
            int err = wait_until(&nobody, false, now + DRAIN_LOOK_NS, false);
            (void)err; /* the time is over */
        }
    }
}

/* Windows and buffers of a connection: a 256th of memory, within reason. */
static void size_buffers(void) {
    uint32_t share = (uint32_t)MIN(machine.memory_bytes / 256, MIB(1));
    net_tcp_window = MAX(MIN(share, (uint32_t)KIB(512)), (uint32_t)KIB(64));
    net_tcp_send_buffer = net_tcp_window;
}

static int start_threads(void) {
    unsigned count = MAX(card_queues(), 1u);
    threads = kmalloc(count * sizeof *threads);
    if (!threads)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        threads[i].queue = i;
        wait_init(&threads[i].wake);
        int err = thread_init(&threads[i].thread, "net", queue_main, &threads[i]);
        if (err)
            return err;
    }
    /* Interrupts come already.  Those before this are lost: a thread begins with a look. */
    atomic_store_explicit(&thread_count, count, memory_order_release);
    for (unsigned i = 0; i < count; i++)
        thread_start(&threads[i].thread);
    if (card)
        visit_init();
    return 0;
}

/* As lwip_init() does it, which is not built: it checks sizes that are variables here. */
static void init_lwip(void) {
    mem_init();
    memp_init();
    netif_init();
    udp_init();
    tcp_init();
}

int net_init(const char *config) {
    mutex_init(&lock);
    wait_init(&address_wait);
    wait_init(&net_room);
    size_buffers();
    tcp_ack_init();
    int err = tcp_lists_init();
    if (err)
        return err;
    net_lock();
    init_lwip();
    /* The loopback, which is alone so far, loses nothing. */
    NETIF_SET_CHECKSUM_CTRL(netif_list, NETIF_CHECKSUM_DISABLE_ALL);
    atomic_store(&address_known, !config);
    address_deadline = clock_now_ns() + ADDRESS_WAIT_NS;
    if (config) {
        card = card_open();
        if (card)
            netif_set_status_callback(card, see_status);
        err = card ? address_start(card, config) : -ENODEV;
    }
    mutex_unlock(&lock);
    if (err)
        return err;
    count_register();
    if (card)
        address_register();
    return start_threads();
}
