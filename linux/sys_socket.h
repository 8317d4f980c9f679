/* SPDX-License-Identifier: MIT */
/* What the system calls on sockets share. */
#ifndef LINUX_SYS_SOCKET_H
#define LINUX_SYS_SOCKET_H

#include "base/types.h"
#include "net/socket.h"

/* The socket behind `fd`; *f holds it (file_put).  0, -EBADF, -ENOTSOCK. */
must_check int socket_get(long fd, struct file **f, struct socket **s);
/* Fetches an address; length 0 gives none.  0, -EINVAL, -EFAULT. */
must_check int socket_address_get(struct socket_address *a, long user, long length);
/* Stores one as far as the program's buffer reaches; *user_length: its size, then the address's. */
must_check int socket_address_put(const struct socket_address *a, long user, long user_length);
/* What a call on `s` returns whose op returned `n`: raises SIGPIPE, and says whether an interrupted
 * wait is repeated (`sending`: which of the time limits it was under). */
long socket_result(struct socket *s, long n, bool sending, unsigned flags);

/* Control messages (sys_socket_control.c): those of a sendmsg become m->files and
 * *m->controls. */
must_check int socket_control_get(struct socket *s, struct socket_message *m, long user,
                                  size_t size);
/* Those of a received message go to [user, user + size); returns how many bytes.  Sets MSG_CTRUNC
 * in m->received where they did not fit, and leaves no files in `m`. */
size_t socket_control_put(struct socket *s, struct socket_message *m, long user, size_t size);

#endif
