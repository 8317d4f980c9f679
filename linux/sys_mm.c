/* SPDX-License-Identifier: MIT */
/* The memory system calls: Linux's argument checks, then kernel/aspace.c. */
#include <asm/errno.h>
#include <asm/mman.h>
#include <linux/mman.h>
#include <linux/resource.h>

#include "arch/x86_64/uaccess.h"
#include "fs/fdtable.h"
#include "kernel/aspace.h"
#include "linux/process.h"
#include "linux/syscalls.h"

#define PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC)
/* What MAP_SHARED_VALIDATE knows: Linux's LEGACY_MAP_MASK.  MAP_SYNC is for persistent memory. */
#define VALIDATED_FLAGS                                                                            \
    (MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_DENYWRITE | MAP_EXECUTABLE |       \
     MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB |          \
     MAP_32BIT)

static struct aspace *aspace_now(void) {
    return current->aspace;
}

static uint64_t limit_of(unsigned which) {
    uint64_t soft = current_task()->process->limits.of[which].soft;
    return soft == UINT64_MAX ? soft : ALIGN_DOWN(soft, PAGE_SIZE);
}

static bool passes(uint64_t limit, uint64_t used, uint64_t more) {
    return more > limit || used > limit - more;
}

/* Whether `more` bytes would pass RLIMIT_DATA. */
static bool over_data_limit(uint64_t more) {
    uint64_t limit = limit_of(RLIMIT_DATA);
    struct aspace_stats stats;
    if (likely(limit == UINT64_MAX))
        return false;
    aspace_stats(aspace_now(), &stats);
    return passes(limit, stats.data_bytes, ALIGN_UP(more, PAGE_SIZE));
}

/* Whether `more` bytes of mappings would pass RLIMIT_AS or, being `data`, RLIMIT_DATA. */
static bool over_limit(uint64_t more, bool data) {
    uint64_t limit = limit_of(RLIMIT_AS);
    struct aspace_stats stats;
    if (unlikely(limit != UINT64_MAX)) {
        aspace_stats(aspace_now(), &stats);
        if (passes(limit, stats.mapped_bytes, ALIGN_UP(more, PAGE_SIZE)))
            return true;
    }
    return data && over_data_limit(more);
}

/* Linux's is_data_mapping: private and writable, no stack. */
static bool is_data(int prot, int flags) {
    return (prot & PROT_WRITE) && (flags & MAP_TYPE) == MAP_PRIVATE && !(flags & MAP_GROWSDOWN);
}

/* What a new mapping replaces does not count. */
static bool map_over_limit(uintptr_t addr, size_t length, int prot, int flags) {
    if (!over_limit(length, is_data(prot, flags)))
        return false;
    if (!(flags & MAP_FIXED) || (flags & MAP_FIXED_NOREPLACE) || length > USER_END)
        return true;
    uint64_t gone = aspace_mapped_bytes(aspace_now(), addr, length, MAPPED);
    return over_limit(ALIGN_UP(length, PAGE_SIZE) - gone, is_data(prot, flags));
}

static unsigned region_flags(int flags) {
    unsigned out = 0;
    if (flags & MAP_FIXED)
        out |= REGION_FIXED;
    if (flags & MAP_FIXED_NOREPLACE)
        out = (out & ~REGION_FIXED) | REGION_NOREPLACE;
    if (flags & MAP_GROWSDOWN)
        out |= REGION_STACK;
    if (flags & MAP_NORESERVE)
        out |= REGION_NORESERVE;
    if (flags & MAP_LOCKED)
        out |= REGION_LOCKED | REGION_POPULATE;
    if ((flags & MAP_POPULATE) && !(flags & MAP_NONBLOCK))
        out |= REGION_POPULATE;
    if (flags & MAP_STACK)
        out |= REGION_NOHUGE;
    if (flags & MAP_32BIT)
        out |= REGION_LOW;
    return out;
}

/* The object behind a mapping, with a reference in *out (NULL: private anonymous). */
static int object_for(int fd, int prot, int flags, int type, unsigned *region,
                      struct vm_object **out) {
    int err = 0;
    struct fd_table *files = current_task()->process->files;
    *out = flags & MAP_ANONYMOUS ? NULL : fd_vm_object(files, fd, prot, flags, &err);
    if (!*out) {
        /* Anonymous, or /dev/zero, which is the same. */
        if (err || type == MAP_PRIVATE)
            return err;
        *out = vm_object_create_shared();
        return *out ? 0 : -ENOMEM;
    }
    if (type != MAP_PRIVATE && !(prot & PROT_WRITE)) {
        /* What may a later mprotect add? */
        struct vm_object *writable = fd_vm_object(files, fd, prot | PROT_WRITE, flags, &err);
        if (writable)
            vm_object_put(writable);
        else
            *region |= REGION_NOWRITE;
    }
    return 0;
}

long sys_mmap(long a, long b, long c, long d, long e, long f) {
    uintptr_t addr = (uintptr_t)a;
    size_t length = (size_t)b;
    int prot = (int)c & PROT_ALL, flags = (int)d;
    int type = flags & MAP_TYPE;
    unsigned region = region_flags(flags);
    struct vm_object *object;

    if ((uint64_t)f & ~PAGE_MASK)
        return -EINVAL;
    if (!(flags & MAP_ANONYMOUS) && fd_get_cloexec(current_task()->process->files, (int)e) < 0)
        return -EBADF;
    if (!length)
        return -EINVAL;
    if (flags & MAP_HUGETLB)
        return flags & MAP_ANONYMOUS ? -ENOMEM : -EINVAL; /* there is no pool of huge pages */
    if (!(flags & MAP_ANONYMOUS) && type == MAP_SHARED_VALIDATE && (flags & ~VALIDATED_FLAGS))
        return -EOPNOTSUPP;
    if (type != MAP_PRIVATE && type != MAP_SHARED &&
        (type != MAP_SHARED_VALIDATE || (flags & MAP_ANONYMOUS)))
        return -EINVAL;
    if ((flags & MAP_GROWSDOWN) && (type != MAP_PRIVATE || !(flags & MAP_ANONYMOUS)))
        return -EINVAL;
    if (type != MAP_PRIVATE)
        region |= REGION_SHARED;
    if (map_over_limit(addr, length, prot, flags))
        return -ENOMEM;
    int err = object_for((int)e, prot, flags, type, &region, &object);
    if (err)
        return err;
    err = aspace_map(aspace_now(), &addr, length, prot, region, object, object ? (uint64_t)f : 0,
                     NULL);
    if (err && object)
        vm_object_put(object);
    return err ? err : (long)addr;
}

long sys_munmap(long a, long b) {
    return aspace_unmap(aspace_now(), (uintptr_t)a, (size_t)b);
}

long sys_mprotect(long a, long b, long c) {
    if ((c & PROT_WRITE) && limit_of(RLIMIT_DATA) != UINT64_MAX && !(a & ~PAGE_MASK)) {
        uint64_t more = aspace_mapped_bytes(aspace_now(), (uintptr_t)a, (size_t)b, MAPPED_NOT_DATA);
        if (more && over_data_limit(more))
            return -ENOMEM;
    }
    return aspace_protect(aspace_now(), (uintptr_t)a, (size_t)b, (int)c);
}

long sys_mremap(long a, long b, long c, long d, long e) {
    uintptr_t addr = (uintptr_t)e;
    if ((size_t)c > (size_t)b && (size_t)c <= USER_END) {
        size_t more = ALIGN_UP((size_t)c, PAGE_SIZE) - ALIGN_UP((size_t)b, PAGE_SIZE);
        bool data = limit_of(RLIMIT_DATA) != UINT64_MAX &&
                    aspace_mapped_bytes(aspace_now(), (uintptr_t)a, 1, MAPPED_DATA);
        if (over_limit(more, data))
            return -ENOMEM;
    }
    int err = aspace_remap(aspace_now(), (uintptr_t)a, (size_t)b, (size_t)c, (int)d, &addr);
    return err ? err : (long)addr;
}

long sys_madvise(long a, long b, long c) {
    return aspace_advise(aspace_now(), (uintptr_t)a, (size_t)b, (int)c);
}

long sys_brk(long a) {
    uintptr_t now = aspace_brk(aspace_now(), 0);
    size_t more = ALIGN_UP((uintptr_t)a, PAGE_SIZE) - ALIGN_UP(now, PAGE_SIZE);
    if ((uintptr_t)a > now && over_limit(more, true))
        return (long)now;
    return (long)aspace_brk(aspace_now(), (uintptr_t)a);
}

long sys_mincore(long a, long b, long c) {
    uint8_t vec[256];
    uintptr_t addr = (uintptr_t)a;
    uint8_t *to = (uint8_t *)c;
    if (addr & ~PAGE_MASK)
        return -EINVAL;
    if (!user_range_ok((void *)addr, (size_t)b))
        return -ENOMEM;
    size_t pages = ((size_t)b + PAGE_SIZE - 1) >> PAGE_SHIFT;
    if (!user_range_ok(to, pages))
        return -EFAULT;
    while (pages) {
        size_t n = MIN(pages, sizeof(vec));
        int err = aspace_mincore(aspace_now(), addr, n, vec);
        if (err)
            return err;
        if (copy_to_user(to, vec, n))
            return -EFAULT;
        addr += n << PAGE_SHIFT;
        to += n;
        pages -= n;
    }
    return 0;
}

long sys_mlock(long a, long b) {
    return aspace_lock(aspace_now(), (uintptr_t)a, (size_t)b, REGION_LOCKED);
}

long sys_mlock2(long a, long b, long c) {
    if ((int)c & ~MLOCK_ONFAULT)
        return -EINVAL;
    return aspace_lock(aspace_now(), (uintptr_t)a, (size_t)b,
                       REGION_LOCKED | ((int)c & MLOCK_ONFAULT ? REGION_ONFAULT : 0));
}

long sys_munlock(long a, long b) {
    return aspace_lock(aspace_now(), (uintptr_t)a, (size_t)b, 0);
}

long sys_mlockall(long a) {
    if (!(int)a || ((int)a & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) || (int)a == MCL_ONFAULT)
        return -EINVAL;
    return aspace_lock_all(aspace_now(), a & MCL_CURRENT, a & MCL_FUTURE,
                           REGION_LOCKED | (a & MCL_ONFAULT ? REGION_ONFAULT : 0));
}

long sys_munlockall(void) {
    return aspace_lock_all(aspace_now(), false, false, 0);
}

long sys_msync(long a, long b, long c) {
    /* All files live in memory, so there is nothing to write back; only the checks remain. */
    if (((int)c & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || ((uintptr_t)a & ~PAGE_MASK) ||
        ((c & MS_ASYNC) && (c & MS_SYNC)))
        return -EINVAL;
    return b ? aspace_check_sync(aspace_now(), (uintptr_t)a, (size_t)b, c & MS_INVALIDATE) : 0;
}
