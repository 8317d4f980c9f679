/* SPDX-License-Identifier: MIT */
/*
 * The descriptor table.
 *
 * One spinlock (RANK_FILE) guards the slots, the close-on-exec bits and the
 * hint.  A lookup holds it for a load and an increment.  Rejected: a lock-free
 * lookup (load the slot, raise the count unless it is zero, look again).  It
 * needs the memory of a file never to be reused for anything else while a
 * reader may still look at it, and it writes the same shared line, the file's
 * count; it would save one write in two.
 *
 * The arrays only grow.  Growth allocates before it takes the lock and looks
 * again afterwards.  Files are released after the lock is dropped, since an
 * op's release may sleep.
 */
#include "fs/fdtable.h"

#include <asm-generic/errno.h>
#include <asm-generic/mman.h>
#include "base/string.h"
#include "fs/vfs.h"
#include "kernel/lock.h"
#include "kernel/slab.h"

#define FD_START                 64u                /* slots of a new table: a multiple of 64 */
#define MAP_ACCESS_SHARED(flags) (((flags)&3) != 2) /* MAP_SHARED, MAP_SHARED_VALIDATE */

struct fd_table {
    struct spinlock lock; /* RANK_FILE; guards all below but limit */
    struct file **slots;  /* `capacity` of them */
    uint64_t *cloexec;    /* a bit per slot */
    unsigned capacity;
    unsigned first_free; /* no free slot lies below */
    atomic_uint limit;
};

struct fd_table *fd_table_create(void) {
    struct fd_table *t = kmalloc(sizeof *t);
    if (!t)
        return NULL;
    spin_init(&t->lock, RANK_FILE);
    t->slots = kmalloc(FD_START * sizeof *t->slots);
    t->cloexec = kmalloc(FD_START / 8);
    if (!t->slots || !t->cloexec) {
        kfree(t->slots);
        kfree(t->cloexec);
        kfree(t);
        return NULL;
    }
    t->capacity = FD_START;
    atomic_init(&t->limit, 1024);
    return t;
}

void fd_table_destroy(struct fd_table *t) {
    for (unsigned i = 0; i < t->capacity; i++)
        if (t->slots[i])
            file_put(t->slots[i]);
    kfree(t->slots);
    kfree(t->cloexec);
    kfree(t);
}

void fd_table_set_limit(struct fd_table *t, unsigned limit) {
    t->limit = MIN(limit, FD_LIMIT_MAX);
}

unsigned fd_table_limit(struct fd_table *t) {
    return t->limit;
}

static struct file *slot_locked(struct fd_table *t, int fd) {
    return fd >= 0 && (unsigned)fd < t->capacity ? t->slots[fd] : NULL;
}

static void set_cloexec_locked(struct fd_table *t, unsigned fd, bool on) {
    uint64_t bit = 1ul << fd % 64;
    t->cloexec[fd / 64] = on ? t->cloexec[fd / 64] | bit : t->cloexec[fd / 64] & ~bit;
}

struct file *fd_get(struct fd_table *t, int fd) {
    spin_lock(&t->lock);
    struct file *f = slot_locked(t, fd);
    if (f)
        file_get(f);
    spin_unlock(&t->lock);
    return f;
}

/* Makes room for descriptor `fd`.  0 or -ENOMEM. */
static int table_grow(struct fd_table *t, unsigned fd) {
    unsigned want = FD_START;
    while (want <= fd)
        want *= 2;
    struct file **slots = kmalloc(want * sizeof *slots);
    uint64_t *cloexec = kmalloc(want / 8);
    if (!slots || !cloexec) {
        kfree(slots);
        kfree(cloexec);
        return -ENOMEM;
    }
    spin_lock(&t->lock);
    if (t->capacity < want) {
        memcpy(slots, t->slots, t->capacity * sizeof *slots);
        memcpy(cloexec, t->cloexec, t->capacity / 8);
        struct file **old_slots = t->slots;
        uint64_t *old_cloexec = t->cloexec;
        t->slots = slots;
        t->cloexec = cloexec;
        t->capacity = want;
        slots = old_slots;
        cloexec = old_cloexec;
    }
    spin_unlock(&t->lock);
    kfree(slots);
    kfree(cloexec);
    return 0;
}

static unsigned lowest_free_locked(struct fd_table *t, unsigned from) {
    unsigned fd = MAX(from, t->first_free);
    while (fd < t->capacity && t->slots[fd])
        fd++;
    return fd;
}

static void enter_locked(struct fd_table *t, unsigned fd, struct file *f, bool cloexec) {
    t->slots[fd] = f;
    set_cloexec_locked(t, fd, cloexec);
    if (fd == t->first_free)
        t->first_free = fd + 1;
}

static struct file *remove_locked(struct fd_table *t, unsigned fd) {
    struct file *f = t->slots[fd];
    t->slots[fd] = NULL;
    set_cloexec_locked(t, fd, false);
    if (f && fd < t->first_free)
        t->first_free = fd;
    return f;
}

int fd_install(struct fd_table *t, struct file *f, int from, bool cloexec) {
    for (;;) {
        spin_lock(&t->lock);
        unsigned fd = lowest_free_locked(t, (unsigned)from);
        if (fd >= t->limit) {
            spin_unlock(&t->lock);
            return -EMFILE;
        }
        if (fd < t->capacity) {
            enter_locked(t, fd, f, cloexec);
            spin_unlock(&t->lock);
            return (int)fd;
        }
        spin_unlock(&t->lock);
        int err = table_grow(t, fd);
        if (err)
            return err;
    }
}

bool fd_has_room(struct fd_table *t) {
    spin_lock(&t->lock);
    bool room = lowest_free_locked(t, 0) < t->limit;
    spin_unlock(&t->lock);
    return room;
}

int fd_install_pair(struct fd_table *t, struct file *a, struct file *b, bool cloexec, int out[2]) {
    file_get(a); /* so that a failure of the second leaves the caller both references */
    out[0] = fd_install(t, a, 0, cloexec);
    if (out[0] < 0) {
        file_put(a);
        return out[0];
    }
    out[1] = fd_install(t, b, 0, cloexec);
    if (out[1] < 0) {
        fd_close(t, out[0]);
        return out[1];
    }
    file_put(a);
    return 0;
}

int fd_replace(struct fd_table *t, int from, int to, bool cloexec) {
    if (to < 0 || (unsigned)to >= t->limit)
        return -EBADF;
    for (;;) {
        spin_lock(&t->lock);
        struct file *f = slot_locked(t, from);
        if (!f) {
            spin_unlock(&t->lock);
            return -EBADF;
        }
        if ((unsigned)to < t->capacity) {
            file_get(f);
            struct file *old = remove_locked(t, (unsigned)to);
            enter_locked(t, (unsigned)to, f, cloexec);
            spin_unlock(&t->lock);
            if (old)
                file_put(old);
            return to;
        }
        spin_unlock(&t->lock);
        int err = table_grow(t, (unsigned)to);
        if (err)
            return err;
    }
}

int fd_close(struct fd_table *t, int fd) {
    spin_lock(&t->lock);
    struct file *f = slot_locked(t, fd);
    if (f)
        remove_locked(t, (unsigned)fd);
    spin_unlock(&t->lock);
    if (!f)
        return -EBADF;
    file_put(f);
    return 0;
}

void fd_close_range(struct fd_table *t, unsigned first, unsigned last, bool cloexec_only) {
    int fd = first > INT32_MAX ? -1 : fd_next_open(t, (int)first);
    while (fd >= 0 && (unsigned)fd <= last) {
        if (cloexec_only)
            (void)fd_set_cloexec(t, fd, true);
        else
            (void)fd_close(t, fd);
        fd = fd_next_open(t, fd + 1);
    }
}

int fd_get_cloexec(struct fd_table *t, int fd) {
    spin_lock(&t->lock);
    int r = slot_locked(t, fd) ? (int)(t->cloexec[fd / 64] >> fd % 64 & 1) : -EBADF;
    spin_unlock(&t->lock);
    return r;
}

int fd_set_cloexec(struct fd_table *t, int fd, bool cloexec) {
    int r = -EBADF;
    spin_lock(&t->lock);
    if (slot_locked(t, fd)) {
        set_cloexec_locked(t, (unsigned)fd, cloexec);
        r = 0;
    }
    spin_unlock(&t->lock);
    return r;
}

int fd_next_open(struct fd_table *t, int from) {
    spin_lock(&t->lock);
    unsigned fd = (unsigned)MAX(from, 0);
    while (fd < t->capacity && !t->slots[fd])
        fd++;
    int r = fd < t->capacity ? (int)fd : -1;
    spin_unlock(&t->lock);
    return r;
}

struct vm_object *fd_vm_object(struct fd_table *t, int fd, int prot, int flags, int *err) {
    struct file *f = fd_get(t, fd);
    struct vm_object *o = NULL;
    *err = -EBADF;
    if (!f || file_is_path(f))
        goto out;
    *err = -EACCES;
    if (!file_is_readable(f) ||
        (MAP_ACCESS_SHARED(flags) && (prot & PROT_WRITE) && !file_is_writable(f)))
        goto out;
    *err = -ENODEV;
    if (f->inode->rdev == VFS_RDEV(1, 5) && f->ops->vm_object == NULL) {
        if (MAP_ACCESS_SHARED(flags)) {
            o = vm_object_create_shared();
            *err = o ? 0 : -ENOMEM;
        } else {
            *err = 0;
        }
        goto out;
    }
    o = file_vm_object(f);
    if (o)
        *err = 0;
out:
    if (f)
        file_put(f);
    return o;
}
