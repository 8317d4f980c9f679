/* SPDX-License-Identifier: MIT */
/*
 * printf's formatting without a C library: %d %i %u %x %X %o %c %s %p %% with
 * the flags - 0 + # space, width and precision (also *), and h hh l ll z t j.
 */
#ifndef BASE_FORMAT_H
#define BASE_FORMAT_H

#include <stdarg.h>
#include "base/types.h"

/*
 * Formats into `size` bytes at `to`, always NUL-terminated when size > 0.
 * Returns the length that the whole text has, as snprintf does.
 */
int format(char *to, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int format_args(char *to, size_t size, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
