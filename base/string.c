/* SPDX-License-Identifier: MIT */
/*
 * Memory and strings.  Bulk work goes eight bytes at a time in unrolled loops:
 * under TCG each step of `rep movsb` costs as much as an instruction, and the
 * kernel is compiled without vector registers (and with
 * -fno-tree-loop-distribute-patterns, or memset would become a call of memset).  Unaligned words
 * are cheap on x86 everywhere, so nothing is aligned first.
 */
#include "base/string.h"

#ifndef HOST_TEST

/* Eight bytes at any address, of any type. */
struct word {
    uint64_t v;
} __attribute__((packed, may_alias));

struct half {
    uint32_t v;
} __attribute__((packed, may_alias));

#define WORD  sizeof(struct word)
#define BLOCK (4 * WORD) /* bytes in one step of the unrolled loops */

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
    uint8_t *d = to;
    const uint8_t *s = from;

    for (; n >= BLOCK; n -= BLOCK, d += BLOCK, s += BLOCK) {
        const struct word *sw = (const struct word *)s;
        struct word *dw = (struct word *)d;
        uint64_t a = sw[0].v, b = sw[1].v, c = sw[2].v, e = sw[3].v;

        dw[0].v = a;
        dw[1].v = b;
        dw[2].v = c;
        dw[3].v = e;
    }
    for (; n >= WORD; n -= WORD, d += WORD, s += WORD)
        ((struct word *)d)->v = ((const struct word *)s)->v;
    if (n & sizeof(struct half)) {
        ((struct half *)d)->v = ((const struct half *)s)->v;
        d += sizeof(struct half);
        s += sizeof(struct half);
    }
    for (n &= sizeof(struct half) - 1; n > 0; n--)
        *d++ = *s++;
    return to;
}

/* Copies from the end; right when the areas overlap and `to` is above `from`. */
static void copy_down(uint8_t *to, const uint8_t *from, size_t n) {
    uint8_t *d = to + n;
    const uint8_t *s = from + n;

    while (n >= BLOCK) {
        const struct word *sw = (const struct word *)(s -= BLOCK);
        struct word *dw = (struct word *)(d -= BLOCK);
        uint64_t a = sw[0].v, b = sw[1].v, c = sw[2].v, e = sw[3].v;

        dw[3].v = e;
        dw[2].v = c;
        dw[1].v = b;
        dw[0].v = a;
        n -= BLOCK;
    }
    for (; n >= WORD; n -= WORD) {
        s -= WORD;
        d -= WORD;
        ((struct word *)d)->v = ((const struct word *)s)->v;
    }
    while (n--)
        *--d = *--s;
}

void *memmove(void *to, const void *from, size_t n) {
    /* memcpy reads each block before it writes it and goes up: fine unless `to` lies inside. */
    if ((uintptr_t)to - (uintptr_t)from >= n)
        return memcpy(to, from, n);
    copy_down(to, from, n);
    return to;
}

void *memset(void *to, int byte, size_t n) {
    uint8_t *d = to;
    uint64_t pattern = (uint8_t)byte * 0x0101010101010101ul;

    for (; n >= BLOCK; n -= BLOCK, d += BLOCK) {
        struct word *w = (struct word *)d;

        w[0].v = pattern;
        w[1].v = pattern;
        w[2].v = pattern;
        w[3].v = pattern;
    }
    for (; n >= WORD; n -= WORD, d += WORD)
        ((struct word *)d)->v = pattern;
    while (n--)
        *d++ = (uint8_t)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t n) {
    const uint8_t *p = a, *q = b;

    while (n >= WORD && ((const struct word *)p)->v == ((const struct word *)q)->v) {
        n -= WORD;
        p += WORD;
        q += WORD;
    }
    for (; n; n--, p++, q++)
        if (*p != *q)
            return *p < *q ? -1 : 1;
    return 0;
}

void *memchr(const void *s, int byte, size_t n) {
    const uint8_t *p = s;

    for (; n; n--, p++)
        if (*p == (uint8_t)byte)
            return (void *)(uintptr_t)p;
    return NULL;
}

size_t strlen(const char *s) {
    size_t n = 0;

    while (s[n])
        n++;
    return n;
}

size_t strnlen(const char *s, size_t max) {
    size_t n = 0;

    while (n < max && s[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b) {
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t n) {
    while (n && *a && *a == *b) {
        a++;
        b++;
        n--;
    }
    return n ? (uint8_t)*a - (uint8_t)*b : 0;
}

char *strchr(const char *s, int c) {
    for (;; s++) {
        if (*s == (char)c)
            return (char *)(uintptr_t)s;
        if (!*s)
            return NULL;
    }
}

char *strrchr(const char *s, int c) {
    const char *last = NULL;

    for (;; s++) {
        if (*s == (char)c)
            last = s;
        if (!*s)
            return (char *)(uintptr_t)last;
    }
}

#endif

size_t string_copy(char *to, const char *from, size_t size) {
    size_t n = strlen(from), take = MIN(n, size - 1);

    memcpy(to, from, take);
    to[take] = '\0';
    return n;
}

bool string_starts(const char *s, const char *prefix) {
    while (*prefix)
        if (*s++ != *prefix++)
            return false;
    return true;
}

static unsigned digit_value(char c) {
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 255;
}

bool string_number(const char **s, uint64_t *out) {
    const char *p = *s;
    unsigned base = 10;
    uint64_t value = 0;

    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X') && digit_value(p[2]) < 16) {
        base = 16;
        p += 2;
    }
    if (digit_value(*p) >= base)
        return false;
    for (; digit_value(*p) < base; p++)
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit_value(*p), &value))
            return false;
    *s = p;
    *out = value;
    return true;
}
