/* SPDX-License-Identifier: MIT */
/* System calls that move bytes: read and write in all their forms. */
#include "linux/sys_file.h"

#include <asm-generic/errno.h>
#include <asm-generic/fcntl.h>
#include <linux/fs.h>
#include <linux/resource.h>
#include <linux/stat.h>
#include "arch/x86_64/uaccess.h"
#include "kernel/slab.h"
#include "linux/sys_socket.h"
#include "linux/syscalls.h"

#define COPY_BUFFER KIB(32)

/* As Linux's writes signal: from the program to itself. */
static void signal_self(int signo) {
    siginfo_t info = { .si_signo = signo, .si_code = SI_USER };

    info.si_pid = current_task()->process->pid;
    (void)signal_send_task(current_task(), signo, &info);
}

long io_result(long n) {
    if (n == -EPIPE)
        signal_self(SIGPIPE);
    if (n == -EFBIG && current_task()->process->limits.of[RLIMIT_FSIZE].soft != UINT64_MAX)
        signal_self(SIGXFSZ);
    return n == -EINTR ? -ERESTARTSYS : n;
}

struct file *our_real_file(long fd) {
    struct file *f = our_file(fd);
    if (f && f->flags & O_PATH) {
        file_put(f);
        return NULL;
    }
    return f;
}

long our_file_enter(struct file *f, bool cloexec) {
    long fd = fd_install(our_files(), f, 0, cloexec);
    if (fd < 0)
        file_put(f);
    return fd;
}

long file_result(struct file *f, long n, enum direction d) {
    struct socket *s = n < 0 ? socket_of(f) : NULL;
    return s ? socket_result(s, n, d == FROM_PROGRAM, 0) : io_result(n);
}

/* `offset` NULL: at the file's position. */
static long move(struct file *f, struct iter *it, enum direction d, const uint64_t *offset) {
    if (d == INTO_PROGRAM)
        return offset ? file_pread(f, it, *offset) : file_read(f, it);
    return offset ? file_pwrite(f, it, *offset) : file_write(f, it);
}

static long move_one(long fd, long buffer, long count, enum direction d, const uint64_t *offset) {
    struct file *f = our_file(fd);
    if (!f)
        return -EBADF;
    struct iter it;
    long n;
    bool allowed = d == INTO_PROGRAM ? file_is_readable(f) : file_is_writable(f);
    if (allowed && !user_range_ok((void *)buffer, (size_t)count)) {
        n = offset && (int64_t)*offset < 0 ? -EINVAL : -EFAULT;
    } else {
        iter_init_user(&it, (void *)buffer, MIN((size_t)count, IO_COUNT_MAX));
        n = move(f, &it, d, offset);
    }
    if (unlikely(n < 0))
        n = file_result(f, n, d);
    file_put(f);
    return n;
}

long sys_read(long fd, long buffer, long count) {
    return move_one(fd, buffer, count, INTO_PROGRAM, NULL);
}

long sys_write(long fd, long buffer, long count) {
    return move_one(fd, buffer, count, FROM_PROGRAM, NULL);
}

long sys_pread64(long fd, long buffer, long count, long offset) {
    if (offset < 0)
        return -EINVAL;
    uint64_t at = (uint64_t)offset;
    return move_one(fd, buffer, count, INTO_PROGRAM, &at);
}

long sys_pwrite64(long fd, long buffer, long count, long offset) {
    if (offset < 0)
        return -EINVAL;
    uint64_t at = (uint64_t)offset;
    return move_one(fd, buffer, count, FROM_PROGRAM, &at);
}

long io_parts_get(long user, unsigned long count, struct iter_part *small,
                  struct iter_part **parts) {
    if (count > IO_PARTS_MAX)
        return -EINVAL;
    *parts = count <= IO_PARTS_SMALL ? small : kmalloc(count * sizeof **parts);
    if (!*parts)
        return -ENOMEM;
    long err = 0;
    size_t total = 0;
    if (copy_from_user(*parts, (const void *)user, count * sizeof **parts))
        err = -EFAULT;
    for (unsigned long i = 0; i < count && !err; i++) {
        struct iter_part *p = &(*parts)[i];
        if ((int64_t)p->size < 0)
            err = -EINVAL;
        else if (!user_range_ok(p->base, p->size))
            err = -EFAULT;
        p->size = MIN(p->size, IO_COUNT_MAX - total);
        total += p->size;
    }
    if (err && *parts != small)
        kfree(*parts);
    return err ? err : (long)total;
}

static long move_parts(long fd, long user, long count, enum direction d, const uint64_t *offset) {
    struct file *f = our_file(fd);
    if (!f)
        return -EBADF;
    struct iter_part small[IO_PARTS_SMALL], *parts;
    struct iter it;
    long n = -EBADF;
    if (d == INTO_PROGRAM ? file_is_readable(f) : file_is_writable(f))
        n = io_parts_get(user, (unsigned long)count, small, &parts);
    if (n >= 0) {
        iter_init_parts(&it, parts, (size_t)count, (size_t)n);
        n = move(f, &it, d, offset);
        if (parts != small)
            kfree(parts);
    }
    n = file_result(f, n, d);
    file_put(f);
    return n;
}

long sys_readv(long fd, long parts, long count) {
    return move_parts(fd, parts, count, INTO_PROGRAM, NULL);
}

long sys_writev(long fd, long parts, long count) {
    return move_parts(fd, parts, count, FROM_PROGRAM, NULL);
}

long sys_preadv(long fd, long parts, long count, long low, long high) {
    uint64_t at = (uint64_t)low;
    (void)high; /* the whole offset is in `low` on a 64-bit machine */
    return low < 0 ? -EINVAL : move_parts(fd, parts, count, INTO_PROGRAM, &at);
}

long sys_pwritev(long fd, long parts, long count, long low, long high) {
    uint64_t at = (uint64_t)low;
    (void)high;
    return low < 0 ? -EINVAL : move_parts(fd, parts, count, FROM_PROGRAM, &at);
}

long sys_preadv2(long fd, long parts, long count, long low, long high, long flags) {
    if ((int)flags & ~RWF_HIPRI)
        return -EOPNOTSUPP;
    return low == -1 ? sys_readv(fd, parts, count) : sys_preadv(fd, parts, count, low, high);
}

long sys_pwritev2(long fd, long parts, long count, long low, long high, long flags) {
    if ((int)flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC))
        return -EOPNOTSUPP;
    return low == -1 ? sys_writev(fd, parts, count) : sys_pwritev(fd, parts, count, low, high);
}

long sys_lseek(long fd, long offset, long whence) {
    struct file *f = our_file(fd);
    if (!f)
        return -EBADF;
    long r = file_seek(f, offset, (int)whence);
    file_put(f);
    return r;
}

/*
 * Copies through a kernel buffer.  in_at and out_at, where not NULL, take the
 * place of the files' positions and move on.
 */
static long copy_between(struct file *in, uint64_t *in_at, struct file *out, uint64_t *out_at,
                         size_t count) {
    size_t most = MIN(MAX(count, 1ul), COPY_BUFFER);
    char *buffer = kmalloc_uncleared_most(&most);
    if (!buffer)
        return -ENOMEM;
    size_t done = 0;
    long n = 0;
    while (done < count) {
        struct iter it;
        uint64_t at = in_at ? *in_at : in->pos;
        /* Read without moving on: what cannot be written must be there to be read again. */
        iter_init_kernel(&it, buffer, MIN(count - done, most));
        n = file_pread(in, &it, at);
        if (n <= 0)
            break;
        iter_init_kernel(&it, buffer, (size_t)n);
        long written = out_at ? file_pwrite(out, &it, *out_at) : file_write(out, &it);
        if (written <= 0) {
            n = written;
            break;
        }
        if (in_at)
            *in_at += (uint64_t)written;
        else
            (void)file_seek(in, (int64_t)at + written, 0);
        if (out_at)
            *out_at += (uint64_t)written;
        done += (size_t)written;
        thread_preempt_point();
        if (written < n || signal_is_pending())
            break;
    }
    kfree(buffer);
    return done ? (long)done : n;
}

static int offset_get(long user, uint64_t *at) {
    if (user_read_u64(at, (const uint64_t *)user))
        return -EFAULT;
    return (int64_t)*at < 0 ? -EINVAL : 0;
}

/* What copy_file_range asks of its two ranges and sendfile does not. */
static long check_ranges(const struct file *in, uint64_t from, const struct file *out, uint64_t to,
                         size_t count) {
    uint64_t size = in->inode->size;
    if (out->flags & O_APPEND)
        return -EBADF;
    if (from + count < from || to + count < to)
        return -EOVERFLOW;
    count = from < size ? MIN(count, size - from) : 0;
    return in->inode == out->inode && to + count > from && to < from + count ? -EINVAL : 0;
}

/* sendfile and copy_file_range (`ranges`); `in_user` and `out_user`: addresses of offsets, or 0. */
static long copy_call(long in_fd, long in_user, long out_fd, long out_user, size_t count,
                      bool ranges) {
    struct file *in = our_file(in_fd), *out = our_file(out_fd);
    uint64_t in_at = 0, out_at = 0;
    long n = -EBADF;
    if (!in || !out || !file_is_readable(in) || !file_is_writable(out))
        goto put;
    n = in_user ? offset_get(in_user, &in_at) : 0;
    if (!n && !in->ops->positional) /* what was read and not written would be lost */
        n = in_user ? -ESPIPE : -EINVAL;
    if (!n && out_user)
        n = offset_get(out_user, &out_at);
    if (!n && !ranges && out->flags & O_APPEND)
        n = -EINVAL;
    if (!n && ranges)
        n = check_ranges(in, in_user ? in_at : in->pos, out, out_user ? out_at : out->pos, count);
    if (n)
        goto put;
    n = copy_between(in, in_user ? &in_at : NULL, out, out_user ? &out_at : NULL,
                     MIN(count, IO_COUNT_MAX));
    if (n > 0 && ((in_user && user_write_u64((uint64_t *)in_user, in_at)) ||
                  (out_user && user_write_u64((uint64_t *)out_user, out_at))))
        n = -EFAULT;
put:
    if (out && n != -EBADF)
        n = file_result(out, n, FROM_PROGRAM);
    if (in)
        file_put(in);
    if (out)
        file_put(out);
    return n;
}

long sys_sendfile(long out_fd, long in_fd, long offset, long count) {
    return copy_call(in_fd, offset, out_fd, 0, (size_t)count, false);
}

/* -EINVAL for anything but regular files; 0 where both are. */
static long check_regular(long fd) {
    struct file *f = our_file(fd);
    if (!f)
        return -EBADF;
    uint32_t type = inode_type(f->inode);
    file_put(f);
    return type == S_IFREG ? 0 : type == S_IFDIR ? -EISDIR : -EINVAL;
}

long sys_copy_file_range(long in_fd, long in_offset, long out_fd, long out_offset, long count,
                         long flags) {
    long err = (uint32_t)flags ? -EINVAL : check_regular(in_fd);
    if (!err)
        err = check_regular(out_fd);
    return err ? err : copy_call(in_fd, in_offset, out_fd, out_offset, (size_t)count, true);
}

/* Files are memory: there is nowhere to sync them to, but the descriptor must be one. */
static long check_syncable(long fd) {
    struct file *f = our_real_file(fd);
    if (!f)
        return -EBADF;
    uint32_t type = inode_type(f->inode);
    file_put(f);
    return type == S_IFREG || type == S_IFDIR ? 0 : -EINVAL;
}

long sys_fsync(long fd) {
    return check_syncable(fd);
}

long sys_fdatasync(long fd) {
    return check_syncable(fd);
}

long sys_syncfs(long fd) {
    long err = check_syncable(fd);
    return err == -EINVAL ? 0 : err;
}

long sys_sync(void) {
    return 0;
}

long sys_sync_file_range(long fd, long offset, long count, long flags) {
    if (offset < 0 || count < 0 || (int)flags & ~7)
        return -EINVAL;
    long err = check_syncable(fd);
    return err == -EINVAL ? -ESPIPE : err;
}

long sys_fadvise64(long fd, long offset, long length, long advice) {
    (void)offset;
    struct file *f = our_real_file(fd);
    if (!f)
        return -EBADF;
    uint32_t type = inode_type(f->inode);
    file_put(f);
    if (type == S_IFIFO)
        return -ESPIPE;
    return length < 0 || (unsigned)advice > 5 ? -EINVAL : 0;
}

long sys_readahead(long fd, long offset, long count) {
    (void)offset, (void)count;
    struct file *f = our_file(fd);
    if (!f)
        return -EBADF;
    bool readable = file_is_readable(f);
    uint32_t type = inode_type(f->inode);
    file_put(f);
    return !readable ? -EBADF : type == S_IFREG ? 0 : -EINVAL;
}

long sys_ftruncate(long fd, long size) {
    struct file *f = our_file(fd);
    if (size < 0 || !f) {
        if (f)
            file_put(f);
        return size < 0 ? -EINVAL : -EBADF;
    }
    long err = file_truncate(f, (uint64_t)size);
    file_put(f);
    return io_result(err);
}

long sys_fallocate(long fd, long mode, long offset, long size) {
    struct file *f = our_real_file(fd);
    if (!f)
        return -EBADF;
    long err = 0, end;
    uint32_t type = inode_type(f->inode);
    if (offset < 0 || size <= 0)
        err = -EINVAL;
    else if (!file_is_writable(f))
        err = -EBADF;
    else if (type == S_IFIFO)
        err = -ESPIPE;
    else if (type == S_IFDIR)
        err = -EISDIR;
    else if (type != S_IFREG || !f->inode->ops->allocate)
        err = -ENODEV;
    else if (__builtin_add_overflow(offset, size, &end))
        err = -EFBIG;
    else
        err = f->inode->ops->allocate(f->inode, (uint64_t)offset, (uint64_t)size, (unsigned)mode);
    file_put(f);
    return io_result(err);
}
