/* SPDX-License-Identifier: MIT */
/* Private to arch/x86_64: what entry.S calls. */
#ifndef ARCH_TRAP_IMPL_H
#define ARCH_TRAP_IMPL_H

struct trap_frame;

/* Once, after the command line is known. */
void trap_init(void);
void trap_handler(struct trap_frame *f);
void trap_paranoid_handler(struct trap_frame *f);

#endif
