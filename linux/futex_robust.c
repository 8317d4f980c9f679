/* SPDX-License-Identifier: MIT */
/*
 * Robust lists: the program keeps a list of the locks that each thread holds;
 * when a thread ends, the kernel marks those FUTEX_OWNER_DIED and wakes a
 * waiter.  The list is the program's, so it may be anything: every step is
 * checked, and its length limited as Linux does.
 */
#include <asm-generic/errno.h>
#include <linux/futex.h>

#include "arch/x86_64/uaccess.h"
#include "linux/process.h"
#include "linux/syscalls.h"

/* The word of a lock whose owner `tid` has ended. */
static void mark_dead(uintptr_t addr, int tid, bool pending) {
    uint32_t *word = (uint32_t *)addr;
    uint32_t found, seen;

    if (addr % sizeof(uint32_t) || user_read_u32(&found, word))
        return;
    /* An unlock that was interrupted between freeing the word and waking: wake for it. */
    if (pending && !found) {
        (void)futex_wake_address(word, 1);
        return;
    }
    for (;;) {
        if ((found & FUTEX_TID_MASK) != (uint32_t)tid)
            return;
        seen = found;
        if (user_cmpxchg_u32(word, &seen, (found & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
            return;
        if (seen == found)
            break;
        found = seen;
    }
    if (found & FUTEX_WAITERS)
        (void)futex_wake_address(word, 1);
}

void futex_end_task(struct task *t) {
    struct robust_list_head head;
    uintptr_t entry, end = (uintptr_t)t->robust_list;
    uintptr_t pending;
    unsigned left = ROBUST_LIST_LIMIT;

    if (!t->robust_list || copy_from_user(&head, t->robust_list, sizeof(head)))
        return;
    /* Bit 0 of an entry marks a lock with priority inheritance, which we do not have. */
    pending = (uintptr_t)head.list_op_pending & ~1ul;
    for (entry = (uintptr_t)head.list.next & ~1ul; entry != end && left > 0; left--) {
        uint64_t next;
        int err = user_read_u64(&next, (const uint64_t *)entry);

        if (entry != pending)
            mark_dead(entry + (uintptr_t)head.futex_offset, t->thread.tid, false);
        if (err)
            return;
        entry = next & ~1ul;
    }
    if (pending)
        mark_dead(pending + (uintptr_t)head.futex_offset, t->thread.tid, true);
}

long sys_set_robust_list(long head, long size) {
    if (size != sizeof(struct robust_list_head))
        return -EINVAL;
    current_task()->robust_list = (void *)head;
    return 0;
}

long sys_get_robust_list(long tid, long head, long size) {
    struct process *p = current_task()->process;
    uint64_t value = 0, flags;
    struct task *t;

    flags = spin_lock_irqsave(&p->lock);
    t = (int)tid ? process_find_task(p, (int)tid) : current_task();
    if (t)
        value = (uintptr_t)t->robust_list;
    spin_unlock_irqrestore(&p->lock, flags);
    if (!t)
        return -ESRCH;
    if (user_write_u64((uint64_t *)size, sizeof(struct robust_list_head)))
        return -EFAULT;
    return user_write_u64((uint64_t *)head, value);
}
