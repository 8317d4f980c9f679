/* SPDX-License-Identifier: MIT */
/* Range checks round the copies of uaccess.S, and the exception table's look-up. */
#include "arch/x86_64/uaccess.h"
#include <asm-generic/errno.h>
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/uaccess_impl.h"
#include "base/string.h"
#include "kernel/thread.h"

size_t user_copy(void *to, const void *from, size_t n);
size_t user_clear(void *to, size_t n);
int user_load_u32(uint32_t *value, const uint32_t *user);
int user_load_u64(uint64_t *value, const uint64_t *user);
int user_store_u32(uint32_t *user, uint32_t value);
int user_store_u64(uint64_t *user, uint64_t value);
int user_swap_u32(uint32_t *user, uint32_t *expected, uint32_t desired);

struct extable_entry {
    uintptr_t at, fixup;
};
extern const struct extable_entry extable_start[], extable_end[];
extern uint8_t *const smap_sites_start[], *const smap_sites_end[]; /* see smap.h */

void uaccess_init(void) {
    if (cpu_features.smap)
        return;
    static const uint8_t nop3[3] = { 0x0f, 0x1f, 0x00 };
    for (uint8_t *const *site = smap_sites_start; site < smap_sites_end; site++)
        memcpy(*site, nop3, sizeof(nop3));
}

uintptr_t uaccess_fixup(uintptr_t rip) {
    for (const struct extable_entry *e = extable_start; e < extable_end; e++)
        if (e->at == rip)
            return e->fixup;
    return 0;
}

size_t copy_from_user_partial(void *to, const void *user_from, size_t n) {
    return user_range_ok(user_from, n) ? user_copy(to, user_from, n) : n;
}

size_t copy_to_user_partial(void *user_to, const void *from, size_t n) {
    return user_range_ok(user_to, n) ? user_copy(user_to, from, n) : n;
}

int copy_from_user(void *to, const void *user_from, size_t n) {
    return copy_from_user_partial(to, user_from, n) ? -EFAULT : 0;
}

int copy_to_user(void *user_to, const void *from, size_t n) {
    return copy_to_user_partial(user_to, from, n) ? -EFAULT : 0;
}

int clear_user(void *user_to, size_t n) {
    return user_range_ok(user_to, n) && user_clear(user_to, n) == 0 ? 0 : -EFAULT;
}

long string_from_user(char *to, const char *user_from, size_t size) {
    size_t done = 0;
    while (done < size) {
        /* Up to the end of a page at a time: what follows the NUL may be unmapped. */
        size_t n = PAGE_SIZE - ((uintptr_t)(user_from + done) & (PAGE_SIZE - 1));
        n = MIN(n, size - done);
        if (!user_range_ok(user_from + done, n))
            return -EFAULT;
        size_t got = n - user_copy(to + done, user_from + done, n);
        size_t length = strnlen(to + done, got);
        if (length < got)
            return (long)(done + length);
        if (got < n)
            return -EFAULT;
        done += n;
    }
    return -ENAMETOOLONG;
}

int user_read_u32(uint32_t *value, const uint32_t *user) {
    return user_range_ok(user, 4) ? user_load_u32(value, user) : -EFAULT;
}

int user_read_u32_nofault(uint32_t *value, const uint32_t *user) {
    if (!user_range_ok(user, 4))
        return -EFAULT;
    struct thread *me = current;
    me->no_fault = true;
    int err = user_load_u32(value, user);
    me->no_fault = false;
    return err;
}

int user_write_u32(uint32_t *user, uint32_t value) {
    return user_range_ok(user, 4) ? user_store_u32(user, value) : -EFAULT;
}

int user_read_u64(uint64_t *value, const uint64_t *user) {
    return user_range_ok(user, 8) ? user_load_u64(value, user) : -EFAULT;
}

int user_write_u64(uint64_t *user, uint64_t value) {
    return user_range_ok(user, 8) ? user_store_u64(user, value) : -EFAULT;
}

int user_cmpxchg_u32(uint32_t *user, uint32_t *expected, uint32_t desired) {
    return user_range_ok(user, 4) ? user_swap_u32(user, expected, desired) : -EFAULT;
}
