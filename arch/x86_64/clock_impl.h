/* SPDX-License-Identifier: MIT */
/* Private to arch/x86_64: the local APIC's timer, which counts down once a nanosecond. */
#ifndef ARCH_CLOCK_IMPL_H
#define ARCH_CLOCK_IMPL_H

#include "base/types.h"

uint32_t lapic_timer_read(void);
/* Counts down from `ticks` and then interrupts; 0 stops it. */
void lapic_timer_write(uint32_t ticks);

#endif
