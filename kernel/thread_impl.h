/* SPDX-License-Identifier: MIT */
/* Private to kernel/: between thread.c (life and death), sched.c (who runs) and timer.c. */
#ifndef KERNEL_THREAD_IMPL_H
#define KERNEL_THREAD_IMPL_H

#include "kernel/thread.h"

#define KERNEL_STACK_PAGES 4

extern PERCPU uintptr_t kernel_stack_top;

/* sched.c */
void sched_init_idle(struct thread *idle, unsigned cpu);
/* After a switch, on the new thread's stack, interrupts off: lets go of the one before. */
void sched_finish_switch(void);
/* Takes the CPU from the current thread, which is blocking, dead or runnable; interrupts off. */
void sched_reschedule(void);
/* The end of the running slice may have come; interrupts off. Returns when to ask again. */
uint64_t sched_tick(uint64_t now_ns);
/* Takes the threads that died on this CPU off it and frees them. Thread context. */
void sched_reap(void);

/* entry.S */
void switch_context(uintptr_t *save_rsp, uintptr_t load_rsp);
void thread_first(void);
noreturn_fn void enter_user(struct trap_frame *at_stack_top);

/* timer.c: the slice's end or the first timer changed: arm the hardware anew. Interrupts off. */
void timer_program(void);

#endif
