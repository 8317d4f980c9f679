/* SPDX-License-Identifier: MIT */
/* The few types and macros that everything uses. */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1ul << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))
#define HUGE_SHIFT 21
#define HUGE_SIZE  (1ul << HUGE_SHIFT)
#define HUGE_ORDER (HUGE_SHIFT - PAGE_SHIFT)

#define MAX_CPUS   64
#define CACHE_LINE 64

#define KIB(n) ((n)*1024ul)
#define MIB(n) ((n)*1024ul * 1024)
#define GIB(n) ((n)*1024ul * 1024 * 1024)

#define NS_PER_SEC 1000000000ul
#define NS_PER_MS  1000000ul
#define NS_PER_US  1000ul
#define TIME_NEVER UINT64_MAX /* a deadline that never comes */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* Each argument is evaluated once: it may be a call, or what a device writes meanwhile. */
#define MIN(a, b)             CHOOSE(<, a, b, __COUNTER__)
#define MAX(a, b)             CHOOSE(>, a, b, __COUNTER__)
#define CHOOSE(less, a, b, n) CHOOSE_(less, a, b, n)
#define CHOOSE_(less, a, b, n)                                                                     \
    __extension__({                                                                                \
        __auto_type a_##n = (a);                                                                   \
        __auto_type b_##n = (b);                                                                   \
        a_##n less b_##n ? a_##n : b_##n;                                                          \
    })
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define ALIGN_UP(x, a)   ALIGN_DOWN((x) + (__typeof__(x))(a)-1, a)
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a)-1)) == 0)

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define must_check    __attribute__((warn_unused_result))
#define noreturn_fn   __attribute__((noreturn))
#define cold_fn       __attribute__((cold, noinline))
#define cache_aligned __attribute__((aligned(CACHE_LINE)))
#define likely(x)     __builtin_expect(!!(x), 1)
#define unlikely(x)   __builtin_expect(!!(x), 0)

/* A physical address; a struct, so that the compiler catches a mix-up with a virtual one. */
struct paddr {
    uint64_t value;
};
#define PADDR(x) ((struct paddr){ (x) })

#endif
