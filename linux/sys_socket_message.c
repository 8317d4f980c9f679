/* SPDX-License-Identifier: MIT */
/*
 * System calls that move bytes through sockets: send and receive in all their
 * forms.  A call of one buffer takes no memory; nor does one with up to
 * PARTS_SMALL buffers.
 */
#include <asm-generic/errno.h>
#include "arch/x86_64/uaccess.h"
#include "kernel/slab.h"
#include "linux/sys_file.h"
#include "linux/sys_socket.h"
#include "linux/syscalls.h"
#include "linux/time_user.h"

/* A member of a structure of the program's, which need not be aligned. */
#define USER_MEMBER(user, type, member) ((void *)((user) + (long)offsetof(type, member)))

/* Linux's struct msghdr. */
struct message_header {
    uint64_t name;
    uint32_t name_length, pad;
    uint64_t parts, part_count;
    uint64_t control, control_size;
    uint32_t flags, pad2;
};

/* Linux's struct mmsghdr. */
struct message_slot {
    struct message_header header;
    uint32_t length, pad;
};

long socket_result(struct socket *s, long n, bool sending, unsigned flags) {
    if (n == -EPIPE && s->type == SOCK_STREAM && !(flags & MSG_NOSIGNAL))
        return io_result(n);
    if (n == -EINTR && !(sending ? s->send_timeout_ns : s->receive_timeout_ns))
        return -ERESTARTSYS;
    return n;
}

static bool is_nonblocking(const struct file *f, unsigned flags) {
    return flags & MSG_DONTWAIT || file_is_nonblocking(f);
}

long sys_sendto(long fd, long buffer, long count, long flags, long address, long length) {
    struct file *f;
    struct socket *s;
    struct socket_address a;
    struct iter it;
    if (!user_range_ok((void *)buffer, (size_t)count))
        return -EFAULT;
    long n = socket_get(fd, &f, &s);
    if (n)
        return n;
    struct socket_message m = { .data = &it,
                                .flags = (unsigned)flags,
                                .nonblocking = is_nonblocking(f, (unsigned)flags) };
    iter_init_user(&it, (void *)buffer, MIN((size_t)count, IO_COUNT_MAX));
    if (address) {
        m.address = &a;
        n = socket_address_get(&a, address, length);
    }
    if (!n)
        n = s->ops->send(s, &m);
    if (unlikely(n < 0))
        n = socket_result(s, n, true, m.flags);
    file_put(f);
    return n;
}

long sys_recvfrom(long fd, long buffer, long count, long flags, long address, long length) {
    struct file *f;
    struct socket *s;
    struct socket_address a;
    struct iter it;
    if (!user_range_ok((void *)buffer, (size_t)count))
        return -EFAULT;
    long n = socket_get(fd, &f, &s);
    if (n)
        return n;
    struct socket_message m = { .data = &it,
                                .flags = (unsigned)flags,
                                .nonblocking = is_nonblocking(f, (unsigned)flags) };
    iter_init_user(&it, (void *)buffer, MIN((size_t)count, IO_COUNT_MAX));
    if (address) {
        a.length = 0;
        m.address = &a;
    }
    n = s->ops->receive(s, &m);
    if (unlikely(m.files))
        socket_files_put(m.files);
    if (unlikely(n < 0))
        n = socket_result(s, n, false, m.flags);
    int err = n >= 0 && address ? socket_address_put(&a, address, length) : 0;
    file_put(f);
    return err ? err : n;
}

/* A header of the program with its buffers, as one call has it. */
struct message_call {
    struct file *file;
    struct socket *socket;
    struct message_header header;
    struct socket_message message;
    struct socket_address address;
    struct socket_controls controls;
    struct iter data;
    struct iter_part small[IO_PARTS_SMALL], *parts;
};

/* Fetches the header at `user`; message_end() after success. */
static int message_begin(struct message_call *c, long user, unsigned flags) {
    if (copy_from_user(&c->header, (const void *)user, sizeof c->header))
        return -EFAULT;
    if (!c->header.name)
        c->header.name_length = 0;
    if ((int32_t)c->header.name_length < 0)
        return -EINVAL;
    c->header.name_length = MIN(c->header.name_length, (uint32_t)SOCKET_ADDRESS_MAX);
    if (c->header.part_count > IO_PARTS_MAX)
        return -EMSGSIZE;
    c->controls.count = 0;
    c->message = (struct socket_message){ .data = &c->data,
                                          .controls = &c->controls,
                                          .flags = flags,
                                          .nonblocking = is_nonblocking(c->file, flags) };
    long total = io_parts_get((long)c->header.parts, c->header.part_count, c->small, &c->parts);
    if (total < 0)
        return (int)total;
    iter_init_parts(&c->data, c->parts, c->header.part_count, (size_t)total);
    return 0;
}

static void message_end(struct message_call *c) {
    if (c->parts != c->small)
        kfree(c->parts);
}

static long send_one(struct message_call *c, long user, unsigned flags) {
    long n = message_begin(c, user, flags);
    if (n)
        return n;
    if (c->header.control_size > INT32_MAX)
        n = -ENOBUFS;
    if (!n && c->header.name_length) {
        c->message.address = &c->address;
        n = socket_address_get(&c->address, (long)c->header.name, c->header.name_length);
    }
    if (!n && c->header.control && c->header.control_size)
        n = socket_control_get(c->socket, &c->message, (long)c->header.control,
                               c->header.control_size);
    if (!n)
        n = c->socket->ops->send(c->socket, &c->message);
    socket_files_put(c->message.files);
    message_end(c);
    return n;
}

/* Stores what recvmsg tells beside the bytes. */
static int received_put(struct message_call *c, long user) {
    struct socket_message *m = &c->message;
    size_t control =
        socket_control_put(c->socket, m, (long)c->header.control, c->header.control_size);
    uint32_t flags = m->received | (m->flags & MSG_CMSG_CLOEXEC);
    if (m->address &&
        (copy_to_user((void *)c->header.name, c->address.bytes,
                      MIN(c->header.name_length, c->address.length)) ||
         user_write_u32(USER_MEMBER(user, struct message_header, name_length), c->address.length)))
        return -EFAULT;
    if (user_write_u32(USER_MEMBER(user, struct message_header, flags), flags))
        return -EFAULT;
    return user_write_u64(USER_MEMBER(user, struct message_header, control_size), control);
}

static long receive_one(struct message_call *c, long user, unsigned flags) {
    long n = message_begin(c, user, flags);
    if (n)
        return n;
    if (c->header.name) {
        c->address.length = 0;
        c->message.address = &c->address;
    }
    c->message.wants_files = c->header.control && c->header.control_size;
    n = c->socket->ops->receive(c->socket, &c->message);
    if (n >= 0 && received_put(c, user))
        n = -EFAULT;
    socket_files_put(c->message.files);
    message_end(c);
    return n;
}

static long message_call(long fd, long user, long flags, bool sending) {
    struct message_call c;
    if (flags & MSG_CMSG_COMPAT)
        return -EINVAL;
    long n = socket_get(fd, &c.file, &c.socket);
    if (n)
        return n;
    n = sending ? send_one(&c, user, (unsigned)flags) : receive_one(&c, user, (unsigned)flags);
    if (n < 0)
        n = socket_result(c.socket, n, sending, (unsigned)flags);
    file_put(c.file);
    return n;
}

long sys_sendmsg(long fd, long user, long flags) {
    return message_call(fd, user, flags, true);
}

long sys_recvmsg(long fd, long user, long flags) {
    return message_call(fd, user, flags, false);
}

/* One message of several; its length goes to the slot. */
static long slot_call(struct message_call *c, long user, unsigned flags, bool sending) {
    long n = sending ? send_one(c, user, flags) : receive_one(c, user, flags);
    if (n >= 0 && user_write_u32(USER_MEMBER(user, struct message_slot, length), (uint32_t)n))
        n = -EFAULT;
    return n;
}

long sys_sendmmsg(long fd, long user, long count, long flags) {
    struct message_call c;
    if (flags & MSG_CMSG_COMPAT)
        return -EINVAL;
    long n = socket_get(fd, &c.file, &c.socket);
    if (n)
        return n;
    uint32_t most = MIN((uint32_t)count, (uint32_t)IO_PARTS_MAX), done = 0;
    for (; done < most; done++) {
        n = slot_call(&c, user + done * (long)sizeof(struct message_slot), (unsigned)flags, true);
        if (n < 0 || signal_is_pending()) {
            done += n >= 0;
            break;
        }
        thread_preempt_point();
    }
    if (!done && n < 0)
        n = socket_result(c.socket, n, true, (unsigned)flags);
    file_put(c.file);
    return done ? (long)done : n;
}

/* The loop of recvmmsg; how many came, or the error of the first. */
static long receive_slots(struct message_call *c, long user, uint32_t count, unsigned flags,
                          uint64_t deadline) {
    uint32_t done = 0;
    long n = socket_take_error(c->socket);
    while (done < count && n >= 0) {
        n = slot_call(c, user + done * (long)sizeof(struct message_slot), flags & ~MSG_WAITFORONE,
                      false);
        if (n < 0)
            break;
        done++;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (clock_now_ns() >= deadline || c->message.received & MSG_OOB || signal_is_pending())
            break;
        thread_preempt_point();
    }
    if (done && n < 0 && n != -EAGAIN && n != -EINTR)
        c->socket->error = (int)-n; /* told by the next call */
    return done ? (long)done : n;
}

long sys_recvmmsg(long fd, long user, long count, long flags, long timeout) {
    struct message_call c;
    uint64_t limit, deadline = TIME_NEVER;
    if (flags & MSG_CMSG_COMPAT)
        return -EINVAL;
    if (timeout) {
        int err = timespec_from_user((const void *)timeout, &limit);
        if (err)
            return err;
        deadline = deadline_after(limit);
    }
    long n = socket_get(fd, &c.file, &c.socket);
    if (n)
        return n;
    n = receive_slots(&c, user, (uint32_t)count, (unsigned)flags, deadline);
    if (n < 0)
        n = socket_result(c.socket, n, false, (unsigned)flags);
    file_put(c.file);
    if (n > 0 && timeout) {
        uint64_t now = clock_now_ns();
        if (timespec_to_user((void *)timeout, deadline > now ? deadline - now : 0))
            n = -EFAULT;
    }
    return n;
}
