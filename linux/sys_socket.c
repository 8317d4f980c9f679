/* SPDX-License-Identifier: MIT */
/* System calls on sockets, but for those that move bytes (sys_socket_message.c). */
#include "linux/sys_socket.h"

#include <asm-generic/errno.h>
#include <asm-generic/fcntl.h>
#include "arch/x86_64/uaccess.h"
#include "linux/sys_file.h"
#include "linux/syscalls.h"

#define OPTION_MAX 256u /* bytes that an option may have */

struct fs_context *socket_fs(void) {
    return our_fs();
}

int socket_get(long fd, struct file **f, struct socket **s) {
    *f = our_real_file(fd);
    if (!*f)
        return -EBADF;
    *s = socket_of(*f);
    if (*s)
        return 0;
    file_put(*f);
    return -ENOTSOCK;
}

int socket_address_get(struct socket_address *a, long user, long length) {
    int n = (int)length;
    if (n < 0 || n > SOCKET_ADDRESS_MAX)
        return -EINVAL;
    a->family = AF_UNSPEC;
    a->length = (uint32_t)n;
    return copy_from_user(a->bytes, (const void *)user, (size_t)n);
}

int socket_address_put(const struct socket_address *a, long user, long user_length) {
    uint32_t room;
    if (user_read_u32(&room, (const uint32_t *)user_length))
        return -EFAULT;
    if ((int32_t)room < 0)
        return -EINVAL;
    if (copy_to_user((void *)user, a->bytes, MIN(room, a->length)))
        return -EFAULT;
    return user_write_u32((uint32_t *)user_length, a->length);
}

/* Opens `s` (taking it over) at the lowest free descriptor. */
static long enter(struct socket *s, long flags) {
    struct file *f;
    long fd = socket_open(s, (uint32_t)flags & O_NONBLOCK, &f);
    if (fd)
        return fd;
    fd = fd_install(our_files(), f, 0, flags & SOCK_CLOEXEC);
    if (fd < 0)
        file_put(f);
    return fd;
}

static bool flags_ok(long flags) {
    return !((int)flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC));
}

long sys_socket(long family, long type, long protocol) {
    struct socket *s;
    long flags = (int)type & ~SOCK_TYPE_MASK;
    if (!flags_ok(flags))
        return -EINVAL;
    int err = socket_create((int)family, (int)type & SOCK_TYPE_MASK, (int)protocol, &s);
    return err ? err : enter(s, flags);
}

/* Two descriptors for two sockets, which it takes over. */
static int enter_pair(struct socket *s[2], long flags, int fds[2]) {
    struct file *f[2];
    int err = socket_open(s[0], (uint32_t)flags & O_NONBLOCK, &f[0]);
    if (err) {
        socket_drop(s[1]);
        return err;
    }
    err = socket_open(s[1], (uint32_t)flags & O_NONBLOCK, &f[1]);
    if (err) {
        file_put(f[0]);
        return err;
    }
    err = fd_install_pair(our_files(), f[0], f[1], flags & SOCK_CLOEXEC, fds);
    if (err) {
        file_put(f[0]);
        file_put(f[1]);
    }
    return err;
}

long sys_socketpair(long family, long type, long protocol, long user) {
    struct socket *s[2];
    int fds[2];
    long flags = (int)type & ~SOCK_TYPE_MASK;
    if (!flags_ok(flags))
        return -EINVAL;
    int err;
    if ((int)family == AF_UNIX) {
        err = unix_create_pair((int)type & SOCK_TYPE_MASK, (int)protocol, s);
    } else {
        err = socket_create((int)family, (int)type & SOCK_TYPE_MASK, (int)protocol, &s[0]);
        if (!err) {
            socket_drop(s[0]);
            err = -EOPNOTSUPP; /* no other family has pairs */
        }
    }
    if (!err)
        err = enter_pair(s, flags, fds);
    if (err)
        return err;
    if (copy_to_user((void *)user, fds, sizeof fds)) {
        (void)fd_close(our_files(), fds[0]);
        (void)fd_close(our_files(), fds[1]);
        return -EFAULT;
    }
    return 0;
}

long sys_bind(long fd, long address, long length) {
    struct file *f;
    struct socket *s;
    struct socket_address a;
    long err = socket_get(fd, &f, &s);
    if (err)
        return err;
    err = socket_address_get(&a, address, length);
    if (!err)
        err = s->ops->bind ? s->ops->bind(s, &a) : -EOPNOTSUPP;
    file_put(f);
    return err;
}

long sys_connect(long fd, long address, long length) {
    struct file *f;
    struct socket *s;
    struct socket_address a;
    long err = socket_get(fd, &f, &s);
    if (err)
        return err;
    err = socket_address_get(&a, address, length);
    if (!err)
        err = s->ops->connect ? s->ops->connect(s, &a, file_is_nonblocking(f)) : -EOPNOTSUPP;
    err = socket_result(s, err, true, MSG_NOSIGNAL);
    file_put(f);
    return err;
}

long sys_listen(long fd, long backlog) {
    struct file *f;
    struct socket *s;
    long err = socket_get(fd, &f, &s);
    if (err)
        return err;
    err = s->ops->listen ? s->ops->listen(s, (int)backlog) : -EOPNOTSUPP;
    file_put(f);
    return err;
}

static long accept_file(struct file *f, struct socket *s, long address, long length, long flags) {
    struct socket *accepted;
    struct socket_address a = { .length = 0 };
    if (!s->ops->accept)
        return -EOPNOTSUPP;
    /* A program at its limit must find the connection again when it has room for it. */
    long err = fd_has_room(our_files()) ? 0 : -EMFILE;
    if (!err)
        err = s->ops->accept(s, file_is_nonblocking(f), &accepted, address ? &a : NULL);
    if (err)
        return err;
    if (address)
        err = socket_address_put(&a, address, length);
    if (!err)
        return enter(accepted, flags);
    socket_drop(accepted);
    return err;
}

long sys_accept4(long fd, long address, long length, long flags) {
    struct file *f;
    struct socket *s;
    if (!flags_ok(flags))
        return -EINVAL;
    long r = socket_get(fd, &f, &s);
    if (r)
        return r;
    r = socket_result(s, accept_file(f, s, address, length, flags), false, 0);
    file_put(f);
    return r;
}

long sys_accept(long fd, long address, long length) {
    return sys_accept4(fd, address, length, 0);
}

static long tell_name(long fd, long address, long length, bool of_peer) {
    struct file *f;
    struct socket *s;
    struct socket_address a;
    long err = socket_get(fd, &f, &s);
    if (err)
        return err;
    err = s->ops->name ? s->ops->name(s, of_peer, &a) : -EOPNOTSUPP;
    if (!err)
        err = socket_address_put(&a, address, length);
    file_put(f);
    return err;
}

long sys_getsockname(long fd, long address, long length) {
    return tell_name(fd, address, length, false);
}

long sys_getpeername(long fd, long address, long length) {
    return tell_name(fd, address, length, true);
}

long sys_shutdown(long fd, long how) {
    struct file *f;
    struct socket *s;
    long err = socket_get(fd, &f, &s);
    if (err)
        return err;
    if ((uint32_t)how > SOCKET_SHUT_BOTH)
        err = -EINVAL;
    else
        err = s->ops->shutdown ? s->ops->shutdown(s, (enum socket_shutdown)how) : -EOPNOTSUPP;
    file_put(f);
    return err;
}

long sys_setsockopt(long fd, long level, long name, long user, long length) {
    struct file *f;
    struct socket *s;
    char value[OPTION_MAX];
    long err = socket_get(fd, &f, &s);
    if (err)
        return err;
    /* Only what the option has is looked at, so what cannot be read behind it does not matter. */
    uint32_t size = (uint32_t)MIN((int)length, (int)OPTION_MAX), missing;
    if ((int)length < 0) {
        err = -EINVAL;
    } else {
        missing = (uint32_t)copy_from_user_partial(value, (const void *)user, size);
        if (size && missing == size && size >= sizeof(int))
            err = -EFAULT;
        else
            err = socket_set_option(s, (int)level, (int)name, value, size - missing);
    }
    file_put(f);
    return err;
}

long sys_getsockopt(long fd, long level, long name, long user, long user_length) {
    struct file *f;
    struct socket *s;
    char value[OPTION_MAX];
    uint32_t size;
    long err = socket_get(fd, &f, &s);
    if (err)
        return err;
    err = user_read_u32(&size, (const uint32_t *)user_length);
    if (!err && (int32_t)size < 0)
        err = -EINVAL;
    if (!err) {
        size = MIN(size, OPTION_MAX);
        err = socket_get_option(s, (int)level, (int)name, value, &size);
    }
    if (!err)
        err = copy_to_user((void *)user, value, size);
    if (!err)
        err = user_write_u32((uint32_t *)user_length, size);
    file_put(f);
    return err;
}
