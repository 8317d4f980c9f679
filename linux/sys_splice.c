/* SPDX-License-Identifier: MIT */
/*
 * splice, tee and vmsplice: bytes between a pipe and something else.  They go
 * through a kernel buffer, one buffer's worth a call; what that means for the
 * pipe is in fs/pipe_splice.c.
 */
#include <asm-generic/errno.h>
#include <asm-generic/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include "arch/x86_64/uaccess.h"
#include "fs/pipe.h"
#include "kernel/slab.h"
#include "linux/sys_file.h"
#include "linux/syscalls.h"
#include "net/socket.h"

/* Linux's <linux/splice.h>. */
#define SPLICE_F_NONBLOCK 2u
#define SPLICE_F_ALL      0xfu

#define MOST KIB(64) /* bytes that a call moves */

/* `at`: an offset in a file in place of its position; NULL: none. */
struct splice {
    struct file *in, *out;
    uint64_t *in_at, *out_at;
    size_t count, most; /* bytes that are asked for, and that are moved */
    bool nonblocking;
    char *buffer;
};

/* Whether it is something that is read and written as a file is. */
static bool can_splice(const struct file *f) {
    uint32_t type = inode_type(f->inode);
    return type == S_IFREG || type == S_IFSOCK || type == S_IFCHR || type == S_IFIFO;
}

static long out_of_pipe(const struct splice *s) {
    long taken = pipe_take(s->in, s->buffer, s->most, s->nonblocking);
    if (taken <= 0)
        return io_result(taken);
    struct iter it;
    iter_init_kernel(&it, s->buffer, (size_t)taken);
    long n = s->out_at ? file_pwrite(s->out, &it, *s->out_at) : file_write(s->out, &it);
    pipe_settle(s->in, s->buffer, (size_t)taken, (size_t)MAX(n, 0));
    return n < 0 ? file_result(s->out, n, FROM_PROGRAM) : n;
}

/* A datagram that is not taken whole is lost. */
static bool has_datagrams(const struct socket *s) {
    return s && s->type != SOCK_STREAM;
}

/* Bytes to ask the pipe for: what a stream has, and not as much as it might. */
static size_t room_wanted(const struct splice *s, struct socket *from) {
    if (has_datagrams(from))
        return s->most;
    long pending = from && from->ops->pending ? from->ops->pending(from, false) : (long)s->most;
    return MIN(s->most, MAX((size_t)MAX(pending, 0), PAGE_SIZE));
}

static long read_other(const struct splice *s, struct socket *from, struct iter *to) {
    /* SPLICE_F_NONBLOCK is about the pipe; Linux takes it for AF_UNIX's streams, too. */
    if (from)
        return socket_read(
            from, to,
            file_is_nonblocking(s->in) ||
                (s->nonblocking && from->family == AF_UNIX && from->type == SOCK_STREAM));
    return s->in_at ? file_pread(s->in, to, *s->in_at) : file_read(s->in, to);
}

static long into_pipe(const struct splice *s) {
    struct socket *from = socket_of(s->in);
    size_t least = has_datagrams(from) ? MIN(s->most, PAGE_SIZE) : 1;
    long room = pipe_promise(s->out, least, room_wanted(s, from), s->nonblocking);
    if (room < 0)
        return io_result(room);
    struct iter it;
    iter_init_kernel(&it, s->buffer, (size_t)room);
    long n = read_other(s, from, &it);
    pipe_keep(s->out, s->buffer, (size_t)MAX(n, 0));
    return n < 0 ? file_result(s->in, n, INTO_PROGRAM) : n;
}

/* From a pipe to another: `leave`: and the bytes stay (tee). */
static long between_pipes(const struct splice *s, bool leave) {
    for (;;) {
        /* Room is not asked for before there is something: others may want it. */
        long n = pipe_look(s->in, s->buffer, s->most, s->nonblocking);
        if (n < 0)
            return io_result(n);
        bool ended = n == 0; /* then too Linux wants room */
        long room = pipe_promise(s->out, 1, (size_t)MAX(n, 1), s->nonblocking);
        if (room < 0)
            return io_result(room);
        if (!ended) /* what is there now */
            n = leave ? pipe_look(s->in, s->buffer, (size_t)room, true)
                      : pipe_take(s->in, s->buffer, (size_t)room, true);
        pipe_keep(s->out, s->buffer, (size_t)MAX(n, 0));
        if (n > 0 && !leave)
            pipe_settle(s->in, s->buffer, (size_t)n, (size_t)n);
        if (n != -EAGAIN || s->nonblocking)
            return io_result(n);
        /* Somebody else has read it. */
    }
}

static long offset_in(const struct file *f, long user, uint64_t *at) {
    if (file_is_pipe(f))
        return -ESPIPE;
    if (user_read_u64(at, (const uint64_t *)user))
        return -EFAULT;
    return 0;
}

/* What only the side that is no pipe is asked; `at` NULL: no offset was given. */
static long check_other(const struct file *f, const uint64_t *at) {
    if (at && (!f->ops->positional || (int64_t)*at < 0))
        return -EINVAL;
    return can_splice(f) ? 0 : -EINVAL;
}

static long splice_files(struct splice *s) {
    bool from = file_is_pipe(s->in), to = file_is_pipe(s->out);
    if (!file_is_readable(s->in) || !file_is_writable(s->out))
        return -EBADF;
    if ((!from && !to) || (from && to && s->in->inode == s->out->inode))
        return -EINVAL;
    if (from && !to && (s->out->flags & O_APPEND || (int64_t)s->count < 0))
        return -EINVAL;
    long err = from ? 0 : check_other(s->in, s->in_at);
    if (!err && !to)
        err = check_other(s->out, s->out_at);
    if (err)
        return err;
    /* A socket's own O_NONBLOCK is looked at when it is read or written. */
    s->nonblocking |= (to && file_is_nonblocking(s->out)) || (from && file_is_nonblocking(s->in));
    s->buffer = kmalloc_uncleared_most(&s->most);
    if (!s->buffer)
        return -ENOMEM;
    long n = from && to ? between_pipes(s, false) : from ? out_of_pipe(s) : into_pipe(s);
    kfree(s->buffer);
    return n;
}

/* Stores an offset that has moved on; `n`: what the call is about to return. */
static long offset_out(long user, uint64_t at, long n) {
    if (!user || n <= 0)
        return n;
    return user_write_u64((uint64_t *)user, at + (uint64_t)n) ? -EFAULT : n;
}

long sys_splice(long in_fd, long in_user, long out_fd, long out_user, long count, long flags) {
    if (!count)
        return 0;
    if ((uint32_t)flags & ~SPLICE_F_ALL)
        return -EINVAL;
    uint64_t in_at = 0, out_at = 0;
    struct splice s = {
        .in = our_real_file(in_fd),
        .out = our_real_file(out_fd),
        .nonblocking = (uint32_t)flags & SPLICE_F_NONBLOCK,
    };
    s.count = (size_t)count;
    s.most = MIN(s.count, MOST);
    if (in_user)
        s.in_at = &in_at;
    if (out_user)
        s.out_at = &out_at;
    long n = s.in && s.out ? 0 : -EBADF;
    if (!n && in_user)
        n = offset_in(s.in, in_user, &in_at);
    if (!n && out_user)
        n = offset_in(s.out, out_user, &out_at);
    if (!n)
        n = splice_files(&s);
    n = offset_out(in_user, in_at, n);
    n = offset_out(out_user, out_at, n);
    if (s.in)
        file_put(s.in);
    if (s.out)
        file_put(s.out);
    return n;
}

static long tee_files(struct splice *s) {
    if (!file_is_readable(s->in) || !file_is_writable(s->out))
        return -EBADF;
    if (!file_is_pipe(s->in) || !file_is_pipe(s->out) || s->in->inode == s->out->inode)
        return -EINVAL;
    s->nonblocking |= file_is_nonblocking(s->in) || file_is_nonblocking(s->out);
    s->buffer = kmalloc_uncleared_most(&s->most);
    if (!s->buffer)
        return -ENOMEM;
    long n = between_pipes(s, true);
    kfree(s->buffer);
    return n;
}

long sys_tee(long in_fd, long out_fd, long count, long flags) {
    if ((uint32_t)flags & ~SPLICE_F_ALL)
        return -EINVAL;
    if (!count)
        return 0;
    struct splice s = {
        .in = our_real_file(in_fd),
        .out = our_real_file(out_fd),
        .nonblocking = (uint32_t)flags & SPLICE_F_NONBLOCK,
    };
    s.most = MIN((size_t)count, MOST);
    long n = s.in && s.out ? tee_files(&s) : -EBADF;
    if (s.in)
        file_put(s.in);
    if (s.out)
        file_put(s.out);
    return n;
}

/* vmsplice of a pipe's write end: what there is room for. */
static long from_program(struct file *pipe, struct iter *it, char *buffer, size_t most,
                         bool nonblocking) {
    long room = pipe_promise(pipe, 1, MIN(it->left, most), nonblocking);
    if (room < 0)
        return room;
    size_t n = iter_from(it, buffer, (size_t)room);
    pipe_keep(pipe, buffer, n);
    return iter_result(it, n);
}

/* And of its read end: what there is. */
static long to_program(struct file *pipe, struct iter *it, char *buffer, size_t most,
                       bool nonblocking) {
    long taken = pipe_take(pipe, buffer, MIN(it->left, most), nonblocking);
    if (taken <= 0)
        return taken;
    size_t n = iter_to(it, buffer, (size_t)taken);
    pipe_settle(pipe, buffer, (size_t)taken, n);
    return iter_result(it, n);
}

static long vmsplice_parts(struct file *f, struct iter *it, bool nonblocking) {
    if (!it->left)
        return 0;
    if (!file_is_pipe(f))
        return -EBADF;
    size_t most = MIN(it->left, MOST);
    char *buffer = kmalloc_uncleared_most(&most);
    if (!buffer)
        return -ENOMEM;
    long n = file_is_writable(f) ? from_program(f, it, buffer, most, nonblocking)
                                 : to_program(f, it, buffer, most, nonblocking);
    kfree(buffer);
    return io_result(n);
}

long sys_vmsplice(long fd, long user, long count, long flags) {
    if ((uint32_t)flags & ~SPLICE_F_ALL)
        return -EINVAL;
    struct file *f = our_real_file(fd);
    if (!f)
        return -EBADF;
    struct iter_part small[IO_PARTS_SMALL], *parts;
    struct iter it;
    long n = io_parts_get(user, (unsigned long)count, small, &parts);
    if (n >= 0) {
        iter_init_parts(&it, parts, (size_t)count, (size_t)n);
        n = vmsplice_parts(f, &it, (uint32_t)flags & SPLICE_F_NONBLOCK);
        if (parts != small)
            kfree(parts);
    }
    file_put(f);
    return n;
}
