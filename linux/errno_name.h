/* SPDX-License-Identifier: MIT */
/* What Linux's errors are called, and what strerror(3) says of them. */
#ifndef LINUX_ERRNO_NAME_H
#define LINUX_ERRNO_NAME_H

struct errno_name {
    const char *name, *text; /* "ENOENT", "No such file or directory" */
};

/* Of `error`, a positive errno or a restart code of linux/syscalls.h, or NULL.  Any context. */
const struct errno_name *errno_name(long error);

#endif
