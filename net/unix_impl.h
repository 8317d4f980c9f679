/* SPDX-License-Identifier: MIT */
/* What the files of AF_UNIX share; net/unix.c states the locks and lifetimes. */
#ifndef NET_UNIX_IMPL_H
#define NET_UNIX_IMPL_H

#include "kernel/mutex.h"
#include "net/socket.h"

/*
 * Bytes that wait to be read, with the files that travel with them.  A position
 * counts the bytes ever written; those of [tail, head) lie in a ring of pages.
 * `lock` guards all of it; the two counts may be read by anyone.
 */
struct unix_queue {
    struct mutex lock;
    char **pages;        /* `page_count` of them, NULL where none is needed so far; NULL: none */
    uint32_t page_count; /* a power of two */
    uint32_t high;       /* no page lies at this index or above */
    uint64_t head, tail;
    struct list files; /* struct socket_files.link, by rising position */
    /* Written under `lock`. */
    _Atomic(size_t) used;      /* head - tail */
    _Atomic(uint32_t) packets; /* of the types that keep boundaries */
};

void unix_queue_init(struct unix_queue *q);
/* All of these with q->lock held. */
/* Makes room for `n` bytes behind the head; false without memory. */
must_check bool unix_queue_reserve(struct unix_queue *q, size_t n);
/* Copies between an iter and [at, at + n), which is reserved or filled; how many bytes. */
size_t unix_queue_write(struct unix_queue *q, uint64_t at, struct iter *from, size_t n);
size_t unix_queue_read(struct unix_queue *q, uint64_t at, struct iter *to, size_t n);
/* Moves the head behind what was written, the tail behind what was read. */
void unix_queue_commit(struct unix_queue *q, size_t n);
void unix_queue_consume(struct unix_queue *q, size_t n);
/* Lets *files travel with the bytes [at, end) and stores NULL. */
void unix_queue_attach(struct unix_queue *q, struct socket_files **files, uint64_t at,
                       uint64_t end);
/* The first files on their way, or NULL. */
struct socket_files *unix_queue_files(struct unix_queue *q);
/* Forgets all bytes; the files move to the list `dropped`. */
void unix_queue_clear(struct unix_queue *q, struct list *dropped);

/* Gives an empty queue's memory back. */
void unix_queue_free(struct unix_queue *q);
/* A copy with references of its own, for MSG_PEEK; NULL without memory. */
struct socket_files *unix_files_copy(const struct socket_files *files);
/* Closes the files of a cleared queue, now or, where a close is going on, behind it. */
void unix_files_drop(struct list *dropped);

/* An address with its family, shared by a socket, those accepted from it, and its packets. */
struct unix_name {
    _Atomic(uint32_t) refs;
    uint32_t length;
    union {
        uint16_t family;
        char bytes[2 + 108 + 1]; /* a path's last byte is 0 */
    };
};

static inline struct unix_name *unix_name_get(struct unix_name *n) {
    if (n)
        atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
    return n;
}
void unix_name_put(struct unix_name *n);
/* `n` NULL: unnamed, length `none`. */
void unix_name_copy(const struct unix_name *n, uint32_t none, struct socket_address *a);

enum unix_state { UNIX_FRESH, UNIX_LISTENING, UNIX_CONNECTED };

#define UNIX_SHUT_RECEIVE 1u
#define UNIX_SHUT_SEND    2u
#define UNIX_SHUT_BOTH    3u

struct unix_socket {
    struct socket socket;
    struct unix_queue queue; /* what others sent here */

    struct mutex state_lock;            /* serialises bind, connect, listen */
    _Atomic(uint32_t) state;            /* enum unix_state; state_lock and queue.lock */
    _Atomic(struct unix_name *) name;   /* set once, under state_lock */
    struct entry *node;                 /* of a path's name: held; set with `name` */
    struct list bucket_link;            /* in the table of names; its bucket's lock */
    struct spinlock peer_lock;          /* RANK_FILE; guards `peer` of datagrams */
    _Atomic(struct unix_socket *) peer; /* held; of the connected types set once */
    _Atomic(uint32_t) shut;             /* UNIX_SHUT_*: see unix.c */
    _Atomic(bool) closed;               /* queue.lock */
    _Atomic(bool) has_credentials;      /* of a peer, for SO_PEERCRED */
    struct list senders;                /* datagrams: who is connected here; queue.lock */
    struct list sender_link;            /* in peer->senders; the peer's queue.lock */
    struct wait_queue room;             /* for those who wait to send or to connect here */
    struct list pending;                /* listening: not yet accepted; queue.lock */
    struct list pending_link;           /* in the listener's `pending` */
    _Atomic(uint32_t) waiting, backlog; /* length of `pending`, and its limit; queue.lock */
};

static inline struct unix_socket *unix_of(struct socket *s) {
    return container_of(s, struct unix_socket, socket);
}
static inline void unix_get(struct unix_socket *u) {
    inode_get(&u->socket.inode);
}
static inline void unix_put(struct unix_socket *u) {
    inode_put(&u->socket.inode);
}
static inline bool unix_is_datagram(const struct unix_socket *u) {
    return u->socket.type == SOCK_DGRAM;
}
static inline struct unix_name *unix_name_of(struct unix_socket *u) {
    /* Acquire: pairs with the release in unix_name.c. */
    return atomic_load_explicit(&u->name, memory_order_acquire);
}
/* Of a connected type: constant once it is there, and alive as long as `u` is open. */
static inline struct unix_socket *unix_peer(struct unix_socket *u) {
    /* Acquire: pairs with the release in unix_join. */
    return atomic_load_explicit(&u->peer, memory_order_acquire);
}

/* unix.c */
struct unix_socket *unix_new(int type); /* one reference; NULL without memory */
void unix_close(struct socket *s);
/* Wakes who waits for either end of a conversation. */
void unix_wake(struct unix_socket *u);

/* unix_name.c */
int unix_bind(struct socket *s, const struct socket_address *a);
int unix_name_self(struct unix_socket *u); /* autobind, where it has no name */
/* The socket at an address, with a reference; -EINVAL, -ECONNREFUSED, -EPROTOTYPE, or what a path
 * gives. */
must_check int unix_find(const struct socket_address *a, int type, struct unix_socket **out);
void unix_name_remove(struct unix_socket *u); /* frees the name for others; the last close */

/* unix_connect.c */
int unix_connect(struct socket *s, const struct socket_address *a, bool nonblocking);
int unix_connect_datagram(struct socket *s, const struct socket_address *a, bool nonblocking);
int unix_listen(struct socket *s, int backlog);
int unix_accept(struct socket *s, bool nonblocking, struct socket **out,
                struct socket_address *peer);
void unix_join(struct unix_socket *a, struct unix_socket *b); /* both ways; nobody else sees b */
int unix_join_datagram(struct unix_socket *u, struct unix_socket *peer); /* one way */
void unix_leave_datagram(struct unix_socket *u); /* state_lock, or the last close */
/* The datagram's peer with a reference, or NULL. */
struct unix_socket *unix_peer_get(struct unix_socket *u);

/* unix_stream.c and unix_packet.c */
long unix_stream_send(struct socket *s, struct socket_message *m);
long unix_stream_receive(struct socket *s, struct socket_message *m);
long unix_packet_send(struct socket *s, struct socket_message *m);
long unix_packet_receive(struct socket *s, struct socket_message *m);
long unix_packet_pending(struct unix_socket *u); /* bytes, for SIOCINQ */
void unix_packet_clear(struct unix_queue *q);    /* queue.lock; drops the packets */
/* Whether a packet could be sent to `peer` by `u` now. */
bool unix_packet_has_room(struct unix_socket *u, struct unix_socket *peer);

#endif
