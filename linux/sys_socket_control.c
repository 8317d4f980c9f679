/* SPDX-License-Identifier: MIT */
/* Control messages of sendmsg and recvmsg: SCM_RIGHTS, SCM_CREDENTIALS, and a family's own. */
#include <asm-generic/errno.h>
#include <asm-generic/socket.h>
#include <linux/in.h>
#include "arch/x86_64/uaccess.h"
#include "base/string.h"
#include "kernel/slab.h"
#include "linux/sys_file.h"
#include "linux/sys_socket.h"

/* Linux's struct cmsghdr; each begins at a multiple of 8. */
struct control {
    uint64_t length; /* with this header */
    int32_t level, type;
};

#define CONTROL_MAX 20480u /* bytes of one call: Linux's optmem_max */

/* Appends the descriptors that lie behind a header to *files, which it makes if need be. */
static int files_get(struct socket_files **files, long user, size_t size) {
    unsigned count = (unsigned)(size / sizeof(int));
    if (count > SOCKET_FILES_MAX - (*files ? (*files)->count : 0))
        return -EINVAL;
    if (!count)
        return 0;
    if (!*files)
        *files = kmalloc(sizeof **files + SOCKET_FILES_MAX * sizeof(struct file *));
    if (!*files)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        uint32_t fd;
        if (user_read_u32(&fd, (const uint32_t *)user + i))
            return -EFAULT;
        struct file *f = our_file((int)fd);
        if (!f)
            return -EBADF;
        (*files)->files[(*files)->count++] = f;
    }
    return 0;
}

/* Only who one is may be told; there is nobody else. */
static int check_credentials(long user, size_t size) {
    struct socket_credentials c;
    if (size != sizeof c)
        return -EINVAL;
    if (copy_from_user(&c, (const void *)user, sizeof c))
        return -EFAULT;
    return c.pid == (uint32_t)current_task()->process->pid && !c.uid && !c.gid ? 0 : -EPERM;
}

/* Whether the family looks at it. */
static bool is_own(const struct socket *s, const struct control *c) {
    return (s->family == AF_INET || s->family == AF_INET6) && s->type == SOCK_DGRAM &&
           (c->level == IPPROTO_IP || c->level == IPPROTO_IPV6 || c->level == IPPROTO_UDP);
}

static int own_get(struct socket_controls *all, const struct control *c, long user, size_t size) {
    struct socket_control *own = &all->at[all->count];
    if (all->count == SOCKET_CONTROLS_MAX || size > sizeof own->bytes)
        return -EINVAL;
    all->count++;
    *own = (struct socket_control){ .level = c->level, .type = c->type, .size = (uint32_t)size };
    return copy_from_user(own->bytes, (const void *)user, size) ? -EFAULT : 0;
}

static int one_get(struct socket *s, struct socket_message *m, const struct control *c, long user) {
    struct socket_files **files = &m->files;
    size_t size = c->length - sizeof *c;
    if (is_own(s, c))
        return own_get(m->controls, c, user, size);
    if (c->level != SOL_SOCKET || s->family != AF_UNIX)
        return 0;
    if (c->type == SCM_RIGHTS)
        return files_get(files, user, size);
    return c->type == SCM_CREDENTIALS ? check_credentials(user, size) : -EINVAL;
}

/* Gives back the room for descriptors that did not come. */
static void files_fit(struct socket_files **files) {
    size_t size = sizeof **files + (*files)->count * sizeof(struct file *);
    struct socket_files *exact = kmalloc(size);
    if (!exact)
        return;
    memcpy(exact, *files, size);
    kfree(*files);
    *files = exact;
}

int socket_control_get(struct socket *s, struct socket_message *m, long user, size_t size) {
    struct socket_files **files = &m->files;
    int err = 0;
    *files = NULL;
    if (size > CONTROL_MAX)
        return -ENOBUFS;
    if (!user_range_ok((void *)user, size))
        return -EFAULT;
    for (size_t at = 0; !err && size - at >= sizeof(struct control);) {
        struct control c;
        if (copy_from_user(&c, (const char *)user + at, sizeof c))
            err = -EFAULT;
        else if (c.length < sizeof c || c.length > size - at)
            err = -EINVAL;
        else
            err = one_get(s, m, &c, user + (long)(at + sizeof c));
        if (!err)
            at = MIN(size, at + ALIGN_UP(c.length, 8ul));
    }
    if (err) {
        socket_files_put(*files);
        *files = NULL;
    } else if (*files) {
        files_fit(files);
    }
    return err;
}

/* The program's room for control messages; `user` moves on. */
struct control_room {
    long user;
    size_t left;
};

/* The header of one whose data is in place; false where the program's memory is not there. */
static bool close_control(struct control_room *r, int level, int type, size_t size) {
    struct control c = { .length = sizeof c + size, .level = level, .type = type };
    if (copy_to_user((void *)r->user, &c, sizeof c))
        return false;
    size_t space = MIN(ALIGN_UP(c.length, 8ul), r->left);
    r->user += (long)space;
    r->left -= space;
    return true;
}

/* One of these bytes, cut to what there is room for. */
static void bytes_put(struct control_room *r, struct socket_message *m, int level, int type,
                      const void *bytes, size_t size) {
    if (!r->user || r->left < sizeof(struct control)) {
        m->received |= MSG_CTRUNC;
        return;
    }
    if (r->left - sizeof(struct control) < size) {
        size = r->left - sizeof(struct control);
        m->received |= MSG_CTRUNC;
    }
    if (!copy_to_user((char *)r->user + sizeof(struct control), bytes, size))
        (void)close_control(r, level, type, size);
}

/* Enters one file at a descriptor and tells the program; its reference stays with the caller. */
static bool file_put_user(struct file *f, bool cloexec, uint32_t *user) {
    file_get(f);
    int fd = fd_install(our_files(), f, 0, cloexec);
    if (fd < 0) {
        file_put(f);
        return false;
    }
    if (!user_write_u32(user, (uint32_t)fd))
        return true;
    (void)fd_close(our_files(), fd);
    return false;
}

static void files_put_user(struct control_room *r, struct socket_message *m) {
    struct socket_files *files = m->files;
    uint32_t *user = (uint32_t *)(r->user + (long)sizeof(struct control));
    size_t room = r->user && r->left >= sizeof(struct control)
                      ? (r->left - sizeof(struct control)) / sizeof(int)
                      : 0;
    unsigned done = 0;
    while (done < files->count && done < room &&
           file_put_user(files->files[done], m->flags & MSG_CMSG_CLOEXEC, user + done))
        done++;
    if (done)
        (void)close_control(r, SOL_SOCKET, SCM_RIGHTS, done * sizeof(int));
    if (done < files->count)
        m->received |= MSG_CTRUNC;
}

size_t socket_control_put(struct socket *s, struct socket_message *m, long user, size_t size) {
    struct control_room r = { user, user ? size : 0 };
    if (s->family == AF_UNIX && s->pass_credentials) {
        struct socket_credentials c = { (uint32_t)current_task()->process->pid, 0, 0 };
        bytes_put(&r, m, SOL_SOCKET, SCM_CREDENTIALS, &c, sizeof c);
    }
    for (unsigned i = 0; i < m->controls->count; i++) {
        const struct socket_control *own = &m->controls->at[i];
        bytes_put(&r, m, own->level, own->type, own->bytes, own->size);
    }
    if (m->files)
        files_put_user(&r, m);
    socket_files_put(m->files);
    m->files = NULL;
    return (size_t)(r.user - user);
}
