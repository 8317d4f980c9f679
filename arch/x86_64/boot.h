/* SPDX-License-Identifier: MIT */
/* The boot order's seams between arch and the rest. */
#ifndef ARCH_BOOT_H
#define ARCH_BOOT_H

#include "base/types.h"

/* First C code of the boot CPU, on the boot stack, from boot.S. */
noreturn_fn void boot_main(uint32_t start_info_phys);
/* main.c: nothing works yet but per-CPU variables; makes panics visible. */
void kernel_early(void);
/* main.c: memory works, one CPU runs. */
noreturn_fn void kernel_main(void);
/* Makes the boot stack's flow of control a thread, so that `current` is valid (thread.c). */
void thread_init_boot(void);

/* Finds CPUs and interrupt controllers, starts the local APIC of this CPU. */
void irq_init(void);
/* Finds the clock's rate. */
void clock_init(void);
/* Starts all other CPUs at once; each runs main.c's cpu_main() once. Returns when all are up. */
void smp_start(void);
/* main.c: a secondary CPU, on its idle thread's stack; must not return. */
noreturn_fn void cpu_main(void);
/* From the LAPIC: the timer this CPU armed with clock_arm() has fired (timer.c). */
void timer_interrupt(void);
/* Arms this CPU's one-shot timer interrupt, which may come early (if far off). Interrupts off. */
void clock_arm(uint64_t deadline_ns);

#endif
