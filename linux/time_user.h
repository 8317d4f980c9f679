/* SPDX-License-Identifier: MIT */
/* Linux's time structures in the program's memory, as nanoseconds. */
#ifndef LINUX_TIME_USER_H
#define LINUX_TIME_USER_H

#include "base/types.h"

/* struct timespec: 0, -EFAULT, or -EINVAL where negative or not normalised.  Far times saturate. */
must_check int timespec_from_user(const void *user, uint64_t *ns);
must_check int timespec_to_user(void *user, uint64_t ns);
/* struct timeval, the same. */
must_check int timeval_from_user(const void *user, uint64_t *ns);
must_check int timeval_to_user(void *user, uint64_t ns);

/* Deadlines on the scale of clock_now_ns(): `ns` from now, and the moment when CLOCK_REALTIME
 * will say `realtime_ns`. */
uint64_t deadline_after(uint64_t ns);
uint64_t deadline_of_realtime(uint64_t realtime_ns);

#endif
