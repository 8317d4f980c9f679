/* SPDX-License-Identifier: MIT */
/* printf's formatting.  Text beyond the buffer is counted but not stored. */
#include "base/format.h"
#include "base/string.h"

/* Where the text goes. */
struct out {
    char *to;
    size_t size;
    size_t length; /* of the whole text so far; what lies at size - 1 and beyond is dropped */
};

/* One conversion, taken apart. */
struct spec {
    bool left, zero, plus, space, alternate, upper;
    int width;
    int precision; /* -1: none given */
    int long_size; /* bytes of an integer argument */
};

static void out_char(struct out *o, char c) {
    if (o->length + 1 < o->size)
        o->to[o->length] = c;
    o->length++;
}

static void out_fill(struct out *o, char c, long n) {
    while (n-- > 0)
        out_char(o, c);
}

static void out_text(struct out *o, const char *s, size_t n) {
    while (n--)
        out_char(o, *s++);
}

/* Text with the padding that `s` asks for. */
static void put_padded(struct out *o, const struct spec *s, const char *text, size_t n) {
    long pad = s->width - (long)n;

    if (!s->left)
        out_fill(o, ' ', pad);
    out_text(o, text, n);
    if (s->left)
        out_fill(o, ' ', pad);
}

/* `sign` is the text before the digits: a sign, "0x" or nothing. */
static void put_number(struct out *o, const struct spec *s, uint64_t value, unsigned base,
                       const char *sign) {
    const char *digits = s->upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24]; /* 22 octal digits at most */
    size_t n = 0, sign_size = strlen(sign);
    long zeros, pad;

    for (uint64_t v = value; v; v /= base)
        text[sizeof text - ++n] = digits[v % base];
    if (!value && s->precision != 0)
        text[sizeof text - ++n] = '0';
    zeros = s->precision - (long)n;
    if (base == 8 && s->alternate && zeros <= 0 && (!n || text[sizeof text - n] != '0'))
        zeros = 1;
    zeros = MAX(zeros, 0l);
    pad = s->width - (long)(n + sign_size) - zeros;
    if (s->zero && !s->left && s->precision < 0 && pad > 0) {
        zeros += pad;
        pad = 0;
    }

    if (!s->left)
        out_fill(o, ' ', pad);
    out_text(o, sign, sign_size);
    out_fill(o, '0', zeros);
    out_text(o, text + sizeof text - n, n);
    if (s->left)
        out_fill(o, ' ', pad);
}

static void put_signed(struct out *o, const struct spec *s, int64_t v) {
    const char *sign = v < 0 ? "-" : s->plus ? "+" : s->space ? " " : "";

    put_number(o, s, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, sign);
}

static void put_hex(struct out *o, const struct spec *s, uint64_t v) {
    put_number(o, s, v, 16, s->alternate && v ? (s->upper ? "0X" : "0x") : "");
}

static void put_string(struct out *o, const struct spec *s, const char *text) {
    if (!text)
        text = "(null)";
    put_padded(o, s, text, s->precision < 0 ? strlen(text) : strnlen(text, (size_t)s->precision));
}

/* A number in the format itself; stops growing where it would overflow. */
static int parse_count(const char **p) {
    int n = 0;

    for (; **p >= '0' && **p <= '9'; (*p)++)
        if (n < 1000000)
            n = n * 10 + (**p - '0');
    return n;
}

static void parse_flags(const char **p, struct spec *s) {
    for (;; (*p)++) {
        switch (**p) {
        case '-':
            s->left = true;
            break;
        case '0':
            s->zero = true;
            break;
        case '+':
            s->plus = true;
            break;
        case ' ':
            s->space = true;
            break;
        case '#':
            s->alternate = true;
            break;
        default:
            return;
        }
    }
}

static void parse_size(const char **p, struct spec *s) {
    s->long_size = sizeof(int);
    if (**p == 'h') {
        s->long_size = *++*p == 'h' ? 1 : 2;
        *p += s->long_size == 1;
    } else if (**p == 'l') {
        s->long_size = sizeof(long);
        *p += (*p)[1] == 'l' ? 2 : 1;
    } else if (**p == 'z' || **p == 't' || **p == 'j') {
        s->long_size = sizeof(long);
        ++*p;
    }
}

static int64_t narrow_signed(int64_t v, int bytes) {
    return bytes == 1 ? (int8_t)v : bytes == 2 ? (int16_t)v : bytes == 4 ? (int32_t)v : v;
}

static uint64_t narrow_unsigned(uint64_t v, int bytes) {
    return bytes == 8 ? v : v & ((1ul << 8 * bytes) - 1);
}

/* va_list is an array type: a pointer to it survives being passed on, a copy does not. */
struct arguments {
    va_list list;
};

static uint64_t next_integer(struct arguments *args, int bytes) {
    return bytes == 8 ? va_arg(args->list, uint64_t) : (uint64_t)(int64_t)va_arg(args->list, int);
}

/* Parses what follows '%' up to the conversion's letter. */
static void parse_spec(const char **p, struct spec *s, struct arguments *args) {
    *s = (struct spec){ .precision = -1 };
    parse_flags(p, s);
    if (**p == '*') {
        ++*p;
        s->width = va_arg(args->list, int);
        if (s->width < 0) {
            s->left = true;
            s->width = -s->width;
        }
    } else {
        s->width = parse_count(p);
    }
    if (**p == '.') {
        if (*++*p == '*') {
            ++*p;
            s->precision = va_arg(args->list, int);
            s->precision = MAX(s->precision, -1);
        } else {
            s->precision = parse_count(p);
        }
    }
    parse_size(p, s);
}

static void put_pointer(struct out *o, struct spec *s, const void *pointer) {
    s->alternate = true;
    if (pointer)
        put_hex(o, s, (uintptr_t)pointer);
    else
        put_padded(o, s, "(nil)", 5);
}

/* One conversion; *p is behind its '%'. */
static void convert(struct out *o, const char **p, struct arguments *args) {
    const char *start = *p;
    struct spec s;
    char c;

    parse_spec(p, &s, args);
    switch (c = *(*p)++) {
    case 'd':
    case 'i':
        put_signed(o, &s, narrow_signed((int64_t)next_integer(args, s.long_size), s.long_size));
        break;
    case 'u':
    case 'o':
        put_number(o, &s, narrow_unsigned(next_integer(args, s.long_size), s.long_size),
                   c == 'u' ? 10 : 8, "");
        break;
    case 'X':
        s.upper = true; /* fall through */
    case 'x':
        put_hex(o, &s, narrow_unsigned(next_integer(args, s.long_size), s.long_size));
        break;
    case 'p':
        put_pointer(o, &s, va_arg(args->list, void *));
        break;
    case 's':
        put_string(o, &s, va_arg(args->list, const char *));
        break;
    case 'c':
        c = (char)va_arg(args->list, int);
        put_padded(o, &s, &c, 1);
        break;
    case '%':
        out_char(o, '%');
        break;
    default: /* not ours: show it as it stands */
        out_char(o, '%');
        *p = start;
    }
}

int format_args(char *to, size_t size, const char *fmt, va_list list) {
    struct out o = { .to = to, .size = size };
    struct arguments args;

    va_copy(args.list, list);
    while (*fmt) {
        if (*fmt == '%') {
            fmt++;
            convert(&o, &fmt, &args);
        } else {
            out_char(&o, *fmt++);
        }
    }
    va_end(args.list);
    if (size)
        to[MIN(o.length, size - 1)] = '\0';
    return (int)MIN(o.length, (size_t)INT32_MAX);
}

int format(char *to, size_t size, const char *fmt, ...) {
    va_list args;
    int n;

    va_start(args, fmt);
    n = format_args(to, size, fmt, args);
    va_end(args);
    return n;
}
