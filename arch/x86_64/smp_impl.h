/* SPDX-License-Identifier: MIT */
/* Private to arch/x86_64: what boot.S calls on a secondary CPU. */
#ifndef ARCH_SMP_IMPL_H
#define ARCH_SMP_IMPL_H

#include <stdatomic.h>

extern atomic_uint smp_next; /* the number the next arriving CPU takes */
void smp_main(unsigned cpu);

#endif
