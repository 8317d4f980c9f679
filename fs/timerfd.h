/* SPDX-License-Identifier: MIT */
/*
 * timerfd: a timer that is a file, read for how often it has expired.
 *
 * What the functions below get must be one (timerfd_is_file).  Context: thread,
 * may sleep, no spinlock held.
 */
#ifndef FS_TIMERFD_H
#define FS_TIMERFD_H

#include "fs/file.h"

struct timerfd_setting {
    uint64_t value_ns; /* until it expires first; 0: off */
    uint64_t interval_ns;
};

/* timerfd_create(2), one reference; `realtime`: counts by CLOCK_REALTIME, else by CLOCK_MONOTONIC;
 * `flags`: O_NONBLOCK or 0.  0 or -ENOMEM. */
must_check int timerfd_create(bool realtime, uint32_t flags, struct file **out);
bool timerfd_is_file(const struct file *f);

/* Sets it anew; *old, unless NULL, is what timerfd_get() would have said.  `absolute`: value_ns is
 * a time of its clock. */
void timerfd_set(struct file *f, const struct timerfd_setting *new, bool absolute,
                 struct timerfd_setting *old);
/* How long until it expires next, and its interval. */
void timerfd_get(struct file *f, struct timerfd_setting *out);

#endif
