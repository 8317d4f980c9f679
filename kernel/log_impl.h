/* SPDX-License-Identifier: MIT */
/* Private to kernel/. */
#ifndef KERNEL_LOG_IMPL_H
#define KERNEL_LOG_IMPL_H

#include "base/types.h"

/* Writes text as it is, past ring and lock: for panics. */
void log_write(const char *text, size_t size);
/* Writes what the ring holds to the serial port, without its lock: for panics. */
void log_replay(void);

#endif
