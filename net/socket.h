/* SPDX-License-Identifier: MIT */
/*
 * Sockets: what all address families have in common.
 *
 * A socket is an inode without a name whose open file's operations lead to a
 * family's `struct socket_ops`; a family (net/unix.c, net/tcp.c, net/udp.c)
 * embeds `struct socket` in a structure of its own.  The system calls
 * (linux/sys_socket.c) copy addresses and headers in and out; here everything
 * is kernel memory but for the bytes behind `struct iter`.
 *
 * Context of all functions: thread, may sleep, no lock held.  Results are 0 or
 * counts, or Linux's errno as its call of that name gives it.  Several threads
 * may be in calls on one socket at once; each family states its locks.
 */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include "fs/file.h"
#include "fs/iter.h"
#include "fs/vfs.h"
#include "kernel/wait.h"
#include "net/socket_abi.h"

#define SOCKET_ADDRESS_MAX 128 /* Linux's struct sockaddr_storage */
#define SOCKET_FILES_MAX   253 /* Linux's SCM_MAX_FD */

struct socket_address {
    uint32_t length; /* 0: none */
    union {
        uint16_t family; /* AF_* */
        char bytes[SOCKET_ADDRESS_MAX];
    };
};

/* Files on their way (SCM_RIGHTS), each with a reference; made by the sending call. */
struct socket_files {
    struct list link; /* while they wait: the family's */
    uint64_t at, end; /* the same: between which positions of the stream */
    unsigned count;
    struct file *files[];
};

/* Control messages of a family's own, as the program has them.  Sending, the call fills them and
 * the family judges them; receiving, the family fills them. */
#define SOCKET_CONTROLS_MAX 4
struct socket_controls {
    unsigned count;
    struct socket_control {
        int level, type;
        uint32_t size; /* of its bytes */
        uint8_t bytes[20];
    } at[SOCKET_CONTROLS_MAX];
};

/* What one sendmsg or recvmsg moves. */
struct socket_message {
    struct iter *data;
    unsigned flags;    /* MSG_* of the call */
    bool nonblocking;  /* MSG_DONTWAIT or O_NONBLOCK */
    unsigned received; /* MSG_* of the answer: MSG_TRUNC, MSG_CTRUNC, MSG_EOR */
    /* Destination (length 0: none), or the sender's. */
    struct socket_address *address; /* NULL: none, or not wanted */
    /* Sending, the family takes them over by storing NULL, and that on success only; receiving, it
     * stores what came.  The caller puts what it finds here in the end. */
    struct socket_files *files;
    bool wants_files;                 /* receiving with MSG_PEEK: copies of them, too */
    struct socket_controls *controls; /* NULL: a call that has none, or wants none */
};

struct socket {
    struct inode inode;
    const struct socket_ops *ops;
    uint16_t family, type; /* AF_*, SOCK_* without flags */
    uint16_t protocol;
    /* Options of SOL_SOCKET that every family honours in its own way; written by setsockopt. */
    atomic_bool reuse_address, reuse_port, keep_alive, broadcast, pass_credentials;
    atomic_bool linger;
    _Atomic(uint32_t) linger_s;
    _Atomic(uint64_t) other_flags; /* bit SO_*: options that are kept and told, and do nothing */
    _Atomic(int) priority, mark, incoming_cpu;
    _Atomic(uint32_t) receive_low; /* SO_RCVLOWAT: bytes that a read of a stream waits for */
    _Atomic(uint32_t) send_buffer, receive_buffer; /* bytes, as getsockopt tells them */
    _Atomic(uint32_t) send_limit, receive_limit;   /* as setsockopt asked; 0: it did not */
    /* SO_SNDTIMEO, SO_RCVTIMEO; 0: none */
    _Atomic(uint64_t) send_timeout_ns, receive_timeout_ns;
    _Atomic(int) error; /* positive errno, for SO_ERROR and the next call; 0: none */
    /* Woken whenever the answer of `poll` may have changed, but for room to send. */
    struct wait_queue readable;
    struct wait_queue writable;
};

enum socket_shutdown { SOCKET_SHUT_READ, SOCKET_SHUT_WRITE, SOCKET_SHUT_BOTH }; /* as SHUT_* */

/* NULL: the call is -EOPNOTSUPP. */
struct socket_ops {
    int (*bind)(struct socket *s, const struct socket_address *a);
    int (*connect)(struct socket *s, const struct socket_address *a, bool nonblocking);
    int (*listen)(struct socket *s, int backlog);
    /* *out: a connected socket with one reference on its inode; `peer` gets its address. */
    int (*accept)(struct socket *s, bool nonblocking, struct socket **out,
                  struct socket_address *peer);
    int (*shutdown)(struct socket *s, enum socket_shutdown how);
    int (*name)(struct socket *s, bool of_peer, struct socket_address *a);
    long (*send)(struct socket *s, struct socket_message *m);
    long (*receive)(struct socket *s, struct socket_message *m);
    uint32_t (*poll)(struct socket *s, struct file *f, struct poll_table *pt); /* POLL* */
    long (*pending)(struct socket *s, bool output); /* SIOCINQ, SIOCOUTQ: bytes */
    /* Options that net/socket.c does not know.  `value` and *size: kernel memory.  -ENOPROTOOPT. */
    int (*set_option)(struct socket *s, int level, int name, const void *value, uint32_t size);
    int (*get_option)(struct socket *s, int level, int name, void *value, uint32_t *size);
    bool (*listening)(struct socket *s); /* SO_ACCEPTCONN; NULL: false */
    /* The last descriptor is gone: nobody is in a call any more. */
    void (*close)(struct socket *s);
    /* The last reference on the inode is gone: free it.  No sleeping. */
    void (*destroy)(struct socket *s);
};

/* A zeroed `s` becomes a socket with one reference on its inode. */
void socket_init(struct socket *s, const struct socket_ops *ops, int family, int type,
                 int protocol);
/* Gives a connection the options of its listener, but those that Linux does not. */
void socket_inherit(struct socket *s, struct socket *listener);
/* socket(2) without flags: *out with one reference.  -EAFNOSUPPORT, -EPROTONOSUPPORT,
 * -ESOCKTNOSUPPORT, -ENOMEM. */
must_check int socket_create(int family, int type, int protocol, struct socket **out);
/* An open file for `s`; `flags`: O_NONBLOCK.  Takes the inode's reference over, also on failure. */
must_check int socket_open(struct socket *s, uint32_t flags, struct file **out);
/* Closes and frees one that was never opened. */
void socket_drop(struct socket *s);
/* The socket behind an open file; NULL: -ENOTSOCK. */
struct socket *socket_of(struct file *f);
/* read(2) of a socket, which waits or does not, whatever its O_NONBLOCK is. */
long socket_read(struct socket *s, struct iter *to, bool nonblocking);
/* Drops the references and frees; NULL is fine. */
void socket_files_put(struct socket_files *files);

/* Reads and clears s->error: 0 or a negative errno. */
int socket_take_error(struct socket *s);
/* Options of SOL_SOCKET, and by way of the family all others. */
must_check int socket_set_option(struct socket *s, int level, int name, const void *value,
                                 uint32_t size);
must_check int socket_get_option(struct socket *s, int level, int name, void *value,
                                 uint32_t *size);
/* Until when a call may wait: 0 (not at all), TIME_NEVER, or now and the timeout. */
static inline uint64_t socket_deadline(bool nonblocking, uint64_t timeout_ns) {
    return nonblocking ? 0 : timeout_ns ? clock_now_ns() + timeout_ns : TIME_NEVER;
}
/* wait_until for a call on a socket: 0, -EINTR, or -EAGAIN when it may not wait any longer. */
#define socket_wait(q, ready, deadline_ns)                                                         \
    ({                                                                                             \
        uint64_t until_ = (deadline_ns);                                                           \
        bool rests_ = false;                                                                       \
        while (until_ && !rests_ && !(ready))                                                      \
            rests_ = !wait_rest(until_);                                                           \
        int why_ = until_ ? wait_until(q, ready, until_, true) : -SOCKET_EAGAIN;                   \
        if (rests_)                                                                                \
            wait_woke();                                                                           \
        why_ == -SOCKET_ETIMEDOUT ? -SOCKET_EAGAIN : why_;                                         \
    })
#define SOCKET_EAGAIN    11
#define SOCKET_ETIMEDOUT 110

/* Provided by linux/: working directory and umask of the program that is in the call. */
struct fs_context *socket_fs(void);

/* The families' constructors. */
must_check int unix_create(int type, int protocol, struct socket **out);
/* socketpair(2): two connected ones. */
must_check int unix_create_pair(int type, int protocol, struct socket *out[2]);
must_check int inet_create(int family, int type, int protocol, struct socket **out);

#endif
