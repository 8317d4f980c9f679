/* SPDX-License-Identifier: MIT */
/*
 * Mutexes: the lock that sleeps.  Context: thread, no spinlock held.
 */
#ifndef KERNEL_MUTEX_H
#define KERNEL_MUTEX_H

#include "kernel/lock.h"

struct mutex {
    struct spinlock lock; /* guards the two below */
    struct thread *owner;
    struct list waiters;
};

void mutex_init(struct mutex *m);
void mutex_lock(struct mutex *m);
bool mutex_trylock(struct mutex *m);
void mutex_unlock(struct mutex *m);
bool mutex_is_mine(const struct mutex *m);

#endif
