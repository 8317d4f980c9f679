/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a TCP connection.
 *
 * In: lwIP gives a pbuf (see_data, under net_lock) that goes into the inbox; a
 * reader takes the whole inbox over and copies to the program straight out of
 * the card's buffers, without net_lock.  lwIP learns of it when a quarter of the
 * window (tcp_window.c) was read, or with the next that is sent, whichever is
 * first; before that it could tell the peer nothing of use.
 *
 * A reader that lags holds buffers that are much larger than what came in them:
 * behind unread bytes small segments are copied together.
 *
 * Out: bytes are copied from the program first, with no lock held, then given
 * to lwIP, which copies them into a segment.  When memory is short, a connection
 * that has something under way takes no more until that is acknowledged, or for
 * half a second.
 */
#include <asm-generic/errno.h>
#include <asm-generic/poll.h>
#include <linux/in.h>
#include "kernel/slab.h"
#include "net/tcp_impl.h"
#include "net/tcp_lists.h"

#define SMALL_SEGMENT 512u    /* worth a copy when it has to wait */
#define SHARED_BYTES  1024u   /* of a buffer that such segments share */
#define SMALL_SEND    512u    /* goes by way of the stack */
#define CHUNK         KIB(16) /* copied at a time, above that */

static _Atomic(uint64_t) held_bytes; /* given to sockets, and not read */

uint64_t tcp_received_bytes(void) {
    return held_bytes;
}

/* `room`: bytes that the last of `p` has behind what is in it. */
static void inbox_add(struct tcp_socket *s, struct pbuf *p, size_t room) {
    struct pbuf *last = p;
    while (last->next)
        last = last->next;
    spin_lock(&s->inbox_lock);
    if (s->inbox)
        s->inbox_last->next = p;
    else
        s->inbox = p;
    s->inbox_last = last;
    s->inbox_room = (uint32_t)room;
    atomic_fetch_add(&s->available, p->tot_len); /* a reader must not subtract it before */
    spin_unlock(&s->inbox_lock);
}

/* Whether a small segment fits behind the last of the inbox; then it is there. */
static bool inbox_append(struct tcp_socket *s, const struct pbuf *p) {
    spin_lock(&s->inbox_lock);
    bool fits = s->inbox && p->tot_len <= s->inbox_room;
    if (fits) {
        struct pbuf *last = s->inbox_last;
        pbuf_copy_partial(p, (char *)last->payload + last->len, p->tot_len, 0);
        last->len = (u16_t)(last->len + p->tot_len);
        s->inbox_room -= p->tot_len;
        atomic_fetch_add(&s->available, p->tot_len);
    }
    spin_unlock(&s->inbox_lock);
    return fits;
}

/* A small segment that has to wait: not in its own buffer, where there is memory for another. */
static void keep_small(struct tcp_socket *s, struct pbuf *p) {
    struct pbuf *shared = NULL;
    if (!inbox_append(s, p)) {
        shared = pbuf_alloc(PBUF_RAW, SHARED_BYTES, PBUF_RAM);
        if (!shared) {
            inbox_add(s, p, 0);
            return;
        }
        shared->len = shared->tot_len = pbuf_copy_partial(p, shared->payload, p->tot_len, 0);
        inbox_add(s, shared, SHARED_BYTES - shared->len);
    }
    pbuf_free(p);
}

/* lwIP: data, or the peer's end (NULL). */
err_t tcp_see_data(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err) {
    struct tcp_socket *s = arg;
    (void)err;
    if (!s) {
        if (p)
            pbuf_free(p);
        return ERR_OK;
    }
    if (!p) {
        atomic_store(&s->peer_ended, true);
        atomic_store(&s->ended, true);
        wait_wake_events(&s->socket.readable, POLLIN | POLLRDNORM | POLLRDHUP | POLLHUP);
        return ERR_OK;
    }
    held_bytes += p->tot_len;
    tcp_ack_owe(s, pcb);
    if (s->available && p->tot_len <= SMALL_SEGMENT)
        keep_small(s, p);
    else
        inbox_add(s, p, 0);
    wait_wake_events(&s->socket.readable, POLLIN | POLLRDNORM);
    return ERR_OK;
}

void tcp_give_credit(struct tcp_socket *s) {
    uint32_t credit = atomic_exchange(&s->credit, 0);
    if (credit && s->pcb)
        tcp_window_open(s, credit);
}

/* The reader makes the inbox its own.  Under `reading`. */
static void take_inbox(struct tcp_socket *s) {
    spin_lock(&s->inbox_lock);
    struct pbuf *taken = s->inbox;
    s->inbox = s->inbox_last = NULL;
    spin_unlock(&s->inbox_lock);
    struct pbuf **end = &s->mine;
    while (*end)
        end = &(*end)->next;
    *end = taken;
}

/* Frees the first of `mine`. */
static void drop_first(struct tcp_socket *s) {
    struct pbuf *p = s->mine;
    s->mine = p->next;
    s->mine_offset = 0;
    p->next = NULL; /* pbuf_free() would follow it */
    pbuf_free(p);
}

void tcp_drop_received(struct tcp_socket *s) {
    list_remove(&s->owed);
    take_inbox(s);
    while (s->mine)
        drop_first(s);
    atomic_fetch_sub(&held_bytes, atomic_exchange(&s->available, 0));
    tcp_window_end(s);
}

/* Copies what there is; NULL iter: passes over it (MSG_TRUNC).  Bytes moved. */
static size_t copy_out(struct tcp_socket *s, struct iter *to, bool skip) {
    size_t done = 0;
    while (s->mine && to->left) {
        struct pbuf *p = s->mine;
        size_t n = p->len - s->mine_offset;
        const char *from = (const char *)p->payload + s->mine_offset;
        size_t moved = skip ? iter_skip(to, n) : iter_to(to, from, n);
        done += moved;
        s->mine_offset += (uint32_t)moved;
        if (s->mine_offset == p->len)
            drop_first(s);
        else if (moved < n)
            break;
    }
    return done;
}

static size_t peek(struct tcp_socket *s, struct iter *to, bool skip) {
    size_t done = 0, offset = s->mine_offset;
    for (const struct pbuf *p = s->mine; p && to->left && !to->faulted; p = p->next) {
        const char *from = (const char *)p->payload + offset;
        done += skip ? iter_skip(to, p->len - offset) : iter_to(to, from, p->len - offset);
        offset = 0;
    }
    return done;
}

/* Bytes were read: lwIP need not know at once. */
static void account(struct tcp_socket *s, size_t done) {
    atomic_fetch_sub(&held_bytes, done);
    atomic_fetch_sub(&s->available, (uint32_t)done);
    uint32_t credit = atomic_fetch_add(&s->credit, (uint32_t)done) + (uint32_t)done;
    if (credit < tcp_window_step(s))
        return;
    net_lock();
    if (s->pcb) {
        tcp_lists_select(s->pcb);
        tcp_give_credit(s);
    }
    net_unlock();
}

/* 0: not connected yet. */
static size_t half_window(const struct tcp_socket *s) {
    return s->window / 2;
}

size_t tcp_low_water(const struct tcp_socket *s) {
    return MAX(MIN((size_t)s->socket.receive_low, half_window(s)), (size_t)1);
}

/* There is nothing: 0 at the end, -EAGAIN if there may be more, or an error.  A regular end comes
 * before what the peer did later, and whoever has `some` bytes leaves an error to the next call. */
static long receive_nothing(struct tcp_socket *s, bool peer_ended, bool ended, bool some) {
    if (peer_ended || (some && s->socket.error))
        return 0;
    int err = socket_take_error(&s->socket);
    return err ? err : ended ? 0 : -EAGAIN;
}

/* One look; `some`: the call has bytes already. */
static long receive_now(struct tcp_socket *s, struct socket_message *m, bool some) {
    /* Before the look: what came first is then seen. */
    bool ended = atomic_load(&s->ended), peer_ended = atomic_load(&s->peer_ended);
    if (!s->mine || (m->flags & MSG_PEEK))
        take_inbox(s);
    if (!s->mine)
        return receive_nothing(s, peer_ended, ended, some);
    if (m->flags & MSG_PEEK)
        return iter_result(m->data, peek(s, m->data, m->flags & MSG_TRUNC));
    size_t done = copy_out(s, m->data, m->flags & MSG_TRUNC);
    if (m->data->left && !m->data->faulted) { /* more may have come */
        take_inbox(s);
        done += copy_out(s, m->data, m->flags & MSG_TRUNC);
    }
    account(s, done);
    return iter_result(m->data, done);
}

/* Bytes that a call returns with.  Who only looks cannot wait for more than the window holds. */
static size_t enough_for(const struct tcp_socket *s, const struct socket_message *m) {
    size_t all = m->data->left, some = MIN(all, tcp_low_water(s));
    if (!(m->flags & MSG_WAITALL))
        return some;
    return m->flags & MSG_PEEK ? MIN(all, MAX(half_window(s), (size_t)1)) : all;
}

long tcp_socket_receive(struct socket *socket, struct socket_message *m) {
    struct tcp_socket *s = tcp_of(socket);
    uint64_t deadline = socket_deadline(m->nonblocking, socket->receive_timeout_ns);
    size_t enough = enough_for(s, m);
    bool peeks = m->flags & MSG_PEEK;
    struct iter whole;
    long done = 0;

    if (m->flags & MSG_OOB)
        return -EINVAL;
    if (m->flags & MSG_ERRQUEUE)
        return -EAGAIN;
    if (s->state == TCP_FRESH || s->state == TCP_LISTENING) {
        int err = socket_take_error(socket); /* of an attempt that failed */
        return err ? err : -ENOTCONN;
    }
    if (peeks)
        whole = *m->data;
    for (;;) {
        mutex_lock(&s->reading);
        long n = receive_now(s, m, done);
        mutex_unlock(&s->reading);
        if (n > 0)
            done = peeks ? n : done + n;
        if (n == 0 || (n > 0 && (size_t)done >= enough) || (n < 0 && n != -EAGAIN))
            return done ? done : n;
        if (m->nonblocking)
            return done ? done : -EAGAIN;
        if (peeks && done && (s->ended || socket->error)) /* it will not be more */
            return done;
        uint32_t seen = peeks ? (uint32_t)done : 0;
        int err = socket_wait(&socket->readable, s->available > seen || s->ended || socket->error,
                              deadline);
        if (err)
            return done ? done : err;
        if (peeks) /* from the front again */
            *m->data = whole;
    }
}

/* The buffer: what the program wants of lwIP's (SO_SNDBUF). */
static uint32_t send_most(const struct tcp_socket *s) {
    uint32_t limit = s->socket.send_limit;
    return limit ? MIN(limit, TCP_SND_BUF) : TCP_SND_BUF;
}

/* How many bytes of it are free. */
static uint32_t send_room(const struct tcp_socket *s) {
    uint32_t most = send_most(s), queued = TCP_SND_BUF - s->pcb->snd_buf;
    return most - MIN(queued, most);
}

bool tcp_update_room(struct tcp_socket *s) {
    bool room = s->pcb && !s->starved && send_room(s) >= send_most(s) / 3 &&
                s->pcb->snd_queuelen <= TCP_SNDQUEUELOWAT;
    atomic_store(&s->has_room, room);
    return room;
}

err_t tcp_see_sent(void *arg, struct tcp_pcb *pcb, u16_t size) {
    struct tcp_socket *s = arg;
    (void)pcb, (void)size;
    if (!s)
        return ERR_OK;
    tcp_nagle_see_sent(s);
    if (s->has_room)
        return ERR_OK;
    s->starved = false;
    if (tcp_update_room(s))
        wait_wake_events(&s->socket.writable, POLLOUT | POLLWRNORM);
    return ERR_OK;
}

/* lwIP: half a second has gone by. */
static err_t see_time(void *arg, struct tcp_pcb *pcb) {
    tcp_poll(pcb, NULL, 0);
    return tcp_see_sent(arg, pcb, 0);
}

/* Memory is short: the sender is to wait for an acknowledgement, or half a second. */
static long starve(struct tcp_socket *s) {
    s->starved = true;
    tcp_poll(s->pcb, see_time, 1);
    return -EAGAIN;
}

/* Gives lwIP as much of `from` as there is room for: bytes, -EAGAIN, or why there never will be. */
static long send_locked(struct tcp_socket *s, const void *from, size_t size, bool more) {
    struct tcp_pcb *pcb = s->pcb;
    if (s->no_more || !pcb)
        return -EPIPE;
    size = MIN(size, (size_t)send_room(s));
    if (!size)
        return -EAGAIN;
    tcp_lists_select(pcb);
    tcp_give_credit(s);
    if (s->pcb != pcb)
        return -EPIPE;
    if (pcb->snd_queuelen && net_memory_is_short())
        return starve(s);
    u8_t flags = (u8_t)(TCP_WRITE_FLAG_COPY | (more ? TCP_WRITE_FLAG_MORE : 0));
    err_t err = tcp_write(pcb, from, (u16_t)size, flags);
    if (err == ERR_MEM)
        return starve(s);
    if (err != ERR_OK)
        return -EPIPE;
    if (more) /* fills the last segment up */
        tcp_clear_flags(pcb, TF_NODELAY);
    if (!more || pcb->snd_queuelen > 2)
        tcp_output(pcb);
    if (more)
        tcp_nagle_apply(s);
    tcp_ack_answered(s);
    return (long)size;
}

static long send_part(struct tcp_socket *s, const void *from, size_t size, bool more) {
    net_lock();
    long n = send_locked(s, from, size, more || s->corked);
    tcp_update_room(s);
    net_unlock();
    return n;
}

/* Sends one piece by way of `buffer`: bytes, or a negative errno and nothing taken. */
static long send_piece(struct tcp_socket *s, struct socket_message *m, char *buffer, size_t size) {
    struct iter before = *m->data;
    size_t want = MIN(size, before.left), got = iter_from(m->data, buffer, want);
    if (!got)
        return -EFAULT;
    bool more = (m->flags & MSG_MORE) || (m->data->left && !m->data->faulted);
    long n = send_part(s, buffer, got, more);
    if (n < (long)got) { /* the rest is to be taken again */
        *m->data = before;
        if (n > 0)
            iter_skip(m->data, (size_t)n);
    }
    return n;
}

static long wait_room(struct tcp_socket *s, bool nonblocking, uint64_t deadline) {
    if (nonblocking)
        return -EAGAIN;
    return socket_wait(&s->socket.writable,
                       s->has_room || s->no_more ||
                           (s->state != TCP_CONNECTING && s->state != TCP_CONNECTED),
                       deadline);
}

static long send_all(struct tcp_socket *s, struct socket_message *m, char *buffer, size_t size) {
    uint64_t deadline = socket_deadline(m->nonblocking, s->socket.send_timeout_ns);
    long done = 0;
    while (m->data->left) {
        long n = send_piece(s, m, buffer, size);
        if (n == -EAGAIN)
            n = wait_room(s, m->nonblocking, deadline);
        if (n == -EPIPE && !done) { /* a writer that slept hears why, and no signal */
            int err = socket_take_error(&s->socket);
            return err ? err : n;
        }
        if (n < 0)
            return done ? done : n;
        done += n;
    }
    return done;
}

long tcp_socket_send(struct socket *socket, struct socket_message *m) {
    struct tcp_socket *s = tcp_of(socket);
    char small[SMALL_SEND];

    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    int err = socket_take_error(socket);
    if (err)
        return err;
    if (s->state == TCP_CONNECTING) {
        err = (int)wait_room(s, m->nonblocking,
                             socket_deadline(m->nonblocking, socket->send_timeout_ns));
        if (err)
            return err;
        err = socket_take_error(socket);
        if (err)
            return err;
    }
    if (s->state != TCP_CONNECTED)
        return -EPIPE;
    if (m->data->left <= sizeof small)
        return send_all(s, m, small, sizeof small);
    size_t size = MIN(m->data->left, (size_t)CHUNK);
    char *buffer = kmalloc_uncleared_most(&size);
    if (!buffer)
        return send_all(s, m, small, sizeof small);
    long done = send_all(s, m, buffer, size);
    kfree(buffer);
    return done;
}

long tcp_socket_pending(struct socket *socket, bool output) {
    struct tcp_socket *s = tcp_of(socket);
    if (s->state == TCP_LISTENING)
        return -EINVAL;
    if (!output)
        return s->available;
    net_lock();
    long queued = s->pcb ? (long)(TCP_SND_BUF - s->pcb->snd_buf) : 0;
    net_unlock();
    return queued;
}
