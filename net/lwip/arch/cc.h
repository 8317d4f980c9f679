/* SPDX-License-Identifier: MIT */
/* What lwIP asks of its compiler and platform. */
#ifndef NET_LWIP_ARCH_CC_H
#define NET_LWIP_ARCH_CC_H

#include "base/types.h"
#include "kernel/panic.h"
#include "kernel/random.h"

#define LWIP_NO_INTTYPES_H 1
#define LWIP_NO_LIMITS_H   1
#define LWIP_NO_UNISTD_H   1
#define LWIP_NO_CTYPE_H    1

#define INT_MAX   __INT_MAX__
#define SSIZE_MAX __LONG_MAX__
typedef long ssize_t;

#define BYTE_ORDER       LITTLE_ENDIAN
#define LWIP_NO_STDDEF_H 0

#define lwip_htons(x) ((u16_t)__builtin_bswap16((u16_t)(x)))
#define lwip_htonl(x) ((u32_t)__builtin_bswap32((u32_t)(x)))
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS

#define LWIP_RAND() ((u32_t)random_u64())

/* Its diagnostics say nothing that a counter does not; its broken invariants are ours. */
#define LWIP_PLATFORM_DIAG(x)
#define LWIP_PLATFORM_ASSERT(x) panic("lwIP: %s", x)

#define PACK_STRUCT_STRUCT __attribute__((packed))

#endif
