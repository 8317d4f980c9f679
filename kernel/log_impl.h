/* SPDX-License-Identifier: MIT */
/* Private to kernel/. */
#ifndef KERNEL_LOG_IMPL_H
#define KERNEL_LOG_IMPL_H

/* Writes what the ring holds to the serial port, without its lock: for panics. */
void log_replay(void);

#endif
