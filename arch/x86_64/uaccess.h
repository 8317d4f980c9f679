/* SPDX-License-Identifier: MIT */
/*
 * The only way to the program's memory.  Every function checks that the range
 * lies below USER_END, opens SMAP for just the access, and survives a fault
 * through the exception table.
 *
 * Context: thread context, interrupts on, no spinlock held (the access may
 * fault and sleep), except for the _nofault forms, which fail with -EFAULT
 * instead of serving a fault and may be used under a spinlock.
 * All return 0 or -EFAULT unless stated.
 */
#ifndef ARCH_UACCESS_H
#define ARCH_UACCESS_H

#include "base/types.h"

must_check int copy_from_user(void *to, const void *user_from, size_t n);
must_check int copy_to_user(void *user_to, const void *from, size_t n);
/* As above, but return how many bytes were NOT copied (for read, write and iovecs). */
size_t copy_from_user_partial(void *to, const void *user_from, size_t n);
size_t copy_to_user_partial(void *user_to, const void *from, size_t n);
must_check int clear_user(void *user_to, size_t n);

/*
 * Copies a NUL-terminated string into `size` bytes.  Returns its length
 * without the NUL, -ENAMETOOLONG if it does not fit, or -EFAULT.
 */
must_check long string_from_user(char *to, const char *user_from, size_t size);

must_check int user_read_u32(uint32_t *value, const uint32_t *user);
must_check int user_read_u32_nofault(uint32_t *value, const uint32_t *user);
must_check int user_write_u32(uint32_t *user, uint32_t value);
must_check int user_read_u64(uint64_t *value, const uint64_t *user);
must_check int user_write_u64(uint64_t *user, uint64_t value);
/*
 * Sequentially consistent compare-exchange on the program's memory: stores
 * the value found in *expected.  Returns 0 (look at *expected) or -EFAULT.
 */
must_check int user_cmpxchg_u32(uint32_t *user, uint32_t *expected, uint32_t desired);

/* Whether [p, p + n) lies wholly in the program's half. */
static inline bool user_range_ok(const void *p, size_t n) {
    return (uintptr_t)p < 0x00007ffffffff000ul && n <= 0x00007ffffffff000ul - (uintptr_t)p;
}

#endif
