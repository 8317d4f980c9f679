/* SPDX-License-Identifier: MIT */
/* The part of <string.h> that a freestanding kernel needs; same contracts as ISO C. */
#ifndef BASE_STRING_H
#define BASE_STRING_H

#include "base/types.h"

#ifdef HOST_TEST
#include <string.h>
#else
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int byte, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
#endif

/*
 * Copies `from` into the `size` bytes at `to`, always NUL-terminated (size > 0).
 * Returns strlen(from): a result >= size means that it was cut.
 */
size_t string_copy(char *to, const char *from, size_t size);

/* Whether `s` begins with `prefix`. */
bool string_starts(const char *s, const char *prefix);

/*
 * Parses an unsigned number in base 10, or 16 after "0x", at *s and moves *s
 * behind it.  Returns false, with *s unmoved, where there is no digit or the
 * number overflows.
 */
bool string_number(const char **s, uint64_t *out);

#endif
